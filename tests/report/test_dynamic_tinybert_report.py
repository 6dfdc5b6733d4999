"""A Dynamic-TinyBERT by itself in the figure, the page, the terminal and the tracked numbers, where it was measured."""

import numpy as np
import pytest
from rich.console import Console
from synthetic_deebert import add_deebert
from synthetic_dynamic import add_dynamic
from synthetic_run import random_logits, write_run

from tangodistill.report import tables
from tangodistill.report.dynamic_tinybert import lengths_table
from tangodistill.report.figures import cascade_figures
from tangodistill.report.html import write_report
from tangodistill.report.run_files import read_measured
from tangodistill.report.terminal import summary_table
from tangodistill.report.tracking import cascade_scalars


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = tmp_path_factory.mktemp("dynamic") / "demo"
    write_run(run, *random_logits(400, seed=1))
    add_deebert(run)
    add_dynamic(run)
    return run


@pytest.fixture(scope="module")
def measured(run):
    return read_measured(run / "cascade")


def test_its_curve_is_drawn_with_deeberts_and_labels_do_not_overlap(measured):
    figure = cascade_figures(measured)["tradeoff"]
    drawn = {line.get_gid(): line for line in figure.axes[0].lines}
    expected = measured.dynamic[measured.dynamic["accuracy"] >= 0.9 * measured.second_only["accuracy"]]
    assert 1 < len(expected) < len(measured.dynamic)
    np.testing.assert_allclose(drawn["dynamic_tinybert"].get_xdata(), expected["speedup"].sort_values())
    assert drawn["dynamic_tinybert"].get_color() not in {drawn[kind].get_color() for kind in ("deebert", "cascade")}
    renderer = figure.canvas.get_renderer()
    boxes = {text.get_text(): text.get_window_extent(renderer) for text in figure.axes[0].texts}
    assert {"DeeBERT", "Dynamic-TinyBERT", "cascade", "random", "oracle"} <= set(boxes)
    extents = list(boxes.values())
    assert not any(a.overlaps(b) for i, a in enumerate(extents) for b in extents[:i])


def test_a_single_configuration_is_seen_too(run, tmp_path):
    write_run(tmp_path, *random_logits(400, seed=1))
    add_dynamic(tmp_path, best=0.902)
    figure = cascade_figures(read_measured(tmp_path / "cascade"))["tradeoff"]
    (line,) = [line for line in figure.axes[0].lines if line.get_gid() == "dynamic_tinybert"]
    assert len(line.get_xdata()) == 1 and line.get_marker() not in ("", "None")


def test_the_page_tells_every_configuration(run, measured, tmp_path):
    page, speeds = write_report(run, tmp_path).read_text(), tables.speedup_table(measured)
    assert "Keeping fewer tokens: Dynamic-TinyBERT" in page and lengths_table(measured) in page
    assert "99 % · Dynamic-TinyBERT" in speeds and "98 % · Dynamic-TinyBERT" in speeds
    assert "100 · 90 · 90 · 30" in page and lengths_table(measured).count("<tr class=strong>") == 1
    assert "var(--amber)" in page and "#946200" not in page.partition("</style>")[2]


def test_the_tracked_numbers(measured):
    scalars, found = cascade_scalars(measured.summary), measured.summary["dynamic_tinybert"]
    assert scalars["dynamic_tinybert/speedup_at_99"] == found["speedup_at_99"]["batch1"]
    assert scalars["dynamic_tinybert/point_at_99/measured_s"] == found["point_at_99"]["measured_s"]
    assert "dynamic_tinybert/point_at_99/lengths" not in scalars and "deebert/speedup_at_99" in scalars


def test_the_terminal_has_a_row_of_it(measured):
    chosen = {"speedup": 2.0, "measured_speedup_best_batch": 2.0, **measured.summary["chosen"]}
    console = Console(width=120)
    with console.capture() as captured:
        console.print(summary_table({**measured.summary, "chosen": chosen}))
    (row,) = [line for line in captured.get().splitlines() if "Dynamic-TinyBERT at 99 %" in line]
    assert f"{measured.summary['dynamic_tinybert']['point_at_99']['speedup']:.1f}×" in row


def test_without_a_configuration_that_keeps_enough_it_says_so(tmp_path):
    write_run(tmp_path, *random_logits(400, seed=1))
    add_dynamic(tmp_path, best=0.97)
    page = write_report(tmp_path).read_text()
    assert "None keeps 99 % of the second tier’s accuracy" in page
    assert "Dynamic-TinyBERT at 99 %: no operating point reaches" in page
    assert "dynamic_tinybert/speedup_at_99" not in cascade_scalars(read_measured(tmp_path / "cascade").summary)


def test_older_runs_show_nothing_of_it(finished_run, tmp_path):
    page, measured = write_report(finished_run, tmp_path).read_text(), read_measured(finished_run / "cascade")
    assert "Keeping fewer tokens" not in page and "· Dynamic-TinyBERT" not in page and measured.dynamic is None
    assert not any("dynamic" in key for key in cascade_scalars(measured.summary))
    assert "dynamic_tinybert" not in {line.get_gid() for line in cascade_figures(measured)["tradeoff"].axes[0].lines}
