"""A cascade measured with DeeBERT beside it: the files against plain loops, and without it nothing of it."""

import json

import numpy as np
import pandas as pd
import pytest
from quiet_trainer import trainer
from sklearn.metrics import accuracy_score, f1_score

from tangodistill.data.splits import load_roles
from tangodistill.engines.early_exit import EarlyExitEngine
from tangodistill.latency import sample
from tangodistill.measure import CascadeData, CascadeModule
from tangodistill.measure.early_exit import check_exits
from tangodistill.report.run_files import read_measured
from tangodistill.user_error import UserError


@pytest.fixture(scope="module", params=["natural", "paper"])
def measured(request, teacher, student, deebert, dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("early") / "cascade"
    module = CascadeModule([str(student), str(teacher)], repeats=2, early_exit=str(deebert), protocol=request.param)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "paper":
            patch.setattr(sample, "TIMED", 20)  # of the report role's 40 rows
        trainer(folder).validate(module, CascadeData(dataset), verbose=False)
    return folder if request.param == "natural" else folder / "paper"


@pytest.fixture(scope="module")
def summary(measured):
    return json.loads((measured / "summary.json").read_text())


def test_every_point_equals_running_the_engine_with_its_threshold(measured, summary, deebert, dataset):
    points = pd.read_parquet(measured / "early_exit_points.parquet")
    report = load_roles(dataset).report
    engine = EarlyExitEngine.load(deebert, max_length=128)
    labels, second_only_s = np.array(report["label"]), summary["deebert"]["second_only_s"]
    order = [engine.label_names.index(name) for name in summary["label_names"]]
    for row in points.iloc[:: max(len(points) // 8, 1)].itertuples():
        engine.leave_below(row.threshold)
        answers = engine.outputs(report["text"][:])[:, order].argmax(1)
        assert row.accuracy == pytest.approx(accuracy_score(labels, answers))
        assert row.f1 == pytest.approx(f1_score(labels, answers, pos_label=0))
        assert row.exit1 + row.exit2 == len(labels) == summary["n"]
        assert row.speedup == pytest.approx(second_only_s / row.time_s)
    assert (points["exit1"].iloc[0], points["exit1"].iloc[-1]) == (0, len(labels))
    assert (np.diff(points["time_s"]) < 0).all()


def test_the_summary_follows_from_the_points(measured, summary):
    points, found = pd.read_parquet(measured / "early_exit_points.parquet"), summary["deebert"]
    metric = points["accuracy"].to_numpy()
    second = summary["tiers"][1]
    kept = points[metric >= 0.99 * second["metrics"]["accuracy"]]
    best = kept.loc[kept["speedup"].idxmax()]
    assert found["speedup_at_99"]["attained_batch1"] == pytest.approx(best["speedup"])
    assert found["speedup_at_99"]["batch1"] >= found["speedup_at_99"]["attained_batch1"]
    point = found["point_at_99"]
    assert point["threshold"] == pytest.approx(best["threshold"]) and point["predicted_s"] == best["time_s"]
    assert point["measured_s"] > 0 and point["examples_per_exit"] == [best["exit1"], best["exit2"]]
    assert (found["exits"], found["name"]) == (2, "deebert") and found["parameters"] > second["parameters"]
    assert [each["accuracy"] for each in found["metrics"]] == [metric[-1], metric[0]]
    assert found["metrics"][-1] == pytest.approx(second["metrics"])
    assert found["time_s_per_exit"][0] < found["time_s_per_exit"][1]
    assert found["time_s_per_exit"][1] * summary["n"] == pytest.approx(points["time_s"].iloc[0])


def test_where_a_sample_is_timed_all_are_scored(measured, summary):
    frame = pd.read_parquet(measured / "predictions.parquet")
    examples = pd.read_parquet(measured / "early_exit_examples.parquet")
    count = min(20, summary["n"]) if measured.name == "paper" else summary["n"]
    assert frame["timed"].sum() == summary["timed"]["report"] == count
    assert examples["seconds"].map(tuple).nunique() == count  # the others have those of one that stands for them
    assert len(examples) == summary["n"]


def test_batches_are_reported_apart_and_run_for_real(summary):
    batched = summary["deebert"]["batched"]
    assert [each["keeps"] for each in batched] == [0.99, 0.98]
    for each in batched:
        assert each["speedup"] == pytest.approx(each["measured_second_only_s"] / each["measured_s"])
        assert each["throughput_per_s"] == pytest.approx(summary["n"] / each["measured_s"])
        assert each["metric_value"] >= each["keeps"] * summary["tiers"][1]["metrics"]["accuracy"] - 1 / summary["n"]


def test_without_early_exit_nothing_is_added(cascade):
    assert "deebert" not in json.loads((cascade / "summary.json").read_text())
    assert not (cascade / "early_exit_points.parquet").exists()
    assert read_measured(cascade).early_exit is None


def test_a_folder_without_off_ramps_is_refused(teacher, student, dataset, tmp_path):
    module = CascadeModule([str(student), str(teacher)], early_exit=str(teacher))
    with pytest.raises(UserError, match="no off-ramps to leave by"):
        trainer(tmp_path).validate(module, CascadeData(dataset), verbose=False)


def test_an_exit_without_finite_numbers_is_named():
    logits = np.zeros((3, 2, 2), np.float32)
    check_exits(logits, "runs/sst2/deebert")
    logits[1, 1, 0] = np.nan
    with pytest.raises(UserError) as error:
        check_exits(logits, "runs/sst2/deebert")
    assert str(error.value) == (
        "row 1: exit 2 of runs/sst2/deebert gave no finite numbers (nan or infinity), so there is no answer."
    )
