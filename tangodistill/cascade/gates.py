"""Which tier answers an example: the first whose confidence is at least its threshold; the last always answers.

Confidences and thresholds are compared in float32, strictly: examples of equal confidence are passed on together, and
each distinct confidence is one operating point.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from tangodistill.cascade.moves import Moves


@dataclass(frozen=True)
class Gates:
    """The confidences of every tier but the last over n examples.

    Raises: ValueError for an empty array, or a confidence that is not finite.
    """

    confidences: np.ndarray
    """(K - 1, n) float32; two tiers may be given as (n,)."""

    def __post_init__(self) -> None:
        confidences = np.atleast_2d(np.asarray(self.confidences, np.float32))
        if confidences.ndim != 2 or not confidences.size or not np.isfinite(confidences).all():
            raise ValueError("confidence must be a non-empty list of finite numbers for each gating tier")
        object.__setattr__(self, "confidences", confidences)

    @property
    def n(self) -> int:
        """Examples."""
        return self.confidences.shape[1]

    @property
    def tiers(self) -> int:
        """K, which is one more than there are gates."""
        return len(self.confidences) + 1

    @cached_property
    def orders(self) -> list[np.ndarray]:
        """Of each gate the examples (n,), least confident first."""
        return [np.argsort(each) for each in self.confidences]

    def check(self, tiers: int, n: int) -> Self:
        """Itself. Raises: ValueError unless it belongs to so many tiers and examples."""
        if self.n != n:
            raise ValueError(f"confidence has {self.n} entries, the answers have {n}")
        if self.tiers != tiers:
            raise ValueError(f"{tiers} tiers need the confidences of {tiers - 1}, got {self.tiers - 1}")
        return self

    def drawn(self, rows: np.ndarray) -> Self:
        """Those of some examples."""
        return Gates(self.confidences[:, rows])

    def stops(self, thresholds: np.ndarray, first: int = 0) -> np.ndarray:
        """(n,) int8: the tier, from 0, that answers each example, of those that go to the tier `first` at once.

        >>> Gates([[0.5, 0.9, 0.5], [0.5, 0.5, 0.75]]).stops([0.75, 0.75]).tolist()
        [2, 0, 1]
        """
        stop = np.full(self.n, self.tiers - 1, np.int8)
        for gate in range(self.tiers - 2, first - 1, -1):
            stop[self.confidences[gate] >= np.float32(thresholds[gate])] = gate
        return stop

    def moves(self, thresholds: np.ndarray) -> Moves:
        """From the last tier alone to thresholds (points, K - 1), one point after the other."""
        start = np.full(self.n, self.tiers - 1, np.int8)
        return Moves.along(start, (self.stops(each) for each in np.asarray(thresholds, np.float32)))

    def sweep(self, gate: int = 0, thresholds: np.ndarray | None = None) -> tuple[np.ndarray, Moves]:
        """Every operating point along one gate's threshold, ascending: from none of those who reach it passed to all.

        Args: `gate` from 0; `thresholds` (K - 1,) of the others; two tiers have none.

        Returns: thresholds (points,) float32 of the gate, and the moves between the points.

        >>> threshold, moves = Gates([0.75, 0.5, 0.75]).sweep()
        >>> threshold[:2].tolist(), moves.row[0], moves.made.tolist()
        ([0.5, 0.75], np.int64(1), [0, 1, 3])
        """
        order, after, start = self.orders[gate], self.tiers - 1, np.zeros(self.n, np.int8)
        if self.tiers > 2:
            after = self.stops(thresholds, gate + 1)
            start = np.where((early := self.stops(thresholds)) < gate, early, np.int8(gate))
            order = order[start[order] == gate]
            after = after[order]
        threshold, passed = levels(self.confidences[gate][order])
        return threshold, Moves(start, order, gate, after, passed)


def rank(confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The examples by ascending confidence, each point's threshold (float32), and how many examples lie below it.

    >>> order, threshold, deferred = rank([0.75, 0.5, 0.75])
    >>> order[0], threshold[:2].tolist(), threshold[2] > 0.75, deferred.tolist()
    (np.int64(1), [0.5, 0.75], np.True_, [0, 1, 3])
    """
    threshold, moves = Gates(confidence).sweep()
    return moves.row, threshold, moves.made


def levels(ranked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of ascending confidences, each point's threshold, and how many lie below it.

    >>> threshold, below = levels(np.array([0.5, 0.75, 0.75], np.float32))
    >>> threshold[:2].tolist(), threshold[2] > 0.75, below.tolist()
    ([0.5, 0.75], np.True_, [0, 1, 3])
    """
    if not len(ranked):
        return np.zeros(1, np.float32), np.zeros(1, np.int64)
    first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    above_all = np.nextafter(ranked[-1], np.float32(np.inf))
    return np.append(ranked[first], above_all), np.append(first, len(ranked))
