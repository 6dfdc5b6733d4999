from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cascades import cases

from tangodistill.cascade.baselines import oracle, random_baseline
from tangodistill.cascade.speedup import area
from tangodistill.metrics import METRICS, score

binary = cases(max_size=7, num_classes=st.just(2))


def metric_after(metric, case, subset):
    answers = case.tier1.copy()
    answers[list(subset)] = case.tier2[list(subset)]
    return score(metric, case.labels, answers, case.num_classes)


def best_of_all_subsets(metric, case):
    """For k = 0..n the best metric of at most k deferrals, and the least tier-2 seconds with which it is reached."""
    n, best, reached = len(case.labels), (-2.0, 0.0), []
    for k in range(n + 1):
        for subset in combinations(range(n), k):
            # rounded, so that equal metrics are told apart by time alone
            best = max(best, (round(metric_after(metric, case, subset), 9), -case.tier2_s[list(subset)].sum()))
        reached.append((best[0], -best[1]))
    return reached


def assert_equals_brute_force(metric, case):
    curve = oracle(metric, case.labels, case.answers, case.timing, case.num_classes)
    assert curve.exact
    allowed = np.round(curve.deferral_rate * len(case.labels)).astype(int)
    assert allowed[0] == 0 and allowed[-1] == len(case.labels)
    reached = best_of_all_subsets(metric, case)
    for k, (value, seconds) in enumerate(reached):
        point = np.searchsorted(allowed, k, side="right") - 1
        assert curve.metric[point] == pytest.approx(value, abs=1e-8)
        assert curve.time_s[point] == pytest.approx(case.tier1_s.sum() + seconds)


@given(binary, st.sampled_from(METRICS))
def test_oracle_of_two_classes_equals_brute_force_over_all_subsets(case, metric):
    assert_equals_brute_force(metric, case)


@settings(max_examples=50)
@given(cases(max_size=7, num_classes=st.integers(3, 4)))
def test_oracle_of_accuracy_equals_brute_force_for_more_classes(case):
    assert_equals_brute_force("accuracy", case)


@given(cases(max_size=7, num_classes=st.integers(3, 4)), st.sampled_from(["f1", "mcc"]))
def test_greedy_oracle_of_more_classes_is_reachable_and_never_above_the_true_one(case, metric):
    curve = oracle(metric, case.labels, case.answers, case.timing, case.num_classes)
    assert not curve.exact
    allowed = np.round(curve.deferral_rate * len(case.labels)).astype(int)
    best = best_of_all_subsets(metric, case)
    assert all(value <= best[k][0] + 1e-8 for k, value in zip(allowed, curve.metric, strict=True))
    mended = np.where(case.tier2 == case.labels, case.tier2, case.tier1)
    assert curve.metric[-1] >= score(metric, case.labels, mended, case.num_classes) - 1e-12
    assert np.all(np.diff(curve.metric) >= 0) and np.all(np.diff(curve.time_s) >= 0)


@given(binary, st.sampled_from(METRICS))
def test_oracle_queues_only_what_it_defers(case, metric):
    curve = oracle(metric, case.labels, case.answers, case.timing, case.num_classes)
    most = np.sum((case.tier1 != case.labels) & (case.tier2 == case.labels))
    first_s = len(case.labels) * 0.0002
    assert curve.time_best_batch_s[0] == first_s
    assert curve.time_best_batch_s[-1] <= first_s + case.timing.tiers[1].queue_s(most) + 1e-12


@given(cases(), st.sampled_from(METRICS), st.booleans())
def test_random_runs_from_tier_1_to_tier_2(case, metric, pays_first_tier):
    curve = random_baseline(
        metric, case.labels, case.answers, case.timing, case.num_classes, pays_first_tier=pays_first_tier, draws=3
    )
    ends = [score(metric, case.labels, tier, case.num_classes) for tier in (case.tier1, case.tier2)]
    assert curve.deferral_rate[[0, -1]].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(curve.metric[[0, -1]], ends)
    tier1_s, tier2_s = case.tier1_s.sum(), case.tier2_s.sum()
    np.testing.assert_allclose(curve.time_s[[0, -1]], [tier1_s, tier2_s + tier1_s * pays_first_tier])
    first_s = len(case.labels) * 0.0002
    last = case.timing.tiers[1].queue_s(len(case.labels)) + first_s * pays_first_tier
    np.testing.assert_allclose(curve.time_best_batch_s[[0, -1]], [first_s, last])


@given(cases())
def test_random_accuracy_has_no_area(case):
    curve = random_baseline("accuracy", case.labels, case.answers, case.timing, case.num_classes)
    assert curve.exact and curve.interval is None
    assert area(curve.deferral_rate, curve.metric) == pytest.approx(0, abs=1e-12)


@settings(max_examples=20)
@given(cases(min_size=3, max_size=6), st.sampled_from(["f1", "mcc"]))
def test_random_draws_agree_with_the_mean_over_all_subsets(case, metric):
    curve = random_baseline(metric, case.labels, case.answers, case.timing, case.num_classes, draws=500)
    n = len(case.labels)
    for k in range(n + 1):
        values = [metric_after(metric, case, subset) for subset in combinations(range(n), k)]
        noise = 5 * np.std(values) / np.sqrt(500) + 1e-9
        assert curve.metric[k] == pytest.approx(np.mean(values), abs=noise)


def test_random_interval_holds_the_mean_and_repeats_with_the_seed(real_case):
    arguments = ("mcc", real_case.labels, real_case.answers, real_case.timing, 2)
    curve, again = random_baseline(*arguments, seed=3), random_baseline(*arguments, seed=3)
    low, high = curve.interval
    assert np.all(low <= curve.metric + 1e-12) and np.all(curve.metric <= high + 1e-12)
    assert 0 < (high - low).max() < 0.05
    np.testing.assert_array_equal(curve.metric, again.metric)


def test_unknown_metric_is_refused(real_case):
    with pytest.raises(ValueError, match="unknown metric 'auc'"):
        oracle("auc", real_case.labels, real_case.answers, real_case.timing, 2)
