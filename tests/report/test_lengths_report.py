"""The table and the figure of a search of length configurations."""

import numpy as np
import pytest
from rich.console import Console

from tangodistill.report.lengths import front_table, length_figure

SETTINGS = {"task": "squad", "split": "selection: slice of train.json", "n": 440, "metric": "f1", "machine": "a CPU"}


def a_record(full=0.8):
    """The full network, the smallest of LengthDrop, one of the front and one that answers next to nothing."""
    rows = [
        {"lengths": [1.0, 1.0], "time_share": 1.0, "score": full},
        {"lengths": [0.8, 0.64], "time_share": 0.7, "score": full - 0.1},
        {"lengths": [0.6, 0.3], "time_share": 0.5, "score": full - 0.05},
        {"lengths": [0.1, 0.05], "time_share": 0.2, "score": full - 0.7},
    ]
    return {"settings": SETTINGS, "front": [rows[i] for i in (3, 2, 0)], "evaluations": rows}


def test_the_table_shows_the_useful_front_and_where_it_was_measured():
    with (console := Console(width=100)).capture() as captured:
        console.print(front_table(a_record()))
    shown = captured.get()
    assert "squad, selection: slice of train.json, n = 440" in shown and "a CPU" in shown
    assert "60% 30%" in shown and "50.0 %" in shown and "75.0" in shown
    assert "10% 5%" not in shown and "80% 64%" not in shown


def test_the_figure_shows_all_that_is_useful_and_its_front():
    axes = length_figure(a_record()).axes[0]
    lines = {line.get_gid(): line for line in axes.lines}
    np.testing.assert_allclose(lines["evaluations"].get_xdata(), [1.0, 0.7, 0.5])
    np.testing.assert_allclose(lines["front"].get_ydata(), [0.75, 0.8])
    assert {"full\nnetwork", "smallest of\nLengthDrop", "front"} <= {text.get_text() for text in axes.texts}


@pytest.mark.parametrize("full", [0.0, -0.1])
def test_a_model_at_chance_is_drawn_too(full):
    points = {line.get_gid(): line for line in length_figure(a_record(full)).axes[0].lines}["evaluations"]
    np.testing.assert_allclose(points.get_xdata(), [1.0])
