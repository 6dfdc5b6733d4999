"""What the operating points cost on this machine, and how many times faster than the second tier alone they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from tangodistill.cascade.sweep import Sweep, prefix_sums

REFERENCE = 0  # in a table of batches, the number of the second tier alone where it has a setting of its own


@dataclass(frozen=True)
class Timing:
    """Measured times of both tiers over the same n examples, raw text to label, in seconds."""

    tier1_s: np.ndarray
    """(n,) an example that the first tier answers, one at a time."""
    tier2_s: np.ndarray
    """(n,) what the second tier adds to an example that is deferred, one at a time."""
    tier1_best_batch_s: float
    """All n examples through the first tier at its best batch size."""
    tier2_batch_sizes: np.ndarray
    """(k,) ascending batch sizes measured for the second tier, its best one included."""
    tier2_batch_s: np.ndarray
    """(k,) time of one batch of each size."""
    tier2_best_batch: int
    """The second tier's best batch size."""
    second_only_s: np.ndarray | None = None
    """(n,) the second tier alone at its fastest setting for one example at a time; None: as it runs in the cascade."""
    second_only_best_batch_s: float | None = None
    """All n examples through it at its fastest setting for batches; None: as it runs in the cascade."""

    def __post_init__(self) -> None:
        tier1, tier2 = np.asarray(self.tier1_s, np.float64), np.asarray(self.tier2_s, np.float64)
        sizes, batch = np.asarray(self.tier2_batch_sizes), np.asarray(self.tier2_batch_s, np.float64)
        object.__setattr__(self, "tier1_s", tier1)
        object.__setattr__(self, "tier2_s", tier2)
        if tier1.shape != tier2.shape or tier1.ndim != 1:
            raise ValueError(f"the tiers were timed on {tier1.shape} and {tier2.shape} examples; both need the same")
        if sizes.shape != batch.shape or np.any(np.diff(sizes, prepend=0) <= 0):
            raise ValueError(f"batch sizes must ascend and have one time each, got {sizes.tolist()}, {batch.tolist()}")
        if self.tier2_best_batch not in sizes:
            raise ValueError(f"the best batch size {self.tier2_best_batch} is not among the measured {sizes.tolist()}")
        alone = tier2 if self.second_only_s is None else np.asarray(self.second_only_s, np.float64)
        object.__setattr__(self, "second_only_s", alone)
        if alone.shape != tier2.shape:
            raise ValueError(f"the second tier alone was timed on {alone.shape} examples, the cascade on {tier2.shape}")
        if self.second_only_best_batch_s is None:
            in_batches = queue_time_s(len(tier2), self.tier2_best_batch, sizes, batch)
            object.__setattr__(self, "second_only_best_batch_s", float(in_batches))
        columns = {"tier1_s": tier1, "tier2_s": tier2, "tier2_batch_s": batch, "second_only_s": alone}
        for name, seconds in columns.items():
            if not (np.isfinite(seconds).all() and (seconds > 0).all()):
                raise ValueError(f"{name} holds a time that is not above zero")
        for name in ("tier1_best_batch_s", "second_only_best_batch_s"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be above zero, got {getattr(self, name)}")

    def drawn(self, rows: np.ndarray) -> Self:
        """The times of some of the examples, for a bootstrap."""
        columns = {name: getattr(self, name)[rows] for name in ("tier1_s", "tier2_s", "second_only_s")}
        totals = ("tier1_best_batch_s", "second_only_best_batch_s")
        share = len(rows) / len(self.tier1_s)
        return replace(self, **columns, **{name: getattr(self, name) * share for name in totals})


def timing_of(predictions: Mapping, batches: Mapping, best: Sequence[int]) -> Timing:
    """The times of tables like predictions.parquet and batch_times.parquet.

    Args: `predictions` columns (n,) `tier1_time_s`, `tier2_time_s`, and where the second tier alone was timed by itself
    `second_only_time_s`; `batches` columns (rows,) `tier`, `batch_size`, `n`, `seconds`, each row a timed run over n
    examples in batches of one size, of tier 0 those of the second tier alone where it has a setting of its own; `best`
    each tier's best batch size.
    """
    tier, size = np.asarray(batches["tier"]), np.asarray(batches["batch_size"])
    per_example_s = np.asarray(batches["seconds"]) / np.asarray(batches["n"])

    def mean_s(number: int, batch_size: int) -> float:
        return float(per_example_s[(tier == number) & (size == batch_size)].mean())

    sizes = np.unique(size[tier == 2])
    alone = [mean_s(REFERENCE, batch_size) for batch_size in np.unique(size[tier == REFERENCE])]
    tier1_s, tier2_s = (np.asarray(predictions[f"tier{number}_time_s"]) for number in (1, 2))
    return Timing(
        tier1_s=tier1_s,
        tier2_s=tier2_s,
        tier1_best_batch_s=mean_s(1, best[0]) * len(tier1_s),
        tier2_batch_sizes=sizes,
        tier2_batch_s=np.array([mean_s(2, batch_size) * batch_size for batch_size in sizes]),
        tier2_best_batch=best[1],
        second_only_s=predictions["second_only_time_s"] if "second_only_time_s" in predictions else None,
        second_only_best_batch_s=min(alone) * len(tier1_s) if alone else None,
    )


def cascade_time_s(sweep: Sweep, timing: Timing) -> np.ndarray:
    """(points,) seconds for all examples, one at a time: all of tier 1, and tier 2 over the deferred."""
    return timing.tier1_s.sum() + prefix_sums(timing.tier2_s[sweep.order])[sweep.deferred]


def best_batch_time_s(deferred: np.ndarray, timing: Timing) -> np.ndarray:
    """(points,) seconds for all examples at best batch sizes, `deferred` (points,) of them queued for tier 2."""
    return timing.tier1_best_batch_s + tier2_best_batch_time_s(deferred, timing)


def tier2_best_batch_time_s(count: np.ndarray | int, timing: Timing) -> np.ndarray:
    """Seconds of `count` examples through tier 2 in full batches of its best size and one partial batch."""
    return queue_time_s(count, timing.tier2_best_batch, timing.tier2_batch_sizes, timing.tier2_batch_s)


def queue_time_s(count: np.ndarray | int, batch_size: int, sizes: np.ndarray, batch_s: np.ndarray) -> np.ndarray:
    """Seconds of `count` examples in full batches of `batch_size` and one partial batch for the rest.

    The partial batch's time is interpolated linearly between the measured ones; a batch of none takes none.

    Args: `sizes` (k,) ascending measured batch sizes; `batch_s` (k,) seconds of one batch of each.

    >>> float(queue_time_s(10, batch_size=4, sizes=[1, 4], batch_s=[1.0, 2.5]))
    6.5
    """
    full, rest = np.divmod(count, batch_size)
    size_0, seconds_0 = np.append(0, sizes), np.append(0.0, batch_s)
    return full * np.interp(batch_size, size_0, seconds_0) + np.interp(rest, size_0, seconds_0)


def upper_envelope(speedup: np.ndarray, metric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Speedups (points,) from fastest to slowest, and the best metric at each speedup or faster.

    >>> [column.tolist() for column in upper_envelope(np.array([1.0, 4.0, 2.0]), np.array([0.8, 0.7, 0.9]))]
    [[4.0, 2.0, 1.0], [0.7, 0.9, 0.9]]
    """
    order = np.lexsort((-metric, -speedup))
    return speedup[order], np.maximum.accumulate(metric[order])


@dataclass(frozen=True)
class SpeedupAt:
    """The largest speedup that keeps a fraction of the second tier's metric."""

    interpolated: float | None
    """On the line between two neighbouring operating points."""
    attained: float | None
    """Of the fastest operating point that itself keeps the fraction."""
    reason: str | None
    """Why there is none, else None."""


def speedup_at(fraction: float, speedup: np.ndarray, metric: np.ndarray, tier2_metric: float) -> SpeedupAt:
    """The speedup at `fraction` of the second tier's metric, on the upper envelope of the points.

    Where the fastest point already meets the target, its own speedup is the answer.

    Args: `speedup`, `metric` (points,), in any order.

    >>> speedup_at(0.5, np.array([8.0, 4.0, 1.0]), np.array([0.3, 0.5, 0.8]), tier2_metric=0.8)
    SpeedupAt(interpolated=6.0, attained=4.0, reason=None)
    """
    target = fraction * tier2_metric
    speedup, best = upper_envelope(np.asarray(speedup, np.float64), np.asarray(metric, np.float64))
    if best[-1] < target:
        return SpeedupAt(None, None, f"no operating point reaches {target:.4f}; the best is {best[-1]:.4f}")
    i = int(np.searchsorted(best, target))
    if i == 0:
        return SpeedupAt(float(speedup[0]), float(speedup[0]), None)
    share = (target - best[i - 1]) / (best[i] - best[i - 1])
    between = speedup[i - 1] + share * (speedup[i] - speedup[i - 1])
    return SpeedupAt(float(between), float(speedup[i]), None)


def point_keeping(points: Mapping[str, np.ndarray], fraction: float, metric: str, tier2_metric: float) -> int | None:
    """Row of the fastest operating point that keeps a fraction of the second tier's metric; None where none does."""
    attained = speedup_at(fraction, points["speedup"], points[metric], tier2_metric).attained
    meets = (points["speedup"] == attained) & (points[metric] >= fraction * tier2_metric)
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
