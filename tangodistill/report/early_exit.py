"""The report's tables of a DeeBERT model; each is empty where none was measured."""

from __future__ import annotations

from tangodistill.report.figures import data_name
from tangodistill.report.markup import NONE, hundredfold, paragraph, percent, plain, rate, seconds, table, times, within
from tangodistill.report.run_files import Measured
from tangodistill.report.titles import METRICS, hundredfold_heading


def exit_table(measured: Measured) -> str:
    """What each exit is worth, what it costs, and who leaves there at the point that keeps 99 %."""
    deebert = measured.summary.get("deebert")
    if deebert is None:
        return ""
    point, n = deebert["point_at_99"], measured.summary["n"]
    leaving = [percent(count / n) for count in point["examples_per_exit"]] if point else [NONE] * deebert["exits"]
    spans = measured.intervals
    metrics = [name for name in METRICS if name in deebert["metrics"][0]]
    rows = [
        [f"Exit {number}",
         *(within(hundredfold(scores[name]), spans.get(f"deebert/exit{number}/{name}"), hundredfold)
           for name in metrics),
         seconds(time_s), share]
        for number, (scores, time_s, share) in enumerate(
            zip(deebert["metrics"], deebert["time_s_per_exit"], leaving, strict=True), start=1
        )
    ]  # fmt: skip
    names = [hundredfold_heading(measured.summary, name) for name in metrics]
    header = ["", *names, "time, batch 1", "leave there at 99 %"]
    caption = f"The exits of {deebert['name']}, {deebert['parameters']:,} parameters; {data_name(measured.summary)}"
    return table(caption, header, rows)


def run_table(measured: Measured) -> str:
    """The points that were run for real: one example at a time, and in batches whose sure examples leave."""
    deebert = measured.summary.get("deebert")
    if deebert is None:
        return ""
    rows, n = [], measured.summary["n"]
    if point := deebert["point_at_99"]:
        run_s = point["measured_s"]
        rows.append(
            ["99 %, one at a time", plain(1), hundredfold(point["metric_value"]), seconds(point["predicted_s"]),
             seconds(run_s), rate(n / run_s), times(point["speedup"])]
        )  # fmt: skip
    rows += [
        [f"{percent(each['keeps'], 0)}, in batches", plain(each["batch_size"]), hundredfold(each["metric_value"]), NONE,
         seconds(each["measured_s"]), rate(each["throughput_per_s"]), times(each["speedup"])]
        for each in deebert["batched"]
    ]  # fmt: skip
    if not rows:
        return paragraph("No threshold keeps 98 % of the second tier: no point was run for real.", "note")
    metric = hundredfold_heading(measured.summary)
    header = ["of tier 2", "batch", metric, "predicted", "measured", "examples/s", "speed"]
    return table(f"DeeBERT run for real; {data_name(measured.summary)}", header, rows) + paragraph(
        "In batches only the examples that are still in go through the next layer. The paper compares early exit one "
        "example at a time; speed is against the second tier alone at batch 1, or in batches at its own best size.",
        "note",
    )
