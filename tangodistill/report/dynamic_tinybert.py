"""The report's table of a Dynamic-TinyBERT by itself; empty where none was measured."""

from __future__ import annotations

import numpy as np

from tangodistill.report.figures import METRIC_NAMES, data_name
from tangodistill.report.markup import hundredfold, paragraph, rate, seconds, table, times
from tangodistill.report.run_files import Measured


def lengths_table(measured: Measured) -> str:
    """What each length configuration is worth and what it costs; the fastest one that keeps 99 % stands out."""
    found, points = measured.summary.get("dynamic_tinybert"), measured.dynamic
    if found is None:
        return ""
    metrics = [name for name in METRIC_NAMES if name in points]
    rows = [
        [" · ".join(f"{100 * share:.3g}" for share in point["lengths"]), *(hundredfold(point[name]) for name in metrics),
         seconds(point["time_s"]), rate(point["throughput_per_s"]), times(point["speedup"])]
        for _, point in points.iterrows()
    ]  # fmt: skip
    header = ["% of tokens by layer", *(f"{METRIC_NAMES[name]} (×100)" for name in metrics), "measured", "examples/s"]
    caption = f"{found['name']}, {found['parameters']:,} parameters; {data_name(measured.summary)}"
    kept = found["point_at_99"]
    strong = (
        []
        if kept is None
        else [row for row, each in enumerate(points["lengths"]) if np.array_equal(each, kept["lengths"])]
    )
    told = "The row that stands out is the fastest that keeps 99 %" if kept else "None keeps 99 %"
    return table(caption, [*header, "speed"], rows, strong=strong) + paragraph(
        f"A Dynamic-TinyBERT that answers everything by itself, one example at a time, with the configurations that a "
        f"search on the selection role found. {told} of the second tier’s {METRIC_NAMES[measured.metric]}. It ran in "
        "PyTorch, and speed is against the second tier in PyTorch.",
        "note",
    )
