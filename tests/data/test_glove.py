"""The student's tokenizer and its embedding matrix."""

import json
import ssl
from collections import Counter

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from torchtext.vocab import Vocab
from transformers import AutoTokenizer

from tangodistill.data import glove
from tangodistill.data.glove import SPECIAL_TOKENS, count_words, embedding_matrix, load_vectors, student_tokenizer
from tangodistill.data.tokenize import TextEncoder
from tangodistill.models import BiLSTMConfig
from tangodistill.user_error import UserError

TEXTS = ["A good film , is n't it ?", "It isn't a [MASK] film", "a film", "an unheardof thing"] * 5
GLOVE = ["the", "a", "film", "it", "n't", "is", "good", ",", "rare", "thing"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TANGODISTILL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def glove_path(tmp_path):
    rows = np.random.default_rng(0).normal(1, 0.5, (len(GLOVE), 4))
    path = tmp_path / "glove.tiny.4d.txt"
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(GLOVE, rows, strict=True)))
    return path


@pytest.fixture
def tokenizer(glove_path):
    return student_tokenizer(TEXTS, glove_path, size=16)


def words(tokenizer, *texts: str) -> list[str]:
    return tokenizer.convert_ids_to_tokens(tokenizer(*texts)["input_ids"])


def pieces(text: str) -> list[str]:
    """Words of a text, whatever the vocabulary."""
    splitter = glove._word_tokenizer({token: index for index, token in enumerate(SPECIAL_TOKENS)})
    return [word for word, _ in splitter.pre_tokenizer.pre_tokenize_str(splitter.normalizer.normalize_str(text))]


@pytest.mark.parametrize(
    ("raw", "split"),
    [
        ("It doesn't work, can't and WON’T.", "it does n't work , ca n't and wo n't ."),
        ("It's what they're saying: I'd've left", "it 's what they 're saying : i 'd 've left"),
        ("“Well-made” (1,000.5 times)…", "`` well-made '' -lrb- 1,000.5 times -rrb- ..."),
        ("good—very good -- or so", "good -- very good -- or so"),
        ("the '70s", "the ' 70s"),
    ],
)
def test_raw_and_split_text_give_the_same_words(raw, split):
    assert pieces(raw) == pieces(split)


def test_words_are_gloves():
    text = "Isn't it 'so' 1,000 times well-made...?! 😀👍 café"
    expected = ["is", "n't", "it", "'", "so", "'", "1,000", "times", "well", "-", "made", "...", "?", "!"]
    assert pieces(text) == [*expected, "😀", "👍", "café"]


def test_ids_are_torchtexts(glove_path):
    texts = [f"w{i % 7} w{i % 3} w{i % 11}" for i in range(200)]
    counts = Counter(word for text in texts for word in text.split())
    expected = Vocab(counts, max_size=9 - 4, specials=list(SPECIAL_TOKENS))
    assert student_tokenizer(texts, glove_path, size=9).get_vocab() == dict(expected.stoi)


def test_vocabulary_is_full_and_gloves_frequent_words_take_the_rows_left(tokenizer):
    order = tokenizer.convert_ids_to_tokens(list(range(16)))
    assert order[:4] == list(SPECIAL_TOKENS)
    assert order[4:8] == ["a", "film", "is", "it"]
    assert order[-1] == "the" and "rare" not in order
    assert "[" not in order and "mask" not in order, "special tokens in the texts are no words"


def test_a_word_without_a_vector_that_is_rarely_seen_is_left_out(glove_path):
    often = student_tokenizer(TEXTS, glove_path, size=16).get_vocab()
    rarely = student_tokenizer(TEXTS[:-4], glove_path, size=16).get_vocab()
    assert {"an", "unheardof"} <= often.keys() and not {"an", "unheardof"} & rarely.keys()
    assert "rare" in rarely and "rare" not in often, "GloVe's next word has taken a row"
    assert "thing" in rarely, "GloVe has a vector of it"


def test_a_vocabulary_without_a_word_is_refused(glove_path):
    with pytest.raises(UserError, match="a vocabulary of 4 has no room for a word beside 4 special tokens"):
        student_tokenizer(TEXTS, glove_path, size=4)


def test_counts_do_not_depend_on_chunks(monkeypatch):
    whole = count_words(TEXTS)
    monkeypatch.setattr(glove, "CHUNK", 3)
    assert count_words(iter(TEXTS)) == whole
    assert whole["film"] == 15 and whole["n't"] == 10


def test_a_single_text_a_pair_and_a_mask(tokenizer):
    assert words(tokenizer, "A GOOD [MASK]") == ["a", "good", "[MASK]", "[SEP]"]
    assert words(tokenizer, "a[MASK]film") == ["a", "[MASK]", "film", "[SEP]"]
    assert words(tokenizer, "a film", "it is") == ["a", "film", "[SEP]", "it", "is", "[SEP]"]
    assert words(tokenizer, "zzz") == ["[UNK]", "[SEP]"]


@pytest.mark.parametrize(
    "text", ["", " ", "\t\r\n", "\u00a0\u3000", "\x00", "😀", "שלום", "\u200f", "x" * 100_000, "a " * 50_000]
)
def test_every_text_has_a_token_whoever_encodes_it(tokenizer, tmp_path, text):
    tokenizer.save_pretrained(tmp_path)
    by_rust = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(text).ids
    assert len(by_rust) >= 1
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == by_rust
    assert 1 <= TextEncoder.of(tokenizer, 16).encode([text]).lengths[0] <= 16


def test_auto_tokenizer_loads_it_beside_the_model(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    BiLSTMConfig(vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.model_max_length == 256
    assert loaded.model_input_names == ["input_ids", "attention_mask"]
    assert [loaded.pad_token_id, loaded.unk_token_id, loaded.mask_token_id, loaded.sep_token_id] == [0, 1, 2, 3]
    assert len(loaded("film " * 300, truncation=True)["input_ids"]) == 256
    assert words(loaded, TEXTS[0]) == words(tokenizer, TEXTS[0])


def test_embedding_rows_are_gloves(tokenizer, glove_path):
    matrix = embedding_matrix(tokenizer, glove_path, width=4)
    vectors = load_vectors(glove_path, 4)
    assert matrix.shape == (16, 4) and matrix.dtype == np.float32
    for word in ("film", "n't", "the"):
        np.testing.assert_allclose(matrix[tokenizer.get_vocab()[word]], vectors[word].numpy())


def test_rows_without_a_vector_lie_near_the_mean_and_apart(tokenizer, glove_path):
    matrix = embedding_matrix(tokenizer, glove_path, width=4)
    vocabulary = tokenizer.get_vocab()
    found = matrix[[index for word, index in vocabulary.items() if word in GLOVE]]
    assert not matrix[0].any(), "padding is zero"
    for word in ("[UNK]", "[MASK]", "[SEP]", "unheardof"):
        assert (abs(matrix[vocabulary[word]] - found.mean(0)) < found.std(0)).all()
    assert not np.allclose(matrix[1], matrix[2])
    np.testing.assert_array_equal(matrix, embedding_matrix(tokenizer, glove_path, width=4))
    assert not np.array_equal(matrix, embedding_matrix(tokenizer, glove_path, width=4, seed=1))


def test_binary_copy_lies_in_the_cache_folder_and_is_reused(glove_path, tmp_path):
    before = sorted(glove_path.parent.iterdir())
    first = load_vectors(glove_path)
    (copy,) = (tmp_path / "cache").rglob("*.pt")
    torch.load(copy, weights_only=True)
    written = copy.stat().st_mtime_ns
    assert torch.equal(load_vectors(glove_path).vectors, first.vectors) and copy.stat().st_mtime_ns == written
    assert [path for path in sorted(glove_path.parent.iterdir()) if path.name != "cache"] == before


def test_a_changed_file_of_the_same_name_is_read_anew(glove_path):
    load_vectors(glove_path)
    glove_path.write_text(glove_path.read_text() + "extra 1 2 3 4\n")
    assert "extra" in load_vectors(glove_path).stoi


def test_certificate_checks_stay_on(glove_path):
    load_vectors(glove_path)
    assert ssl._create_default_https_context().verify_mode == ssl.CERT_REQUIRED


def test_wrong_width_names_file_found_and_wanted(tokenizer, glove_path):
    with pytest.raises(UserError, match=r"glove\.tiny\.4d\.txt: its vectors are 4 wide, but 50 is wanted"):
        embedding_matrix(tokenizer, glove_path)


def test_a_header_line_is_no_vector(tmp_path):
    path = tmp_path / "headed.txt"
    path.write_text("2 3\na 1 2 3\nb 4 5 6\n")
    assert load_vectors(path, 3).itos == ["a", "b"]


@pytest.mark.parametrize(
    "content", ["", "one line only\n", json.dumps({"a": [1]}), "a 1 2 3\nb 4 5\nc 1 2 3\n", "a x y z\nb x y z\n"]
)
def test_what_is_no_glove_file_is_said(tmp_path, content):
    path = tmp_path / "broken.txt"
    path.write_text(content)
    with pytest.raises(UserError, match="broken.txt"):
        load_vectors(path)


def test_missing_glove_file(tmp_path):
    with pytest.raises(UserError, match="nowhere.txt: no such GloVe file"):
        load_vectors(tmp_path / "nowhere.txt")


def test_glove_of_other_words(tmp_path):
    path = tmp_path / "capitals.txt"
    path.write_text("THE 1 2 3\nFILM 4 5 6\n")
    with pytest.raises(UserError, match="holds no word"):
        embedding_matrix(student_tokenizer(["the film"] * 5, path, size=6), path, width=3)
