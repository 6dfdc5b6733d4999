import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cascades import cases
from synthetic_examples import several

from tangodistill.cascade.choose import PATH, Target, choose, point_at
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.cascade.path import equal_risk_path, risk_curve
from tangodistill.cascade.summary import path_points
from tangodistill.cascade.threshold_grid import probability_grid, threshold_grid

GRID = threshold_grid("max_probability", 2)


@settings(max_examples=50, deadline=None)
@given(cases(max_size=20), st.sampled_from(["accuracy", "mcc"]))
def test_the_path_of_two_tiers_is_the_grid_whatever_the_examples(case, metric):
    np.testing.assert_array_equal(equal_risk_path(case.outcomes, case.confidences, GRID, metric), GRID[:, None])


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 4).flatmap(lambda tiers: cases(max_size=20, tiers=tiers)))
def test_it_falls_from_the_safest_thresholds_to_the_first_tier_alone(case):
    path = equal_risk_path(case.outcomes, case.confidences, GRID, "accuracy")
    assert path.shape == (len(GRID), len(case.confidences)) and path.dtype == np.float32
    assert np.all(np.diff(path, axis=0) <= 0) and np.isin(path, GRID).all()
    assert (path[0] == GRID[0]).all() and (path[-1] == GRID[-1]).all()


def test_tiers_that_are_alike_have_one_threshold():
    outcomes, confidences, _ = several(2000)
    alike = ClassOutcomes(outcomes.labels, outcomes.answers[[0, 0, 2]], 2)
    path = equal_risk_path(alike, confidences[[0, 0]], GRID, "accuracy")
    np.testing.assert_array_equal(path[:, 0], path[:, 1])


def test_at_each_step_the_answers_that_just_stand_are_lost_alike():
    """Both tiers lose at the rate 1 - c, but the first one says the square root of c."""
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, (2, 200_000))
    answers = np.append(rng.random(sure.shape) < sure, np.ones((1, 200_000)), axis=0).astype(int)
    outcomes = ClassOutcomes(np.ones(200_000, int), answers, 2)
    path = equal_risk_path(outcomes, np.stack([np.sqrt(sure[0]), sure[1]]), GRID, "accuracy")
    middle = path[(path[:, 1] > 0.6) & (path[:, 1] < 0.95)]
    np.testing.assert_allclose(middle[:, 0] ** 2, middle[:, 1], atol=0.04)


def test_graded_losses_count_by_how_much():
    at = np.linspace(0, 1, 4000)
    start, rise = risk_curve(at, np.full(4000, 0.25))
    assert 1 / (1 + np.exp(-start - rise / 2)) == pytest.approx(0.25, abs=0.03)
    assert rise == 1.0  # no confidence tells anything


@pytest.mark.parametrize("lost", [0.0, 1.0])
def test_a_tier_that_never_or_always_loses_has_a_risk_too(lost):
    start, rise = risk_curve(np.linspace(0, 1, 500), np.full(500, lost))
    assert np.isfinite([start, rise]).all() and rise >= 1
    assert (start + rise < -3) if lost == 0 else (start > 0)


def test_without_examples_to_learn_from_all_tiers_are_trusted_alike():
    labels = np.zeros(1, int)
    outcomes = ClassOutcomes(labels, np.zeros((3, 1), int), 2)
    path = equal_risk_path(outcomes, np.full((2, 1), 0.999999), GRID, "accuracy")
    np.testing.assert_array_equal(path[:, 0], path[:, 1])


def test_of_spans_it_walks_their_grid():
    outcomes, confidences, _ = several(500)
    grid = probability_grid(0.0)
    path = equal_risk_path(outcomes, confidences, grid, "accuracy")
    assert np.isin(path, grid).all() and path[-1].tolist() == [0.0, 0.0]


def table(keep_right):
    """A path of four steps over 100 examples, from the last tier alone down, that get so many right."""
    n, steps = 100, len(keep_right)
    return {
        "kind": np.array([PATH] * steps + ["second_only"]),
        "tier1_threshold": np.append(np.linspace(0.5, 0.9, steps), np.nan),
        "tier2_threshold": np.append(np.linspace(0.6, 0.8, steps), np.nan),
        "tier1_passed": np.linspace(0, 1, steps + 1),
        "tier2_passed": np.linspace(0, 1, steps + 1),
        "deferral_rate": np.linspace(0, 1, steps + 1),
        "accuracy": np.array([*keep_right[::-1], 90]) / n,
        "time_s": np.linspace(1, 2, steps + 1),
        "throughput_per_s": n / np.linspace(1, 2, steps + 1),
        "time_best_batch_s": np.ones(steps + 1),
        "speedup": np.ones(steps + 1),
        "speedup_best_batch": np.ones(steps + 1),
    }


@pytest.mark.parametrize(
    ("right", "step"),
    [
        ([90, 90, 90, 90], 3),
        ([90, 88, 90, 90], 0),  # 0.98 of 90 is 88.2: a step that falls short ends the walk
        ([90, 90, 89, 70], 1),  # 89 would be too few with one loss more
        ([89, 89, 89, 89], 0),  # but the safest step counts as it is
    ],
)
def test_on_a_path_it_stops_before_the_first_step_that_would_fall_short_with_one_loss_more(right, step):
    chosen = choose(table(right), Target("keep", 0.98), "accuracy")
    assert chosen.thresholds == (np.linspace(0.5, 0.9, 4)[::-1][step], np.linspace(0.6, 0.8, 4)[::-1][step])
    assert chosen.deferral_rate == np.linspace(0, 1, 5)[:-1][::-1][step]


def test_a_path_whose_safest_step_falls_short_has_no_point():
    with pytest.raises(ValueError, match="no threshold reaches 0.8820, which is 0.98 of tier 3's accuracy 0.9000"):
        choose(table([88, 90, 90, 90]), Target("keep", 0.98), "accuracy")


def test_what_was_chosen_on_one_role_is_found_on_another():
    selection, calibration, report = (several(600, seed=seed) for seed in range(3))
    path = equal_risk_path(*selection[:2], GRID, "accuracy")
    on_calibration = choose(path_points(*calibration, path), Target("keep", 0.99), "accuracy")
    on_report = point_at(path_points(*report, path), on_calibration.thresholds, "accuracy")
    assert on_report.thresholds == on_calibration.thresholds
    stops = Gates(report[1]).stops(on_calibration.thresholds)
    assert on_report.passed == tuple((stops > gate).mean() for gate in (0, 1))
    assert on_report.metric_value == report[0].cascade(stops).tier_score(1, "accuracy")
    assert list(on_report.record())[:3] == ["thresholds", "passed", "deferral_rate"]
    with pytest.raises(ValueError, match=r"the thresholds \[0.75, 0.75\] are not among these operating points"):
        point_at(path_points(*report, path), (0.75, 0.75), "accuracy")
