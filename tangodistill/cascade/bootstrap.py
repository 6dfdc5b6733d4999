"""How far the cascade's metric may lie above or below a share of the second tier's: a paired bootstrap.

Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13. Examples are drawn with both tiers'
answers, so that what the tiers get right or wrong alike adds no noise. Draws from a few examples without a loss would
show none ever; so one loss, of tier 1 at its surest, is added to the examples (the rule of succession).
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
    (left, *answers), shares = _kinds(labels, tier1, tier2, deferrals, steps, num_classes)
    ends = np.append(len(left), np.searchsorted(left, steps - np.arange(steps)))  # all deferred: tier 2 alone
    rng, at_once = np.random.default_rng(0), max(1, DRAWN_AT_ONCE // len(left))
    short = np.zeros(steps, np.int64)
    for start in range(0, DRAWS, at_once):
        drawn = rng.multinomial(len(labels), shares, size=min(at_once, DRAWS - start))
        values = scores_from_counts(_drawn_counts(drawn, *answers, ends, num_classes))[metric]
        short += np.sum(values[:, 1:] <= keep * values[:, :1], axis=0)
    return (1 + short) / (1 + DRAWS)


def _kinds(
    labels: np.ndarray, tier1: np.ndarray, tier2: np.ndarray, deferrals: np.ndarray, steps: int, num_classes: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """The kinds of example, the longest deferred first, and the share of each, with a loss spread over the classes.

    Returns: columns (kinds,) steps left to tier 1, label, tier-1 and tier-2 answer; shares (kinds,).
    """
    classes = np.arange(num_classes)
    added = (np.full(num_classes, steps), classes, (classes + 1) % num_classes, classes)
    shape = (steps + 1, num_classes, num_classes, num_classes)
    own = (steps - deferrals, labels, tier1, tier2)
    codes = np.concatenate([np.ravel_multi_index(columns, shape) for columns in (own, added)])
    kinds, kind_of = np.unique(codes, return_inverse=True)
    weights = np.append(np.ones(len(labels)), np.full(num_classes, 1 / num_classes))
    return list(np.unravel_index(kinds, shape)), np.bincount(kind_of, weights) / weights.sum()


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
