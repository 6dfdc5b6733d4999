"""The report's tables of the chosen operating point: beside others, and its times."""

from __future__ import annotations

from tangodistill.report.figures import data_name
from tangodistill.report.markup import hundredfold, paragraph, percent, seconds, table, times, within
from tangodistill.report.run_files import Measured
from tangodistill.report.time_gap import time_gap
from tangodistill.report.titles import hundredfold_heading


def chosen_table(measured: Measured) -> str:
    """The chosen operating point beside the one that is certified on the same calibration data, and beside the best
    one on the report data itself (the paper's reading)."""
    chosen, best = measured.summary["chosen"], measured.summary.get("best_on_report")
    certain = measured.summary.get("chosen_with_confidence") or {"threshold": None}
    rows = []
    for key, name, point in (
        ("chosen", "Chosen on calibration", chosen),
        ("chosen_with_confidence", "The same with confidence", certain),
        ("best_on_report", "Best on report (the paper's reading)", best),
    ):
        if point is None or point["threshold"] is None:
            continue
        here = measured.point_at(point["deferral_rate"])
        value = point["metric_value"]
        cells = {
            "deferral_rate": (percent(point["deferral_rate"]), percent),
            "metric_value": (hundredfold(value), hundredfold),
            "share_kept": (percent(measured.share_of_second(value)), percent),
            "speedup": (times(here["speedup"]), times),
            "speedup_best_batch": (times(here["speedup_best_batch"]), times),
        }
        spans = {column: measured.intervals.get(f"{key}/{column}") for column in cells}
        rows.append(
            [
                name,
                f"{point['threshold']:.6g}",
                *(within(cell, spans[column], show) for column, (cell, show) in cells.items()),
            ]
        )
    header = [
        "",
        "threshold",
        "deferred",
        hundredfold_heading(measured.summary),
        "of tier 2",
        "batch 1",
        "best batch, predicted",
    ]
    where = f"Target: {chosen['target']}; threshold chosen on {chosen['chosen_on']}, n = {len(measured.calibration):,}"
    return table(f"{where}; values on {data_name(measured.summary)}", header, rows, strong=[0])


def time_check(measured: Measured) -> str:
    """Predicted against measured time of the chosen point, flagged where they differ by more than a tenth."""
    chosen = measured.summary["chosen"]
    predicted, run = chosen["predicted_s"], chosen.get("measured_s")
    if not run:
        return paragraph("The chosen point was not run for real: its time is predicted.", "note")
    off, warnings = run / predicted - 1, []
    caption = f"All {measured.summary['n']:,} report examples through the cascade, queue included, best batch"
    rows = [["Chosen point", seconds(predicted), seconds(run), f"{100 * off:+.1f} %"]]
    if told := time_gap(chosen):
        warnings.append(f"Warning: {told}")
    return table(caption, ["", "predicted", "measured", "difference"], rows) + "".join(
        paragraph(warning, "warning") for warning in warnings
    )


def response_table(measured: Measured) -> str:
    """How long one request takes at batch 1."""
    frame = measured.predictions
    threshold = float(measured.summary["chosen"]["threshold"])
    deferred = frame["confidence"].to_numpy() < threshold
    cases = {
        "Second tier alone": frame.get("second_only_time_s", frame["tier2_time_s"]),
        "First tier alone": frame["tier1_time_s"],
        "Cascade, chosen point": frame["tier1_time_s"] + frame["tier2_time_s"] * deferred,
    }
    rows = [[name, *(seconds(v) for v in (t.mean(), t.quantile(0.5), t.quantile(0.95)))] for name, t in cases.items()]
    return table(
        f"One request at a time; {data_name(measured.summary)}",
        ["", "mean", "median", "95th percentile"],
        rows,
        strong=[2],
    )
