"""Choose the operating point that a target asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from tangodistill.cascade.columns import gate_values

LAST_ONLY, PATH = "second_only", "path"
"""Kinds of point in a table of them: the last tier alone, and a step of a path."""


@dataclass(frozen=True)
class Target:
    """What the cascade must keep to."""

    kind: Literal["keep", "max_ms", "defer"]
    """"keep": at least `value` of the last tier's metric; "max_ms": at most `value` milliseconds per example on
    average, one example at a time; "defer": at most `value` of the examples go to the last tier."""
    value: float

    def __post_init__(self) -> None:
        if self.kind not in ("keep", "max_ms", "defer"):
            raise ValueError(f"unknown target {self.kind!r}; known: keep, max_ms, defer")
        if self.kind == "keep" and self.value > 2:
            raise ValueError(f"the target keep is a share of tier 2's metric, such as 0.99, got {self.value:g}")
        if not 0 <= self.value < np.inf or (self.kind == "defer" and self.value > 1):
            allowed = "between 0 and 1" if self.kind == "defer" else "a number of at least 0"
            raise ValueError(f"the target {self.kind} must be {allowed}, got {self.value}")

    def missed_by(self, point: "ChosenPoint", last_metric: float) -> str | None:
        """How a point on other examples falls short of the target, None where it meets it."""
        reached, unit = {
            "keep": (point.metric_value / last_metric if last_metric else np.inf, f"of tier {len(point.passed) + 1}"),
            "max_ms": (point.per_example_ms, "ms per example"),
            "defer": (point.deferral_rate, "of the examples deferred"),
        }[self.kind]
        short = point.metric_value < self.value * last_metric if self.kind == "keep" else reached > self.value
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

    thresholds: tuple[float, ...]
    """(K - 1,) float32 values: a tier's answer stands unless its confidence is below its threshold."""
    passed: tuple[float, ...]
    """(K - 1,) shares of the examples that go beyond each of these tiers."""
    metric_value: float
    per_example_ms: float
    """On average, one example at a time."""
    predicted_s: float
    """Seconds for all examples of the table at the tiers' best batch sizes."""
    speedup: float
    """Against the last tier alone, one example at a time."""
    speedup_best_batch: float
    """The same at the tiers' best batch sizes."""

    @property
    def threshold(self) -> float:
        """Of two tiers, the only one."""
        return self.thresholds[0]

    @property
    def deferral_rate(self) -> float:
        """Share of the examples that the last tier answers."""
        return self.passed[-1]

    def record(self) -> dict:
        """Ready for JSON: of two tiers `threshold`, of more lists `thresholds` and `passed`."""
        gates = {"threshold": self.threshold}
        if len(self.thresholds) > 1:
            gates = {"thresholds": list(self.thresholds), "passed": list(self.passed)}
        own = {name: value for name, value in asdict(self).items() if name not in ("thresholds", "passed")}
        return {**gates, "deferral_rate": self.deferral_rate, **own}

    @classmethod
    def keys(cls, tiers: int) -> list[str]:
        """Of a record."""
        gates = (0.0,) * (tiers - 1)
        return list(cls(gates, gates, *[0.0] * 5).record())


def thresholds_of(record: Mapping) -> tuple[float, ...] | None:
    """The thresholds in what `ChosenPoint.record` made, None where no point was chosen.

    >>> [thresholds_of(record) for record in ({"threshold": 0.5}, {"thresholds": [0.5, 0.75]}, {"threshold": None})]
    [(0.5,), (0.5, 0.75), None]
    """
    given = record.get("thresholds") or record.get("threshold")
    if given is None:
        return None
    return tuple(given) if isinstance(given, Sequence) else (given,)


def choose(points: Mapping[str, np.ndarray], target: Target, metric: str, title: str | None = None) -> ChosenPoint:
    """The point that meets the target: for "keep" the cheapest, for a budget the one of the best metric within it.

    The points stand cheapest first, and of points with equal metric the cheapest is taken. On a path, "keep" takes the
    last step on the way down from the safest before the first that would fall short if it lost one example more (the
    rule of succession): a cheaper one that makes up for that by chance is not trusted. What the rules keep on other
    examples, `benchmarks/choosing.py` compares.

    Args: `points` columns as from `operating_points` or `path_points`; `metric` the column to keep or to maximise;
    `title` what messages call it.

    Raises: ValueError saying the best reachable, where no point meets the target.
    """
    own, tiers = np.asarray(points["kind"]) != LAST_ONLY, gate_values("threshold", points).shape[1] + 1
    values, rate = np.asarray(points[metric])[own], np.asarray(points["deferral_rate"])[own]
    if target.kind == "keep":
        last_metric = float(np.asarray(points[metric])[~own][0])
        meets = values >= target.value * last_metric
        if points["kind"][0] == PATH:
            n = points["throughput_per_s"][0] * points["time_s"][0]
            meets[:-1] = values[:-1] - 1 / n >= target.value * last_metric
            meets = np.logical_and.accumulate(meets[::-1])[::-1]
        if not meets.any():
            raise ValueError(
                f"no threshold reaches {target.value * last_metric:.4f}, which is {target.value:.4g} of tier {tiers}'s "
                f"{title or metric} {last_metric:.4f}; the best reachable is {values.max():.4f}"
            )
        return _point(points, int(np.argmax(meets)), metric)
    cost = rate if target.kind == "defer" else 1000 / np.asarray(points["throughput_per_s"])[own]
    within = cost <= target.value
    if not within.any():
        raise ValueError(
            f"no threshold stays within {target.value:.4g} ms per example; "
            f"the best reachable is {cost.min():.4g} ms, by tier 1 alone"
        )
    return _point(points, int(np.argmax(np.where(within, values, -np.inf))), metric)


def point_at(points: Mapping[str, np.ndarray], thresholds: Sequence[float] | float, metric: str) -> ChosenPoint:
    """What thresholds chosen elsewhere do on these examples.

    Args: `points` of two tiers all from `operating_points`, of which one defers just the same examples; of more tiers
    such as `path_points` made of these very thresholds among others.

    Raises: ValueError where the thresholds of more than two tiers are not among the points.
    """
    own = gate_values("threshold", points)[np.asarray(points["kind"]) != LAST_ONLY]
    wanted = np.atleast_1d(np.asarray(thresholds, np.float32))
    if len(wanted) == 1:
        row = min(int(np.searchsorted(own[:, 0], wanted[0])), len(own) - 1)
    else:
        same = np.flatnonzero((own == wanted).all(axis=1))
        if not len(same):
            raise ValueError(f"the thresholds {wanted.tolist()} are not among these operating points")
        row = int(same[0])
    return replace(_point(points, row, metric), thresholds=tuple(map(float, wanted)))


def _point(points: Mapping[str, np.ndarray], row: int, metric: str) -> ChosenPoint:
    gates = gate_values("threshold", points)[row]
    passed = gate_values("passed", points)[row] if len(gates) > 1 else [points["deferral_rate"][row]]
    return ChosenPoint(
        thresholds=tuple(map(float, gates)),
        passed=tuple(map(float, passed)),
        metric_value=float(points[metric][row]),
        per_example_ms=1000 / float(points["throughput_per_s"][row]),
        predicted_s=float(points["time_best_batch_s"][row]),
        speedup=float(points["speedup"][row]),
        speedup_best_batch=float(points["speedup_best_batch"][row]),
    )
