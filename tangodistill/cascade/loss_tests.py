"""Tests of "the cascade keeps less than this share of the second tier's metric", one for each of many thresholds.

The loss is paired: both tiers' answers to one example enter together, so that what they get right or wrong alike adds
no noise. The tests depend on how often each kind of example occurs, not on the order of the examples.
"""

from collections.abc import Iterator

import numpy as np

from tangodistill.cascade.sweep import cascade_counts
from tangodistill.metrics import Counts, scores_from_counts

BETS = 1 / (1 + np.exp(-np.linspace(-4, 4, 33)))
"""Shares of the capital that are staked on each example, 0.02 to 0.98."""
DRAWS = 2000
DRAWN_AT_ONCE = 2**21  # counts held in memory


def betting_growth(both: np.ndarray, tier1_only: np.ndarray, tier2_only: np.ndarray, keep: float) -> np.ndarray:
    """(points, bets) log of the capital after betting on each example that accuracy keeps more than the share.

    An example's gain is Y = right(cascade) / keep - right(tier 2), at least -1; a bet b multiplies the capital, which
    starts at 1, by 1 + b Y. Where the cascade keeps less, E[Y] < 0, and the capital is expected to fall (Waudby-Smith
    and Ramdas 2024, "Estimating means of bounded random variables by betting", section 4).

    Args: how many examples both the cascade and tier 2 get right, only the cascade, and only tier 2, each (points,).

    >>> growth = betting_growth(np.array([3]), np.array([0]), np.array([1]), keep=0.5)
    >>> BETS[16], np.exp(growth[0, 16]).round(4)  # 1.5 * 1.5 * 1.5 * 0.5
    (np.float64(0.5), np.float64(1.6875))
    """
    wins = np.log1p(BETS * (1 / keep - 1)), np.log1p(BETS / keep), np.log1p(-BETS)
    return sum(np.multiply.outer(count, win) for count, win in zip((both, tier1_only, tier2_only), wins, strict=True))


def log_capital(growth: np.ndarray) -> np.ndarray:
    """(points,) log of the mean capital over all bets, whose exp(-...) is a p-value by Markov's inequality.

    The bets are fixed beforehand, so their mean too is expected to fall, whichever of them turns out the best.

    >>> log_capital(np.full((1, len(BETS)), 3.0)).round(6).tolist()
    [3.0]
    """
    return np.logaddexp.reduce(growth, axis=1) - np.log(len(BETS))


def times_to_reach(goal: float, growth: np.ndarray) -> np.ndarray:
    """(points,) how many times the same growth (points, bets) brings `log_capital` to the goal; inf where none does.

    >>> times_to_reach(6.0, np.stack([np.full(len(BETS), 3.0), np.full(len(BETS), -1.0)])).round(6).tolist()
    [2.0, inf]
    """
    result = np.full(len(growth), np.inf)
    grows = growth.max(axis=1) > 0
    growth = growth[grows]
    # Newton from above the root: the log capital is convex in the number of times
    times = (goal + np.log(len(BETS))) / growth.max(axis=1)
    for _ in range(30):
        grown = times[:, None] * growth
        shares = np.exp(grown - np.logaddexp.reduce(grown, axis=1)[:, None])
        times = times - (log_capital(grown) - goal) / np.sum(shares * growth, axis=1)
    result[grows] = times
    return result


def bootstrap_gains(
    metric: str,
    labels: np.ndarray,
    tier1: np.ndarray,
    tier2: np.ndarray,
    deferrals: np.ndarray,
    steps: int,
    num_classes: int,
    keep: float,
) -> np.ndarray:
    """(draws, steps) of metric(cascade) - keep * metric(tier 2), over n examples drawn with replacement.

    Args: `labels`, `tier1`, `tier2` (n,) class ids; `deferrals` (n,): the first so many of the steps defer the example.
    """
    shape = (steps + 1, num_classes, num_classes, num_classes)
    codes = np.ravel_multi_index((steps - deferrals, labels, tier1, tier2), shape)  # the longest deferred come first
    kinds, sizes = np.unique(codes, return_counts=True)
    rank, *answers = np.unravel_index(kinds, shape)
    ends = np.append(len(kinds), np.searchsorted(rank, steps - np.arange(steps)))  # all deferred: tier 2 alone
    rng, at_once = np.random.default_rng(0), max(1, DRAWN_AT_ONCE // len(kinds))
    gains = []
    for start in range(0, DRAWS, at_once):
        drawn = rng.multinomial(len(labels), sizes / len(labels), size=min(at_once, DRAWS - start))
        values = scores_from_counts(_drawn_counts(drawn, *answers, ends, num_classes))[metric]
        gains.append(values[:, 1:] - keep * values[:, :1])
    return np.concatenate(gains)


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
