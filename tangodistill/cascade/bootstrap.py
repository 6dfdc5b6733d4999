"""How far the cascade's metric may lie above or below a share of the last tier's: a paired bootstrap.

Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13. Examples are drawn with all tiers'
answers, so that what the tiers get right or wrong alike adds no noise. Draws from a few examples without a loss would
show none ever; so one loss, of tier 1 at its surest, is added to the examples (the rule of succession).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.moves import Moves, cascade_counts
from tangodistill.metrics import Counts, scores_from_counts

DRAWS = 2000
DRAWN_AT_ONCE = 2**21  # counts held in memory


def bootstrap_p_values(
    metric: str,
    labels: np.ndarray,
    answers: np.ndarray,
    calibration: CalibrationSet,
    num_classes: int,
    keep: float,
) -> np.ndarray:
    """(steps,) shares of draws, n examples each with replacement, in which the cascade keeps no more than `keep`.

    The draws come from a fixed seed and from counts of alike examples, whatever their order.

    Args: `labels` (n,) and `answers` (K, n) class ids.

    >>> labels = np.tile([0, 1], 50)
    >>> calibration = CalibrationSet(np.full(100, 0.8), np.array([0.9, 0.5], np.float32))
    >>> bootstrap_p_values("f1", labels, np.stack([1 - labels, labels]), calibration, num_classes=2, keep=0.9).tolist()
    [0.0004997501249375312, 1.0]
    """
    kinds, shares = _kinds(labels, answers, calibration, num_classes)
    rng, at_once = np.random.default_rng(0), max(1, DRAWN_AT_ONCE // max(len(shares), len(kinds.moves.row)))
    short = np.zeros(calibration.steps, np.int64)
    for start in range(0, DRAWS, at_once):
        drawn = rng.multinomial(len(labels), shares, size=min(at_once, DRAWS - start))
        values = scores_from_counts(kinds.counts(drawn, num_classes))[metric]
        short += np.sum(values[:, 1:] <= keep * values[:, :1], axis=0)
    return (1 + short) / (1 + DRAWS)


@dataclass(frozen=True)
class _Kinds:
    """Kinds of example: alike in label, in every tier's answer, and in the tiers that answer along the path."""

    labels: np.ndarray
    """(kinds,)"""
    answers: np.ndarray
    """(K, kinds)"""
    moves: Moves
    """From the last tier alone, which is the first point, down the path."""

    def counts(self, drawn: np.ndarray, num_classes: int) -> Iterator[Counts]:
        """Of each class (draws, 1 + steps), where each kind was drawn so many times (draws, kinds)."""
        moves, last = self.moves, self.answers[-1]
        times, labels = drawn[:, moves.row], self.labels[moves.row]
        before, after = (self.answers[tier, moves.row] for tier in (moves.before, moves.after))

        def sum_made(change: np.ndarray) -> np.ndarray:
            sums = np.zeros((len(drawn), len(change) + 1), np.int64)
            np.cumsum(times * change, axis=1, out=sums[:, 1:])
            return sums[:, moves.made]

        last_counts = (
            tuple(drawn @ kinds[:, None] for kinds in (self.labels == c, last == c, (self.labels == c) & (last == c)))
            for c in range(num_classes)
        )
        return cascade_counts(last_counts, labels, before, after, sum_made)


def _kinds(
    labels: np.ndarray, answers: np.ndarray, calibration: CalibrationSet, num_classes: int
) -> tuple[_Kinds, np.ndarray]:
    """The kinds, in an order that the examples' own does not change, and the share (kinds,) of each.

    With them stands a loss, spread over the classes: tier 1 answers it at every step, and only the last tier is right.
    """
    n, classes, last = len(labels), np.arange(num_classes), calibration.tiers - 1
    stops = np.stack([stop.copy() for stop in calibration.moves.stops()], axis=1)
    stops = np.concatenate([stops, np.zeros((num_classes, calibration.steps), np.int8)])
    wrong = np.tile((classes + 1) % num_classes, (last, 1))
    labels, answers = np.append(labels, classes), np.hstack([answers, [*wrong, classes]])
    patterns = np.ascontiguousarray(last - stops).view(f"S{calibration.steps}").ravel()
    columns = np.stack([np.unique(patterns, return_inverse=True)[1], labels, *answers], axis=1)
    kinds, example, kind_of = np.unique(columns, axis=0, return_index=True, return_inverse=True)
    weights = np.append(np.ones(n), np.full(num_classes, 1 / num_classes))
    start = np.full(len(kinds), last)
    moves = Moves.along(start, [start, *stops[example].T])
    return _Kinds(kinds[:, 1], kinds[:, 2:].T, moves), np.bincount(kind_of, weights) / weights.sum()
