"""Encoding and padding, against the Hugging Face tokenizer."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tangodistill.data import tokenize
from tangodistill.data.tokenize import TextEncoder, TokenizedTexts, load_tokenizer
from tangodistill.user_error import UserError

WORDS = ["a", "good", "bad", "film", ",", "!", "éclair", "שלום", "😀"]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
NASTY = [
    "",
    "   ",
    "\x00",
    "a\x00b",
    "😀👍🏽",
    "שלום עולם",
    "\ufeffgood",
    "good\r\nfilm\rbad",
    'a "quoted" film',
    "x" * 100_000,
]


def bert_like() -> PreTrainedTokenizerFast:
    vocabulary = {word: index for index, word in enumerate([*SPECIALS, *WORDS])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return bert_like()


def by_hugging_face(tokenizer, texts, pairs, max_length) -> dict[str, np.ndarray]:
    return tokenizer(texts, pairs, truncation=True, max_length=max_length, padding=True, return_tensors="np")


def assert_same(inputs, expected) -> None:
    assert set(inputs) == set(expected)
    for name in inputs:
        np.testing.assert_array_equal(inputs[name], expected[name], name)


sentences = st.lists(st.sampled_from([*WORDS, "unseen"]), max_size=12).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(sentences, min_size=1, max_size=8), max_length=st.integers(5, 12))
def test_texts_are_encoded_as_hugging_face_does(tokenizer, texts, max_length):
    tokens = TokenizedTexts.from_texts(tokenizer, texts, max_length=max_length)
    assert_same(tokens.batch(range(len(texts))), by_hugging_face(tokenizer, texts, None, max_length))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(sentences, sentences), min_size=1, max_size=8), max_length=st.integers(5, 12))
def test_pairs_are_cut_on_the_longer_side(tokenizer, rows, max_length):
    texts, pairs = map(list, zip(*rows, strict=True))
    tokens = TokenizedTexts.from_texts(tokenizer, texts, pairs, max_length=max_length)
    assert_same(tokens.batch(range(len(texts))), by_hugging_face(tokenizer, texts, pairs, max_length))


def test_awkward_texts_are_encoded_as_hugging_face_does(tokenizer):
    tokens = TokenizedTexts.from_texts(tokenizer, NASTY, max_length=16)
    assert_same(tokens.batch(range(len(NASTY))), by_hugging_face(tokenizer, NASTY, None, 16))


@pytest.mark.parametrize(("text", "pair"), [("a good film", None), ("good !", "bad !"), ("", None), ("a " * 90, "b")])
def test_one_text_is_encoded_as_in_bulk(tokenizer, text, pair):
    encoder = TextEncoder.of(tokenizer, 8)
    assert_same(encoder.encode_one(text, pair), encoder.encode([text], None if pair is None else [pair]).batch([0]))


def test_more_texts_than_a_chunk_keep_their_order(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenize, "CHUNK", 3)
    texts = [" ".join(["good"] * (i % 5)) for i in range(11)]
    tokens = TokenizedTexts.from_texts(tokenizer, texts, texts[::-1], max_length=32)
    assert tokens.lengths.tolist() == [i % 5 + (10 - i) % 5 + 3 for i in range(11)]
    assert (tokens.ids.dtype, tokens.offsets.dtype, tokens.token_type_ids.dtype) == (np.int32, np.int64, np.uint8)


def test_batch_takes_any_rows_in_any_order_and_pads_on_request(tokenizer):
    tokens = TokenizedTexts.from_texts(tokenizer, ["a", "a good film", "bad film"], max_length=8)
    batch = tokens.batch([2, 0, 2], pad_to=6)
    assert batch["input_ids"].tolist() == [[2, 7, 8, 3, 0, 0], [2, 5, 3, 0, 0, 0], [2, 7, 8, 3, 0, 0]]
    assert batch["attention_mask"].sum(1).tolist() == [4, 3, 4]
    assert tokens.batch([1], pad_to=2)["input_ids"].shape == (1, 5)


def test_no_texts_at_all(tokenizer):
    tokens = TokenizedTexts.from_texts(tokenizer, [], max_length=8)
    assert len(tokens) == 0
    assert tokens.lengths.tolist() == []


def test_settings_of_the_original_tokenizer_do_not_reach_the_encoder(tokenizer):
    encoder = TextEncoder.of(tokenizer, 6)
    tokenizer("a " * 50, truncation=True, max_length=5, padding="max_length")
    assert encoder.encode_one("a " * 50)["input_ids"].shape == (1, 6)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()


def test_threads_share_an_encoder(tokenizer):
    encoder, wrong = TextEncoder.of(tokenizer, 32), []

    def work(count: int) -> None:
        for _ in range(100):
            if encoder.encode_one("good " * count)["input_ids"].shape[1] != count + 2:
                wrong.append(count)

    threads = [threading.Thread(target=work, args=(count,)) for count in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


def test_cache_is_read_back_memory_mapped_and_keyed_by_everything(tokenizer, tmp_path, monkeypatch):
    texts = ["a good film", "bad !"]
    first = TokenizedTexts.from_texts(tokenizer, texts, texts, max_length=9, cache=tmp_path)
    assert isinstance(first.ids, np.memmap)
    assert not list(tmp_path.glob("partial-*"))
    for changed in ({"texts": texts[::-1]}, {"pairs": None}, {"max_length": 8}):
        TokenizedTexts.from_texts(
            tokenizer, **{"texts": texts, "pairs": texts, "max_length": 9, **changed}, cache=tmp_path
        )
    assert len(list(tmp_path.iterdir())) == 4
    monkeypatch.setattr(TextEncoder, "encode", None)  # the second time nothing is encoded
    again = TokenizedTexts.from_texts(tokenizer, texts, texts, max_length=9, cache=tmp_path)
    assert_same(again.batch([1, 0]), first.batch([1, 0]))


def test_a_cache_that_cannot_be_written_leaves_nothing_behind(tokenizer, tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        TokenizedTexts.from_texts(tokenizer, ["a"], max_length=9, cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_surrogate_halves_are_joined_or_replaced(tokenizer):
    encoder = TextEncoder.of(tokenizer, 8)
    assert_same(encoder.encode_one("\ud83d\ude00"), encoder.encode_one("😀"))
    assert encoder.encode(["a", "good \ud800 film"]).lengths.tolist() == [3, 5]
    encoder.fingerprint(["\ud800"])


@pytest.mark.parametrize("value", [None, 3.5, float("nan")])
def test_what_is_no_text_is_named_with_its_row(tokenizer, value):
    with pytest.raises(UserError, match="row 2: .*must be a string"):
        TokenizedTexts.from_texts(tokenizer, ["a", "b", value], max_length=8)


def test_bad_arguments(tokenizer):
    with pytest.raises(UserError, match="max_length is 4.*needs 5"):
        TextEncoder.of(tokenizer, 4)
    with pytest.raises(ValueError, match="2 texts but 1 second"):
        TokenizedTexts.from_texts(tokenizer, ["a", "b"], ["a"], max_length=8)


def test_load_tokenizer_reads_a_saved_folder(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path)("good film")["input_ids"] == tokenizer("good film")["input_ids"]


def test_load_tokenizer_names_what_is_wrong(tokenizer, tmp_path):
    with pytest.raises(UserError, match="nowhere: no such model folder"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(UserError, match="cannot be read"):
        load_tokenizer(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    saved = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(saved[: len(saved) // 2])
    with pytest.raises(UserError, match="cannot be read"):
        load_tokenizer(tmp_path)


def test_load_tokenizer_wants_a_padding_token(tokenizer, tmp_path):
    PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no padding token"):
        load_tokenizer(tmp_path)


def test_load_tokenizer_offline_says_what_serves_instead(monkeypatch):
    with pytest.raises(UserError, match="local model folder"):
        load_tokenizer("nobody/no-such-model")
