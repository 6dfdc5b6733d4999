"""Answers as spans of windows: from characters to token targets, and from logits back to characters.

On the serving path: numpy alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tangodistill.data.windows import Windows

LONGEST_ANSWER = 30  # tokens, as in the scripts of BERT


@dataclass(frozen=True)
class SpanAnswers:
    """One answer per example.

    Attributes:
        start, end: (n,) int64, characters of the context; both 0 where there is nothing to answer from.
        confidence: (n,) float64, probability of the span within its window; 0 where there is nothing to answer from.
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
    behind = np.pad(end, ((0, 0), (0, LONGEST_ANSWER - 1)), constant_values=-np.inf)
    ends = np.lib.stride_tricks.sliding_window_view(behind, LONGEST_ANSWER, axis=1)  # (batch, width, 30), a view
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


def _log_softmax(logits: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Over the real tokens of each row, (batch, width) float64; -inf elsewhere."""
    logits = np.where(real, np.asarray(logits, np.float64), -np.inf)
    logits = logits - logits.max(axis=1, keepdims=True)
    # summed one by one: numpy's pairwise sum rounds by the width of the batch
    return logits - np.log(np.cumsum(np.exp(logits), axis=1)[:, -1:])
