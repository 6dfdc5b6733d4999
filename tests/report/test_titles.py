"""Wherever an F1 is read, the class that it is of is read too."""

import doctest
import json

import pytest
from rich.console import Console
from synthetic_run import random_logits, write_run

from tangodistill.report import titles
from tangodistill.report.figures import cascade_figures
from tangodistill.report.html import write_report
from tangodistill.report.run_files import read_measured
from tangodistill.report.terminal import summary_table
from tangodistill.report.tracking import _about

NAME = "[$mad$]"  # neither rich nor matplotlib may take it for markup of theirs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run measured by the F1 of its first class."""
    folder = tmp_path_factory.mktemp("titles") / "run"
    write_run(folder, *random_logits(300, seed=3), metric="f1", positive=0)
    path = folder / "cascade" / "summary.json"
    summary = {**json.loads(path.read_text()), "label_names": [NAME, "legit"], "positive": NAME}
    path.write_text(json.dumps(summary))
    return folder


@pytest.fixture(scope="module")
def measured(run):
    return read_measured(run / "cascade")


def test_page_terminal_and_figures_say_the_class(run, measured):
    page = write_report(run).read_text()
    assert f"F1 of {NAME} (×100)" in page and "F1 (×100)" not in page
    chosen = {"speedup": 2.0, "measured_speedup_best_batch": 2.0, **measured.summary["chosen"]}
    console = Console(width=200)
    with console.capture() as captured:
        console.print(summary_table({**measured.summary, "chosen": chosen}))
    assert f"F1 of {NAME} (×100)" in captured.get()
    for name in ("tradeoff", "throughput"):
        figure = cascade_figures(measured)[name]
        assert figure.texts[0].get_text().startswith(f"F1 of {NAME} (×100) against")
        assert not figure.texts[0].get_parse_math()


def test_the_outcomes_that_the_report_draws_are_of_the_class(measured):
    assert measured.outcomes.tier_score(2, "f1") == measured.second_only["f1"]


def test_the_tracked_settings_say_it_too(measured):
    assert _about({**measured.summary, "metric_title": "F1 of x"})["cascade"]["positive"] == NAME
    assert _about({**measured.summary, "metric_title": "F1 of x"})["cascade"]["metric_title"] == "F1 of x"


def test_doctests():
    assert doctest.testmod(titles).failed == 0
