"""DeeBERT in the figure, the page, the terminal and the tracked numbers, where it was measured."""

import json
import re

import numpy as np
import pytest
from rich.console import Console
from synthetic_deebert import add_deebert
from synthetic_run import random_logits, write_run

from tangodistill.report import tables
from tangodistill.report.early_exit import exit_table, run_table
from tangodistill.report.figures import cascade_figures
from tangodistill.report.html import write_report
from tangodistill.report.run_files import read_measured
from tangodistill.report.terminal import summary_table
from tangodistill.report.tracking import cascade_scalars


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = tmp_path_factory.mktemp("early") / "demo"
    write_run(run, *random_logits(400, seed=1))
    add_deebert(run)
    return run


@pytest.fixture(scope="module")
def measured(run):
    return read_measured(run / "cascade")


def test_its_curve_is_drawn_with_the_others_and_labels_do_not_overlap(measured):
    figure = cascade_figures(measured)["tradeoff"]
    (line,) = [line for line in figure.axes[0].lines if line.get_gid() == "deebert"]
    expected = measured.early_exit.sort_values("speedup")
    expected = expected[expected["accuracy"] >= 0.9 * measured.second_only["accuracy"]]
    np.testing.assert_allclose(line.get_xdata(), expected["speedup"])
    np.testing.assert_allclose(line.get_ydata(), expected["accuracy"])
    renderer = figure.canvas.get_renderer()
    boxes = {text.get_text(): text.get_window_extent(renderer) for text in figure.axes[0].texts}
    assert {"DeeBERT", "cascade", "random", "oracle"} <= set(boxes)
    extents = list(boxes.values())
    assert not any(a.overlaps(b) for i, a in enumerate(extents) for b in extents[:i])


def test_it_stands_beside_random_and_oracle(measured):
    table = tables.speedup_table(measured)
    assert "99 % · DeeBERT" in table and "98 % · DeeBERT" in table
    at = measured.summary["deebert"]["speedup_at_99"]
    numbers = re.sub("<small>.*?</small>", "", table)
    assert f"<td>{at['batch1']:.1f}×</td><td>{at['attained_batch1']:.1f}×</td><td>–</td><td>–</td>" in numbers


def test_the_page_tells_each_exit_and_what_was_run(run, measured, tmp_path):
    page = write_report(run, tmp_path).read_text()
    assert "Leaving early: DeeBERT" in page and exit_table(measured) in page and run_table(measured) in page
    assert [f"Exit {number}" in page for number in range(1, 8)] == [True] * 6 + [False]
    assert "99 %, one at a time" in page and "99 %, in batches" in page and "98 %, in batches" in page
    assert "var(--purple)" in page and "#9a3d7c" not in page.partition("</style>")[2]


def test_the_tracked_numbers(measured):
    scalars, deebert = cascade_scalars(measured.summary), measured.summary["deebert"]
    assert scalars["deebert/exit2/f1"] == deebert["metrics"][1]["f1"]
    assert scalars["deebert/speedup_at_99"] == deebert["speedup_at_99"]["batch1"]
    assert scalars["deebert/point_at_99/measured_s"] == deebert["point_at_99"]["measured_s"]
    assert scalars["deebert/batched_speedup_at_98"] == 1.5
    assert "deebert/point_at_99/examples_per_exit" not in scalars


def test_the_terminal_has_a_row_of_it(measured):
    console = Console(width=120)
    with console.capture() as captured:
        console.print(summary_table(_as_run(measured.summary)))
    (row,) = [line for line in captured.get().splitlines() if "DeeBERT at 99 %" in line]
    assert "1.5×" in row and "500" in row


def test_without_a_point_that_keeps_enough_it_says_so(run, tmp_path):
    folder = tmp_path / "cascade"
    folder.mkdir()
    for file in (run / "cascade").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    summary = json.loads((folder / "summary.json").read_text())
    none = {"batch1": None, "attained_batch1": None, "reason": "no operating point reaches 0.9; the best is 0.8"}
    summary["deebert"] |= {"speedup_at_99": none, "speedup_at_98": none, "point_at_99": None, "batched": []}
    (folder / "summary.json").write_text(json.dumps(summary))
    page = write_report(tmp_path).read_text()
    assert "DeeBERT at 99 %: no operating point reaches 0.9" in page and "No threshold keeps 98 %" in page
    assert "DeeBERT" not in str(summary_table(_as_run(summary)).columns[0]._cells)
    assert "deebert/speedup_at_99" not in cascade_scalars(summary)


def test_without_deebert_nothing_of_it_is_shown(finished_run, tmp_path):
    page = write_report(finished_run, tmp_path).read_text()
    assert "Leaving early" not in page and "· DeeBERT" not in page
    measured = read_measured(finished_run / "cascade")
    assert not any("deebert" in key for key in cascade_scalars(measured.summary))
    assert "deebert" not in {line.get_gid() for line in cascade_figures(measured)["tradeoff"].axes[0].lines}


def _as_run(summary):
    """With what only a run for real adds."""
    return {**summary, "chosen": {"speedup": 2.0, "measured_speedup_best_batch": 2.0, **summary["chosen"]}}
