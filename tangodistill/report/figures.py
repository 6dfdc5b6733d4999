"""The paper's Figures 2, 3 and 4, drawn from the tables of a measured cascade."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from tangodistill.report.canvas import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    NORMAL,
    PURPLE,
    SMALL,
    VERMILLION,
    Labels,
    titled_axes,
)
from tangodistill.report.curves import baseline_points, error_table, neighbour_points
from tangodistill.report.run_files import Measured
from tangodistill.report.titles import hundredfold_heading

CURVE_NAMES = {"deebert": "DeeBERT", "dynamic_tinybert": "Dynamic-TinyBERT"}  # the others are words
CURVE_STYLES = {
    "random": {"color": GREY, "linestyle": (0, (4, 2)), "linewidth": 1.5},
    "oracle": {"color": GREEN, "linestyle": (0, (1, 1.2)), "linewidth": 1.8},
    "deebert": {"color": PURPLE, "linestyle": (0, (5, 1, 1, 1)), "linewidth": 1.8},
    # a few configurations, of which even one by itself is to be seen
    "dynamic_tinybert": {"color": AMBER, "linestyle": (0, (3, 1.5)), "linewidth": 1.5, "marker": "D", "markersize": 4},
    "cascade": {"color": BLUE, "linestyle": "-", "linewidth": 2.0},
}
"""Of each kind, the lowest first."""


def cascade_figures(measured: Measured) -> dict[str, Figure]:
    """The figures `tradeoff`, `throughput` and `errors_by_confidence` of a measured cascade."""
    points, summary = measured.points, measured.summary
    return {
        "tradeoff": tradeoff(
            pd.concat([points, baseline_points(measured), *neighbour_points(measured).values()], ignore_index=True),
            summary,
        ),
        "throughput": throughput(points, summary),
        "errors_by_confidence": errors_by_confidence(error_table(measured), summary),
    }


def tradeoff(points: pd.DataFrame, summary: Mapping) -> Figure:
    """Metric against speedup at batch 1 (Mamou et al. 2022, Figure 2).

    Args:
        points: operating points with `kind` (`cascade`, `second_only`, `random`, `oracle`, `deebert`,
            `dynamic_tinybert`), `deferral_rate` (of the cascade), `speedup` and a column per metric.
        summary: the run's summary.json.
    """
    metric = summary["metric"]
    figure, axes = titled_axes(f"{hundredfold_heading(summary)} against speedup", _subtitle(summary, "batch 1"))
    curves = {kind: rows.sort_values("speedup") for kind, rows in points.groupby("kind")}
    drawn = {kind: style for kind, style in CURVE_STYLES.items() if kind in curves}
    for kind, style in drawn.items():
        axes.plot(curves[kind]["speedup"], curves[kind][metric], **style, gid=kind)
    scale_x(axes, points["speedup"], lambda value, _: f"{value:g}×")
    axes.set_xlabel("Speedup over the second tier alone", fontsize=NORMAL)

    labels = Labels(axes)
    for kind in drawn:
        labels.avoid_line(curves[kind]["speedup"], curves[kind][metric])
    chosen = _row_at(curves["cascade"], summary["chosen"]["deferral_rate"])
    first, second = _row_at(curves["cascade"], 0), curves["second_only"].iloc[0]
    for row, color, marker in ((first, INK, "s"), (second, INK, "s"), (chosen, VERMILLION, "o")):
        labels.mark(row["speedup"], row[metric], color, marker)
    lines = _target_lines(axes, labels, second[metric])
    note = f"chosen: {chosen['speedup']:.1f}×,\n{chosen['deferral_rate']:.1%} deferred"
    labels.write(note, chosen["speedup"], chosen[metric], VERMILLION, fontweight="bold")
    labels.write("second\ntier", second["speedup"], second[metric], INK)
    labels.write(f"first tier\n{first['speedup']:.1f}×", first["speedup"], first[metric], INK)
    _name_target_lines(axes, labels, lines)
    for kind in reversed(drawn):
        anchors = _spread(curves[kind]["speedup"], curves[kind][metric], axes)
        labels.write(CURVE_NAMES.get(kind, kind), *anchors, color=drawn[kind]["color"], fontweight="bold")
    return figure


def throughput(points: pd.DataFrame, summary: Mapping) -> Figure:
    """Metric against throughput at batch 1 and at each tier's best batch (Mamou et al. 2022, Figure 3).

    Args:
        points: operating points of the kinds `cascade` and `second_only` (others are left out).
        summary: the run's summary.json.
    """
    metric = summary["metric"]
    figure, axes = titled_axes(f"{hundredfold_heading(summary)} against throughput", _subtitle(summary))
    cascade = points[points["kind"] == "cascade"].sort_values("deferral_rate")
    second = points[points["kind"] == "second_only"].iloc[0]
    columns = {"throughput_per_s": ("batch 1", GREY), "throughput_best_batch_per_s": ("best batch", BLUE)}
    for column, (_, color) in columns.items():
        axes.plot(cascade[column], cascade[metric], color=color, linewidth=2.0)
    shown = pd.concat([cascade, second.to_frame().T])[list(columns)].astype(float)
    scale_x(axes, shown.stack(), lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    axes.set_xlabel("Examples per second, predicted from the tiers’ times", fontsize=NORMAL)

    labels = Labels(axes)
    chosen = _row_at(cascade, summary["chosen"]["deferral_rate"])
    marks = [
        (row, column, style) for row, style in ((chosen, (VERMILLION, "o")), (second, (INK, "s"))) for column in columns
    ]
    for column in columns:
        labels.avoid_line(cascade[column], cascade[metric])
    for row, column, style in marks:
        labels.mark(row[column], row[metric], *style)
    key = [("s", INK, "second tier alone"), ("o", VERMILLION, "chosen point")]
    if run_s := summary["chosen"].get("measured_s"):
        real = summary["n"] / run_s, chosen[metric]
        labels.mark(*real, PURPLE, "D")
        key.append(("D", PURPLE, "run for real"))
    lines = _target_lines(axes, labels, second[metric])
    if run_s:
        labels.write(f"{real[0]:,.0f}/s", *real, PURPLE, fontweight="bold")
    for row, column, (color, _) in marks:
        labels.write(f"{row[column]:,.0f}/s", row[column], row[metric], color, fontweight="bold")
    _name_target_lines(axes, labels, lines)
    for column, (name, color) in columns.items():
        labels.write(name, *_spread(cascade[column], cascade[metric], axes), color=color, fontweight="bold")
    _key(axes, key)
    return figure


def errors_by_confidence(table: pd.DataFrame, summary: Mapping) -> Figure:
    """Where deferring mends and where it spoils, by confidence of the first tier (Mamou et al. 2022, Figure 4).

    Args:
        table: one row per confidence bin, least sure first: `threshold`, its upper edge, and the shares of all
            examples `false_to_true` and `true_to_false`.
        summary: the run's summary.json.
    """
    figure, axes = titled_axes("What the second tier would change", _subtitle(summary, "% of n"), height=3.2)
    axes.set_position((0.02, 0.14, 0.96, 0.66))
    draw_errors(axes, table)
    figure.text(0.02, 0.04, "← least sure", fontsize=SMALL, color=INK)
    figure.text(
        0.5, 0.04, f"1/{len(table)} of the examples each, confidence up to …", fontsize=SMALL, color=MUTED, ha="center"
    )
    figure.text(0.98, 0.04, "surest →", fontsize=SMALL, color=INK, ha="right")
    return figure


def draw_errors(axes: Axes, table: pd.DataFrame) -> None:
    """The heat table of `errors_by_confidence` and its bins' upper edges, over the whole of the axes."""
    axes.set_axis_off()
    bins = len(table)
    axes.set(xlim=(0, bins), ylim=(2.05, 0.0))
    rows = {
        "false_to_true": ("Mended: first tier wrong, second right (F→T)", BLUE),
        "true_to_false": ("Spoilt: first tier right, second wrong (T→F)", VERMILLION),
    }
    strongest = max(table[list(rows)].to_numpy().max(), 1e-9)
    for row, (column, (name, color)) in enumerate(rows.items()):
        axes.text(0, row + 0.3, f"{name}  [{table[column].sum():.1%} in all]", fontsize=SMALL, color=INK, va="bottom")
        for position, share in enumerate(table[column]):
            cell = Rectangle((position + 0.03, row + 0.36), 0.94, 0.54, color=color, linewidth=0)
            cell.set_alpha(0.06 + 0.54 * share / strongest)
            axes.add_patch(cell)
            axes.text(
                position + 0.5, row + 0.63, f"{100 * share:.1f}", fontsize=NORMAL, color=INK, ha="center", va="center"
            )
    for position, edge in enumerate(table["threshold"]):
        text = f"{edge:.3f}".removeprefix("0")
        axes.text(position + 0.97, 2.0, text, fontsize=8.5, color=MUTED, ha="right", va="top")


def data_name(summary: Mapping) -> str:
    """The evaluated data in words, as it stands by every number: task, role and file, number of examples."""
    return ", ".join([*_task(summary), summary["split"], f"n = {summary['n']:,}"])


def _task(summary: Mapping) -> list[str]:
    """The task's name; data of one's own is named by its file alone."""
    return [] if summary["task"] == "custom" else [str(summary["task"])]


def _subtitle(summary: Mapping, *more: str) -> str:
    """Task, count and whatever fits of the role and file."""
    count = " · ".join([*_task(summary), f"n = {summary['n']:,}", *more])
    return f"{count} · {textwrap.shorten(str(summary['split']), max(66 - len(count), 8), placeholder='…')}"


def _row_at(curve: pd.DataFrame, deferral_rate: float) -> pd.Series:
    return curve.iloc[int((curve["deferral_rate"] - deferral_rate).abs().argmin())]


def scale_x(axes: Axes, values: pd.Series, show) -> None:
    """Log scale where the values span more than a factor of six; round ticks either way."""
    low, high = float(values.min()), float(values.max())
    if high > 6 * low:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.12, high * 1.12)
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        margin = 0.06 * (high - low) or 0.1
        axes.set_xlim(low - margin, high + margin)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(show))
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.dataLim.intervaly
    height = high - low or 0.1
    axes.set_ylim(low - 0.2 * height, high + 0.3 * height)  # room for labels
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))


def _target_lines(axes: Axes, labels: Labels, reference: float) -> dict[float, float]:
    """Draw lines at 99 % and 98 % of the second tier's metric, where the axes reach so far; their heights by share."""
    low, high = axes.get_ylim()
    heights = {share: share * reference for share in (0.99, 0.98) if low < share * reference < high and reference > 0}
    for height in heights.values():
        axes.axhline(height, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        labels.avoid_line(np.array(axes.get_xlim()), np.array([height, height]))
    return heights


def _name_target_lines(axes: Axes, labels: Labels, heights: dict[float, float]) -> None:
    """Name each line close above or below it, as far to the right as is free."""
    ends = pd.Series(axes.get_xlim())
    anchors = _spread(ends, ends, axes)[0][::-1]
    for share, height in heights.items():
        level = np.full(len(anchors), height)
        labels.write(f"{share:.0%} of tier 2", anchors, level, MUTED, sides=((0, 0.7), (0, -0.7)), distances=(1.0,))


def _key(axes: Axes, entries: Sequence[tuple[str, str, str]]) -> None:
    """Name the markers above the axes, at its right."""
    handles = [
        Line2D([], [], marker=marker, color=color, linestyle="", markersize=6, label=name)
        for marker, color, name in entries
    ]
    axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1.01, 0.985), ncols=len(entries), frameon=False,
                fontsize=SMALL, labelcolor=INK, handletextpad=0.1, columnspacing=1.2, borderaxespad=0)  # fmt: skip


def _spread(x: pd.Series, y: pd.Series, axes: Axes, count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Up to ``count`` anchors along a curve, evenly spread over the width of the axes."""
    order = np.argsort(x.to_numpy(float))
    x, y = x.to_numpy(float)[order], y.to_numpy(float)[order]
    scale = np.log if axes.get_xscale() == "log" else np.asarray
    at = np.linspace(scale(x[0]), scale(x[-1]), count)
    return np.interp(at, scale(x), x), np.interp(at, scale(x), y)
