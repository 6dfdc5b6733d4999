"""What a baseline's choice of examples comes to: the metric it reaches and the seconds it takes, as a curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from tangodistill.cascade.timing import Timing, best_batch_time_s

Points = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Examples deferred (points,), ascending from 0, the metric and the seconds that deferring adds, (points,) each, and
how many of them go to each tier after the first (points, K - 1)."""


@dataclass(frozen=True)
class Baseline:
    """A curve from the cheapest choice to the dearest; of two tiers, over the share deferred, from 0 to 1."""

    deferral_rate: np.ndarray
    """(points,) share that the last tier answers; of the oracle, the most that may leave the first tier."""
    metric: np.ndarray
    """(points,) the metric reached."""
    time_s: np.ndarray
    """(points,) seconds for all examples, one at a time."""
    time_best_batch_s: np.ndarray
    """(points,) seconds for all examples at the tiers' best batch sizes."""
    exact: bool
    """False for a mean of random draws, and for an oracle that is a lower bound."""
    interval: tuple[np.ndarray, np.ndarray] | None = None
    """(points,) bounds of the middle 95 % of the random draws."""


def random_curve(
    deferred: np.ndarray,
    values: np.ndarray,
    timing: Timing,
    pays_first_tier: bool,
    interval: tuple[np.ndarray, np.ndarray] | None = None,
) -> Baseline:
    """The curve of so many examples deferred at random; `values` (points,) are exact unless they have an interval.

    Args: `timing` of two tiers; `pays_first_tier` False: each example is sent to one tier or the other, as the paper
    words it; True: a deferred example has been through the first tier, as in the cascade.
    """
    first, second = timing.tiers
    rate = deferred / timing.n
    through_first = 1.0 if pays_first_tier else 1 - rate
    return Baseline(
        rate,
        values,
        time_s=through_first * first.example_s.sum() + rate * second.example_s.sum(),
        time_best_batch_s=through_first * (timing.n * first.best_batch_s) + second.queue_s(deferred),
        exact=interval is None,
        interval=interval,
    )


def pairs_worth_mixing(timing: Timing, scores: Sequence[float]) -> list[tuple[int, int]]:
    """The pairs of tiers, numbered from 1, that examples are best spread over at random, by the metric of each alone.

    A mix of tiers lies on the line between them, in seconds and in an accuracy, so the best mixes lie on the upper hull
    of the single tiers. One at a time and in batches have a hull each.
    """
    tiers = range(1, len(scores) + 1)
    if len(scores) == 2:
        return [(1, 2)]
    ways = ([tier.example_s.mean() for tier in timing.tiers], [tier.best_batch_s for tier in timing.tiers])
    found = {pair for cost in ways for pair in pairwise(_upper_hull(tiers, cost, scores))}
    return sorted(found) or [(1, len(scores))]


def _upper_hull(tiers: Sequence[int], cost: Sequence[float], scores: Sequence[float]) -> list[int]:
    """The tiers on the hull, cheapest first: none is dearer than a better one, and each gains less per second.

    >>> [_upper_hull([1, 2, 3], [1.0, 2.0, 4.0], [0.8, middle, 0.95]) for middle in (0.9, 0.82)]
    [[1, 2, 3], [1, 3]]
    """
    hull: list[int] = []

    def gain(a: int, b: int) -> float:
        return (scores[b - 1] - scores[a - 1]) / (cost[b - 1] - cost[a - 1])

    for tier in sorted(tiers, key=lambda tier: (cost[tier - 1], -scores[tier - 1])):
        if hull and scores[tier - 1] <= scores[hull[-1] - 1]:
            continue
        while len(hull) > 1 and gain(hull[-2], hull[-1]) <= gain(hull[-2], tier):
            hull.pop()
        hull.append(tier)
    return hull


def one_after_the_other(curves: Sequence[tuple[tuple[int, int], Baseline]], tiers: int) -> Baseline:
    """The random curves of pairs of tiers as one, cheapest point first; of a single pair its own."""
    if len(curves) == 1:
        return curves[0][1]
    parts = {each.name: [getattr(curve, each.name) for _, curve in curves] for each in fields(Baseline)[:4]}
    parts["deferral_rate"] = [curve.deferral_rate * (pair[1] == tiers) for pair, curve in curves]
    order = np.argsort(np.concatenate(parts["time_s"]), kind="stable")
    columns = {name: np.concatenate(each)[order] for name, each in parts.items()}
    exact = all(curve.exact for _, curve in curves)
    bounds = None if exact else tuple(np.concatenate([c.interval[i] for _, c in curves])[order] for i in (0, 1))
    return Baseline(**columns, exact=exact, interval=bounds)


def oracle_curve(points: Points, timing: Timing, exact: bool) -> Baseline:
    """The curve of the best that *at most* so many deferrals reach, from the points of just so many each."""
    deferred, values, added_s, reaching = points
    n, best = timing.n, np.maximum.accumulate(values)
    # where one more deferral gains nothing it is not made, up to where all may be deferred
    taken = np.maximum.accumulate(np.where(np.diff(best, prepend=-np.inf) > 0, np.arange(len(best)), 0))
    allowed = deferred
    if allowed[-1] < n:
        allowed, taken = np.append(allowed, n), np.append(taken, taken[-1])
    return Baseline(
        deferral_rate=allowed / n,
        metric=values[taken],
        time_s=timing.tiers[0].example_s.sum() + added_s[taken],
        time_best_batch_s=best_batch_time_s(reaching[taken], timing),
        exact=exact,
    )
