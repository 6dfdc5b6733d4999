import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cascades import cases
from synthetic_examples import several

from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.choose import Target, choose
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.path import equal_risk_path
from tangodistill.cascade.summary import chosen_with_confidence, operating_points, path_points, summarise
from tangodistill.cascade.threshold_grid import threshold_grid

SPEEDUP_KEYS = {"batch1", "best_batch", "attained_batch1", "attained_best_batch", "reason"}


def summary_of(case, metric, target=None):
    points = operating_points(case.outcomes, case.confidence, case.timing)
    target = target or Target("keep", 0.99)
    return points, summarise(points, case.outcomes, case.timing, metric, target)


@given(cases())
def test_operating_points_end_with_the_second_tier_alone(case):
    points = operating_points(case.outcomes, case.confidence, case.timing)
    assert list(points) == [
        "kind",
        "threshold",
        "deferral_rate",
        "accuracy",
        "f1",
        "mcc",
        "time_s",
        "time_best_batch_s",
        "throughput_per_s",
        "throughput_best_batch_per_s",
        "speedup",
        "speedup_best_batch",
    ]
    assert points["kind"].tolist() == ["cascade"] * (len(set(case.confidence)) + 1) + ["second_only"]
    assert points["threshold"].dtype == np.float32 and np.isnan(points["threshold"][-1])
    assert points["time_s"][-1] == case.tier2_s.sum()
    assert points["speedup"][-1] == points["speedup_best_batch"][-1] == 1
    assert np.all(np.diff(points["time_s"][:-1]) > 0)
    np.testing.assert_allclose(points["throughput_per_s"] * points["time_s"], len(case.labels))
    best_s = points["time_best_batch_s"]
    np.testing.assert_allclose(points["speedup_best_batch"], best_s[-1] / best_s)
    # deferring all costs the first tier on top of the second, and answers alike
    for name in ("accuracy", "f1", "mcc"):
        assert points[name][-2] == points[name][-1]
    assert points["speedup"][-2] < 1


@given(cases())
def test_summary_is_valid_json_with_the_same_keys_for_each_curve(case):
    for metric in ("accuracy", "mcc"):
        _, summary = summary_of(case, metric)
        again = json.loads(json.dumps(summary, allow_nan=False))
        assert again == summary
        for curve in (summary, summary["random"], summary["oracle"]):
            assert set(curve["speedup_at_99"]) == set(curve["speedup_at_98"]) == SPEEDUP_KEYS
            assert isinstance(curve["area"], float)


@given(cases())
def test_attained_speedup_is_the_fastest_real_point_of_the_cascade(case):
    points, summary = summary_of(case, "accuracy")
    cascade = points["kind"] == "cascade"
    meets = cascade & (points["accuracy"] >= 0.99 * points["accuracy"][-1])
    assert summary["speedup_at_99"]["attained_batch1"] == points["speedup"][meets].max()
    assert summary["speedup_at_99"]["attained_best_batch"] == points["speedup_best_batch"][meets].max()
    assert summary["speedup_at_99"]["attained_batch1"] <= summary["speedup_at_99"]["batch1"]


def test_real_cascade_lies_between_random_and_oracle(real_case):
    for metric in ("accuracy", "f1", "mcc"):
        points, summary = summary_of(real_case, metric)
        for name in ("speedup_at_99", "speedup_at_98"):
            for clock in ("batch1", "best_batch"):
                speeds = [curve[name][clock] for curve in (summary["random"], summary, summary["oracle"])]
                assert 1 < speeds[0] < speeds[1] < speeds[2] < points["speedup_best_batch"].max()
        assert abs(summary["random"]["area"]) < 0.001 < summary["area"] < summary["oracle"]["area"]
        best = summary["best_on_report"]
        assert best["speedup"] == summary["speedup_at_99"]["attained_batch1"]
        assert best["metric_value"] >= 0.99 * points[metric][-1]


def test_random_speedup_follows_from_the_either_or_reading(real_case):
    points, summary = summary_of(real_case, "accuracy")
    tier1, tier2 = points["accuracy"][[0, -1]]
    share = (0.99 * tier2 - tier1) / (tier2 - tier1)
    r = real_case.tier1_s.sum() / real_case.tier2_s.sum()
    assert summary["random"]["speedup_at_99"]["batch1"] == pytest.approx(1 / ((1 - share) * r + share), rel=1e-4)


def test_a_target_out_of_reach_leaves_no_best_point(real_case):
    assert summary_of(real_case, "accuracy", Target("keep", 2.0))[1]["best_on_report"] is None


def test_times_of_other_examples_are_refused(real_case):
    with pytest.raises(ValueError, match="the times are of 1821 examples, the predictions of 10"):
        operating_points(real_case.first(10).outcomes, real_case.confidence[:10], real_case.timing)


def with_confidence(case, calibration, keep):
    points = operating_points(case.outcomes, case.confidence, case.timing)
    calibration_set = CalibrationSet(calibration.confidence, threshold_grid("max_probability", 2))
    found = chosen_with_confidence(
        points, calibration.outcomes, calibration_set, "accuracy", Target("keep", keep), plain=0.8
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return points, found


def test_the_certified_threshold_is_read_on_the_report_role(real_case):
    points, found = with_confidence(real_case, real_case, 0.98)
    row = np.searchsorted(points["threshold"][:-1], np.float32(found["threshold"]))
    for name, column in (("deferral_rate", "deferral_rate"), ("metric_value", "accuracy"), ("speedup", "speedup")):
        assert found[name] == points[column][row]
    assert (found["confidence"], found["reason"]) == (0.95, None) and found["groups_for_plain"] is not None
    assert found["n"] == found["groups"] == 1821


@pytest.mark.parametrize(
    ("keep", "reason"), [(0.99, "100 calibration examples are too few to keep 0.99"), (1.0, "below 1, got 1.0")]
)
def test_without_a_certified_threshold_the_reason_stands_beside_the_same_keys(real_case, keep, reason):
    found = with_confidence(real_case, real_case.first(100), keep)[1]
    assert reason in found["reason"]
    assert all(found[key] is None for key in ("threshold", "deferral_rate", "metric_value", "speedup", "predicted_s"))
    assert found.keys() == with_confidence(real_case, real_case, 0.98)[1].keys()
    assert found["confidence"] == 0.95 and (found["groups_needed"] is None) == (keep == 1.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 4).flatmap(lambda tiers: cases(max_size=8, tiers=tiers)), st.sampled_from(["accuracy", "mcc"]))
def test_more_tiers_have_a_column_for_each_gate_and_no_area(case, metric):
    part, gates = (case.outcomes, case.confidences, case.timing), range(1, len(case.answers))
    points = operating_points(*part, metric)
    names = [*(f"tier{gate}_threshold" for gate in gates), *(f"tier{gate}_passed" for gate in gates)]
    assert list(points)[: 2 + len(names)] == ["kind", *names, "deferral_rate"] and list(points)[-1] == "exact"
    assert len({len(column) for column in points.values()}) == 1
    np.testing.assert_array_equal(points["deferral_rate"], points[names[-1]])
    assert points["speedup"][-1] == points["speedup_best_batch"][-1] == 1 and points["kind"][-1] == "second_only"
    summary = summarise(points, case.outcomes, case.timing, metric, Target("keep", 0.99))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    for curve in (summary, summary["random"], summary["oracle"]):
        assert set(curve["speedup_at_99"]) == SPEEDUP_KEYS and curve["area"] is None
    if best := summary["best_on_report"]:
        assert list(best)[:3] == ["thresholds", "passed", "deferral_rate"]
        stops = Gates(case.confidences).stops(best["thresholds"])
        assert best["metric_value"] == pytest.approx(case.outcomes.cascade(stops).tier_score(1, metric))


def test_three_real_tiers_lie_between_random_and_oracle(real_tiers):
    outcomes, confidences, timing = real_tiers
    for metric in ("accuracy", "f1", "mcc"):
        points = operating_points(outcomes, confidences, timing, metric)
        summary = summarise(points, outcomes, timing, metric, Target("keep", 0.99))
        for clock in ("batch1", "best_batch"):
            speeds = [each["speedup_at_99"][clock] for each in (summary["random"], summary, summary["oracle"])]
            assert 1 <= speeds[0] < speeds[1] < speeds[2]


def test_of_three_tiers_what_is_certified_on_a_path_is_read_on_the_report_role():
    selection, calibration, report = (several(1500, seed=seed) for seed in range(3))
    grid = threshold_grid("max_probability", 2)
    path = equal_risk_path(*selection[:2], grid, "accuracy")
    points, own = path_points(*report, path), CalibrationSet(calibration[1], path)
    wanted = "accuracy", Target("keep", 0.97)
    plain = choose(path_points(*calibration, path), wanted[1], "accuracy").thresholds
    found = chosen_with_confidence(points, calibration[0], own, *wanted, plain)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["thresholds"] in path.tolist() and found["reason"] is None and len(found["passed"]) == 2
    stops = Gates(report[1]).stops(found["thresholds"])
    assert found["metric_value"] == report[0].cascade(stops).tier_score(1, "accuracy")
    assert found["deferral_rate"] == (stops == 2).mean() > 0
    few = CalibrationSet(calibration[1][:, :30], path)
    nothing = chosen_with_confidence(points, calibration[0].drawn(np.arange(30)), few, *wanted, plain)
    assert list(nothing) == list(found) and nothing["thresholds"] is None
    assert "30 calibration examples are too few" in nothing["reason"]
