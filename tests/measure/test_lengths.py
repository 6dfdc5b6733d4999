"""A Dynamic-TinyBERT measured beside a cascade and DeeBERT: the files against plain runs of its configurations."""

import doctest
import json

import numpy as np
import pytest
from quiet_trainer import trainer
from searched import write_dynamic, write_search
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from tangodistill.data.splits import load_roles
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.latency import sample
from tangodistill.measure import CascadeData, CascadeModule, lengths
from tangodistill.measure.lengths import MOST, load_searched
from tangodistill.models import DynamicTinyBertForSequenceClassification
from tangodistill.predictor.answers import readout_of
from tangodistill.report.figures import cascade_figures
from tangodistill.report.html import write_report
from tangodistill.report.run_files import read_measured
from tangodistill.tuning.length_front import RECORD
from tangodistill.user_error import UserError


@pytest.fixture(scope="module")
def searched(teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    model = write_dynamic(folder / "dynamic", teacher, DynamicTinyBertForSequenceClassification)
    return write_search(folder / "lengths", model)


@pytest.fixture(scope="module")
def run(teacher, student, deebert, searched, dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("beside") / "run"
    module = CascadeModule([str(student), str(teacher)], repeats=2, early_exit=str(deebert), dynamic=str(searched))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "TIMED", 25)
        trainer(run / "cascade").validate(module, CascadeData(dataset), verbose=False)
    return run


@pytest.fixture(scope="module")
def measured(run):
    return read_measured(run / "cascade")


def test_every_point_equals_running_its_configuration(measured, searched, dataset):
    report = load_roles(dataset).report
    engine = TorchEngine.load(searched.parent / "dynamic", max_length=128)
    order = [engine.label_names.index(name) for name in measured.summary["label_names"]]
    points, labels = measured.dynamic, report["label"][:]
    assert points["lengths"].iloc[0].tolist() == [1.0, 1.0] and 1 < len(points) <= MOST
    for point in points.itertuples():
        engine.model.config.length_configuration = point.lengths.tolist()
        answers = engine.outputs(report["text"][:], batch_size=16)[:, order].argmax(1)
        assert point.accuracy == pytest.approx(accuracy_score(labels, answers))
        assert point.f1 == pytest.approx(f1_score(labels, answers))
        assert point.mcc == pytest.approx(matthews_corrcoef(labels, answers))


def test_the_summary_follows_from_the_points(measured):
    found, points, second = measured.summary["dynamic_tinybert"], measured.dynamic, measured.second_only["accuracy"]
    assert (found["name"], found["engine"]) == ("dynamic", "torch-fp32")
    np.testing.assert_allclose(points["speedup"], found["second_only_s"] / points["time_s"])
    np.testing.assert_allclose(points["throughput_per_s"], measured.summary["n"] / points["time_s"])
    kept = points[points["accuracy"] >= 0.99 * second]
    best = kept.loc[kept["speedup"].idxmax()]
    assert found["speedup_at_99"]["attained_batch1"] == pytest.approx(best["speedup"])
    assert found["point_at_99"] == {
        "lengths": best["lengths"].tolist(), "metric_value": best["accuracy"], "speedup": best["speedup"],
        "throughput_per_s": best["throughput_per_s"], "measured_s": best["time_s"],
    }  # fmt: skip


def test_the_examples_behind_both_make_their_points(measured):
    curves = measured.examples.curves()
    for kind, points in (("deebert", measured.early_exit), ("dynamic_tinybert", measured.dynamic)):
        np.testing.assert_allclose(curves[kind], (points["speedup"], points["accuracy"]))
        assert measured.examples_beside[kind]["example_id"].equals(measured.predictions["example_id"])


def test_deebert_and_it_are_compared_with_the_same_passes_of_the_second_tier(measured):
    deebert, dynamic = (measured.summary[kind] for kind in ("deebert", "dynamic_tinybert"))
    assert deebert["second_only_s"] == dynamic["second_only_s"] > 0


def test_both_stand_in_the_figure_and_the_page(run, measured, tmp_path):
    lines = {line.get_gid() for line in cascade_figures(measured)["tradeoff"].axes[0].lines}
    assert {"cascade", "random", "oracle", "deebert", "dynamic_tinybert"} <= lines
    page = write_report(run, tmp_path).read_text()
    assert "Leaving early: DeeBERT" in page and "Keeping fewer tokens: Dynamic-TinyBERT" in page


def test_without_it_nothing_is_added(cascade):
    assert "dynamic_tinybert" not in json.loads((cascade / "summary.json").read_text())
    assert not (cascade / "dynamic_tinybert.parquet").exists() and read_measured(cascade).dynamic is None


def test_configurations_are_spread_over_the_faster_part_of_the_front(searched, dataset, tmp_path):
    record = json.loads((searched / RECORD).read_text())
    rows = [{"lengths": [1.0, share / 20], "time_share": 0.5 + share / 40, "score": share} for share in range(1, 20)]
    slower = {"lengths": [0.99, 0.99], "time_share": 1.02, "score": 30}
    (tmp_path / RECORD).write_text(json.dumps({**record, "front": [*rows, slower]}))
    task = load_roles(dataset).task
    found = load_searched(str(tmp_path), task, readout_of(task.label_names, "max_probability")).configurations
    assert len(found) == MOST and found[0] == (1.0, 0.05) and found[-2:] == [(1.0, 0.95), (1.0, 1.0)]
    steps = np.diff([shares[1] for shares in found[:-1]])
    assert steps.min() > 0.09 and steps.max() < 0.16


def test_the_search_of_other_weights_is_refused(searched, dataset, tmp_path):
    record = json.loads((searched / RECORD).read_text())
    record["settings"]["contents"] = "of others"
    (tmp_path / RECORD).write_text(json.dumps(record))
    task = load_roles(dataset).task
    with pytest.raises(UserError, match="holds other weights than the search of .* was made with"):
        load_searched(str(tmp_path), task, readout_of(task.label_names, "max_probability"))


@pytest.mark.parametrize("content", [None, "{", '{"settings": {}, "front": []}', '{"settings": {"model": "x"}}'])
def test_a_folder_without_a_search_is_refused(content, tmp_path):
    if content is not None:
        (tmp_path / RECORD).write_text(content)
    with pytest.raises(
        UserError, match=r"Cannot read .*length_search.json .* Give the folder that `python -m tangodistill search`"
    ):
        load_searched(str(tmp_path), None, None)


def test_a_model_that_is_gone_or_another_is_refused(teacher, student, dataset, tmp_path):
    search = write_search(tmp_path, teacher)
    module = CascadeModule([str(student), str(teacher)], dynamic=str(search))
    with pytest.raises(UserError, match="now a bert, which keeps all tokens. Search anew"):
        trainer(tmp_path / "cascade").validate(module, CascadeData(dataset), verbose=False)
    record = (search / RECORD).read_text()
    (search / RECORD).write_text(record.replace(str(teacher), "nowhere"))
    with pytest.raises(UserError, match="is a search of the model nowhere, which is not there"):
        load_searched(str(search), None, None)


def test_doctests():
    assert doctest.testmod(lengths).failed == 0
