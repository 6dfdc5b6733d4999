import numpy as np
import pytest
from hypothesis import given
from random_cascades import cases

from tangodistill.cascade.front import every_point
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.metrics import METRICS, score


def swept(case):
    return every_point(case.outcomes, case.confidences, case.timing)


@given(cases())
def test_sweep_equals_a_naive_loop_over_thresholds(case):
    points = swept(case)
    distinct = sorted(set(case.confidence.tolist()))
    thresholds = points.thresholds[:, 0]
    assert thresholds.dtype == np.float32
    assert thresholds[:-1].tolist() == distinct
    assert thresholds[-1] == np.nextafter(np.float32(distinct[-1]), np.float32(2))
    for i, threshold in enumerate(thresholds):
        defer = [c < threshold for c in case.confidence]
        answers = np.array([b if d else a for a, b, d in zip(case.tier1, case.tier2, defer, strict=True)])
        assert points.passed[i] == sum(defer)
        for name in METRICS:
            assert points.metrics[name][i] == pytest.approx(score(name, case.labels, answers, case.num_classes))


@given(cases())
def test_the_lowest_threshold_is_tier_1_and_the_highest_tier_2(case):
    points = swept(case)
    assert points.passed[0] == 0 and points.passed[-1] == len(case.labels)
    for name in METRICS:
        assert points.metrics[name][0] == score(name, case.labels, case.tier1, case.num_classes)
        assert points.metrics[name][-1] == score(name, case.labels, case.tier2, case.num_classes)


def test_confidences_are_compared_in_float32():
    _, moves = Gates(np.array([0.8, np.float32(0.8)], np.float64)).sweep()
    assert moves.made.tolist() == [0, 2]


def test_real_confidences_beat_random_deferral(real_case):
    points = swept(real_case)
    accuracy = points.metrics["accuracy"]
    tier1, tier2 = accuracy[[0, -1]]
    assert (round(tier1, 4), round(tier2, 4)) == (0.8753, 0.8979)
    least = points.passed[np.argmax(accuracy >= 0.99 * tier2), 0] / 1821
    assert least == pytest.approx(0.086, abs=0.001)
    assert least < (0.99 * tier2 - tier1) / (tier2 - tier1) / 5


@pytest.mark.parametrize(
    ("confidence", "message"),
    [
        ([0.5, np.nan], "finite"),
        ([0.5], "confidence has 1 entries, the answers have 2"),
        ([[[0.5, 0.6]]], "non-empty list"),
        ([[0.5, 0.6], [0.5, 0.6]], "2 tiers need the confidences of 1, got 2"),
    ],
)
def test_unusable_confidences_are_refused(confidence, message):
    with pytest.raises(ValueError, match=message):
        Gates(confidence).check(2, 2)


def test_answers_of_other_examples_are_refused():
    with pytest.raises(ValueError, match="tier1_predictions has 3 entries, labels has 2"):
        ClassOutcomes([0, 1], [[0, 1, 1], [0, 1, 1]], 2)
