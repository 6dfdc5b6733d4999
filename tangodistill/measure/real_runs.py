"""The chosen operating point run for real, one example at a time and in batches, and what it answered then."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tangodistill.cascade.timing import Timing, best_batch_time_s
from tangodistill.latency.timer import is_unsteady, time_each, time_interleaved
from tangodistill.measure.role_answers import RoleAnswers
from tangodistill.measure.times import REFERENCE_TIER, TimedEngines
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.predictor.served import rows_of
from tangodistill.progress import Progress


@dataclass(frozen=True)
class RealRun:
    """The cascade and the last tier alone, run over the n timed examples in one way of use."""

    n: int
    predicted_s: float
    """From the times of the parts."""
    measured_s: float
    measured_second_only_s: float
    passes_s: dict[str, list[float]]
    """Each pass of `cascade` and `second_only`."""
    speedup: float
    """Measured, of the last tier alone at its fastest setting for this way of use."""
    metric_value: float
    """Of the answers that the timed run gave."""
    scored_metric_value: float
    """Of the answers to these examples that all operating points were computed from."""
    other_answers: int
    """How many of them differ."""
    second_only_metric_value: float
    unsteady: bool
    under_load: bool


def run_for_real(
    cascade: CascadePredictor,
    second_only: Mapping[str, CascadePredictor],
    timed: RoleAnswers,
    timing: Timing,
    metric: str,
    repeats: int,
) -> dict[str, dict[str, Any]]:
    """By way of use, the fields of a `RealRun`.

    Args:
        cascade: at the chosen threshold.
        second_only: by way of use, the last tier alone.
        timed: the examples that are timed.
        timing: of them.
    """
    used = [tier.number for tier in cascade.tiers]
    timed, timing = timed.of_tiers(used), timing.subset(used)
    stops = timed.stops(cascade.thresholds)
    expected, predicted_s = timed.answered(stops), _predicted_s(stops, timing)
    found = {}
    for way, run in (("batch1", _one_at_a_time), ("best_batch", _in_batches)):
        contenders = {"cascade": cascade, "second_only": second_only[way]}
        seconds, loaded, answers = run(contenders, rows_of(timed.texts, timed.pairs), repeats)
        outputs = {name: timed.outputs_of(each) for name, each in answers.items()}
        cascade_s, second_s = (float(seconds[name].mean()) for name in ("cascade", "second_only"))
        found[way] = asdict(
            RealRun(
                n=len(timed),
                predicted_s=predicted_s[way],
                measured_s=cascade_s,
                measured_second_only_s=second_s,
                passes_s={name: seconds[name].tolist() for name in ("cascade", "second_only")},
                speedup=second_s / cascade_s,
                metric_value=timed.scores(outputs["cascade"])[metric],
                scored_metric_value=timed.scores(expected)[metric],
                other_answers=int((~timed.readout.same(outputs["cascade"], expected)).sum()),
                second_only_metric_value=timed.scores(outputs["second_only"])[metric],
                unsteady=any(map(is_unsteady, seconds.values())),
                under_load=bool(loaded),
            )
        )
    return found


def _predicted_s(stops: np.ndarray, timing: Timing) -> dict[str, float]:
    """By way of use, seconds of n examples that stop at tiers (n,), from 0."""
    reaching = [stops >= place for place in range(len(timing.tiers))]
    one_by_one = sum(tier.example_s[rows].sum() for tier, rows in zip(timing.tiers, reaching, strict=True))
    counts = np.array([[rows.sum() for rows in reaching[1:]]])
    return {"batch1": float(one_by_one), "best_batch": float(best_batch_time_s(counts, timing)[0])}


def references(
    engines: TimedEngines, sizes: Mapping[int, int], points: Mapping[str, np.ndarray], runs: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """By way of use: the last tier alone at its fastest setting for it, which speedups are against.

    Args: `sizes` best batch sizes; `points` of the report role; `runs` from `run_for_real`.
    """
    settings = {"batch1": (engines.single, 1), "best_batch": (engines.batched, sizes[REFERENCE_TIER])}
    columns = {
        "batch1": ("time_s", "throughput_per_s"),
        "best_batch": ("time_best_batch_s", "throughput_best_batch_per_s"),
    }
    return {
        way: {
            "engine": engine.name,
            "precision": engine.precision,
            "threads": engine.threads,
            "batch_size": size,
            "seconds": float(points[columns[way][0]][-1]),
            "throughput_per_s": float(points[columns[way][1]][-1]),
            "metric_value": runs[way]["second_only_metric_value"],
        }
        for way, (engine, size) in settings.items()
    }


def different_answers(runs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Where the timed runs gave other answers than those that were scored: how many, and what they are worth."""
    ways = {"batch1": "one at a time", "best_batch": "in batches"}
    told = [
        f"{run['other_answers']:,} of {run['n']:,} answers served {ways[way]} are not those that were scored: their "
        f"metric is {run['metric_value']:.4f}, of the scored ones {run['scored_metric_value']:.4f}"
        for way, run in runs.items()
        if run["other_answers"]
    ]
    return "; ".join(told) or None


Served = tuple[dict[str, np.ndarray], frozenset[str], dict[str, list]]
"""By name: seconds (repeats,), which were under load, and the answers of the last timed run."""


def _one_at_a_time(contenders: Mapping[str, CascadePredictor], rows: list, repeats: int) -> Served:
    answers: dict[str, list] = {name: [None] * len(rows) for name in contenders}

    def served(name: str) -> Callable[[int], None]:
        predict, own = contenders[name].predict, answers[name]

        def run(i: int) -> None:
            own[i] = predict(rows[i])

        return run

    with Progress("run the chosen point, batch 1", repeats * len(contenders) * len(rows), timed=True) as progress:
        passes = time_each({name: served(name) for name in contenders}, len(rows), repeats, between=progress.advance)
    return {name: each.sum(axis=1) for name, each in passes.seconds.items()}, passes.under_load, answers


def _in_batches(contenders: Mapping[str, CascadePredictor], rows: list, repeats: int) -> Served:
    answers: dict[str, list] = {}

    def served(name: str) -> Callable[[], None]:
        return lambda: answers.update({name: contenders[name].predict(rows)})

    with Progress("run the chosen point in batches", timed=True) as progress:
        runs = {name: served(name) for name in contenders}
        passes = time_interleaved(runs, repeats, between=progress.advance)
    return passes.seconds, passes.under_load, answers
