"""Sums over the examples at many operating points, of what depends on the tier that answers each example.

From one point to the next some examples move from one tier to another. What adds up over the examples changes by what
these moves add up to: prefix sums over the moves give it at every point.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from tangodistill.metrics import Counts


@dataclass(frozen=True)
class Moves:
    """Points one after the other. Tiers are numbered from 0 here, as the rows of an array (K, n) are."""

    start: np.ndarray
    """(n,) the tier that answers each example before any move."""
    row: np.ndarray
    """(moves,) the example that moves; the moves of an example stand in their order."""
    before: np.ndarray | int
    """(moves,) the tier that it leaves, or one for all moves."""
    after: np.ndarray | int
    """(moves,) the tier that it goes to, or one for all moves."""
    made: np.ndarray
    """(points,) int64, ascending: so many moves are made at each point."""

    @classmethod
    def along(cls, start: np.ndarray, stops: Iterable[np.ndarray]) -> Self:
        """From the tier that answers each example (n,) at every point.

        >>> moves = Moves.along(np.array([1, 1]), [np.array([1, 0]), np.array([0, 1])])
        >>> moves.row.tolist(), moves.before.tolist(), moves.after.tolist(), moves.made.tolist()
        ([1, 0, 1], [1, 1, 0], [0, 0, 1], [1, 3])
        """
        start = np.asarray(start, np.int8)
        row, before, after, made, last = [np.zeros(0, np.int64)], [start[:0]], [start[:0]], [0], start
        for stop in stops:
            moved = np.flatnonzero(stop != last)
            row, before, after = [*row, moved], [*before, last[moved]], [*after, stop[moved]]
            made.append(made[-1] + len(moved))
            last = stop
        return cls(start, *map(np.concatenate, (row, before, after)), np.array(made[1:], np.int64))

    def total(self, values: np.ndarray) -> np.ndarray:
        """(points,) sums over the examples of values (K, n), each example's of the tier that answers it."""
        values = values.view(np.int8) if values.dtype == bool else values
        first = values[self.start, np.arange(len(self.start))].sum()
        return first + self.sum_made(values[self.after, self.row] - values[self.before, self.row])

    def beyond(self, tier: int) -> np.ndarray:
        """(points,) int64: how many examples go beyond a tier."""
        moved = self._moved_beyond(tier)
        begun = np.count_nonzero(self.start > tier)
        return begun + (moved * self.made if moved.ndim == 0 else self.sum_made(moved))

    def total_beyond(self, tier: int, values: np.ndarray) -> np.ndarray:
        """(points,) sums of values (n,) over the examples that go beyond a tier."""
        moved, begun = self._moved_beyond(tier), values[self.start > tier].sum()
        return begun + (self.sum_made(values[self.row] * moved) if moved.any() else np.zeros(len(self.made)))

    def _moved_beyond(self, tier: int) -> np.ndarray:
        """(moves,) int8, or one for all: 1 where the move leads beyond a tier, -1 where it leads back, else 0."""
        return np.int8(np.greater(self.after, tier)) - np.int8(np.greater(self.before, tier))

    def sum_made(self, change: np.ndarray) -> np.ndarray:
        """(points,) sums of changes (moves,) over the moves that are made."""
        return prefix_sums(change)[self.made]

    def of(self, some: np.ndarray) -> Self:
        """The moves of some examples alone, (n,) bool."""
        kept = some[self.row]
        before, after = (each if np.ndim(each) == 0 else each[kept] for each in (self.before, self.after))
        return replace(self, row=self.row[kept], before=before, after=after, made=prefix_sums(kept)[self.made])

    def at(self, points: np.ndarray) -> Self:
        """Some of the points, (k,) indices or (points,) bool."""
        return replace(self, made=self.made[points])

    def stops(self) -> Iterator[np.ndarray]:
        """At every point, (n,) the tier that answers each example; the array is the same one, written over."""
        stop, after, done = self.start.copy(), np.broadcast_to(self.after, self.row.shape), 0
        for made in self.made:
            stop[self.row[done:made]] = after[done:made]
            yield stop
            done = made


def cascade_counts(
    start_counts: Iterable[Counts],
    labels: np.ndarray,
    kept: np.ndarray,
    passed: np.ndarray,
    sum_passed: Callable[[np.ndarray], np.ndarray],
) -> Iterator[Counts]:
    """The counts of each class in a cascade's answers, at all points of `sum_passed`.

    Args: `start_counts` of the answers where nothing is passed on; `labels`, `kept`, `passed` (m,) class ids of the
    examples or kinds of example that may be passed on: the right one, the answer where it is kept, and the one where it
    is passed on; `sum_passed` maps a change per such entry, (m,) int8, to its sum over those that a point passes on.
    """
    for c, (true, predicted, hit) in enumerate(start_counts):
        change = (passed == c).astype(np.int8) - (kept == c)
        yield true, predicted + sum_passed(change), hit + sum_passed(change * (labels == c))


def prefix_sums(values: np.ndarray) -> np.ndarray:
    """(n + 1,) sums of the first 0, 1, ..., n values; float64 for floats, else int64.

    >>> prefix_sums(np.array([1, 2, 3])).tolist()
    [0, 1, 3, 6]
    """
    dtype = np.float64 if np.issubdtype(values.dtype, np.floating) else np.int64
    sums = np.zeros(len(values) + 1, dtype)
    np.cumsum(values, out=sums[1:])
    return sums
