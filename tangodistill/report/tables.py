"""The report's tables: each turns what was measured into one piece of HTML."""

from __future__ import annotations

from collections.abc import Mapping

from tangodistill.report.figures import data_name
from tangodistill.report.headline import best_batch_speed, single_speed
from tangodistill.report.markup import (
    NONE,
    flatten,
    hundredfold,
    paragraph,
    percent,
    plain,
    rate,
    table,
    times,
    within,
)
from tangodistill.report.run_files import Measured
from tangodistill.report.titles import METRICS, hundredfold_heading, title

KEYS = {
    "Random": "random",
    "Oracle": "oracle",
    "DeeBERT": "deebert",
    "Dynamic-TinyBERT": "dynamic_tinybert",
}
"""Name in the table of speedups -> key in the summary."""


def main_table(measured: Measured) -> str:
    """The table a manager reads first: each tier alone, and the cascade at the chosen point."""
    summary, metric = measured.summary, measured.metric
    chosen, second = measured.point_at(summary["chosen"]["deferral_rate"]), measured.second_only
    points, spans = (second, measured.first_only, chosen), measured.intervals
    best_s = (second["time_best_batch_s"], measured.first_only["time_best_batch_s"], best_batch_seconds(summary))
    kept = [percent(measured.share_of_second(point[metric])) for point in points]
    names = (f"tier2/{metric}", f"tier1/{metric}", "chosen/metric_value")
    speed, speed_span = best_batch_speed(measured)
    deferred = within(percent(chosen["deferral_rate"]), spans["chosen/deferral_rate"], percent)
    alone = within(times(measured.first_only["speedup"]), spans["tier1/speedup"], times)
    one_by_one = within(times(single_speed(measured)[0]), spans["chosen/measured_speedup_batch1"], times)
    rows = [
        [
            hundredfold_heading(summary),
            *(within(hundredfold(p[metric]), spans[name], hundredfold) for p, name in zip(points, names, strict=True)),
        ],
        [
            "of the teacher’s",
            kept[0],
            within(kept[1], spans.get("tier1/share_kept"), percent),
            within(kept[2], spans.get("chosen/share_kept"), percent),
        ],
        ["Deferred to the teacher", NONE, percent(0.0), deferred],
        ["Examples/s, best batch", *(rate(summary["n"] / s) for s in best_s)],
        ["the same, predicted", NONE, NONE, rate(chosen["throughput_best_batch_per_s"])],
        ["Speed, best batch", *(times(best_s[0] / s) for s in best_s[:2]), within(times(speed), speed_span, times)],
        ["Examples/s, one at a time", *(rate(point["throughput_per_s"]) for point in points)],
        ["Speed, one at a time", times(second["speedup"]), alone, one_by_one],
    ]
    return table(
        data_name(measured.summary), ["", "Teacher (tier 2)", "Student (tier 1)", "Cascade (chosen)"], rows, "contest"
    )


def best_batch_seconds(summary: Mapping) -> float:
    """Seconds of the cascade over all report examples at best batch: measured, or predicted where it was not run."""
    chosen = summary["chosen"]
    return chosen.get("measured_s") or chosen["predicted_s"]


def speedup_table(measured: Measured) -> str:
    """speedup@99 and @98 of the cascade, random deferral and the oracle, and of what was measured beside them."""
    summary = measured.summary
    rows, reasons = [], []
    for share in (99, 98):
        for kind, source in (("Cascade", summary), *((kind, summary.get(key)) for kind, key in KEYS.items())):
            if source is None:
                continue
            at = source[f"speedup_at_{share}"]
            keys = ("batch1", "attained_batch1", "best_batch", "attained_best_batch")
            prefix = f"speedup_at_{share}" if source is summary else f"{KEYS[kind]}/speedup_at_{share}"
            spans = [measured.intervals.get(f"{prefix}/{key}") for key in keys]
            cells = [within(times(at.get(key)), span, times) for key, span in zip(keys, spans, strict=True)]
            rows.append([f"{share} % · {kind}", *cells])
            if at.get("reason"):
                reasons.append(f"{kind} at {share} %: {at['reason']}.")
            elif kind == "Oracle" and source.get("exact") is False:
                reasons.append(f"Oracle at {share} %: a lower bound, found greedily.")
        if (alone := measured.share_of_second(measured.first_only[measured.metric])) and alone >= share / 100:
            reasons.append(
                f"The first tier alone keeps {percent(alone)}: at {share} % there is nothing to defer, and cascade, "
                "random deferral and oracle coincide."
            )
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


def tier_table(measured: Measured) -> str:
    """What each tier is, and its metrics."""
    metrics = _metrics(measured.summary["tiers"][0]["metrics"])
    rows = [
        [tier["name"], f"{tier['parameters']:,}", tier["engine"], tier["precision"],
         *(within(hundredfold(tier["metrics"][name]), measured.intervals.get(f"tier{number}/{name}"), hundredfold)
           for name in metrics),
         *_cut(tier), plain(tier["best_batch_size"])]
        for number, tier in enumerate(measured.summary["tiers"], start=1)
    ]  # fmt: skip
    header = [
        "",
        "parameters",
        "engine",
        "precision",
        *(hundredfold_heading(measured.summary, name) for name in metrics),
        "tokens read",
        "texts cut",
        "tokens lost",
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


def _cut(tier: Mapping) -> list[str]:
    """Tokens that a tier reads of a text at most, and the shares of texts and tokens that it doesn't read."""
    cut = tier.get("cut")
    return [NONE] * 3 if not cut else [plain(cut["max_length"]), percent(cut["texts"]), percent(cut["tokens"])]


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
