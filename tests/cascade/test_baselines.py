from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cascades import cases

from tangodistill.cascade.baselines import oracle, random_baseline
from tangodistill.cascade.best_front import best_front
from tangodistill.cascade.speedup import area
from tangodistill.cascade.timing import TierTime, Timing
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


several_tiers = st.integers(3, 4).flatmap(lambda tiers: cases(max_size=5, num_classes=st.just(2), tiers=tiers))


def assignments(case):
    """Of every way to send each example to the first tier or from it straight to another: answers and seconds."""
    n, tiers = len(case.labels), len(case.answers)
    for choice in product(range(tiers), repeat=n):
        chosen = np.array(choice)
        added = sum(case.timing.tiers[tier].example_s[chosen == tier].sum() for tier in range(1, tiers))
        yield case.answers[chosen, np.arange(n)], case.tier1_s.sum() + added, np.count_nonzero(chosen)


@settings(max_examples=30, deadline=None)
@given(several_tiers)
def test_no_assignment_of_as_little_time_is_more_accurate_than_the_oracle(case):
    curve = oracle("accuracy", case.labels, case.answers, case.timing, case.num_classes)
    assert curve.exact
    for answers, seconds, _ in assignments(case):
        within = curve.time_s <= seconds + 1e-12
        assert curve.metric[within].max() >= np.mean(answers == case.labels) - 1e-12


@settings(max_examples=30, deadline=None)
@given(several_tiers, st.sampled_from(METRICS))
def test_no_assignment_of_as_few_deferrals_is_better_than_the_oracle(case, metric):
    curve, n = oracle(metric, case.labels, case.answers, case.timing, case.num_classes), len(case.labels)
    allowed, reached = np.round(curve.deferral_rate * n), {}
    for answers, seconds, deferred in assignments(case):
        value = round(score(metric, case.labels, answers, case.num_classes), 9)
        reached[deferred] = max(reached.get(deferred, (-2.0, 0.0)), (value, -seconds))
    for k in range(n + 1):
        value, seconds = max(reached[deferred] for deferred in range(k + 1))
        point = np.searchsorted(allowed, k, side="right") - 1
        assert curve.metric[point] == pytest.approx(value, abs=1e-8)
        assert curve.time_s[point] == pytest.approx(-seconds)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 4).flatmap(lambda tiers: cases(max_size=20, tiers=tiers)), st.sampled_from(["accuracy", "f1"]))
def test_random_mixes_reach_the_upper_hull_of_the_single_tiers(case, metric):
    curve = random_baseline(metric, case.labels, case.answers, case.timing, case.num_classes, draws=3)
    scores = [score(metric, case.labels, tier, case.num_classes) for tier in case.answers]
    seconds = [tier.example_s.sum() for tier in case.timing.tiers]
    assert np.all(np.diff(curve.time_s) >= 0) and curve.exact == (metric == "accuracy")
    for value, cost in zip(scores, seconds, strict=True):
        assert curve.metric[curve.time_s <= cost * (1 + 1e-12)].max() >= value - 1e-12  # no tier is better alone
    if metric == "accuracy":
        for (a, b), share in product(combinations(range(len(scores)), 2), (0.25, 0.5)):
            mixed = (share * each[a] + (1 - share) * each[b] for each in (scores, seconds))
            value, cost = mixed
            n, within = len(case.labels), curve.time_s <= cost + 1e-12
            # the best mix within the cost, but for the step of one example
            assert curve.metric[within].max() >= value - np.ptp(scores) / n - 1e-12
        for value, cost in zip(curve.metric, curve.time_s, strict=True):
            assert value <= hull_at(cost, seconds, scores) + 1e-9


def hull_at(cost, seconds, scores):
    """The best of all mixes of two tiers within a cost."""
    found = [value for value, own in zip(scores, seconds, strict=True) if own <= cost + 1e-12]
    for (a, own), (b, other) in product(zip(scores, seconds, strict=True), repeat=2):
        if own <= cost <= other and other > own:
            found.append(a + (cost - own) / (other - own) * (b - a))
    return max(found)


def test_a_mix_in_batches_may_be_of_other_tiers_than_one_by_one():
    """The middle tier is dear one at a time, and cheap in batches."""
    n, labels = 10, np.ones(10, int)
    answers = np.stack([np.arange(10) < right for right in (5, 8, 9)]).astype(int)
    one, many = (1.0, 9.5, 10.0), (1.0, 2.0, 10.0)
    tiers = (TierTime(np.full(n, a), np.array([1, 10]), np.array([a, b]), 10) for a, b in zip(one, many, strict=True))
    curve = random_baseline("accuracy", labels, answers, Timing(tuple(tiers)), 2)
    assert curve.metric[curve.time_s <= 100.0].max() == pytest.approx(0.9)
    assert curve.metric[curve.time_best_batch_s <= 20.0].max() == pytest.approx(0.8)
    assert curve.metric[curve.time_s <= 56.0].max() == pytest.approx(0.7)  # by halves of the first and the last


def test_the_whole_cascade_lies_below_the_oracle(real_tiers):
    outcomes, confidences, timing = real_tiers
    front, best = best_front(outcomes, confidences, timing, "accuracy"), outcomes.oracle("accuracy", timing)
    for value, seconds in zip(front.metrics["accuracy"], front.time_s, strict=True):
        assert best.metric[best.time_s <= seconds].max() >= value
