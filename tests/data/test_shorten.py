"""Long texts are cut before they are tokenised: the tokens stay the same, whatever the tokenizer."""

import numpy as np
import pytest
import span_tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from tangodistill.data import tokenize
from tangodistill.data.glove import _word_tokenizer
from tangodistill.data.shorten import Shortener
from tangodistill.data.tokenize import TextEncoder
from tangodistill.data.windows import WindowEncoder

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<mask>"]
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
WORDS = "a good bad film the of in é 好 片 42 , . ##s ##ing ##oo go fi lm".split()
UNIGRAM = [(word, -float(i % 7)) for i, word in enumerate(
    [*SPECIALS, *"▁ ▁a ▁go od ▁film s ▁good o d f i l m 好 ▁42 ▁b ad ▁the".split()]
)]  # fmt: skip


def wordpiece(normalizer=None, splitter=None):
    backend = Tokenizer(models.WordPiece({w: i for i, w in enumerate([*SPECIALS, *WORDS])}, unk_token="[UNK]"))
    backend.normalizer = normalizer or normalizers.BertNormalizer()
    backend.pre_tokenizer = splitter or pre_tokenizers.BertPreTokenizer()
    return backend


def word_level(splitter=None):
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*SPECIALS, *WORDS])}, unk_token="[UNK]"))
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    backend.pre_tokenizer = splitter or pre_tokenizers.Whitespace()
    return backend


def byte_level(add_prefix_space=False):
    merges = [("o", "o"), ("Ġ", "g"), ("Ġg", "oo"), ("Ġgoo", "d"), ("i", "l"), ("Ġ", "Ġ")]
    vocabulary = {w: i for i, w in enumerate([*SPECIALS, *ALPHABET, *map("".join, merges)])}
    backend = Tokenizer(models.BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    backend.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    return backend


def metaspace(prepend="always", *before):
    backend = Tokenizer(models.Unigram(UNIGRAM, unk_id=1))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Replace("``", '"'), normalizers.NFKD(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence([*before, pre_tokenizers.Metaspace(prepend_scheme=prepend)])
    return backend


TOKENIZERS = {
    "BERT": wordpiece(),
    "words": word_level(),
    "blanks": word_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.WhitespaceSplit()])),
    "student": _word_tokenizer({word: i for i, word in enumerate(["[PAD]", "[UNK]", "[MASK]", "[SEP]", *WORDS])}),
    "RoBERTa": byte_level(),
    "BPE with a blank before": byte_level(add_prefix_space=True),
    "ALBERT": metaspace(),
    "XLM-R": metaspace("first", pre_tokenizers.WhitespaceSplit()),
    "Metaspace without a blank before": metaspace("never"),
}


def closed(backend):
    """With special tokens of its own around a text, and around each of two."""
    copy = Tokenizer.from_str(backend.to_str())
    copy.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return copy


def encoders(backend, length, side):
    """One that cuts, and one that never does."""
    cutting, whole = (TextEncoder(closed(backend), length, 0, True, side) for _ in range(2))
    whole._shortener._boundary = None
    return cutting, whole


def assert_same(encoders, texts, pairs=None):
    cutting, whole = (encoder.encode(texts, pairs) for encoder in encoders)
    for name in ("offsets", "ids", "token_type_ids"):
        np.testing.assert_array_equal(getattr(cutting, name), getattr(whole, name))
    for row, text in enumerate(texts):
        one = encoders[0].encode_one(text, None if pairs is None else pairs[row])
        np.testing.assert_array_equal(one["input_ids"][0], whole.batch([row])["input_ids"][0, : whole.lengths[row]])


MANY = ["a ", "go ", "good film ", "films ", "s42 ", "é "] * 4  # texts that can be cut
ODD = [
    "bad",
    "  ",
    "\n",
    "\t",
    "\u00a0",
    "e\u0301",
    "\u0301",
    "好",
    "片",
    "🎬",
    "’s",
    "'s",
    "``",
    ".",
    ",",
    " film",
    "\u200b",
]
ODD += ["\x00", "<mask>", "ﬁ", "½", "ς", "İ", "n't", "-lrb-", "--", "...", "“", "ก็", "3.14"]
pieces = st.sampled_from(MANY + ODD)
long_text = st.lists(pieces, max_size=120).map("".join)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("side", ["right", "left"])
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(long_text, min_size=1, max_size=4), length=st.integers(5, 9))
def test_a_text_keeps_its_tokens(name, side, texts, length):
    assert_same(encoders(TOKENIZERS[name], length, side), texts)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("side", ["right", "left"])
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(long_text, long_text), min_size=1, max_size=4), length=st.integers(5, 9))
def test_a_pair_keeps_its_tokens(name, side, rows, length):
    """The longer side is cut first, and keeps the odd token."""
    texts, pairs = map(list, zip(*rows, strict=True))
    assert_same(encoders(TOKENIZERS[name], length, side), texts, pairs)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(long_text, long_text), min_size=1, max_size=4))
def test_windows_keep_their_tokens(rows):
    questions, contexts = map(list, zip(*rows, strict=True))
    cutting, whole = (WindowEncoder(closed(TOKENIZERS["BERT"]), 16, 3, 0, True, question_length=5) for _ in range(2))
    whole._shortener._boundary = None
    found, expected = (encoder.encode(questions, contexts) for encoder in (cutting, whole))
    np.testing.assert_array_equal(found.tokens.ids, expected.tokens.ids)
    np.testing.assert_array_equal(found.starts, expected.starts)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_each_of_these_tokenizers_is_given_less(name, side):
    text = "a good film " * 200
    part = Shortener(TOKENIZERS[name], 10, side).cut(text)
    assert len(part) < 80
    assert text.startswith(part) if side == "right" else text.endswith(part)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", ["BERT", "student"])
def test_a_text_of_chinese_characters_is_cut_between_them(name, side):
    part = Shortener(TOKENIZERS[name], 10, side).cut("好片" * 500)
    assert 10 <= len(part) <= 12


def unsafe():
    merging = byte_level()
    merging.pre_tokenizer = pre_tokenizers.ByteLevel(use_regex=False)
    whole = byte_level()
    whole.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    pattern = byte_level()
    pattern.pre_tokenizer = pre_tokenizers.Split(". .", "isolated")
    added = wordpiece()
    added.add_tokens(["good film"])
    eats = wordpiece()
    eats.add_special_tokens([AddedToken("<eats>", rstrip=True)])
    bare = wordpiece()
    bare.pre_tokenizer = None
    llama = byte_level()
    llama.normalizer = normalizers.Replace(" ", "▁")
    return [merging, whole, pattern, added, eats, bare, llama]


@pytest.mark.parametrize("backend", unsafe())
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_tokenizer_whose_words_are_not_by_themselves_gets_the_whole_text(backend, side):
    text = "a good film " * 200
    assert Shortener(backend, 10, side).cut(text) is text


@pytest.mark.parametrize("normalizer", [normalizers.Strip(), normalizers.Prepend("▁")])
def test_what_is_done_at_a_texts_begin_forbids_cutting_there(normalizer):
    text, backend = "a good film " * 200, metaspace()
    backend.normalizer = normalizer
    assert Shortener(backend, 10, "left").cut(text) is text
    assert Shortener(backend, 10, "right").cut(text) is not text
    assert_same(encoders(backend, 9, "right"), [text, " " + text])


def test_words_without_tokens_do_not_count():
    """Letters that the normaliser's tables don't know yet are removed: the first words are then too few."""
    new = "\U0001e900\U0001e901 " * 100
    assert_same(encoders(TOKENIZERS["BERT"], 9, "right"), [new + "good film " * 50, new * 3])
    assert_same(encoders(TOKENIZERS["BERT"], 9, "right"), [new + "good " * 50] * 2, ["a " * 90, new + "a " * 90])


@pytest.mark.parametrize("tokenizer", [span_tokenizers.real_bert, span_tokenizers.real_roberta])
@pytest.mark.skipif(not (span_tokenizers.SHARED / "vocab").is_dir(), reason="needs the vocabularies")
@pytest.mark.parametrize("side", ["right", "left"])
def test_real_vocabularies_keep_their_tokens(tokenizer, side):
    words = "the Film’s über-long, 3.14 plot... isn't GOOD (at all)!  \n\n It's 我爱 “quoted” café".split(" ")
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(words, size)) for size in (5, 60, 130, 300, 310)]
    backend = tokenizer().backend_tokenizer
    cutting, whole = (TextEncoder(Tokenizer.from_str(backend.to_str()), 63, 0, True, side) for _ in range(2))
    whole._shortener._boundary = None
    assert_same((cutting, whole), texts)
    assert_same((cutting, whole), texts, texts[::-1])


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("length", [16, 17])
def test_of_two_long_texts_the_longer_one_keeps_the_odd_token(side, length):
    """Which one that is is not seen in the parts that are left: words of one token, and of two."""
    texts = ["good " * 180, "films " * 80, "good " * 160, "films " * 89 + "good", "good " * 179]
    found = encoders(TOKENIZERS["BERT"], length, side)
    assert found[0]._shortened([texts, texts[::-1]])[0][2] is not texts[2]
    assert_same(found, texts * 5, [text for text in texts for _ in range(5)])


def test_two_books_are_no_product_of_their_parts():
    """What Rust cuts off of a pair it keeps in all combinations: two texts of 100 kB took gigabytes."""
    encoder = TextEncoder(closed(TOKENIZERS["BERT"]), 16, 0, True)
    texts, pairs = ["good " * 20_000, "films " * 19_000], ["films " * 19_000, "good " * 20_000]
    assert encoder.encode(texts, pairs).lengths.tolist() == [16, 16]


def test_a_book_costs_what_its_first_words_cost():
    """1.8 MB took 1.6 s and 241 MiB."""
    encoder, book = TextEncoder(closed(TOKENIZERS["BERT"]), 128, 0, True), "a good film, " * 140_000
    given_to_rust = []
    cut = encoder._shortener.cut
    encoder._shortener.cut = lambda text: given_to_rust.append(cut(text)) or given_to_rust[-1]
    assert encoder.encode([book]).lengths.tolist() == [128]
    assert encoder.encode_one(book)["input_ids"].shape == (1, 128)
    assert max(map(len, given_to_rust)) < 2000


def test_rust_is_given_a_bounded_number_of_characters(monkeypatch):
    monkeypatch.setattr(tokenize, "CHUNK_CHARACTERS", 1000)
    encoder, sizes = TextEncoder(closed(TOKENIZERS["BERT"]), 8, 0, True), []
    encode_chunk = encoder._encode_chunk
    encoder._encode_chunk = lambda columns, start: (
        sizes.append(sum(map(len, columns[0]))) or encode_chunk(columns, start)
    )
    texts = ["a good film" * (i % 9) for i in range(300)]
    found = encoder.encode(texts)
    assert max(sizes) < 1100 and sum(sizes) == sum(map(len, texts))
    monkeypatch.undo()
    np.testing.assert_array_equal(found.ids, TextEncoder(closed(TOKENIZERS["BERT"]), 8, 0, True).encode(texts).ids)
