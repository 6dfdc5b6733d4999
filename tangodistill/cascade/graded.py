"""Cascades whose answers are graded: each has a score of 0..1, and the metric is the mean over the examples.

So are SQuAD's exact match and F1, and an accuracy with scores of 0 and 1. Scores are summed as whole numbers: the sums
are exact, and neither the order of the examples nor a rounding tells equal ones apart.
"""

from collections.abc import Mapping

import numpy as np

from tangodistill.cascade.baseline_curve import Baseline, oracle_curve, random_curve
from tangodistill.cascade.speedup import Timing
from tangodistill.cascade.sweep import Sweep, prefix_sums, rank

WHOLE = 2**36  # what a score of 1 is summed as: exact to 1e-11, and room for a hundred million examples


def graded_sweep(scores: Mapping[str, np.ndarray], confidence: np.ndarray) -> Sweep:
    """All operating points of the cascade over n examples.

    Args: `scores` by metric, (2, n) of both tiers' answers; `confidence` (n,) of the first tier.

    Raises: ValueError for arrays that do not fit together, or a confidence that is not finite.

    >>> points = graded_sweep({"f1": np.array([[0.0, 0.5, 1.0], [1.0, 0.5, 0.25]])}, confidence=[0.2, 0.7, 0.7])
    >>> points.deferred.tolist(), points.metric("f1").round(2).tolist()
    ([0, 1, 3], [0.5, 0.83, 0.58])
    """
    order, threshold, deferred = rank(confidence)
    n, metrics = len(order), {}
    for name, tiers in scores.items():
        tier1, tier2 = whole(tiers)
        if len(tier1) != n:
            raise ValueError(f"confidence has {n} entries, {name} has {len(tier1)}")
        metrics[name] = (tier1.sum() + prefix_sums((tier2 - tier1)[order])[deferred]) / WHOLE / n
    return Sweep(threshold, deferred, metrics, order)


def graded_random(tiers: np.ndarray, timing: Timing, pays_first_tier: bool = False) -> Baseline:
    """Examples deferred at random: the mean to expect at every number of deferred examples, which is exact.

    Args: `tiers` (2, n) scores; `pays_first_tier` as in `random_curve`.
    """
    first, second = mean_score(tiers[0]), mean_score(tiers[1])
    n = len(tiers[0])
    deferred = np.arange(n + 1)
    return random_curve(deferred, first + deferred / n * (second - first), timing, pays_first_tier)


def graded_oracle(tiers: np.ndarray, timing: Timing) -> Baseline:
    """The best mean that at most k deferrals can reach, for each k, and the time of the cheapest such choice.

    That is to defer the k examples that gain most, those of equal gain by lowest tier-2 time, and none without a gain.
    It is exact as a curve over the deferral rate. Over time it is the best where gains or tier-2 times are all equal,
    as in an accuracy; else a choice by gain per second may do better.

    Args: `tiers` (2, n) scores.
    """
    tier1, tier2 = whole(tiers)
    gain = tier2 - tier1
    order = np.lexsort((timing.tier2_s, -gain))[: np.sum(gain > 0)]
    values = (tier1.sum() + prefix_sums(gain[order])) / WHOLE / len(gain)
    return oracle_curve((np.arange(len(values)), values, prefix_sums(timing.tier2_s[order])), timing, exact=True)


def mean_score(scores: np.ndarray) -> float:
    """Mean of scores (n,), the same in any order.

    >>> mean_score([1.0, 0.5, 0.0])
    0.5
    """
    return float(whole(scores).sum() / WHOLE / len(scores))


def whole(scores: np.ndarray) -> np.ndarray:
    """Scores of any shape as int64, of which WHOLE is 1."""
    return np.rint(np.asarray(scores) * np.float64(WHOLE)).astype(np.int64)
