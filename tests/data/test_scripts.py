"""Scripts without blanks between words: the student and the rules read them character by character."""

import pytest

from tangodistill.augment.words import split_words
from tangodistill.data.glove import count_words, student_words
from tangodistill.data.scripts import split_unspaced

TEXTS = {
    "Chinese": ("今天下雪了", "今 天 下 雪 了"),
    "rare Chinese": ("𠮷野家", "𠮷 野 家"),
    "Japanese": ("寒いデータ", "寒 い デ ー タ"),
    "Thai": ("ก็ดีครับ", "ก็ ดี ค รั บ"),
    "Lao": ("ຂ້ອຍ", "ຂ້ อ ຍ".replace("อ", "ອ")),
    "Khmer": ("ខ្ញុំ", "ខ្ ញុំ"),
    "Myanmar": ("မြန်မာ", "မြ န် မာ"),
    "mixed": ("买了iphone15吗", "买 了 iphone15 吗"),
}


@pytest.mark.parametrize("script", TEXTS)
def test_each_character_with_its_marks_is_a_word(script):
    text, words = TEXTS[script]
    assert split_unspaced(text) == split_words(text)[0] == student_words([text])[0] == words.split()
    assert split_words(text)[1] == [False] + [True] * (len(words.split()) - 1)


@pytest.mark.parametrize("text", ["한국어 좋다", "привет мир", "naïve café", "שלום עולם", "नमस्ते दुनिया"])
def test_scripts_with_blanks_keep_their_words(text):
    assert split_words(text)[0] == student_words([text])[0] == text.split()


def test_marks_and_numbers_stay_apart_from_characters():
    assert student_words(["很冷，2023年。It's"])[0] == ["很", "冷", "，", "2023", "年", "。", "it", "'s"]
    assert count_words(["很冷", "冷"]) == {"很": 1, "冷": 2}
