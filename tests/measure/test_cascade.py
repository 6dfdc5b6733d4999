"""The written files against plain loops over themselves, and against what the predictor answers."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from tangodistill.data.splits import load_roles
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.tuning.tier_set import TierSet


@pytest.fixture(scope="module", params=[".", "paper"])
def files(cascade, request):
    folder = cascade / request.param
    frames = {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}
    return json.loads((folder / "summary.json").read_text()), frames


def seconds_of_one_batch(batches, tier):
    """Batch size -> mean seconds of one batch."""
    own = batches[batches["tier"] == tier]
    return {
        size: sum(row.seconds * size / row.n for row in rows.itertuples()) / len(rows)
        for size, rows in own.groupby("batch_size")
    }


def queue_s(count, best, batch_s):
    sizes = [0, *sorted(batch_s)]
    times = [0.0, *(batch_s[size] for size in sorted(batch_s))]
    return count // best * batch_s[best] + float(np.interp(count % best, sizes, times))


def test_operating_points_follow_from_the_predictions(files):
    summary, frames = files
    report, points, batches = frames["predictions"], frames["operating_points"], frames["batch_times"]
    tier1, tier2 = (np.stack(report[f"tier{tier}_logits"]).argmax(1) for tier in (1, 2))
    first, second = (seconds_of_one_batch(batches, tier) for tier in (1, 2))
    best1, best2 = (tier["best_batch_size"] for tier in summary["tiers"])
    n = len(report)
    rows = points[points["kind"] == "cascade"]
    distinct = sorted(set(report["confidence"]))
    assert rows["threshold"].tolist()[:-1] == distinct and rows["threshold"].iloc[-1] > distinct[-1]
    second_only = points[points["kind"] == "second_only"].iloc[0]
    for row in rows.itertuples():
        deferred = report["confidence"].to_numpy() < np.float32(row.threshold)
        answers = np.where(deferred, tier2, tier1)
        assert row.deferral_rate == pytest.approx(deferred.mean())
        assert row.accuracy == pytest.approx(accuracy_score(report["label"], answers))
        assert row.f1 == pytest.approx(f1_score(report["label"], answers, pos_label=0))
        assert row.mcc == pytest.approx(matthews_corrcoef(report["label"], answers))
        time_s = report["tier1_time_s"].sum() + report["tier2_time_s"][deferred].sum()
        assert row.time_s == pytest.approx(time_s)
        best_s = n / best1 * first[best1] + queue_s(int(deferred.sum()), best2, second)
        assert row.time_best_batch_s == pytest.approx(best_s)
        assert row.speedup == pytest.approx(second_only["time_s"] / time_s)
        assert row.speedup_best_batch == pytest.approx(second_only["time_best_batch_s"] / best_s)
        assert row.throughput_per_s == pytest.approx(n / time_s)
    assert report["timed"].all() and summary["timed"]["report"] == n
    assert second_only["time_s"] == pytest.approx(report["second_only_time_s"].sum())
    assert second_only["time_best_batch_s"] == pytest.approx(queue_s(n, best2, second))
    assert second_only["speedup"] == second_only["speedup_best_batch"] == 1.0


def test_the_confidence_is_the_largest_softmax_of_tier_1(files):
    report = files[1]["predictions"]
    for row in report.itertuples():
        exponents = [math.exp(logit - max(row.tier1_logits)) for logit in row.tier1_logits]
        assert row.confidence == pytest.approx(max(exponents) / sum(exponents), abs=1e-6)
    assert report["confidence"].dtype == np.float32 and report["example_id"].is_unique


def test_the_summary_follows_from_the_operating_points(files):
    summary, frames = files
    points = frames["operating_points"]
    rows = points[points["kind"] == "cascade"]
    metric = rows[summary["metric"]].to_numpy()
    target = 0.99 * summary["tiers"][1]["metrics"][summary["metric"]]
    attained = rows["speedup"][metric >= target].max()
    assert summary["speedup_at_99"]["attained_batch1"] == pytest.approx(attained)
    assert summary["speedup_at_99"]["attained_best_batch"] == pytest.approx(
        rows["speedup_best_batch"][metric >= target].max()
    )
    rate = rows["deferral_rate"].to_numpy()
    trapezoids = sum((rate[i + 1] - rate[i]) * (metric[i] + metric[i + 1]) / 2 for i in range(len(rate) - 1))
    assert summary["area"] == pytest.approx(trapezoids - (metric[0] + metric[-1]) / 2)
    assert set(summary["random"]) >= {"speedup_at_99", "speedup_at_98", "area"} <= set(summary["oracle"])
    assert summary["n"] == len(frames["predictions"]) and summary["split"].startswith("report (")


def test_the_threshold_is_the_cheapest_that_keeps_the_target_on_the_calibration_role(files):
    summary, frames = files
    role = frames["calibration_predictions"]
    tier1, tier2 = (np.stack(role[f"tier{tier}_logits"]).argmax(1) for tier in (1, 2))
    target = 0.99 * accuracy_score(role["label"], tier2)
    for threshold in sorted(set(role["confidence"])) + [np.nextafter(max(role["confidence"]), np.float32(2))]:
        if accuracy_score(role["label"], np.where(role["confidence"] < np.float32(threshold), tier2, tier1)) >= target:
            break
    assert summary["chosen"]["threshold"] == pytest.approx(threshold)
    assert summary["chosen"]["measured_s"] > 0 and summary["chosen"]["predicted_s"] > 0


def test_both_ways_of_use_are_run_for_real_against_the_second_tier_alone(files):
    summary, frames = files
    chosen, reference = summary["chosen"], summary["reference"]
    for way, size in (("batch1", 1), ("best_batch", summary["tiers"][1]["best_batch_size"])):
        run, alone = chosen["runs"][way], reference[way]
        assert run["n"] == summary["n"] and run["other_answers"] == 0
        assert run["metric_value"] == run["scored_metric_value"] == pytest.approx(chosen["metric_value"])
        assert run["speedup"] == pytest.approx(run["measured_second_only_s"] / run["measured_s"])
        assert (alone["engine"], alone["precision"], alone["batch_size"]) == ("torch", "fp32", size)
        assert alone["seconds"] * alone["throughput_per_s"] == pytest.approx(summary["n"])
        assert alone["metric_value"] == pytest.approx(summary["tiers"][1]["metrics"]["accuracy"])
    report = frames["predictions"]
    deferred = report["confidence"] < np.float32(chosen["threshold"])
    predicted_s = (report["tier1_time_s"] + report["tier2_time_s"] * deferred).sum()
    assert chosen["runs"]["batch1"]["predicted_s"] == pytest.approx(predicted_s)
    assert chosen["measured_s"] == chosen["runs"]["best_batch"]["measured_s"]


def test_how_busy_the_machine_was_is_told(files):
    load = files[0]["load"]
    assert load["busy"] == bool(load["under_load"]) and 0 < load["cpu_per_wall"]
    assert set(load) == {"busy", "under_load", "others_cpu_share", "steal_share", "waiting_share", "cpu_per_wall"}
    assert files[1]["batch_times"]["under_load"].dtype == bool


def test_every_number_stands_with_its_interval(files):
    summary, frames = files
    found, chosen = summary["intervals"], summary["chosen"]
    values = {f"chosen/{name}": chosen[name] for name in ("metric_value", "deferral_rate", "speedup")}
    values |= {f"chosen/measured_speedup_{way}": chosen["runs"][way]["speedup"] for way in ("batch1", "best_batch")}
    values |= {f"tier{number}/accuracy": tier["metrics"]["accuracy"] for number, tier in enumerate(summary["tiers"], 1)}
    for share in ("speedup_at_99", "speedup_at_98"):
        values |= {f"{share}/{way}": summary[share][way] for way in ("batch1", "attained_best_batch")}
        values[f"oracle/{share}/batch1"] = summary["oracle"][share]["batch1"]
    for name, value in values.items():
        low, high = found[name]
        assert low - 1e-9 <= value <= high + 1e-9, name
    assert found["chosen/share_kept"][0] < 1 and len(frames["predictions"]) == summary["n"]


def test_what_a_tier_does_not_read_is_counted(files):
    for tier in files[0]["tiers"]:
        assert tier["cut"] == {"max_length": tier["cut"]["max_length"], "texts": 0.0, "tokens": 0.0}
    assert [tier["cut"]["max_length"] for tier in files[0]["tiers"]] == [128, 64]  # the encoder has 64 positions


def test_what_can_be_certified_stands_beside_the_choice(files):
    found = files[0]["chosen_with_confidence"]
    assert found["confidence"] == 0.95 and found["method"] == "an exact paired test, valid at any n"
    assert (found["threshold"] is None) == (found["reason"] is not None)


def test_the_written_cascade_answers_as_its_files_say(cascade):
    report = pd.read_parquet(cascade / "predictions.parquet")
    summary = json.loads((cascade / "summary.json").read_text())
    texts = dict(_texts(cascade))
    answers = CascadePredictor.from_pretrained(cascade).predict([texts[i] for i in report["example_id"]])
    deferred = report["confidence"] < np.float32(summary["chosen"]["threshold"])
    assert [answer.tier for answer in answers] == np.where(deferred, 2, 1).tolist()
    right = [
        answer.label == summary["label_names"][row.label]
        for answer, row in zip(answers, report.itertuples(), strict=True)
    ]
    assert np.mean(right) == pytest.approx(summary["chosen"]["metric_value"])


def _texts(cascade):
    from tangodistill.data.sources import DatasetConfig
    from tangodistill.data.splits import load_roles

    source = next(cascade.parent.parent.glob("inputs*/data.csv"))
    rows = load_roles(DatasetConfig(str(source))).report
    return zip(rows["example_id"], rows["text"], strict=True)


def test_tier_folders_lie_beside_cascade_json(cascade):
    summary = json.loads((cascade / "summary.json").read_text())
    for tier in summary["tiers"]:
        assert (cascade.parent / tier["path"] / "model.safetensors").is_file()
    assert [other["name"] for other in summary["student_settings"]] == ["student", "student"]


def test_engines_and_lengths_are_chosen_on_the_selection_role_alone(cascade, student, teacher, dataset):
    roles = load_roles(dataset)
    of_stage = TierSet.of_stage([str(student), str(teacher)], cascade, dataset)
    for pair in (of_stage, TierSet.of_cascade(cascade), TierSet.of_cascade(cascade / "paper")):
        assert pair.texts == roles.selection["text"][:] and list(pair.wanted) == roles.selection["label"][:]
    tested = pd.read_parquet(cascade / "calibration_predictions.parquet")["text"]
    assert not set(tested) & set(of_stage.texts)
