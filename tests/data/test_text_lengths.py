"""Lengths of whole texts against the Hugging Face tokenizer, and what a maximum length takes away."""

import doctest

import numpy as np
import pytest
from test_tokenize import bert_like

from tangodistill.data import text_lengths
from tangodistill.data.text_lengths import covering_length, whole_lengths
from tangodistill.data.tokenize import TextEncoder

TEXTS = ["good", "a good film", "good " * 500, "", "bad , bad film !"]


@pytest.mark.parametrize("pairs", [None, ["a film"] * len(TEXTS)], ids=["texts", "pairs"])
def test_nothing_is_cut_before_it_is_counted(pairs, monkeypatch):
    monkeypatch.setattr(text_lengths, "CHUNK", 2)
    tokenizer = bert_like()
    encoder = TextEncoder.of(tokenizer, 8)
    wanted = [len(ids) for ids in tokenizer(TEXTS, pairs).input_ids]
    assert whole_lengths(tokenizer.backend_tokenizer, TEXTS, pairs).tolist() == wanted
    cut = encoder.cut(TEXTS, pairs)
    lost = np.maximum(np.array(wanted) - 8, 0)
    assert cut == {"max_length": 8, "texts": pytest.approx((lost > 0).mean()), "tokens": lost.sum() / sum(wanted)}
    assert encoder.encode(TEXTS, pairs).lengths.max() == 8  # the encoder still cuts


def test_the_default_length_holds_99_of_100_texts():
    backend = bert_like().backend_tokenizer
    texts = ["good " * words for words in range(200, 400)]
    length = covering_length(backend, texts)
    assert length % 8 == 0 and 0.99 <= (whole_lengths(backend, texts) <= length).mean() and length < 408
    assert covering_length(backend, ["good film"] * 3) == 128


def test_only_so_many_texts_are_looked_at(monkeypatch):
    monkeypatch.setattr(text_lengths, "LOOKED_AT", 10)
    seen = []
    monkeypatch.setattr(text_lengths, "whole_lengths", lambda _, texts, __: seen.append(texts) or np.array([5]))
    covering_length(bert_like().backend_tokenizer, [str(i) for i in range(1000)])
    assert len(seen[0]) == 10 and (seen[0][0], seen[0][-1]) == ("0", "999")


def test_doctests():
    assert doctest.testmod(text_lengths).failed == 0
