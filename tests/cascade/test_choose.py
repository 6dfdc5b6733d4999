import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_cascades import cases

from tangodistill.cascade.choose import Target, choose, point_at
from tangodistill.cascade.summary import operating_points
from tangodistill.metrics import score


@given(
    cases(),
    st.one_of(
        st.builds(Target, st.just("keep"), st.floats(0.5, 1.1)),
        st.builds(Target, st.just("max_ms"), st.floats(0.5, 40)),
        st.builds(Target, st.just("defer"), st.floats(0, 1)),
    ),
    st.sampled_from(["accuracy", "f1", "mcc"]),
)
def test_the_chosen_point_equals_a_search_over_all_thresholds(case, target, metric):
    points = operating_points(case.outcomes, case.confidence, case.timing)
    tier2_metric = score(metric, case.labels, case.tier2, case.num_classes)
    candidates = []
    for threshold in [*case.confidence, np.float32(2)]:
        defer = case.confidence < threshold
        value = score(metric, case.labels, np.where(defer, case.tier2, case.tier1), case.num_classes)
        ms = 1000 * (case.tier1_s.sum() + case.tier2_s[defer].sum()) / len(defer)
        meets = {
            "keep": value >= target.value * tier2_metric,
            "max_ms": ms <= target.value,
            "defer": defer.mean() <= target.value,
        }
        if meets[target.kind]:
            gain = 0 if target.kind == "keep" else value
            candidates.append((gain, -defer.mean(), value))
    if not candidates:
        with pytest.raises(ValueError, match="the best reachable is"):
            choose(points, target, metric)
        return
    chosen = choose(points, target, metric)
    _, rate, value = max(candidates)
    assert chosen.deferral_rate == -rate
    assert chosen.metric_value == pytest.approx(value)
    assert np.mean(case.confidence < np.float32(chosen.threshold)) == chosen.deferral_rate


@given(cases(), st.floats(0, 1.2))
def test_a_threshold_chosen_elsewhere_defers_what_lies_below_it(case, threshold):
    points = operating_points(case.outcomes, case.confidence, case.timing)
    there = point_at(points, threshold, "accuracy")
    defer = case.confidence < np.float32(threshold)
    assert there.threshold == np.float32(threshold)
    assert there.deferral_rate == defer.mean()
    assert there.metric_value == pytest.approx(np.mean(np.where(defer, case.tier2, case.tier1) == case.labels))


def test_out_of_reach_says_what_is_reachable(real_case):
    points = operating_points(real_case.outcomes, real_case.confidence, real_case.timing)
    with pytest.raises(ValueError, match=r"1.1 of tier 2's accuracy 0.8979; the best reachable is 0.89\d\d"):
        choose(points, Target("keep", 1.1), "accuracy")
    with pytest.raises(ValueError, match=r"within 0.1 ms per example; the best reachable is \d.* ms, by tier 1 alone"):
        choose(points, Target("max_ms", 0.1), "accuracy")


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("fast", 1, "unknown target 'fast'; known: keep, max_ms, defer"),
        ("defer", 1.5, "defer must be between 0 and 1, got 1.5"),
        ("keep", -1, "keep must be a number of at least 0, got -1"),
        ("max_ms", float("nan"), "max_ms must be a number of at least 0, got nan"),
    ],
)
def test_impossible_targets_are_refused(kind, value, message):
    with pytest.raises(ValueError, match=message):
        Target(kind, value)
