"""What a baseline's choice of examples comes to: the metric it reaches and the seconds it takes, as a curve."""

from dataclasses import dataclass

import numpy as np

from tangodistill.cascade.speedup import Timing, best_batch_time_s, tier2_best_batch_time_s

Points = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Examples deferred (ascending from 0), the metric, and the seconds of tier 2, each (points,)."""


@dataclass(frozen=True)
class Baseline:
    """A curve over the share of examples that may be deferred, ascending from 0 to 1."""

    deferral_rate: np.ndarray
    """(points,) of the oracle: the most it may defer; it defers no more than helps."""
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

    Args: `pays_first_tier` False: each example is sent to one tier or the other, as the paper words it; True: a
    deferred example has been through the first tier, as in the cascade.
    """
    rate = deferred / len(timing.tier1_s)
    through_tier1 = 1.0 if pays_first_tier else 1 - rate
    return Baseline(
        rate,
        values,
        time_s=through_tier1 * timing.tier1_s.sum() + rate * timing.tier2_s.sum(),
        time_best_batch_s=through_tier1 * timing.tier1_best_batch_s + tier2_best_batch_time_s(deferred, timing),
        exact=interval is None,
        interval=interval,
    )


def oracle_curve(points: Points, timing: Timing, exact: bool) -> Baseline:
    """The curve of the best that *at most* so many deferrals reach, from the points of just so many each."""
    deferred, values, tier2_s = points
    n, best = len(timing.tier1_s), np.maximum.accumulate(values)
    # where one more deferral gains nothing it is not made, up to where all may be deferred
    taken = np.maximum.accumulate(np.where(np.diff(best, prepend=-np.inf) > 0, np.arange(len(best)), 0))
    allowed = deferred
    if allowed[-1] < n:
        allowed, taken = np.append(allowed, n), np.append(taken, taken[-1])
    return Baseline(
        deferral_rate=allowed / n,
        metric=values[taken],
        time_s=timing.tier1_s.sum() + tier2_s[taken],
        time_best_batch_s=best_batch_time_s(deferred[taken], timing),
        exact=exact,
    )
