"""The paper's Figures 2, 3 and 4: one panel per row of its tables, each from the run that stands for it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tangodistill.cascade.beside import Curve
from tangodistill.paper.runs import Row
from tangodistill.paper.tables import HARDWARE, metric_name
from tangodistill.paper.values import ERRORS_NOTE
from tangodistill.report.canvas import BLUE, GREY, INK, MUTED, NORMAL, PAPER, RULE, SMALL, TITLE, style
from tangodistill.report.curves import error_table, neighbour_points
from tangodistill.report.figures import CURVE_NAMES, CURVE_STYLES, draw_errors, scale_x

CAPTIONS = {
    "figure2": "Metric against speedup over the second tier alone, one example at a time; each point of a line is one "
    "threshold. DeeBERT, and a Dynamic-TinyBERT by itself with one point per length configuration, where they were "
    f"measured, down to 90 % of the second tier. {HARDWARE}",
    "figure3": "Metric against examples per second, one at a time and at each tier's best batch size, by the tiers' "
    f"measured times. {HARDWARE}",
    "figure4": "Which answers the second tier would change, by tenth of the first tier's confidence, in % of all "
    f"examples; right is an exact match for spans. Below each bin its highest confidence. {ERRORS_NOTE}",
}
BATCH_STYLES = {"throughput_per_s": ("batch 1", GREY), "throughput_best_batch_per_s": ("best batch", BLUE)}
TARGET_DASHES = (0, (1, 2))
HEAD, KEY, FOOT = 0.7, 0.3, 0.1  # inches above and below the panels


def paper_figures(rows: Sequence[Row]) -> dict[str, Figure]:
    """`figure2`, `figure3` and `figure4`; a row without a run has a panel that says so."""
    curves = {row.name: _curves(row) for row in rows if row.run}
    lines = [
        Line2D([], [], **look, label=CURVE_NAMES.get(kind, kind))
        for kind, look in reversed(CURVE_STYLES.items())
        if any(kind in drawn for drawn in curves.values())
    ]
    batches = [Line2D([], [], color=color, linewidth=2, label=name) for name, color in BATCH_STYLES.values()]
    second = [
        Line2D([], [], color=INK, marker="s", linestyle="", label="second tier alone"),
        Line2D([], [], color=MUTED, linewidth=0.9, linestyle=TARGET_DASHES, label="99 % and 98 % of it"),
    ]
    return {
        "figure2": _figure(
            rows,
            "Metric (×100) against speedup, batch 1",
            [*lines, *second],
            lambda axes, row: _tradeoff(axes, row, curves[row.name]),
        ),
        "figure3": _figure(rows, "Metric (×100) against examples per second", [*batches, *second], _throughput),
        "figure4": _figure(
            rows,
            "What the second tier would change, % of examples by tenth of confidence",
            [],
            lambda axes, row: draw_errors(axes, error_table(row.run.measured)),
            columns=2,
            size=(5.2, 2.75),
        ),
    }


def _figure(
    rows: Sequence[Row],
    title: str,
    key: Sequence[Line2D],
    draw: Callable[[Axes, Row], None],
    columns: int = 3,
    size: tuple[float, float] = (3.9, 3.4),
) -> Figure:
    """A grid of panels, each `size` inches with its head, below a title, the machines, and the key to the lines."""
    lines = -(-len(rows) // columns)
    head = HEAD + (KEY if key else 0)
    width, height = columns * size[0], lines * size[1] + head + FOOT
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    figure.text(0.15 / width, 1 - 0.12 / height, title, fontsize=TITLE + 2, fontweight="bold", color=INK, va="top")
    machines = " · ".join(dict.fromkeys(row.run.machine for row in rows if row.run))
    figure.text(
        0.15 / width, 1 - 0.42 / height, textwrap.shorten(f"Report role. Machine: {machines}", 150, placeholder=" …"),
        fontsize=NORMAL, color=MUTED, va="top", parse_math=False,
    )  # fmt: skip
    if key:
        figure.legend(
            handles=key, loc="upper left", bbox_to_anchor=(0.15 / width, 1 - 0.68 / height), ncols=len(key),
            frameon=False, fontsize=NORMAL, labelcolor=INK, borderaxespad=0, columnspacing=1.4, handlelength=2.2,
        )  # fmt: skip
    left, above, below = (0.5, 0.75, 0.4) if key else (0.15, 0.7, 0.3)
    for place, row in enumerate(rows):
        x, y = place % columns * size[0] + left, height - head - (place // columns + 1) * size[1] + below
        inner = (size[0] - left - 0.15, size[1] - above - below)
        axes = figure.add_axes((x / width, y / height, inner[0] / width, inner[1] / height))
        style(axes)
        _head(axes, row, -left + 0.15, inner[1], int(15 * size[0]))
        draw(axes, row) if row.run else _blank(axes)
    return figure


def _head(axes: Axes, row: Row, left: float, top: float, letters: int) -> None:
    """Above the axes: the row's name and metric, its tiers, and its data."""
    tiers, data = " → ".join(row.run.tiers if row.run else row.published.tiers), "the paper’s tiers"
    if row.others:
        tiers += f" (paper: {', '.join(row.others)})"
    if row.run:
        summary = row.run.measured.summary
        split = str(summary["split"]).removeprefix("report (").removesuffix(")")
        data = f"n = {summary['n']:,} · {split}"
    texts = (
        (0.5, f"{row.name} · {metric_name(row)}", {"fontsize": TITLE, "fontweight": "bold", "color": INK}),
        (0.3, tiers, {"fontsize": SMALL, "color": MUTED}),
        (0.12, textwrap.shorten(data, letters, placeholder=" …"), {"fontsize": SMALL, "color": MUTED}),
    )
    for above, text, look in texts:
        axes.annotate(
            text, (0, 0), xytext=(72 * left, 72 * (top + above)), textcoords="offset points", xycoords="axes fraction",
            va="baseline", annotation_clip=False, parse_math=False, **look,
        )  # fmt: skip


def _blank(axes: Axes) -> None:
    axes.grid(False)
    axes.set(xticks=[], yticks=[])
    axes.set_facecolor("#f6f7f9")
    axes.spines["bottom"].set_color(RULE)
    axes.text(0.5, 0.5, "no run", transform=axes.transAxes, ha="center", va="center", fontsize=TITLE, color=MUTED)


def _curves(row: Row) -> dict[str, Curve]:
    """Kind -> speedups and metrics, of the cascade and of what stands beside it."""
    measured = row.run.measured
    beside = neighbour_points(measured).items()
    return measured.examples.curves() | {
        kind: (points["speedup"].to_numpy(), points[measured.metric].to_numpy()) for kind, points in beside
    }


def _tradeoff(axes: Axes, row: Row, curves: Mapping[str, Curve]) -> None:
    measured = row.run.measured
    for kind, look in CURVE_STYLES.items():
        if kind in curves:
            axes.plot(*curves[kind], **look, gid=kind)
    speedups = np.concatenate([[1.0], *(speedup for speedup, _ in curves.values())])
    _finish(axes, 1.0, measured.second_only[measured.metric], INK)
    scale_x(axes, pd.Series(speedups), lambda value, _: f"{value:g}×")


def _throughput(axes: Axes, row: Row) -> None:
    measured = row.run.measured
    for column, (_, color) in BATCH_STYLES.items():
        axes.plot(measured.cascade[column], measured.cascade[measured.metric], color=color, linewidth=2)
        _finish(axes, measured.second_only[column], measured.second_only[measured.metric], color)
    shown = measured.points[list(BATCH_STYLES)].stack()
    scale_x(axes, shown, lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")


def _finish(axes: Axes, x: float, second: float, color: str) -> None:
    """The second tier alone, and lines at 99 % and 98 % of it."""
    axes.plot(
        [x], [second], marker="s", markersize=8, color=color, markeredgecolor=PAPER, markeredgewidth=1.2, zorder=5
    )
    for share in (0.99, 0.98):
        axes.axhline(share * second, color=MUTED, linewidth=0.9, linestyle=TARGET_DASHES)
