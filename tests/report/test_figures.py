import numpy as np
import pandas as pd
import pytest
from synthetic_run import random_logits, write_run

from tangodistill.report import canvas
from tangodistill.report.curves import baseline_points, error_table
from tangodistill.report.figures import cascade_figures, errors_by_confidence
from tangodistill.report.run_files import read_measured

FIGURES = {"tradeoff", "throughput", "errors_by_confidence"}


def curve(figure, kind):
    (line,) = [line for line in figure.axes[0].lines if line.get_gid() == kind]
    return line


def label_boxes(figure):
    """The extents of the texts inside the axes, in pixels."""
    renderer = figure.canvas.get_renderer()
    return {text.get_text(): text.get_window_extent(renderer) for text in figure.axes[0].texts}


def test_tradeoff_shows_every_point_of_the_files(finished_run):
    measured = read_measured(finished_run / "cascade")
    figure = cascade_figures(measured)["tradeoff"]
    expected = measured.cascade.sort_values("speedup")
    np.testing.assert_allclose(curve(figure, "cascade").get_xdata(), expected["speedup"])
    np.testing.assert_allclose(curve(figure, "cascade").get_ydata(), expected["accuracy"])
    assert {"cascade", "random", "oracle", "99% of tier 2", "98% of tier 2"} <= set(label_boxes(figure))


def test_baselines_start_and_end_with_the_tiers(finished_run):
    measured = read_measured(finished_run / "cascade")
    curves = {kind: rows.set_index("deferral_rate") for kind, rows in baseline_points(measured).groupby("kind")}
    random = curves["random"]["accuracy"]
    assert random[0.0] == pytest.approx(measured.first_only["accuracy"])
    assert random[1.0] == pytest.approx(measured.second_only["accuracy"])
    assert curves["oracle"]["accuracy"].max() >= measured.cascade["accuracy"].max()


def test_error_table_adds_up_to_the_difference_of_the_tiers(finished_run):
    measured = read_measured(finished_run / "cascade")
    table = error_table(measured)
    gained = table["false_to_true"].sum() - table["true_to_false"].sum()
    assert gained == pytest.approx(measured.second_only["accuracy"] - measured.first_only["accuracy"])


def test_heat_table_prints_percent_and_row_totals():
    table = pd.DataFrame({"threshold": [0.75, 1.0], "false_to_true": [0.056, 0.01], "true_to_false": [0.029, 0.0]})
    figure = errors_by_confidence(table, {"task": "cola", "split": "report", "n": 1043, "metric": "mcc"})
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in texts if "in all" in text] == [
        "Mended: first tier wrong, second right (F→T)  [6.6% in all]",
        "Spoilt: first tier right, second wrong (T→F)  [2.9% in all]",
    ]
    assert texts.count("5.6") == texts.count("2.9") == texts.count(".750") == 1


@pytest.mark.parametrize(("n", "seed", "metric"), [(400, 2, "mcc"), (2000, 3, "f1")])
def test_labels_do_not_overlap(tmp_path, n, seed, metric):
    write_run(tmp_path, *random_logits(n, seed), metric=metric)
    figures = cascade_figures(read_measured(tmp_path / "cascade"))
    for name in ("tradeoff", "throughput"):
        boxes = list(label_boxes(figures[name]).values())
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]), name


@pytest.mark.parametrize(("n", "seed"), [(222, 0), (400, 1), (400, 2), (1000, 7)])
def test_labels_lie_off_the_lines(tmp_path, n, seed):
    write_run(tmp_path, *random_logits(n, seed))
    figures = cascade_figures(read_measured(tmp_path / "cascade"))
    for name in ("tradeoff", "throughput"):
        (axes,) = figures[name].axes
        curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
        for text, box in label_boxes(figures[name]).items():
            for line in curves:
                corners = axes.transData.transform(line.get_xydata())
                steps = np.linspace(0, len(corners) - 1, 20 * len(corners))
                x, y = (np.interp(steps, np.arange(len(corners)), corners[:, axis]) for axis in (0, 1))
                inside = (x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)
                assert not inside.any(), (name, text)


def three_classes(n=60):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n)
    return labels, *(np.eye(3)[labels] * strength + rng.normal(0, 1, (n, 3)) for strength in (1.0, 2.5))


def always_the_same_confidence(n=12):
    labels = np.arange(n) % 2
    logits = np.tile([1.0, -1.0], (n, 1))
    return labels, logits, np.where(labels[:, None] == [0, 1], 2.0, -2.0)


def worthless_second_tier(n=40):
    labels, good, _ = random_logits(n, seed=5)
    return labels, good, np.tile([1.0, -1.0], (n, 1))


@pytest.mark.parametrize(
    ("arrays", "metric"),
    [(three_classes(), "f1"), (always_the_same_confidence(), "accuracy"), (worthless_second_tier(), "mcc")],
    ids=["three classes", "one confidence", "second tier at zero"],
)
def test_unusual_runs_are_drawn(tmp_path, arrays, metric):
    write_run(tmp_path, *arrays, metric=metric)
    assert set(cascade_figures(read_measured(tmp_path / "cascade"))) == FIGURES


def test_saved_figures_are_the_same_every_time(finished_run, tmp_path):
    for attempt in ("a", "b"):
        figure = cascade_figures(read_measured(finished_run / "cascade"))["tradeoff"]
        canvas.save(figure, tmp_path / attempt)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
