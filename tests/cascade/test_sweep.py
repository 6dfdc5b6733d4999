import numpy as np
import pytest
from hypothesis import given
from random_cascades import cases

from tangodistill.cascade.sweep import sweep
from tangodistill.metrics import METRICS, score


@given(cases())
def test_sweep_equals_a_naive_loop_over_thresholds(case):
    points = sweep(*case.swept)
    distinct = sorted(set(case.confidence.tolist()))
    assert points.threshold.dtype == np.float32
    assert points.threshold[:-1].tolist() == distinct
    assert points.threshold[-1] == np.nextafter(np.float32(distinct[-1]), np.float32(2))
    for i, threshold in enumerate(points.threshold):
        defer = [c < threshold for c in case.confidence]
        answers = np.array([b if d else a for a, b, d in zip(case.tier1, case.tier2, defer, strict=True)])
        assert points.deferred[i] == sum(defer)
        assert points.deferral_rate[i] == sum(defer) / len(defer)
        assert set(points.order[: points.deferred[i]]) == set(np.flatnonzero(defer))
        for name in METRICS:
            assert points.metric(name)[i] == pytest.approx(score(name, case.labels, answers, case.num_classes))


@given(cases())
def test_the_lowest_threshold_is_tier_1_and_the_highest_tier_2(case):
    points = sweep(*case.swept)
    assert points.deferred[0] == 0 and points.deferred[-1] == len(case.labels)
    for name in METRICS:
        assert points.metric(name)[0] == score(name, case.labels, case.tier1, case.num_classes)
        assert points.metric(name)[-1] == score(name, case.labels, case.tier2, case.num_classes)


def test_confidences_are_compared_in_float32():
    points = sweep([1, 0], [0, 0], [1, 1], confidence=np.array([0.8, np.float32(0.8)], np.float64), num_classes=2)
    assert points.deferred.tolist() == [0, 2]


def test_real_confidences_beat_random_deferral(real_case):
    points = sweep(*real_case.swept)
    tier1, tier2 = points.metric("accuracy")[[0, -1]]
    assert (round(tier1, 4), round(tier2, 4)) == (0.8753, 0.8979)
    least = points.deferral_rate[np.argmax(points.metric("accuracy") >= 0.99 * tier2)]
    assert least == pytest.approx(0.086, abs=0.001)
    assert least < (0.99 * tier2 - tier1) / (tier2 - tier1) / 5


@pytest.mark.parametrize(
    ("confidence", "message"),
    [([0.5, np.nan], "finite"), ([0.5], "confidence has 1 entries, labels has 2"), ([[0.5], [0.6]], "non-empty list")],
)
def test_unusable_confidences_are_refused(confidence, message):
    with pytest.raises(ValueError, match=message):
        sweep([0, 1], [0, 1], [0, 1], confidence, num_classes=2)


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="unknown metric 'order'"):
        sweep([0, 1], [0, 1], [0, 1], [0.5, 0.6], num_classes=2).metric("order")
