"""The examples that are timed: a fixed random sample, the same on every machine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TIMED = 2000  # examples at most


@dataclass(frozen=True)
class TimedSample:
    """m of n examples, and which of them stands for each of the n."""

    rows: np.ndarray
    """(m,) ascending indices of the examples that are timed."""
    stands_for: np.ndarray
    """(n,) for each example the place in `rows` of the one whose time it is given; a timed one's is its own."""

    def spread(self, seconds: np.ndarray) -> np.ndarray:
        """Times (n,) of all examples from those of the timed ones (m,)."""
        return seconds[self.stands_for]

    @property
    def timed(self) -> np.ndarray:
        """(n,) bool"""
        mask = np.zeros(len(self.stands_for), bool)
        mask[self.rows] = True
        return mask


def timed_texts(texts: Sequence[str], pairs: Sequence[str] | None = None) -> TimedSample:
    """The sample of some texts, or pairs of texts, by their characters: no tokenizer, so no tier, has a say in it."""
    sides = [side for side in (texts, pairs) if side is not None]
    characters = [sum(map(len, example)) for example in zip(*sides, strict=True)]
    return timed_sample(np.array(characters, np.int64), TIMED)


def timed_sample(lengths: np.ndarray, count: int, seed: int = 0) -> TimedSample:
    """At most `count` examples: one drawn at random from each of as many strata of neighbours in length.

    An example that isn't timed is given the time of its stratum's: what it costs depends on its length and on the
    machine. So a sum over any part of the examples, such as the deferred ones, uses which they are exactly, and of
    their times a sample; where all are timed it is exact.

    Args:
        lengths: (n,) of the examples, in whatever unit.

    >>> sample = timed_sample(np.array([30, 10, 31, 11]), count=2)
    >>> sample.spread(np.array([1.0, 3.0])).tolist() in ([3, 1, 3, 1], [1, 3, 1, 3])
    True
    """
    strata = np.array_split(np.argsort(lengths, kind="stable"), max(min(count, len(lengths)), 1))
    rng = np.random.default_rng(seed)
    drawn = np.array([stratum[rng.integers(len(stratum))] for stratum in strata if len(stratum)], np.int64)
    places = np.empty(len(drawn), np.int64)
    places[np.argsort(drawn)] = np.arange(len(drawn))
    stands_for = np.empty(len(lengths), np.int64)
    for stratum, place in zip(strata, places, strict=False):  # of no examples, one empty stratum
        stands_for[stratum] = place
    return TimedSample(np.sort(drawn), stands_for)
