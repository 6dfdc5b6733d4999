"""The report's table of a Dynamic-TinyBERT by itself; empty where none was measured."""

from __future__ import annotations

from collections.abc import Sequence

from tangodistill.report.figures import data_name
from tangodistill.report.markup import hundredfold, paragraph, rate, seconds, table, times, within
from tangodistill.report.run_files import Measured
from tangodistill.report.titles import METRICS, hundredfold_heading, title


def lengths_table(measured: Measured) -> str:
    """What each length configuration is worth and what it costs; the fastest one that keeps 99 % stands out."""
    found, points = measured.summary.get("dynamic_tinybert"), measured.dynamic
    if found is None:
        return ""
    metrics, kept = [name for name in METRICS if name in points], found["point_at_99"]
    spans = measured.intervals
    rows = [
        [_percents(point["lengths"]),
         *(within(hundredfold(point[name]), spans.get(f"dynamic_tinybert/{number}/{name}"), hundredfold)
           for name in metrics),
         seconds(point["time_s"]), rate(point["throughput_per_s"]),
         within(times(point["speedup"]), spans.get(f"dynamic_tinybert/{number}/speedup"), times)]
        for number, (_, point) in enumerate(points.iterrows(), start=1)
    ]  # fmt: skip
    strong = [[row[0] for row in rows].index(_percents(kept["lengths"]))] if kept else []
    names = [hundredfold_heading(measured.summary, name) for name in metrics]
    caption = f"{found['name']}, {found['parameters']:,} parameters; {data_name(measured.summary)}"
    told = "The row that stands out is the fastest that keeps 99 %" if kept else "None keeps 99 %"
    header = ["% of tokens by layer", *names, "measured", "examples/s", "speed"]
    return table(caption, header, rows, strong=strong) + paragraph(
        "A Dynamic-TinyBERT that answers everything by itself, one example at a time, with configurations that a "
        f"search on the selection role found. {told} of the second tier’s {title(measured.summary)}. It runs in "
        "PyTorch, and speed is against the second tier in PyTorch.",
        "note",
    )


def _percents(lengths: Sequence[float]) -> str:
    return " · ".join(f"{100 * share:.4g}" for share in lengths)  # exact: shares are multiples of 1/10,000
