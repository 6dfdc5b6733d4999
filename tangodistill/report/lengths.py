"""A search of length configurations, as a table of its front and as a figure."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from rich.table import Table

from tangodistill.report.canvas import BLUE, GREY, INK, NORMAL, VERMILLION, Labels, titled_axes
from tangodistill.report.figures import data_name, scale_x
from tangodistill.report.markup import hundredfold, percent
from tangodistill.report.titles import hundredfold_heading

LEAST = 0.5
"""Share of the full network's metric, below which a configuration is of no use and not shown."""


def front_table(record: Mapping) -> Table:
    """The front, the slowest first: time beside the full network's, metric, and the share of the tokens in each layer.

    Args:
        record: contents of length_search.json.
    """
    settings, evaluations = record["settings"], record["evaluations"]
    caption = f"the front of {len(evaluations):,} configurations, down to {LEAST:.0%} of the full network's metric"
    table = Table(title=data_name(settings), caption=f"{caption}; {settings['machine']}")
    for name in ("time", hundredfold_heading(settings), "tokens kept in each layer"):
        table.add_column(name, justify="right", no_wrap=True)
    full = evaluations[0]
    for row in [full, *(row for row in reversed(_useful(record, "front")) if row["lengths"] != full["lengths"])]:
        lengths = "full network" if row is full else " ".join(f"{share:.0%}" for share in row["lengths"])
        table.add_row(percent(row["time_share"]), hundredfold(row["score"]), lengths)
    return table


def length_figure(record: Mapping) -> Figure:
    """Metric against time of all that was measured, and the front (Guskin et al. 2021, Figure 2).

    Args:
        record: contents of length_search.json.
    """
    settings = record["settings"]
    points, front = (pd.DataFrame(_useful(record, name)) for name in ("evaluations", "front"))
    figure, axes = titled_axes(f"{hundredfold_heading(settings)} against time", data_name(settings))
    axes.plot(points["time_share"], points["score"], ".", color=GREY, alpha=0.35, markersize=5, gid="evaluations")
    axes.plot(front["time_share"], front["score"], color=BLUE, linewidth=2.0, marker=".", markersize=6, gid="front")
    scale_x(axes, points["time_share"], lambda value, _: f"{100 * value:g} %")
    axes.set_xlabel(f"Time beside the full network’s, on {settings['machine']}", fontsize=NORMAL)

    labels = Labels(axes)
    labels.avoid_line(front["time_share"], front["score"])
    marks = {"full\nnetwork": (INK, points.iloc[0])}
    if record["evaluations"][1] in _useful(record, "evaluations"):
        marks["smallest of\nLengthDrop"] = VERMILLION, points.iloc[1]
    for color, row in marks.values():
        labels.mark(row["time_share"], row["score"], color, "s")
    for name, (color, row) in marks.items():
        labels.write(name, row["time_share"], row["score"], color)
    labels.write("front", front["time_share"], front["score"], BLUE, fontweight="bold")
    return figure


def _useful(record: Mapping, name: str) -> list[Mapping]:
    """Rows of the record whose score is not far below the full network's, which is the first evaluation."""
    full = record["evaluations"][0]["score"]
    least = min(LEAST * full, full)  # MCC may be below 0
    return [row for row in record[name] if row["score"] >= least]
