"""Choose the operating point that a target asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Target:
    """What the cascade must keep to."""

    kind: Literal["keep", "max_ms", "defer"]
    """"keep": at least `value` of the second tier's metric; "max_ms": at most `value` milliseconds per example on
    average, one example at a time; "defer": at most `value` of the examples go to the second tier."""
    value: float

    def __post_init__(self) -> None:
        if self.kind not in ("keep", "max_ms", "defer"):
            raise ValueError(f"unknown target {self.kind!r}; known: keep, max_ms, defer")
        if self.kind == "keep" and self.value > 2:
            raise ValueError(f"the target keep is a share of tier 2's metric, such as 0.99, got {self.value:g}")
        if not 0 <= self.value < np.inf or (self.kind == "defer" and self.value > 1):
            allowed = "between 0 and 1" if self.kind == "defer" else "a number of at least 0"
            raise ValueError(f"the target {self.kind} must be {allowed}, got {self.value}")

    def missed_by(self, point: "ChosenPoint", tier2_metric: float) -> str | None:
        """How a point on other examples falls short of the target, None where it meets it."""
        reached, unit = {
            "keep": (point.metric_value / tier2_metric if tier2_metric else np.inf, "of tier 2"),
            "max_ms": (point.per_example_ms, "ms per example"),
            "defer": (point.deferral_rate, "of the examples deferred"),
        }[self.kind]
        short = point.metric_value < self.value * tier2_metric if self.kind == "keep" else reached > self.value
        return f"{reached:.5g} {unit} where {self.value:.5g} was asked for" if short else None

    def __str__(self) -> str:
        return {
            "keep": f"keep {self.value:.4g} of tier 2",
            "max_ms": f"at most {self.value:.4g} ms per example",
            "defer": f"defer at most {self.value:.4g} of the examples",
        }[self.kind]


@dataclass(frozen=True)
class ChosenPoint:
    """One operating point of a table made by `operating_points`."""

    threshold: float
    """A float32 value: the answer of tier 1 stands unless its confidence is below."""
    deferral_rate: float
    metric_value: float
    per_example_ms: float
    """On average, one example at a time."""
    predicted_s: float
    """Seconds for all examples of the table at the tiers' best batch sizes."""
    speedup: float
    """Against tier 2 alone, one example at a time."""
    speedup_best_batch: float
    """The same at the tiers' best batch sizes."""


def choose(points: Mapping[str, np.ndarray], target: Target, metric: str, title: str | None = None) -> ChosenPoint:
    """The point that meets the target: for "keep" the cheapest, for a budget the one of the best metric within it.

    Cheapest means fewest deferred; of points with equal metric it is taken too.

    Args: `points` columns as from `operating_points`; `metric` the column to keep or to maximise; `title` what
    messages call it.

    Raises: ValueError saying the best reachable, where no point meets the target.
    """
    cascade = np.asarray(points["kind"]) == "cascade"
    values, rate = np.asarray(points[metric])[cascade], np.asarray(points["deferral_rate"])[cascade]
    # points ascend in threshold, hence in examples deferred: the first is the cheapest
    if target.kind == "keep":
        tier2_metric = float(np.asarray(points[metric])[~cascade][0])
        meets = values >= target.value * tier2_metric
        if not meets.any():
            raise ValueError(
                f"no threshold reaches {target.value * tier2_metric:.4f}, which is {target.value:.4g} of tier 2's "
                f"{title or metric} {tier2_metric:.4f}; the best reachable is {values.max():.4f}"
            )
        return _point(points, int(np.argmax(meets)), metric)
    cost = rate if target.kind == "defer" else 1000 / np.asarray(points["throughput_per_s"])[cascade]
    within = cost <= target.value
    if not within.any():
        raise ValueError(
            f"no threshold stays within {target.value:.4g} ms per example; "
            f"the best reachable is {cost.min():.4g} ms, by tier 1 alone"
        )
    return _point(points, int(np.argmax(np.where(within, values, -np.inf))), metric)


def point_at(points: Mapping[str, np.ndarray], threshold: float, metric: str) -> ChosenPoint:
    """What a threshold chosen elsewhere does on these examples: the point that defers just the same ones."""
    own = np.asarray(points["threshold"])[np.asarray(points["kind"]) == "cascade"]
    row = min(int(np.searchsorted(own, np.float32(threshold))), len(own) - 1)
    return replace(_point(points, row, metric), threshold=float(np.float32(threshold)))


def _point(points: Mapping[str, np.ndarray], row: int, metric: str) -> ChosenPoint:
    return ChosenPoint(
        threshold=float(points["threshold"][row]),
        deferral_rate=float(points["deferral_rate"][row]),
        metric_value=float(points[metric][row]),
        per_example_ms=1000 / float(points["throughput_per_s"][row]),
        predicted_s=float(points["time_best_batch_s"][row]),
        speedup=float(points["speedup"][row]),
        speedup_best_batch=float(points["speedup_best_batch"][row]),
    )
