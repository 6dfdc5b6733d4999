"""Where an oracle sends each example on from the first tier."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from tangodistill.cascade.moves import prefix_sums
from tangodistill.cascade.timing import Timing


@dataclass(frozen=True)
class Rescue:
    """Of n examples, what the best of the later tiers gains over the first, by the cheapest of those that are best.

    >>> from tangodistill.cascade.timing import TierTime
    >>> tiers = [TierTime(np.array([s, s]), np.array([1]), np.array([s]), 1) for s in (1.0, 4.0, 9.0)]
    >>> rescue = Rescue.of(np.array([[0, 0], [1, 0], [1, 1]]), Timing(tuple(tiers)))
    >>> rescue.gain.tolist(), rescue.tier.tolist(), rescue.seconds.tolist()
    ([1, 1], [1, 2], [4.0, 9.0])
    """

    gain: np.ndarray
    """(n,) whole numbers, below 0 where every later tier does worse."""
    tier: np.ndarray
    """(n,) the tier that it is sent to, numbered from 0, as the first is."""
    seconds: np.ndarray
    """(n,) what that tier takes."""
    tiers: int
    """K"""

    @classmethod
    def of(cls, scores: np.ndarray, timing: Timing) -> Self:
        """From scores (K, n), whole numbers."""
        best = scores[1:].max(axis=0)
        seconds = np.where(scores[1:] == best, [tier.example_s for tier in timing.tiers[1:]], np.inf)
        cheapest = seconds.argmin(axis=0)
        return cls(best - scores[0], cheapest + 1, seconds[cheapest, np.arange(len(best))], len(scores))

    def reaching(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows) + 1, K - 1) how many of the first 0, 1, ... examples each tier after the first gets."""
        sent = self.tier[rows] == np.arange(1, self.tiers)[:, None]
        return np.stack([prefix_sums(each) for each in sent], axis=1)

    def cheapest_first(self, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of some examples, (n,) bool: the seconds of the cheapest 0, 1, ... and how many each tier gets of them."""
        rows = np.flatnonzero(some)
        rows = rows[np.argsort(self.seconds[rows], kind="stable")]
        return prefix_sums(self.seconds[rows]), self.reaching(rows)
