"""Another operating point for a measured cascade, from the files of its folder alone."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from tangodistill.cascade.choose import ChosenPoint, Target, point_at
from tangodistill.cascade.choose import choose as choose_point
from tangodistill.cascade.speedup import timing_of
from tangodistill.cascade.summary import operating_points
from tangodistill.runtime.cascade_folder import CascadeRecord, read_cascade, write_record
from tangodistill.runtime.run_files import read_metric, read_table
from tangodistill.user_error import UserError


def choose(folder: str, keep: float | None = None, max_ms: float | None = None, defer: float | None = None) -> Path:
    """Choose another threshold on the calibration role, write it into cascade.json, and show what it does.

    Give one target.

    Args:
        folder: a cascade folder, for instance runs/demo/cascade.
        keep: share of the second tier's metric to keep, for instance 0.99; the cheapest such point.
        max_ms: milliseconds per example on average, one at a time; the best point within.
        defer: share of the examples that may go to the second tier; the best point within.

    Raises:
        UserError: not one target, a file of the folder is missing, or no threshold meets the target.
    """
    given = {"keep": keep, "max_ms": max_ms, "defer": defer}
    targets = [(kind, value) for kind, value in given.items() if value is not None]
    if len(targets) != 1:
        found = " and ".join(f"--{kind}" for kind, _ in targets) or "none"
        raise UserError(f"Give one target: --keep 0.99, --max_ms 20 or --defer 0.15; found {found}.")
    path, record = Path(folder), read_cascade(folder)
    metric, points = read_metric(path), _calibration_points(path, record)
    try:
        target = Target(*targets[0])
        on_calibration = choose_point(points, target, metric)
    except ValueError as error:
        raise UserError(f"{str(error)[0].upper()}{str(error)[1:]}.") from error
    report = read_table(path, "operating_points")
    chosen = point_at({name: report[name].to_numpy() for name in report}, on_calibration.threshold, metric)
    _write(path, record, target, chosen)
    print(_told(target, on_calibration, chosen, metric, report))
    return path


def _calibration_points(folder: Path, record: CascadeRecord) -> dict[str, np.ndarray]:
    rows = read_table(folder, "calibration_predictions")
    best = [tier.batch_size for tier in record.tiers]
    predictions = [np.stack(rows[f"tier{tier}_logits"].to_numpy()).argmax(axis=1) for tier in (1, 2)]
    return operating_points(
        rows["label"].to_numpy(),
        *predictions,
        rows["confidence"].to_numpy(),
        timing_of(rows, read_table(folder, "batch_times"), best),
        len(record.label_names),
    )


def _write(folder: Path, record: CascadeRecord, target: Target, chosen: ChosenPoint) -> None:
    first = record.tiers[0]
    record.thresholds = {f"{first.engine}-{first.precision}": chosen.threshold}
    chosen_on = record.chosen.get("chosen_on", "calibration")
    # measured_s: the point was not run for real
    record.chosen = {"target": str(target), "chosen_on": chosen_on, **asdict(chosen), "measured_s": None}
    write_record(folder, record)


def _told(target: Target, calibration: ChosenPoint, report: ChosenPoint, metric: str, points: pd.DataFrame) -> str:
    second = float(points.loc[points["kind"] == "second_only", metric].iloc[0])
    return (
        f"Target: {target}. Threshold {calibration.threshold:.4f}, chosen on the calibration role, "
        f"which defers {calibration.deferral_rate:.1%} there.\n"
        f"On the report role: {metric} {report.metric_value:.4f} (second tier {second:.4f}), "
        f"{report.deferral_rate:.1%} deferred, {report.speedup:.2f}x one at a time, "
        f"{report.speedup_best_batch:.2f}x at best batch sizes, predicted from the measured times."
    )
