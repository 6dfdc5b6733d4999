"""The one look of every figure: palette, titled axes, labels that stay off the lines, and saving."""

from __future__ import annotations

import io
import re
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

# Okabe and Ito's colours (safe for colour-blind readers); each has a name in the report's style sheet.
INK, MUTED, RULE = "#1f2430", "#5b6472", "#d5d9e0"
BLUE, GREEN, VERMILLION, PURPLE, AMBER = "#0072b2", "#00795a", "#c94f00", "#9a3d7c", "#946200"
GREY, PAPER = "#6b7280", "#ffffff"
CSS_NAMES = {
    INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "paper",
    BLUE: "blue", GREEN: "green", VERMILLION: "vermillion", PURPLE: "purple", AMBER: "amber", GREY: "grey",
}  # fmt: skip

SMALL, NORMAL, TITLE = 9, 10, 12
WIDTH = 5.0  # inches: text stays readable when a phone shows the figure at 360 pixels

_DISTANCES = (1.0, 1.6, 2.5, 4.0, 6.0, 8.5)
_AROUND = tuple((x, y) for x in (1, 0.5, 0, -0.5, -1) for y in (1, 0.5, 0, -0.5, -1) if 1 in (abs(x), abs(y)))


def titled_axes(title: str, subtitle: str, height: float = 4.0) -> tuple[Figure, Axes]:
    """A figure of one axes with a title, a subtitle and light grid lines."""
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.5 / height, 0.855, 1 - 1.2 / height))
    figure.text(
        0.02, 1 - 0.12 / height, title, fontsize=TITLE, fontweight="bold", color=INK, va="top", parse_math=False
    )
    figure.text(0.02, 1 - 0.37 / height, subtitle, fontsize=SMALL, color=MUTED, va="top", parse_math=False)
    style(axes)
    return figure, axes


def style(axes: Axes) -> None:
    """Light grid lines, a line below, and ticks without marks."""
    axes.grid(True, color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.tick_params(which="both", colors=MUTED, labelsize=SMALL, length=0, pad=4)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


class Labels:
    """Writes labels into the free space of finished axes: off its lines, its markers and each other."""

    def __init__(self, axes: Axes):
        self.axes = axes
        self.renderer = axes.figure.canvas.get_renderer()
        self.line_pixels = np.empty((0, 2))
        self.boxes: list[Bbox] = []

    def avoid_line(self, x: np.ndarray, y: np.ndarray) -> None:
        """Keep labels off the line through the points (x, y), each of shape (k,), in data units."""
        corners = self._pixels(x, y)
        along = np.concatenate([[0], np.abs(np.diff(corners, axis=0)).sum(axis=1).cumsum()])
        steps = np.arange(0, along[-1] + 2, 2)
        line = np.column_stack([np.interp(steps, along, corners[:, axis]) for axis in (0, 1)])
        self.line_pixels = np.vstack([self.line_pixels, line])

    def mark(self, x: float, y: float, color: str, marker: str) -> None:
        """Draw a marker, and keep labels off it."""
        self.axes.plot(
            [x], [y], marker=marker, markersize=8, color=color, markeredgecolor=PAPER, markeredgewidth=1.2, zorder=5
        )
        (centre,) = self._pixels(x, y)
        half = self.renderer.points_to_pixels(3.5)
        self.boxes.append(Bbox([centre - half, centre + half]))

    def write(
        self, text: str, x: np.ndarray, y: np.ndarray, color: str, sides=_AROUND, distances=_DISTANCES, **style
    ) -> None:
        """Write ``text`` beside the anchor, of (x, y) each of shape (k,), that leaves it the freest place.

        Earlier anchors and nearer places win ties; a label that ends far from a single anchor is tied to it by a line.
        """
        label = self.axes.text(
            0, 0, text, color=color, fontsize=SMALL, linespacing=1.15, ha="center", va="center", zorder=6, **style
        )
        label.set_path_effects([withStroke(linewidth=2.5, foreground=PAPER)])
        extent = label.get_window_extent(self.renderer)
        half = np.array([extent.width, extent.height]) / 2
        reach = self.renderer.points_to_pixels(7)
        places = [
            (self._cost(Bbox([centre - half, centre + half])) + self._tie_cost(anchor, centre, half, np.size(x) == 1)
             + distance, distance, tuple(centre), tuple(anchor))
            for anchor in self._pixels(x, y)
            for side in sides
            for distance in distances
            for centre in [anchor + np.array(side) * (half + reach * distance)]
        ]  # fmt: skip
        _, distance, centre, anchor = min(places, key=lambda place: place[0])
        self.boxes.append(Bbox([centre - half, centre + half]))
        to_axes = self.axes.transAxes.inverted().transform
        label.set(position=to_axes(centre), transform=self.axes.transAxes)
        if np.size(x) == 1 and distance > 2:
            edge = np.clip(anchor, centre - half, centre + half)
            self.axes.plot(*to_axes([anchor, edge]).T, transform=self.axes.transAxes, color=color, linewidth=0.7)

    def _cost(self, box: Bbox) -> float:
        """How badly a box lies: 0 in the open, growing with what it covers."""
        near = box.padded(self.renderer.points_to_pixels(3))
        covered = int(((self.line_pixels > near.min) & (self.line_pixels < near.max)).all(axis=1).sum())
        frame = self.axes.get_window_extent(self.renderer)
        outside = max(frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1, 0)
        return 60 * (covered > 0) + covered + 200 * sum(near.overlaps(other) for other in self.boxes) + 50 * outside

    def _tie_cost(self, anchor: np.ndarray, centre: np.ndarray, half: np.ndarray, tied: bool) -> float:
        """How much of the line that would tie a label to its anchor lies on other lines, but for its first steps."""
        if not tied:
            return 0.0
        edge = np.clip(anchor, centre - half, centre + half)
        steps = np.arange(self.renderer.points_to_pixels(6), np.hypot(*(edge - anchor)), 2)
        along = anchor + np.outer(steps, edge - anchor) / max(np.hypot(*(edge - anchor)), 1)
        if not len(along) or not len(self.line_pixels):
            return 0.0
        near = np.hypot(*(along[:, None] - self.line_pixels[None]).transpose(2, 0, 1)).min(axis=1) < 3
        return 10.0 * near.any() + float(near.sum())

    def _pixels(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return self.axes.transData.transform(np.column_stack([np.ravel(x), np.ravel(y)]).astype(float))


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``<svg>`` element for a page: ids of its own, colours by the page's style sheet."""
    svg = _svg_text(figure)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    for color, css_name in CSS_NAMES.items():
        svg = svg.replace(color, f"var(--{css_name})")
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(description)}" class="figure"', 1)


def save(figure: Figure, stem: Path) -> None:
    """Write ``<stem>.png`` (200 dots per inch) and ``<stem>.svg``."""
    figure.savefig(stem.with_suffix(".png"), dpi=200, facecolor=PAPER)
    stem.with_suffix(".svg").write_text(_svg_text(figure), encoding="utf-8")


def _svg_text(figure: Figure) -> str:
    stream = io.StringIO()
    # a fixed salt and no date: the same figure gives the same file
    with matplotlib.rc_context({"svg.hashsalt": "tangodistill", "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return stream.getvalue()
