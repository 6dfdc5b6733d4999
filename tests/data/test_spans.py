"""From answers to targets and back: what the targets point at is the answer, and the best span is the best."""

import doctest
import json

import numpy as np
import pytest
import span_tokenizers
from hypothesis import given
from hypothesis import strategies as st
from span_tokenizers import SQUAD

from tangodistill.data import spans as module
from tangodistill.data.spans import (
    LONGEST_ANSWER,
    N_BEST,
    answers_of,
    best_spans,
    n_best_answers,
    n_best_spans,
    span_targets,
)
from tangodistill.data.windows import WindowEncoder, Windows
from tangodistill.metrics import squad

needs_squad = pytest.mark.skipif(not SQUAD.is_dir(), reason=f"real data not at {SQUAD}")
QUESTIONS = ["Where is Cairo?", "What flows?", ""]
CONTEXTS = ["The Nile flows through Cairo, a city of 42 rivers. " * 3, "A 😀 river.", ""]


def tiny_windows(stride: int = 4) -> Windows:
    return WindowEncoder.of(span_tokenizers.bert(), 24, stride, question_length=8).encode(QUESTIONS, CONTEXTS)


def one_hot(windows: Windows, targets: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First, last and probability of each window's best span, in batches, of logits that know the targets."""
    found = []
    for rows in np.array_split(np.arange(len(windows)), -(-len(windows) // 256)):
        mask = windows.tokens.batch(rows)["attention_mask"]
        logits = [20.0 * (np.arange(mask.shape[1]) == target[rows, None]) for target in targets]
        found.append(best_spans(*logits, mask, windows.in_context(rows, mask.shape[1])))
    return tuple(map(np.concatenate, zip(*found, strict=True)))


# --- targets


@needs_squad
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_the_gold_answers_of_squad_are_recovered(family):
    tokenizer = {"bert": span_tokenizers.real_bert, "roberta": span_tokenizers.real_roberta}[family]()
    articles = json.loads((SQUAD / "train-v1.1.json").read_text(encoding="utf-8"))["data"]
    questions, contexts, golds, starts = zip(
        *(
            (asked["question"], paragraph["context"], asked["answers"][0]["text"], asked["answers"][0]["answer_start"])
            for article in articles
            for paragraph in article["paragraphs"]
            for asked in paragraph["qas"]
        ),
        strict=True,
    )
    windows = WindowEncoder.of(tokenizer, 192, 64).encode(questions, contexts)
    assert len(windows) > 1.2 * len(questions)
    ends = np.array(starts) + list(map(len, golds))
    targets = span_targets(windows, starts, ends)
    assert (np.maximum.reduceat(targets[0], np.flatnonzero(np.diff(windows.example, prepend=-1))) > 0).mean() > 0.995
    texts = answers_of(windows, *one_hot(windows, targets)).texts(contexts)
    # the rest are pieces of words ("six" of sixth), or longer than an answer may be
    assert squad(dict(enumerate(texts)), {row: [gold] for row, gold in enumerate(golds)})["em"] > 0.99


def test_targets_point_at_the_whole_answer_or_at_the_first_token():
    windows = tiny_windows()
    context = CONTEXTS[0]
    start = context.index("Cairo", 60)
    end = context.index("city", 60) + len("city")
    first, last = span_targets(windows, [start, 2, 0], [end, 3, 0])
    offsets = windows.tokens.offsets
    held = 0
    for row in np.flatnonzero(windows.example == 0):
        begin = offsets[row]
        inside = [p for p in range(begin, offsets[row + 1]) if windows.starts[p] >= 0]
        if windows.starts[inside[0]] <= start and windows.ends[inside[-1]] >= end:
            assert (windows.starts[begin + first[row]], windows.ends[begin + last[row]]) == (start, end)
            held += 1
        else:
            assert (first[row], last[row]) == (0, 0)
    assert 0 < held < (windows.example == 0).sum()
    assert first[windows.example == 1] > 0 and first[windows.example == 2] == 0


def test_a_character_of_several_tokens_is_pointed_at_whole():
    tokenizer = span_tokenizers.roberta()
    windows = WindowEncoder.of(tokenizer, 40, 4, question_length=8).encode(["?"], ["a 😀 b"])
    first, last = span_targets(windows, [2], [3])
    assert (last - first).tolist() == [3]
    assert answers_of(windows, first, last, np.ones(1)).texts(["a 😀 b"]) == ["😀"]


# --- the best span


def slow_best(start, end, mask, inside) -> list[tuple[int, int, float]]:
    """One window, one span at a time."""
    found = []
    for s, e, real, within in zip(start, end, mask, inside, strict=True):
        p, q = (np.exp(x[real]) / np.exp(x[real]).sum() for x in (s, e))
        best = (0, 0, 0.0)
        for i in np.flatnonzero(within):
            for j in np.flatnonzero(within):
                if i <= j < i + LONGEST_ANSWER and p[i] * q[j] > best[2] + 1e-15:
                    best = (i, j, p[i] * q[j])
        found.append(best)
    return found


@st.composite
def batches(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size, width = draw(st.integers(1, 4)), draw(st.integers(3, 70))
    lengths = rng.integers(2, width + 1, size)
    begin = rng.integers(1, lengths)
    mask = np.arange(width) < lengths[:, None]
    inside = mask & (np.arange(width) >= begin[:, None]) & (np.arange(width) < lengths[:, None] - 1)
    start, end = 3 * rng.standard_normal((2, size, width))
    return start, end, mask, inside


@given(batches())
def test_best_span_equals_brute_force(batch):
    first, last, probability = best_spans(*batch)
    slow_first, slow_last, slow_probability = zip(*slow_best(*batch), strict=True)
    assert first.tolist() == list(slow_first) and last.tolist() == list(slow_last)
    np.testing.assert_allclose(probability, slow_probability, rtol=1e-9)


@given(batches(), st.integers(1, 300), st.randoms())
def test_padding_and_order_change_nothing(batch, padding, random):
    expected = best_spans(*batch)
    wide = [np.pad(array, ((0, 0), (0, padding))) for array in batch]
    wide[0][:, -padding:] = wide[1][:, -padding:] = 1e4  # whatever a model says of padding
    order = random.sample(range(len(batch[0])), len(batch[0]))
    for ours, theirs in zip(best_spans(*(array[order] for array in wide)), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs[order])
    for row in range(len(batch[0])):
        for ours, theirs in zip(best_spans(*(array[[row]] for array in batch)), expected, strict=True):
            assert ours[0] == theirs[row]


def test_no_longer_answer_than_allowed_and_none_without_a_context():
    width = 50
    start, end = np.zeros((2, 2, width))
    start[:, 1], end[:, 1 + LONGEST_ANSWER] = 5, 5
    ones = np.ones((2, width), bool)
    inside = ones.copy()
    inside[1] = False
    first, last, probability = best_spans(start, end, ones, inside)
    assert last[0] - first[0] < LONGEST_ANSWER and probability[0] > 0
    assert (first[1], last[1], probability[1]) == (0, 0, 0)


def test_logits_far_apart_still_leave_an_order():
    start = np.array([[5e4, 0.0, 1.0, 2.0]], np.float32)  # in float64 too, the others have probability 0
    inside = np.array([[False, True, True, True]])
    assert best_spans(start, start, inside | True, inside)[:2] == ([3], [3])


# --- the answer of an example


def test_the_most_probable_window_answers_and_of_equals_the_earlier():
    windows = tiny_windows()
    count = np.bincount(windows.example)
    assert count[0] == 3 and count[1:].tolist() == [1, 1]
    place = windows.in_context(range(len(windows)), 24).argmax(axis=1)  # 0 without a context
    probability = np.zeros(len(windows))
    probability[[1, 2, count[0]]] = 0.5, 0.5, 0.25
    answers = answers_of(windows, place, place, probability)
    token = windows.tokens.offsets[1] + place[1]
    assert (answers.start[0], answers.end[0]) == (windows.starts[token], windows.ends[token])
    assert answers.confidence.tolist() == [0.5, 0.25, 0.0]
    assert answers.texts(CONTEXTS)[1:] == ["A", ""]


# --- the n best spans of an example


def slow_n_best(windows: Windows, start, end) -> list[tuple[int, int, float]]:
    """One example, one window, one span at a time: characters and probability of the best."""
    found = []
    for example in range(windows.examples):
        spans: dict[tuple[int, int], float] = {}
        for window in np.flatnonzero(windows.example == example):
            begin = windows.tokens.offsets[window]
            places = [i for i in range(windows.lengths[window]) if windows.starts[begin + i] >= 0]
            for i in places:
                for j in (j for j in places if i <= j < i + LONGEST_ANSWER):
                    key = int(windows.starts[begin + i]), int(windows.ends[begin + j])
                    spans[key] = max(spans.get(key, -np.inf), float(start[window, i]) + float(end[window, j]))
        best = sorted(((total, span) for span, total in spans.items()), reverse=True)[:N_BEST]
        total = np.exp([each[0] for each in best])
        found.append((*best[0][1], total[0] / total.sum()) if best else (0, 0, 0.0))
    return found


def n_best(windows: Windows, start, end, width: int):
    mask = np.arange(width) < windows.lengths[:, None]
    rows = range(len(windows))
    return n_best_answers(windows, *n_best_spans(start, end, mask, windows.in_context(rows, width)))


@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.booleans())
def test_n_best_equals_brute_force_whatever_the_padding(seed, padding, rounded):
    windows = tiny_windows()
    assert np.bincount(windows.example).tolist() == [3, 1, 1]  # many spans, few, and none
    start, end = 3 * np.random.default_rng(seed).standard_normal((2, len(windows), 24)).astype(np.float32)
    if rounded:  # as in bf16: many are equal
        start, end = start.round(), end.round()
    answers = n_best(windows, start, end, 24)
    wide = [np.pad(logits, ((0, 0), (0, padding)), constant_values=1e4) for logits in (start, end)]
    for ours, theirs in zip(vars(n_best(windows, *wide, 24 + padding)).values(), vars(answers).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    slow = slow_n_best(windows, start, end)
    np.testing.assert_allclose(answers.confidence, [each[2] for each in slow], rtol=1e-9)
    if not rounded:
        assert list(zip(answers.start.tolist(), answers.end.tolist(), strict=True)) == [each[:2] for each in slow]


def test_a_span_that_two_windows_hold_counts_once_where_it_is_best():
    windows = tiny_windows()
    offsets, (one, two) = windows.tokens.offsets, np.flatnonzero(windows.example == 0)[:2]
    shared = np.intersect1d(windows.starts[offsets[one] : offsets[one + 1]],
                            windows.starts[offsets[two] : offsets[two + 1]])[-1]  # fmt: skip
    assert shared > 0
    first, logit = np.zeros((len(windows), 1), np.int64), np.full((len(windows), 1), -np.inf)
    for window, value in ((one, 1.0), (two, 3.0)):
        first[window] = np.flatnonzero(windows.starts[offsets[window] : offsets[window + 1]] == shared)[0]
        logit[window] = value
    for swapped in (logit, logit[[1, 0, *range(2, len(windows))]]):
        answers = n_best_answers(windows, first, first, swapped)
        assert answers.start[0] == shared and answers.confidence.tolist() == [1, 0, 0]
    first[one] += 1  # another span: the logits of windows are compared as they are
    answers = n_best_answers(windows, first, first, logit)
    assert answers.start[0] == shared and answers.confidence[0] == pytest.approx(1 / (1 + np.exp(-2)))


def test_no_examples_at_all():
    windows = WindowEncoder.of(span_tokenizers.bert(), 24, 4, question_length=8).encode([], [])
    first, last = span_targets(windows, [], [])
    assert len(first) == len(last) == 0
    assert answers_of(windows, first, last, np.zeros(0)).texts([]) == []
    several = np.zeros((0, N_BEST), np.int64)
    assert n_best_answers(windows, several, several, np.zeros((0, N_BEST))).texts([]) == []


def test_doctests():
    assert doctest.testmod(module).failed == 0
