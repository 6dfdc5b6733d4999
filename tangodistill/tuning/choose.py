"""Another operating point for a measured cascade, from the files of its folder alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.choose import ChosenPoint, Target, point_at
from tangodistill.cascade.choose import choose as choose_point
from tangodistill.cascade.examples import examples_of
from tangodistill.cascade.intervals import Interval, point_intervals
from tangodistill.cascade.outcomes import outcomes_of
from tangodistill.cascade.summary import operating_points
from tangodistill.predictor.answers import readout_of
from tangodistill.predictor.cascade_folder import CascadeRecord, read_cascade, write_record
from tangodistill.predictor.here import setup_here
from tangodistill.tuning.calibration import TUNE, Calibration, read_calibration
from tangodistill.tuning.measured_files import MeasuredMetric, read_metric, read_table, setup_of
from tangodistill.user_error import UserError

TIMES = ("predicted_s", "per_example_ms", "speedup", "speedup_best_batch")  # of a chosen point
RUN_AGAIN = "For its numbers, run the cascade stage on what `tune` found."


def choose(
    folder: str,
    keep: float | None = None,
    max_ms: float | None = None,
    defer: float | None = None,
    confidence: float | None = None,
) -> Path:
    """Choose another threshold on the calibration role, write it into cascade.json, and show what it does.

    Give one target. With a confidence beside keep, the threshold is the cheapest that is certified to keep the share on
    unseen data too, not on the calibration role alone.

    Args:
        folder: a cascade folder, for instance runs/demo/cascade.
        keep: share of the second tier's metric to keep, for instance 0.99; the cheapest such point.
        max_ms: milliseconds per example on average, one at a time; the best point within.
        defer: share of the examples that may go to the second tier; the best point within.
        confidence: with keep, how sure the share must be kept on unseen data, for instance 0.95.

    Raises:
        UserError: not one target, a file of the folder is missing, or no threshold meets the target or can be
            certified to.
    """
    if confidence is not None and keep is None:
        raise UserError("--confidence goes with --keep: --keep 0.99 --confidence 0.95.")
    given = {"keep": keep, "max-ms": max_ms, "defer": defer}
    targets = [(kind.replace("-", "_"), value) for kind, value in given.items() if value is not None]
    if len(targets) != 1:
        found = " and ".join(f"--{kind}" for kind, value in given.items() if value is not None) or "none"
        raise UserError(f"Give one target: --keep 0.99, --max-ms 20 or --defer 0.15; found {found}.")
    path, record = Path(folder), read_cascade(folder)
    metric, now = read_metric(path), setup_here(path, record)
    calibration = read_calibration(path, record, now, needs_times=max_ms is not None)
    wish, chosen = _choose_on_calibration(path, record, metric, targets[0], confidence, calibration)
    told = [_told(wish, chosen, calibration.elsewhere)]
    report = read_table(path, "operating_points")
    measured = setup_of(path, report)
    times_known = not calibration.elsewhere
    if not now.other_answers(measured):
        speeds = not now.other_times(measured)
        on_report = point_at({name: report[name].to_numpy() for name in report}, chosen.threshold, metric.name)
        spans = _intervals(path, metric, on_report)
        told += _told_of_report(Target(*targets[0]), on_report, metric, report, speeds, spans)
        if speeds or not times_known:
            chosen, times_known = on_report, speeds
    if other := now.other_times(measured):
        told += [_told_of_speeds(chosen, metric)] if times_known else []
        told.append(f"The report role was measured {other}. {RUN_AGAIN if times_known else TUNE}")
    record.calibrated = now
    _write(path, record, wish.target, chosen, times_known)
    print(*told, sep="\n")
    return path


@dataclass(frozen=True)
class _Wish:
    """What was asked for, and how it was met, in words."""

    target: str
    method: str


def _choose_on_calibration(
    folder: Path,
    record: CascadeRecord,
    metric: MeasuredMetric,
    target: tuple[str, float],
    confidence: float | None,
    calibration: Calibration,
) -> tuple[_Wish, ChosenPoint]:
    rows = calibration.rows
    if confidence is not None and "group" not in rows:
        raise UserError(
            f"{folder}/calibration_predictions.parquet doesn't say which rows are independent of one another, and "
            "engines may have been chosen on them: an earlier version wrote it. Run the cascade stage again to certify."
        )
    outcomes, confidences = outcomes_of(rows, metric.positive_id), rows["confidence"].to_numpy()
    points = operating_points(outcomes, confidences, calibration.timing)
    try:
        wanted = Target(*target)
        plain = choose_point(points, wanted, metric.name, metric.title)
        if confidence is None:
            return _Wish(str(wanted), "chosen on it"), plain
        thresholds = readout_of(record.label_names, record.score).thresholds
        independent = CalibrationSet(confidences, thresholds, rows["group"])
        found = outcomes.certify(metric.name, independent, wanted.value, confidence, plain.threshold)
    except ValueError as error:
        raise UserError(f"{str(error)[0].upper()}{str(error)[1:]}.") from error
    if found.threshold is None:
        raise UserError(f"{found.reason}. cascade.json is unchanged.")
    method = (
        f"certified on {found.basis} by {found.method} "
        f"(without confidence: {plain.threshold:.4f}, which defers {plain.deferral_rate:.1%})"
    )
    return _Wish(found.target, method), point_at(points, found.threshold, metric.name)


def _write(folder: Path, record: CascadeRecord, target: str, chosen: ChosenPoint, times_known: bool) -> None:
    record.put([chosen.threshold])
    chosen_on = record.chosen.get("chosen_on", "calibration")
    point = chosen.record() | ({} if times_known else dict.fromkeys(TIMES))
    # measured_s: the point was not run for real
    record.chosen = {"target": target, "chosen_on": chosen_on, **point, "measured_s": None}
    write_record(folder, record)


def _told(wish: _Wish, calibration: ChosenPoint, elsewhere: str | None) -> str:
    times = "" if elsewhere else f" at {calibration.per_example_ms:.3g} ms per example, one at a time"
    return (
        f"Target: {wish.target}. Threshold {calibration.threshold:.4f}, which defers {calibration.deferral_rate:.1%} "
        f"of the calibration role{times}; {wish.method}."
    )


def _told_of_speeds(chosen: ChosenPoint, metric: MeasuredMetric) -> str:
    return (
        f"On the calibration role: {metric.title} {chosen.metric_value:.4f}, {chosen.speedup:.2f}x one at a time, "
        f"{chosen.speedup_best_batch:.2f}x at best batch sizes."
    )


def _intervals(folder: Path, metric: MeasuredMetric, chosen: ChosenPoint) -> dict[str, Interval]:
    """95 % intervals of what the chosen point does on the report role."""
    batches = read_table(folder, "batch_times")
    per_text_s = (batches["seconds"] / batches["n"]).groupby([batches["tier"], batches["batch_size"]]).mean().unstack()
    about = {
        "metric": metric.name,
        "label_names": metric.label_names,
        "positive": metric.positive,
        "tiers": [{"best_batch_size": int(per_text_s.loc[tier].idxmin())} for tier in (1, 2)],
    }
    examples = examples_of(about, read_table(folder, "predictions"), batches)
    return point_intervals(examples, {"chosen": chosen.thresholds})


def _told_of_report(
    target: Target,
    report: ChosenPoint,
    metric: MeasuredMetric,
    points: pd.DataFrame,
    speeds: bool,
    spans: Mapping[str, Interval],
) -> list[str]:
    second = float(points.loc[points["kind"] == "second_only", metric.name].iloc[0])

    def between(name: str, form: str) -> str:
        low, high = spans[name]
        return f"{low:{form}} to {high:{form}}"

    times = (
        f", {report.per_example_ms:.3g} ms per example one at a time ({report.speedup:.2f}x), "
        f"{report.speedup_best_batch:.2f}x at best batch sizes, predicted from the measured times"
    )
    kept = f"{between('chosen/share_kept', '.1%')} of the second tier’s, " if "chosen/share_kept" in spans else ""
    fast = f", {between('chosen/speedup', '.2f')}x, {between('chosen/speedup_best_batch', '.2f')}x at best batch sizes"
    lines = [
        f"On the report role: {metric.title} {report.metric_value:.4f} (second tier {second:.4f}), "
        f"{report.deferral_rate:.1%} deferred{times if speeds else ''}. 95 % intervals: "
        f"{between('chosen/metric_value', '.4f')} (second tier {between(f'tier2/{metric.name}', '.4f')}), "
        f"{kept}{between('chosen/deferral_rate', '.1%')} deferred{fast if speeds else ''}."
    ]
    if (speeds or target.kind != "max_ms") and (missed := target.missed_by(report, second)):
        lines.append(f"Warning: the report role misses the target, with {missed}: its texts are others. Ask for more.")
    return lines
