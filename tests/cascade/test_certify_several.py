"""The guarantee of three tiers: by simulation, and on paths along which examples move back and forth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cascades import cases
from synthetic_examples import several

from tangodistill.cascade.bootstrap import bootstrap_p_values
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.certify import BETTING, BOOTSTRAP, EXACT, certify, certify_graded
from tangodistill.cascade.exact_test import exact_p_values, highest_rate
from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.cascade.path import equal_risk_path
from tangodistill.cascade.threshold_grid import threshold_grid
from tangodistill.metrics import score

GRID = threshold_grid("max_probability", 2)[::8]  # of fifty steps
KEEP = 0.9


def drawn(n, seed):
    """Right answers of three tiers, the last always right: the others lose at the rate 1 - c, c even from 1/2 to 1."""
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.5, 1, (2, n))
    return np.append(rng.random(sure.shape) < sure, np.ones((1, n), bool), axis=0), sure


def lost(thresholds):
    """By the cascade on all that there are: of 1 - c, twice the integral above the threshold."""
    first, second = np.clip(thresholds, 0.5, 1)
    return (1 - first) ** 2 + (first - 0.5) / 0.5 * (1 - second) ** 2


def zigzag(seed):
    """A path on which either threshold rises now and then."""
    rng = np.random.default_rng(seed)
    return np.clip(np.stack([GRID, GRID], axis=1) + rng.normal(0, 0.02, (len(GRID), 2)), 0, 1).astype(np.float32)


def path_of(seed):
    right, sure = drawn(400, 10_000 + seed)
    return equal_risk_path(ClassOutcomes(np.ones(400, int), right.astype(int), 2), sure, GRID, "accuracy")


@pytest.mark.parametrize("path", [path_of, zigzag], ids=["of equal risks", "back and forth"])
@pytest.mark.parametrize("method", [EXACT, BETTING])
def test_it_errs_no_more_often_than_it_says(path, method):
    draws, n, broken, found = 80, 400, 0, 0
    groups = np.arange(n) if method == EXACT else np.repeat(range(n // 2), 2)
    for seed in range(draws):
        right, sure = drawn(n, seed)
        calibration = CalibrationSet(sure, path(seed), groups)
        own = certify("accuracy", np.ones(n, int), right.astype(int), 2, calibration, KEEP, 0.95, plain=[0.5, 0.5])
        assert own.method == method
        found += own.thresholds is not None
        broken += own.thresholds is not None and lost(own.thresholds) > 1 - KEEP
    assert broken <= draws * 0.05 + 2 * np.sqrt(draws * 0.05 * 0.95)
    assert found > 0.9 * draws


def test_many_examples_certify_nearly_all_that_the_path_holds():
    path = path_of(0)
    best = max(step for step, thresholds in enumerate(path) if lost(thresholds) <= 1 - KEEP)
    right, sure = drawn(20_000, 1)
    calibration = CalibrationSet(sure, path)
    found = certify("accuracy", np.ones(20_000, int), right.astype(int), 2, calibration, KEEP, 0.95, [0.5, 0.5])
    step = int(np.flatnonzero((path == np.float32(found.thresholds)).all(axis=1))[-1])
    assert best - 3 <= step <= best
    stops_last = (sure[0] < found.thresholds[0]) & (sure[1] < found.thresholds[1])
    assert found.deferral_rate == pytest.approx(stops_last.mean(), abs=1e-4)


@settings(max_examples=15, deadline=None)
@given(cases(min_size=5, max_size=40, tiers=3), st.integers(0, 99), st.floats(0.5, 0.9))
def test_the_exact_test_is_of_the_answers_at_each_step(case, seed, keep):
    path, n = zigzag(seed), len(case.labels)
    right = case.answers == case.labels
    calibration = CalibrationSet(case.confidences, path)
    found = certify("accuracy", case.labels, case.answers, case.num_classes, calibration, keep, 0.9, [0.5, 0.5])
    losses, gains = np.zeros(len(path), int), np.zeros(len(path), int)
    for step, (first, second) in enumerate(path):
        for i in range(n):
            tier = 0 if case.confidences[0, i] >= first else 1 if case.confidences[1, i] >= second else 2
            losses[step] += right[2, i] and not right[tier, i]
            gains[step] += right[tier, i] and not right[2, i]
    differ = int((right[:2] != right[2]).any(axis=0).sum())
    assert (losses + gains).max() <= differ  # at every step of every path: the bound holds for all
    margin = (1 - keep) * (1 - highest_rate(int((~right[2]).sum()), n, 1e-4))
    p_values = np.ones(len(path))
    if margin > 0:
        most = (highest_rate(differ, n, 1e-4) - margin) / 2
        p_values = np.minimum(exact_p_values(losses, gains, n, margin, most) + 2e-4, 1)
    steps = int(np.argmin(np.append(p_values <= 0.1 + 1e-12, False)))
    if found.thresholds is not None:
        assert found.thresholds == tuple(map(float, path[steps - 1]))


@pytest.mark.parametrize(("metric", "classes"), [("f1", 2), ("mcc", 3)])
def test_bootstrapped_p_values_agree_with_a_loop_over_draws_of_rows(metric, classes):
    rng, n = np.random.default_rng(classes), 150
    labels = rng.integers(0, classes, n)
    answers = np.stack([np.where(rng.random(n) < r, labels, rng.integers(0, classes, n)) for r in (0.7, 0.8, 0.9)])
    sure, path = rng.uniform(0.5, 1, (2, n)), np.array([[0.9, 0.9], [0.8, 0.95], [0.85, 0.7], [0.6, 0.6]], np.float32)
    found = bootstrap_p_values(metric, labels, answers, CalibrationSet(sure, path), classes, keep=0.93)
    # an example more, that all tiers but the last get wrong and the first one keeps: a share of it in each class
    weights = np.append(np.ones(n), np.full(classes, 1 / classes)) / (n + 1)
    each = np.arange(classes)
    labels_, sure_ = np.append(labels, each), np.hstack([sure, np.ones((2, classes))])
    answers_ = np.hstack([answers, [(each + 1) % classes, (each + 1) % classes, each]])
    draws, short = 500, np.zeros(len(path))
    for _ in range(draws):
        rows = rng.choice(n + classes, n, p=weights)
        last = score(metric, labels_[rows], answers_[2, rows], classes)
        for step, (first, second) in enumerate(path):
            tier = np.where(sure_[0] >= first, 0, np.where(sure_[1] >= second, 1, 2))[rows]
            short[step] += score(metric, labels_[rows], answers_[tier, rows], classes) <= 0.93 * last
    np.testing.assert_allclose(found, short / draws, atol=0.08)
    assert 0.05 < found.max() and found.min() < 0.5


def test_every_kind_of_answer_is_certified():
    outcomes, confidences, _ = several(3000)
    path = equal_risk_path(outcomes, confidences, GRID, "f1")
    calibration = CalibrationSet(confidences, path)
    found = outcomes.certify("f1", calibration, 0.95, 0.9, plain=path[-1])
    assert found.method == BOOTSTRAP and len(found.thresholds) == 2 and 0 < found.deferral_rate < 1
    scores = np.where(outcomes.answers == outcomes.labels, 1.0, 0.3)
    graded = certify_graded(scores, calibration, 0.95, 0.9, plain=path[-1])
    assert graded.method == BETTING and 0 < graded.deferral_rate < 1


def test_too_few_say_how_many_it_takes_for_any_step_and_for_the_plain_thresholds():
    right, sure = drawn(60, 0)
    path = path_of(0)
    part = np.ones(60, int), right.astype(int), 2, CalibrationSet(sure, path)
    found = [certify("accuracy", *part, 0.99, 0.95, plain) for plain in (path[10], path[40])]
    assert all(each.thresholds is None and "60 calibration examples are too few" in each.reason for each in found)
    needed = [each.groups_for_plain or np.inf for each in found]
    assert found[0].groups_needed == found[1].groups_needed <= needed[0] <= needed[1]


def test_confidences_of_another_number_of_tiers_are_refused():
    right, sure = drawn(30, 0)
    with pytest.raises(ValueError, match="confidence must be of 2 gating tiers, got 1"):
        certify("accuracy", np.ones(30, int), right.astype(int), 2, CalibrationSet(sure[0], GRID), 0.9, 0.95, 0.5)
