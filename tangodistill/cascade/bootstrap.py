"""How far the cascade's metric may lie above or below a share of the second tier's: a paired bootstrap.

Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13. Examples are drawn with both tiers' answers,
so that what the tiers get right or wrong alike adds no noise.
"""

from collections.abc import Iterator

import numpy as np

from tangodistill.cascade.sweep import cascade_counts
from tangodistill.metrics import Counts, scores_from_counts

DRAWS = 2000
DRAWN_AT_ONCE = 2**21  # counts held in memory


def bootstrap_p_values(
    metric: str,
    labels: np.ndarray,
    tier1: np.ndarray,
    tier2: np.ndarray,
    deferrals: np.ndarray,
    steps: int,
    num_classes: int,
    keep: float,
) -> np.ndarray:
    """(steps,) shares of draws, n examples each with replacement, in which the cascade keeps no more than `keep`.

    The draws come from a fixed seed and from counts of alike examples, whatever their order.

    Args: `labels`, `tier1`, `tier2` (n,) class ids; `deferrals` (n,): the first so many of the steps defer the example.

    >>> labels = np.tile([0, 1], 50)
    >>> bootstrap_p_values("f1", labels, 1 - labels, labels, np.full(100, 1), steps=2, num_classes=2, keep=0.9).tolist()
    [0.0004997501249375312, 1.0]
    """
    shape = (steps + 1, num_classes, num_classes, num_classes)
    codes = np.ravel_multi_index((steps - deferrals, labels, tier1, tier2), shape)  # the longest deferred come first
    kinds, sizes = np.unique(codes, return_counts=True)
    rank, *answers = np.unravel_index(kinds, shape)
    ends = np.append(len(kinds), np.searchsorted(rank, steps - np.arange(steps)))  # all deferred: tier 2 alone
    rng, at_once = np.random.default_rng(0), max(1, DRAWN_AT_ONCE // len(kinds))
    short = np.zeros(steps, np.int64)
    for start in range(0, DRAWS, at_once):
        drawn = rng.multinomial(len(labels), sizes / len(labels), size=min(at_once, DRAWS - start))
        values = scores_from_counts(_drawn_counts(drawn, *answers, ends, num_classes))[metric]
        short += np.sum(values[:, 1:] <= keep * values[:, :1], axis=0)
    return (1 + short) / (1 + DRAWS)


def _drawn_counts(
    drawn: np.ndarray, labels: np.ndarray, tier1: np.ndarray, tier2: np.ndarray, ends: np.ndarray, num_classes: int
) -> Iterator[Counts]:
    """The counts of each class, (draws, points), in a cascade of which each point defers the first `ends` kinds.

    Args: `drawn` (draws, kinds) times each kind of example was drawn; `labels`, `tier1`, `tier2` (kinds,) class ids.
    """

    def sum_deferred(change: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(drawn), len(labels) + 1), np.int64)
        np.cumsum(drawn * change, axis=1, out=sums[:, 1:])
        return sums[:, ends]

    tier1_counts = (
        tuple(drawn @ kinds[:, None] for kinds in (labels == c, tier1 == c, (labels == c) & (tier1 == c)))
        for c in range(num_classes)
    )
    return cascade_counts(tier1_counts, labels, tier1, tier2, sum_deferred)
