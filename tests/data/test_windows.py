"""Windows of long contexts, against the Hugging Face tokenizer's own."""

import doctest

import numpy as np
import pytest
import span_tokenizers
from hypothesis import given
from hypothesis import strategies as st

from tangodistill.data import windows as module
from tangodistill.data.windows import WindowEncoder, Windows
from tangodistill.user_error import UserError

TINY = {"bert": span_tokenizers.bert(), "roberta": span_tokenizers.roberta()}
tiny = pytest.mark.parametrize("family", TINY)
CONTEXT = "The river flows through a city, Cairo.  Where? In the river's city 😀 the Nile flows, naïvely."


def encoder(family: str, max_length: int = 24, stride: int = 4, question_length: int = 10) -> WindowEncoder:
    return WindowEncoder.of(TINY[family], max_length, stride, question_length)


def pieces(windows: Windows) -> list[list[tuple[int, int]]]:
    """Per window the characters of each of its context tokens."""
    spans = zip(windows.starts.tolist(), windows.ends.tolist(), strict=True)
    flat, offsets = list(spans), windows.tokens.offsets
    return [[span for span in flat[a:b] if span[0] >= 0] for a, b in zip(offsets, offsets[1:], strict=False)]


words = st.lists(st.sampled_from(["the", "Nile", "flows", "rivers", ",", "é", "😀", "unseen", " "]), max_size=40)
rows = st.lists(st.tuples(words.map(lambda w: " ".join(w[:3])), words.map(" ".join)), min_size=1, max_size=5)


@tiny
@given(rows=rows, stride=st.integers(0, 5))
def test_windows_are_those_of_hugging_face(family, rows, stride):
    questions, contexts = map(list, zip(*rows, strict=True))
    theirs = TINY[family](
        questions, contexts, truncation="only_second", max_length=60, stride=stride, return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )  # fmt: skip
    windows = encoder(family, 60, stride, question_length=40).encode(questions, contexts)
    assert windows.example.tolist() == theirs["overflow_to_sample_mapping"]
    batch = windows.tokens.batch(range(len(windows)))
    assert set(batch) == set(TINY[family].model_input_names)
    inside = windows.in_context(range(len(windows)), batch["input_ids"].shape[1])
    for row, places in enumerate(pieces(windows)):
        size = windows.tokens.lengths[row]
        for name in batch:
            assert batch[name][row, :size].tolist() == theirs[name][row]
        context = [side == 1 for side in theirs.sequence_ids(row)]
        assert inside[row].tolist() == context + [False] * (inside.shape[1] - size)
        expected = zip(theirs["offset_mapping"][row], context, strict=True)
        assert places == [place for place, is_context in expected if is_context]


@tiny
def test_every_context_token_lies_in_a_window_and_neighbours_share_the_stride(family):
    whole = pieces(encoder(family, 500).encode(["Where?"], [CONTEXT]))[0]
    windows = encoder(family).encode(["Where?"], [CONTEXT])
    assert len(windows) > 1
    seen = []
    for part in pieces(windows):
        assert not seen or seen[-4:] == part[:4]
        seen += part[4:] if seen else part
    assert seen == whole
    assert windows.tokens.lengths.max() == 24


@tiny
def test_a_long_question_is_cut_and_leaves_room(family):
    windows = encoder(family).encode(["the Nile " * 50, "the Nile " * 50 + "?"], [CONTEXT, CONTEXT])
    ids = windows.tokens.batch(range(len(windows)))["input_ids"]
    assert (np.bincount(windows.example) > 1).all() and windows.tokens.lengths.max() == 24
    assert (ids[windows.example == 0] == ids[windows.example == 1]).all()


@tiny
def test_an_empty_text_has_a_window_too(family):
    windows = encoder(family).encode(["", "Where?", ""], ["the Nile", "", ""])
    assert windows.example.tolist() == [0, 1, 2]
    assert [bool(part) for part in pieces(windows)] == [True, False, False]
    assert windows.tokens.lengths[2] == TINY[family].num_special_tokens_to_add(pair=True)
    assert len(encoder(family).encode([], [])) == 0


def test_shared_contexts_and_chunks_change_nothing(monkeypatch):
    questions, contexts = ["Where?", "What?", "the Nile", "Where?"], [CONTEXT, "a city", CONTEXT, CONTEXT[5:]]
    once = encoder("bert").encode(questions, contexts)
    monkeypatch.setattr(module, "CHUNK", 3)
    again = encoder("bert").encode(questions, contexts)
    for name in ("example", "starts", "ends"):
        np.testing.assert_array_equal(getattr(once, name), getattr(again, name))
    np.testing.assert_array_equal(once.tokens.ids, again.tokens.ids)
    np.testing.assert_array_equal(once.tokens.offsets, again.tokens.offsets)
    assert (once.tokens.ids.dtype, once.tokens.token_type_ids.dtype, once.starts.dtype) == (
        np.int32, np.uint8, np.int32,
    )  # fmt: skip


def test_surrogate_halves_keep_the_count_of_characters():
    context = "a \ud83d\ude00 city"
    assert pieces(encoder("bert").encode(["\ud800"], [context]))[0][-1] == (5, 9)
    assert context[5:9] == "city"


def test_bad_arguments():
    with pytest.raises(UserError) as error:
        encoder("bert", max_length=17)
    assert str(error.value) == (
        "max_length is 17, but windows of questions of 10 tokens that share 4 tokens need 18 at least; "
        "raise max_length or lower stride"
    )
    with pytest.raises(UserError, match="row 1: the text is None"):
        encoder("bert").encode(["a", "b"], ["c", None])
    with pytest.raises(ValueError, match="2 questions but 1 contexts"):
        encoder("bert").encode(["a", "b"], ["c"])


def test_doctests():
    assert doctest.testmod(module).failed == 0
