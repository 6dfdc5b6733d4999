"""The thresholds that may be certified belong to the score: those of scores that rank alike cut alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.certify import certify
from tangodistill.cascade.confidence import SCORES, confidence
from tangodistill.cascade.threshold_grid import STEPS, probability_grid, threshold_grid


@pytest.mark.parametrize("classes", [2, 3, 150])
@pytest.mark.parametrize("score", SCORES)
def test_a_grid_descends_from_nearly_one_to_tier_1_alone(score, classes):
    grid = threshold_grid(score, classes)
    assert grid.shape == (STEPS,) and grid.dtype == np.float32 and np.all(np.diff(grid) < 0)
    assert 0.999 < grid[0] < 1
    assert grid[-1] == pytest.approx(1 / classes if score == "max_probability" else 0, abs=1e-7)
    nobody = CalibrationSet(confidence(np.zeros((3, classes)), score), grid)
    assert nobody.last_rate[-1] == 0


def test_that_of_probabilities_is_even_in_their_logit():
    grid = threshold_grid("max_probability", 4).astype(float)
    steps = np.diff(np.log(grid[200:] / (1 - grid[200:])))
    assert steps == pytest.approx(np.full(len(steps), steps[-1]), rel=1e-2)


@pytest.mark.parametrize("lowest", [0, 0.05])
def test_that_of_spans_descends_to_their_lowest(lowest):
    grid = probability_grid(lowest)
    assert grid.shape == (STEPS,) and grid.dtype == np.float32 and np.all(np.diff(grid) < 0)
    assert 0.9999 < grid[0] < 1 and grid[-1] == np.float32(lowest)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(20, 200),
    group_size=st.integers(1, 3),
    metric=st.sampled_from(["accuracy", "f1", "mcc"]),
    keep=st.floats(0.5, 0.98),
)
def test_two_classes_are_certified_alike_by_every_score(seed, n, group_size, metric, keep):
    rng = np.random.default_rng(seed)
    labels, noise = rng.integers(0, 2, n), rng.normal(0, 1, n)
    logits = np.stack([noise, (2 * labels - 1) * rng.exponential(3, n)], axis=1).astype(np.float32)
    tier2 = np.where(rng.random(n) < 0.95, labels, 1 - labels)
    found = []
    for score in SCORES:
        calibration = CalibrationSet(confidence(logits, score), threshold_grid(score, 2), np.arange(n) // group_size)
        answers = np.stack([logits.argmax(axis=1), tier2])
        found.append(certify(metric, labels, answers, 2, calibration, keep, 0.9, plain=calibration.path[200]))
    assert len({(each.deferral_rate, each.groups_needed, each.groups_for_plain) for each in found}) == 1


def test_two_classes_are_certified_below_certainty_by_every_score():
    """Of 2,000 rows without a loss nothing need be deferred, whatever the score."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 2000)
    logits = np.stack([np.zeros(2000), (2 * labels - 1) * rng.exponential(1, 2000)], axis=1)
    for score in SCORES:
        calibration = CalibrationSet(confidence(logits, score), threshold_grid(score, 2))
        found = certify("accuracy", labels, [labels, labels], 2, calibration, 0.99, 0.95, plain=0.5)
        assert found.deferral_rate == 0
