"""Cascades whose answers are graded: each has a score of 0..1, and the metric is the mean over the examples.

So are SQuAD's exact match and F1, and an accuracy with scores of 0 and 1. Scores are summed as whole numbers: the sums
are exact, and neither the order of the examples nor a rounding tells equal ones apart.
"""

import numpy as np

from tangodistill.cascade.baseline_curve import (
    Baseline,
    one_after_the_other,
    oracle_curve,
    pairs_worth_mixing,
    random_curve,
)
from tangodistill.cascade.moves import prefix_sums
from tangodistill.cascade.rescue import Rescue
from tangodistill.cascade.timing import Timing

WHOLE = 2**36  # what a score of 1 is summed as: exact to 1e-11, and room for a hundred million examples
ROUNDING = 2**10  # differences of scores are told apart from here on


def graded_random(scores: np.ndarray, timing: Timing, pays_first_tier: bool = False) -> Baseline:
    """Examples deferred at random: the mean to expect at every number of deferred examples, which is exact.

    Of more than two tiers, the best mixes of two at every cost: a mean is that of the parts.

    Args: `scores` (K, n); `pays_first_tier` as in `random_curve`.
    """
    means = [mean_score(tier) for tier in scores]
    n, curves = len(scores[0]), []
    deferred = np.arange(n + 1)
    for pair in pairs_worth_mixing(timing, means):
        first, second = (means[tier - 1] for tier in pair)
        values = first + deferred / n * (second - first)
        curves.append((pair, random_curve(deferred, values, timing.subset(pair), pays_first_tier)))
    return one_after_the_other(curves, len(scores))


def graded_oracle(scores: np.ndarray, timing: Timing) -> Baseline:
    """The best mean that at most k deferrals can reach, for each k, and the time of the cheapest such choice.

    That is to defer the k examples that gain most, those of equal gain by lowest time, and none without a gain; each
    goes from tier 1 straight to the cheapest of the tiers that do best on it. It is exact as a curve over the number of
    deferrals. Over time it is the best where gains are all equal, as those of an accuracy, or two tiers' times; else a
    choice by gain per second may do better, and of more than two tiers `exact` is then False.

    Args: `scores` (K, n).
    """
    graded = whole(scores)
    rescue = Rescue.of(graded, timing)
    alike = np.rint(rescue.gain / ROUNDING)  # 2/3 - 1/3 gains as much as 1/3 - 0
    order = np.lexsort((rescue.seconds, -alike))
    order = order[rescue.gain[order] > 0]
    values = (graded[0].sum() + prefix_sums(rescue.gain[order])) / WHOLE / len(rescue.gain)
    points = np.arange(len(values)), values, prefix_sums(rescue.seconds[order]), rescue.reaching(order)
    return oracle_curve(points, timing, exact=len(scores) == 2 or len(set(alike[order].tolist())) <= 1)


def mean_score(scores: np.ndarray) -> float:
    """Mean of scores (n,), the same in any order.

    >>> mean_score([1.0, 0.5, 0.0])
    0.5
    """
    return float(whole(scores).sum() / WHOLE / len(scores))


def whole(scores: np.ndarray) -> np.ndarray:
    """Scores of any shape as int64, of which WHOLE is 1."""
    return np.rint(np.asarray(scores) * np.float64(WHOLE)).astype(np.int64)
