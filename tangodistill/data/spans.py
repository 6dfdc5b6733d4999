"""Answers as spans of windows: from characters to token targets, and from logits back to characters.

On the serving path: numpy alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tangodistill.data.windows import Windows

LONGEST_ANSWER = 30  # tokens, as in the scripts of BERT
N_BEST = 20  # spans of a question, as in the scripts of BERT


@dataclass(frozen=True)
class SpanAnswers:
    """One answer per example.

    Attributes:
        start, end: (n,) int64, characters of the context; both 0 where there is nothing to answer from.
        confidence: (n,) float64, probability of the span, by one of `SPAN_SCORES`; 0 where there is nothing to answer
            from.
    """

    start: np.ndarray
    end: np.ndarray
    confidence: np.ndarray

    def texts(self, contexts: Sequence[str]) -> list[str]:
        """The answers as written in the n contexts."""
        return [context[a:b] for context, a, b in zip(contexts, self.start.tolist(), self.end.tolist(), strict=True)]


def span_targets(windows: Windows, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last token of each example's answer in each of its windows.

    Args:
        starts, ends: (n,) the answers' characters, end exclusive.

    Returns:
        two (windows,) int64, places in the window: the tokens that overlap the answer; 0, the first token, where the
        window does not hold the whole answer.
    """
    offsets, example = windows.tokens.offsets, windows.example
    starts, ends = np.asarray(starts, np.int64)[example], np.asarray(ends, np.int64)[example]
    sizes = windows.tokens.lengths
    overlaps = (windows.starts < np.repeat(ends, sizes)) & (windows.ends > np.repeat(starts, sizes))
    tokens = np.flatnonzero(overlaps & (windows.starts >= 0))
    window, first = np.unique(np.searchsorted(offsets, tokens, side="right") - 1, return_index=True)
    last = np.append(first[1:], len(tokens)) - 1

    # whole, unless the answer goes on in the window before or behind
    inside = windows.starts >= 0
    begin = np.minimum.reduceat(np.where(inside, windows.starts, np.iinfo(np.int32).max), offsets[:-1])[window]
    end = np.maximum.reduceat(windows.ends, offsets[:-1])[window]
    is_first = np.append(True, example[1:] != example[:-1])[window]
    is_last = np.append(example[1:] != example[:-1], True)[window]
    whole = (is_first | (begin <= starts[window])) & (is_last | (end >= ends[window]))
    targets = np.zeros((2, len(windows)), np.int64)
    targets[:, window[whole]] = tokens[[first[whole], last[whole]]] - offsets[window[whole]]
    return targets[0], targets[1]


def best_spans(
    start_logits: np.ndarray, end_logits: np.ndarray, attention_mask: np.ndarray, in_context: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The most probable span of each window: within the context, and at most 30 tokens long.

    Its probability is softmax(start)[s] · softmax(end)[e], each softmax over all real tokens of the window, so that it
    depends on neither the batch nor the padding.

    Args: all (batch, width): the logits; which tokens are real; which of them lie in the context.

    Returns: (batch,) first token and last token, int64, and probability, float64; 0, 0 and 0 without a context.

    >>> logits, real = np.log([[0.25, 0.25, 0.5]]), np.ones((1, 3), bool)
    >>> [array.round(3).tolist() for array in best_spans(logits, logits, real, np.array([[True, True, False]]))]
    [[0], [0], [0.062]]
    """
    real = np.asarray(attention_mask, bool)
    start, end = (np.where(in_context, _log_softmax(logits, real), -np.inf) for logits in (start_logits, end_logits))
    ends = _ends(end)
    scores = start + ends.max(axis=2)
    first, rows = scores.argmax(axis=1), np.arange(len(scores))
    return first, first + ends[rows, first].argmax(axis=1), np.exp(scores[rows, first])


def answers_of(windows: Windows, first: np.ndarray, last: np.ndarray, probability: np.ndarray) -> SpanAnswers:
    """Each example's answer is the span of its most probable window; of equals the earlier.

    Args: all (windows,), as `best_spans` gives them, in the order of the windows.
    """
    order = np.lexsort((-probability, windows.example))
    winner = order[np.flatnonzero(np.diff(windows.example, prepend=-1))]
    begin = windows.tokens.offsets[winner]
    # -1 is a token outside the context: there was none to point at
    start, end = windows.starts[begin + first[winner]], windows.ends[begin + last[winner]]
    return SpanAnswers(*(np.maximum(place, 0).astype(np.int64) for place in (start, end)), probability[winner])


def n_best_spans(
    start_logits: np.ndarray, end_logits: np.ndarray, attention_mask: np.ndarray, in_context: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 20 spans of each window whose logits of first and last token sum to the most, the best first.

    Args: as of `best_spans`; no softmax runs over a window, so what lies outside the context takes no part.

    Returns: (batch, 20) first token and last token, int64, and sum of logits, float64, -inf where there is no span.

    >>> logits, real = np.array([[0.0, 1.0, 3.0]]), np.ones((1, 3), bool)
    >>> [array[:, :3].tolist() for array in n_best_spans(logits, logits, real, np.array([[True, True, False]]))]
    [[[1, 0, 0]], [[1, 1, 0]], [[2.0, 1.0, 0.0]]]
    """
    start, end = (
        np.where(in_context, np.asarray(logits, np.float64), -np.inf) for logits in (start_logits, end_logits)
    )
    ends, rows = _ends(end), np.arange(len(start))[:, None]
    # a span among the n best begins at one of the n tokens whose own best spans are the best
    first = _largest(start + ends.max(axis=2))
    sums = (start[rows, first][:, :, None] + ends[rows, first]).reshape(len(start), first.shape[1] * LONGEST_ANSWER)
    pair = _largest(sums)
    first = first[rows, pair // LONGEST_ANSWER]
    return first, first + pair % LONGEST_ANSWER, sums[rows, pair]


def n_best_answers(windows: Windows, first: np.ndarray, last: np.ndarray, logit: np.ndarray) -> SpanAnswers:
    """Each example's answer is the best of its windows' n best spans; its probability a softmax over the 20 best.

    Devlin et al. 2019, "BERT", `n_best_size` of run_squad.py: logits of all windows are compared as they are. A span
    that several windows hold counts once, where it is best; of equals the earlier answers.

    Args: all (windows, n), as `n_best_spans` gives them, in the order of the windows.
    """
    window, place = np.nonzero(logit > -np.inf)
    begin, example, sums = windows.tokens.offsets[window], windows.example[window], logit[window, place]
    start, end = windows.starts[begin + first[window, place]], windows.ends[begin + last[window, place]]

    order = np.lexsort((-sums, end, start, example))
    once = order[np.diff(np.stack([example, start, end])[:, order], prepend=-1).any(axis=0)]
    once = once[np.lexsort((end[once], start[once], -sums[once], example[once]))]
    heads = np.flatnonzero(np.diff(example[once], prepend=-1))
    rank = np.arange(len(once)) - np.repeat(heads, np.diff(heads, append=len(once)))
    best = np.full((windows.examples, N_BEST), -np.inf)
    once, rank = once[rank < N_BEST], rank[rank < N_BEST]
    best[example[once], rank] = sums[once]

    answers = SpanAnswers(*np.zeros((2, windows.examples), np.int64), np.zeros(windows.examples))
    winner = once[rank == 0]
    answers.start[example[winner]], answers.end[example[winner]] = start[winner], end[winner]
    best = best[example[winner]]
    answers.confidence[example[winner]] = 1 / np.exp(best - best[:, :1]).sum(axis=1)
    return answers


class SpanScore(NamedTuple):
    """How a span tier finds its answers, and how sure it is of them."""

    shape: tuple[int, ...]
    """Of what is kept of a window: one span, or several."""
    of_windows: Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]
    """From logits, as `best_spans`."""
    of_examples: Callable[..., SpanAnswers]
    """From what was kept of all windows, as `answers_of`."""
    lowest: float
    """That the score can be where there is something to answer from."""


SPAN_SCORES = {
    "max_probability": SpanScore((), best_spans, answers_of, lowest=0),
    "n_best": SpanScore((N_BEST,), n_best_spans, n_best_answers, lowest=1 / N_BEST),
}


def _ends(end: np.ndarray) -> np.ndarray:
    """(batch, width, 30), a view: of each token the values (batch, width) of those that a span from it may end with."""
    behind = np.pad(end, ((0, 0), (0, LONGEST_ANSWER - 1)), constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(behind, LONGEST_ANSWER, axis=1)


def _largest(values: np.ndarray) -> np.ndarray:
    """Columns (batch, 20 or fewer) of the largest values of each row, those first; of equals the earlier."""
    return np.argsort(-values, axis=1, kind="stable")[:, :N_BEST]


def _log_softmax(logits: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Over the real tokens of each row, (batch, width) float64; -inf elsewhere."""
    logits = np.where(real, np.asarray(logits, np.float64), -np.inf)
    logits = logits - logits.max(axis=1, keepdims=True)
    # summed one by one: numpy's pairwise sum rounds by the width of the batch
    return logits - np.log(np.cumsum(np.exp(logits), axis=1)[:, -1:])
