"""The report's tables: each turns what was measured into one piece of HTML."""

from __future__ import annotations

from collections.abc import Mapping

from tangodistill.report.figures import data_name
from tangodistill.report.markup import (
    NONE,
    flatten,
    hundredfold,
    paragraph,
    percent,
    plain,
    rate,
    seconds,
    table,
    times,
)
from tangodistill.report.run_files import Measured
from tangodistill.report.time_gap import time_gap
from tangodistill.report.titles import METRICS, hundredfold_heading, title


def main_table(measured: Measured) -> str:
    """The table a manager reads first: each tier alone, and the cascade at the chosen point."""
    summary, metric = measured.summary, measured.metric
    chosen, second = measured.point_at(summary["chosen"]["deferral_rate"]), measured.second_only
    points = (second, measured.first_only, chosen)
    best_s = (second["time_best_batch_s"], measured.first_only["time_best_batch_s"], best_batch_seconds(summary))
    rows = [
        [hundredfold_heading(summary), *(hundredfold(point[metric]) for point in points)],
        ["of the teacher’s", *(percent(measured.share_of_second(point[metric])) for point in points)],
        ["Deferred to the teacher", NONE, percent(0.0), percent(chosen["deferral_rate"])],
        ["Examples/s, best batch", *(rate(summary["n"] / s) for s in best_s)],
        ["Speed, best batch", *(times(best_s[0] / s) for s in best_s[:2]), times(best_batch_speed(measured))],
        ["Examples/s, one at a time", *(rate(point["throughput_per_s"]) for point in points)],
        ["Speed, one at a time", *(times(point["speedup"]) for point in points)],
    ]
    return table(
        data_name(measured.summary), ["", "Teacher (tier 2)", "Student (tier 1)", "Cascade (chosen)"], rows, "contest"
    )


def best_batch_speed(measured: Measured) -> float:
    """How many times faster the chosen point ran than the second tier beside it; predicted where it was not run."""
    chosen = measured.summary["chosen"]
    predicted = measured.second_only["time_best_batch_s"] / best_batch_seconds(measured.summary)
    return chosen.get("measured_speedup_best_batch") or predicted


def best_batch_seconds(summary: Mapping) -> float:
    """Seconds of the cascade over all report examples at best batch: measured, or predicted where it was not run."""
    chosen = summary["chosen"]
    return chosen.get("measured_s") or chosen["predicted_s"]


def speedup_table(measured: Measured) -> str:
    """speedup@99 and @98 of the cascade, random deferral and the oracle, and of what was measured beside them."""
    summary = measured.summary
    rows, reasons = [], []
    for share in (99, 98):
        for kind, source in (
            ("Cascade", summary),
            ("Random", summary.get("random")),
            ("Oracle", summary.get("oracle")),
            ("DeeBERT", summary.get("deebert")),
            ("Dynamic-TinyBERT", summary.get("dynamic_tinybert")),
        ):
            if source is None:
                continue
            at = source[f"speedup_at_{share}"]
            keys = ("batch1", "attained_batch1", "best_batch", "attained_best_batch")
            rows.append([f"{share} % · {kind}", *(times(at.get(key)) for key in keys)])
            if at.get("reason"):
                reasons.append(f"{kind} at {share} %: {at['reason']}.")
            elif kind == "Oracle" and source.get("exact") is False:
                reasons.append(f"Oracle at {share} %: a lower bound, found greedily.")
    cascade_rows = [index for index, row in enumerate(rows) if row[0].endswith("Cascade")]
    header = ["of tier 2", "batch 1", "attained", "best batch", "attained"]
    areas = "; ".join(
        f"{kind} {source['area']:z.4f}"
        for kind, source in (("cascade", summary), ("random", summary.get("random")), ("oracle", summary.get("oracle")))
        if source is not None
    )
    return (
        table(f"Speedup over the second tier alone; {data_name(measured.summary)}", header, rows, strong=cascade_rows)
        + "".join(paragraph(reason, "note") for reason in reasons)
        + paragraph(
            f"The first figure of each pair is interpolated between operating points, “attained” is the fastest real "
            f"one. Area between {title(measured.summary)} over deferral rate and the straight line: {areas}.",
            "note",
        )
    )


def chosen_table(measured: Measured) -> str:
    """The chosen operating point beside the one that is certified on the same calibration data, and beside the best
    one on the report data itself (the paper's reading)."""
    chosen, best = measured.summary["chosen"], measured.summary.get("best_on_report")
    certain = measured.summary.get("chosen_with_confidence") or {"threshold": None}
    rows = []
    for name, point in (
        ("Chosen on calibration", chosen),
        ("The same with confidence", certain),
        ("Best on report (the paper's reading)", best),
    ):
        if point is None or point["threshold"] is None:
            continue
        here = measured.point_at(point["deferral_rate"])
        value = point["metric_value"]
        kept = percent(measured.share_of_second(value))
        speedups = (times(here["speedup"]), times(here["speedup_best_batch"]))
        rows.append(
            [name, f"{point['threshold']:.6g}", percent(point["deferral_rate"]), hundredfold(value), kept, *speedups]
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


def confidence_note(measured: Measured) -> str:
    """What is certain of unseen data, or why nothing is; empty for a run that was measured before this was asked."""
    certain = measured.summary.get("chosen_with_confidence")
    if not certain:
        return ""
    if certain["threshold"] is None:
        return paragraph(f"No guarantee: {certain['reason']}.", "note")
    return paragraph(
        f"With {100 * certain['confidence']:g} % confidence, a threshold of {certain['threshold']:.6g} meets the "
        f"target on unseen data of the same kind too, by {certain['method']}. Here it keeps "
        f"{percent(measured.share_of_second(certain['metric_value']))} of the teacher’s {title(measured.summary)}, "
        f"defers {percent(certain['deferral_rate'])} and is {times(certain['speedup_best_batch'])} faster at best "
        f"batch (predicted).",
        "note",
    )


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
    if measured.busy:
        warnings.append("Warning: other processes were at work on the machine while the times were taken.")
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


def tier_table(measured: Measured) -> str:
    """What each tier is, and its metrics."""
    metrics = _metrics(measured.summary["tiers"][0]["metrics"])
    rows = [
        [tier["name"], f"{tier['parameters']:,}", tier["engine"], tier["precision"],
         *(hundredfold(tier["metrics"][name]) for name in metrics), plain(tier["best_batch_size"])]
        for tier in measured.summary["tiers"]
    ]  # fmt: skip
    header = [
        "",
        "parameters",
        "engine",
        "precision",
        *(hundredfold_heading(measured.summary, name) for name in metrics),
        "best batch size",
    ]
    note = ""
    if quality := measured.summary.get("calibration_of_tier1"):
        note = (
            f"Confidence of the first tier: expected calibration error {plain(quality['ece'])}; area under the ROC "
            f"curve for a right answer {plain(quality['auroc'])}."
        )
    return table(f"The tiers; {data_name(measured.summary)}", header, rows) + (paragraph(note, "note") if note else "")


def student_settings_table(measured: Measured) -> str:
    """The first tier beside other settings of it on the same data; empty where there are none."""
    settings = measured.summary.get("student_settings")
    if not settings:
        return ""
    metrics = _metrics(settings[0]["metrics"])
    rows = [[each["name"], *(hundredfold(each["metrics"][name]) for name in metrics)] for each in settings]
    header = ["", *(hundredfold_heading(measured.summary, name) for name in metrics)]
    return table(f"Settings of the student; {data_name(measured.summary)}", header, rows)


def _metrics(found: Mapping[str, float]) -> list[str]:
    """Those of some answers, in the order in which all tables show them."""
    return [name for name in METRICS if name in found]


def batch_table(measured: Measured) -> str:
    """Examples per second of each tier by batch size."""
    frame = measured.batch_times.assign(per_s=measured.batch_times["n"] / measured.batch_times["seconds"])
    speeds = frame.groupby(["batch_size", "tier"])["per_s"].mean().unstack()
    rows = [[f"{size}", *(rate(row.get(tier)) for tier in (1, 2))] for size, row in speeds.iterrows()]
    repeats = measured.batch_times["repeat"].nunique()
    caption = f"Examples per second by batch size, mean of {repeats} interleaved repeats"
    return table(caption, ["batch size", "first tier", "second tier"], rows)


def data_table(measured: Measured) -> str:
    """Which data played which role."""
    summary = measured.summary
    roles = summary.get("roles") or {"calibration": NONE, "report": summary["split"]}
    counts = {"calibration": len(measured.calibration), "report": summary["n"]}
    rows = [
        [role, str(description), f"n = {counts[role]:,}" if role in counts else NONE]
        for role, description in roles.items()
    ]
    return table(
        "Every number of this report is of the report role unless it says otherwise",
        ["role", "data", "examples measured"],
        rows,
        "words",
    )


def mapping_table(caption: str, mapping: Mapping) -> str:
    """A nested mapping, one row per value; empty for an empty one."""
    rows = flatten(mapping)
    return table(caption, ["key", "value"], rows, "words") if rows else ""
