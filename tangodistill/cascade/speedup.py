"""How many times faster than the last tier alone a curve is at a share of that tier's metric."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


def upper_envelope(speedup: np.ndarray, metric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Speedups (points,) from fastest to slowest, and the best metric at each speedup or faster.

    >>> [column.tolist() for column in upper_envelope(np.array([1.0, 4.0, 2.0]), np.array([0.8, 0.7, 0.9]))]
    [[4.0, 2.0, 1.0], [0.7, 0.9, 0.9]]
    """
    order = np.lexsort((-metric, -speedup))
    return speedup[order], np.maximum.accumulate(metric[order])


@dataclass(frozen=True)
class SpeedupAt:
    """The largest speedup that keeps a fraction of the last tier's metric."""

    interpolated: float | None
    """On the line between two neighbouring operating points."""
    attained: float | None
    """Of the fastest operating point that itself keeps the fraction."""
    reason: str | None
    """Why there is none, else None."""


def speedup_at(fraction: float, speedup: np.ndarray, metric: np.ndarray, last_metric: float) -> SpeedupAt:
    """The speedup at `fraction` of the last tier's metric, on the upper envelope of the points.

    Where the fastest point already meets the target, its own speedup is the answer.

    Args: `speedup`, `metric` (points,), in any order.

    >>> speedup_at(0.5, np.array([8.0, 4.0, 1.0]), np.array([0.3, 0.5, 0.8]), last_metric=0.8)
    SpeedupAt(interpolated=6.0, attained=4.0, reason=None)
    """
    target = fraction * last_metric
    speedup, best = upper_envelope(np.asarray(speedup, np.float64), np.asarray(metric, np.float64))
    if best[-1] < target:
        return SpeedupAt(None, None, f"no operating point reaches {target:.4f}; the best is {best[-1]:.4f}")
    i = int(np.searchsorted(best, target))
    if i == 0:
        return SpeedupAt(float(speedup[0]), float(speedup[0]), None)
    share = (target - best[i - 1]) / (best[i] - best[i - 1])
    between = speedup[i - 1] + share * (speedup[i] - speedup[i - 1])
    return SpeedupAt(float(between), float(speedup[i]), None)


def point_keeping(points: Mapping[str, np.ndarray], fraction: float, metric: str, last_metric: float) -> int | None:
    """Row of the fastest operating point that keeps a fraction of the last tier's metric; None where none does."""
    attained = speedup_at(fraction, points["speedup"], points[metric], last_metric).attained
    meets = (points["speedup"] == attained) & (points[metric] >= fraction * last_metric)
    return None if attained is None else int(np.argmax(meets))


def area(deferral_rate: np.ndarray, metric: np.ndarray) -> float:
    """Area of the metric over the deferral rate, less that under the straight line between the curve's ends.

    Random deferral has 0 (of accuracy), a useful confidence more.

    Args: `deferral_rate` (points,) ascending from 0 to 1; `metric` (points,).

    >>> area(np.array([0.0, 0.5, 1.0]), np.array([0.5, 1.0, 1.0]))
    0.125
    """
    trapezoids = np.diff(deferral_rate) * (metric[1:] + metric[:-1]) / 2
    straight = (deferral_rate[-1] - deferral_rate[0]) * (metric[0] + metric[-1]) / 2
    return round(float(trapezoids.sum() - straight), 12)  # a straight line has 0, not 1e-16
