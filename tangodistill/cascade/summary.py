"""The table of operating points and the summary that are written beside a measured cascade."""

from collections.abc import Mapping, Sequence

import numpy as np

from tangodistill.cascade.baseline_curve import Baseline
from tangodistill.cascade.best_front import best_front
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.choose import LAST_ONLY, PATH, ChosenPoint, Target, choose, point_at
from tangodistill.cascade.columns import gate_columns
from tangodistill.cascade.front import Front, every_point, points_at
from tangodistill.cascade.outcomes import Outcomes
from tangodistill.cascade.speedup import area, speedup_at
from tangodistill.cascade.timing import Timing

FRACTIONS = {"speedup_at_99": 0.99, "speedup_at_98": 0.98}
"""Of the last tier's metric."""
CONFIDENCE = 0.95
_OF_GUARANTEE = ("method", "n", "groups", "groups_needed", "groups_for_plain")


def operating_points(
    outcomes: Outcomes, confidences: np.ndarray, timing: Timing, metric: str | None = None
) -> dict[str, np.ndarray]:
    """Columns (points,) of the operating points, cheapest first, and of the last tier alone as the last row.

    Of two tiers they are all, by ascending threshold; of more, the best front for `metric`, by default the outcomes'
    first, and `exact` says whether all thresholds were tried.

    `kind` is "cascade" or "second_only" (whose thresholds are NaN). Of two tiers there are columns `threshold` and
    `deferral_rate`; of more `tier1_threshold` and so on, `tier1_passed`, the share that goes beyond the tier, and so
    on, and `deferral_rate`, the share that the last tier answers. Each metric of the outcomes has a column; `time_s` is
    one example at a time, `time_best_batch_s` at the tiers' best batch sizes, both over all examples; throughputs are
    examples per second, and speedups are against "second_only" at the same way of batching, at its fastest setting for
    that.
    """
    if outcomes.tiers == 2:
        return _table(every_point(outcomes, confidences, timing), outcomes, timing, "cascade")
    front = best_front(outcomes, confidences, timing, metric or outcomes.metrics[0])
    return _table(front, outcomes, timing, "cascade")


def path_points(outcomes: Outcomes, confidences: np.ndarray, timing: Timing, path: np.ndarray) -> dict[str, np.ndarray]:
    """The same columns at every step of a path, whose `kind` is "path".

    Args: `path` (steps, K - 1) thresholds from the safest step to the cheapest, as of `equal_risk_path`.
    """
    return _table(points_at(outcomes, confidences, timing, path[::-1]), outcomes, timing, PATH)


def _table(front: Front, outcomes: Outcomes, timing: Timing, kind: str) -> dict[str, np.ndarray]:
    n, alone = outcomes.n, timing.reference
    time_s = np.append(front.time_s, alone.example_s.sum())
    best_s = np.append(front.time_best_batch_s, alone.best_batch_s)
    thresholds = np.append(front.thresholds, np.full((1, outcomes.tiers - 1), np.nan, np.float32), axis=0)
    passed = np.append(front.passed / n, np.ones((1, outcomes.tiers - 1)), axis=0)
    last = {name: outcomes.tier_score(outcomes.tiers, name) for name in outcomes.metrics}
    return {
        "kind": np.append(np.repeat(kind, len(front)), LAST_ONLY),
        **gate_columns("threshold", thresholds),
        **(gate_columns("passed", passed) if outcomes.tiers > 2 else {}),
        "deferral_rate": passed[:, -1],
        **{name: np.append(front.metrics[name], value) for name, value in last.items()},
        "time_s": time_s,
        "time_best_batch_s": best_s,
        "throughput_per_s": n / time_s,
        "throughput_best_batch_per_s": n / best_s,
        "speedup": time_s[-1] / time_s,
        "speedup_best_batch": best_s[-1] / best_s,
        **({"exact": np.repeat(front.exact, len(front) + 1)} if outcomes.tiers > 2 else {}),
    }


def summarise(
    points: Mapping[str, np.ndarray], outcomes: Outcomes, timing: Timing, metric: str, target: Target
) -> dict:
    """What the operating points come to, ready for JSON: `speedup_at_99`, `speedup_at_98`, `area`, the same three under
    `random` and `oracle`, and `best_on_report`, the point that meets the target on these very examples, or None.

    An `area` over the deferral rate is of two tiers; of more, which defer more than once, it is None. Of these `exact`
    says whether all thresholds were tried.

    Args: `points` from `operating_points` over the same outcomes and times; `metric` one of the outcomes'.
    """
    cascade = points["kind"] != LAST_ONLY
    last_metric = float(points[metric][~cascade][0])
    last_only = tuple(float(points[name][~cascade][0]) for name in ("time_s", "time_best_batch_s"))

    def of_baseline(curve: Baseline) -> dict:
        speedups = (last_only[0] / curve.time_s, last_only[1] / curve.time_best_batch_s)
        curve_summary = _curve_summary(curve.deferral_rate, curve.metric, *speedups, last_metric, outcomes.tiers)
        return {**curve_summary, "exact": curve.exact}

    columns = (points[name][cascade] for name in ("deferral_rate", metric, "speedup", "speedup_best_batch"))
    try:
        best = choose(points, target, metric).record()
    except ValueError:  # out of reach on these examples
        best = None
    return {
        **_curve_summary(*columns, last_metric, outcomes.tiers),
        "random": of_baseline(outcomes.random(metric, timing)),
        "oracle": of_baseline(outcomes.oracle(metric, timing)),
        "best_on_report": best,
        **({"exact": bool(points["exact"].all())} if "exact" in points else {}),
    }


def chosen_with_confidence(
    points: Mapping[str, np.ndarray],
    outcomes: Outcomes,
    calibration: CalibrationSet,
    metric: str,
    target: Target,
    plain: Sequence[float] | float,
) -> dict:
    """The point that keeps the target on unseen data with 95 % confidence, ready for JSON.

    Where nothing can be certified, the values are None and `reason` says why and what it would take.

    Args: `points` of the report role, in which `point_at` finds the thresholds; `outcomes` and `calibration` of the
    calibration role; `target` of the kind "keep"; `plain` the thresholds chosen without confidence.
    """
    record = {"confidence": CONFIDENCE, **dict.fromkeys(_OF_GUARANTEE)}
    empty = dict.fromkeys(ChosenPoint.keys(outcomes.tiers))
    try:
        found = outcomes.certify(metric, calibration, target.value, CONFIDENCE, plain)
    except ValueError as error:  # a target that leaves no room for a loss
        return {**record, **empty, "reason": str(error)}
    record |= {name: getattr(found, name) for name in _OF_GUARANTEE}
    point = empty if found.thresholds is None else point_at(points, found.thresholds, metric).record()
    return {**record, **point, "reason": found.reason}


def speedups_kept(points: Mapping[str, np.ndarray], metric: str, last_metric: float) -> dict:
    """`speedup_at_99` and `speedup_at_98` of points that were timed one example at a time only, ready for JSON.

    Args: `points` with columns `speedup` and the metric's, (points,).
    """
    found = {
        name: speedup_at(share, points["speedup"], points[metric], last_metric) for name, share in FRACTIONS.items()
    }
    return {
        name: {"batch1": at.interpolated, "attained_batch1": at.attained, "reason": at.reason}
        for name, at in found.items()
    }


def _curve_summary(
    rate: np.ndarray,
    values: np.ndarray,
    speedup: np.ndarray,
    speedup_best_batch: np.ndarray,
    last_metric: float,
    tiers: int,
) -> dict:
    summary = {}
    for name, fraction in FRACTIONS.items():
        batch1 = speedup_at(fraction, speedup, values, last_metric)
        best_batch = speedup_at(fraction, speedup_best_batch, values, last_metric)
        summary[name] = {
            "batch1": batch1.interpolated,
            "best_batch": best_batch.interpolated,
            "attained_batch1": batch1.attained,
            "attained_best_batch": best_batch.attained,
            "reason": batch1.reason,
        }
    return {**summary, "area": area(rate, values) if tiers == 2 else None}
