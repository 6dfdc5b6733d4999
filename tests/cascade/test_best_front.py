"""The best operating points of three and more tiers: against every combination of thresholds, and as properties."""

import tracemalloc
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cascades import cases
from synthetic_examples import several

from tangodistill.cascade import best_front as module
from tangodistill.cascade.best_front import best_front, every_front, subsets
from tangodistill.cascade.front import points_at
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.outcomes import ClassOutcomes, GradedOutcomes
from tangodistill.metrics import METRICS, score


def every_combination(case):
    """Thresholds that tell all cascades apart: every distinct confidence, and one above all, of every gate."""
    return np.array(list(product(*([*np.unique(each), 2.0] for each in case.confidences))), np.float32)


def by_hand(case, thresholds, metric):
    """The metric and both times of one cascade, example by example."""
    answers, seconds, through = [], 0.0, np.zeros(len(case.answers), int)
    for i in range(len(case.labels)):
        for tier, answer in enumerate(case.answers[:, i]):
            seconds += case.timing.tiers[tier].example_s[i]
            through[tier] += 1
            if tier == len(case.confidences) or case.confidences[tier, i] >= thresholds[tier]:
                answers.append(answer)
                break
    queued = [tier.queue_s(count) for tier, count in zip(case.timing.tiers, through, strict=True)][1:]
    value = score(metric, case.labels, np.array(answers), case.num_classes)
    return value, seconds, len(case.labels) * case.timing.tiers[0].best_batch_s + sum(queued)


def columns(front, metric):
    return np.stack([front.metrics[metric], front.time_s, front.time_best_batch_s], axis=1)


def assert_none_is_better(front, others, metric):
    """Than the points of `front`, one at a time, in batches, or in both alike."""
    for value, time_s, best_s in columns(others, metric) if not isinstance(others, list) else others:
        as_good = front.metrics[metric] >= value - 1e-12
        for costs, cost in (
            (front.time_s, time_s),
            (front.time_best_batch_s, best_s),
            (front.cost, time_s * best_s),
        ):
            assert as_good.any() and costs[as_good].min() <= cost * (1 + 1e-12)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([(3, 7), (4, 4)]).flatmap(lambda size: cases(max_size=size[1], tiers=size[0])), st.data())
def test_no_combination_of_thresholds_is_better(case, data):
    metric = data.draw(st.sampled_from(METRICS))
    front = best_front(case.outcomes, case.confidences, case.timing, metric)
    assert front.exact
    tried = [by_hand(case, each, metric) for each in every_combination(case)]
    assert_none_is_better(front, tried, metric)
    for own, thresholds in zip(columns(front, metric), front.thresholds, strict=True):
        np.testing.assert_allclose(own, by_hand(case, thresholds, metric))
    assert np.all(np.diff(front.cost) >= 0)


@settings(max_examples=20, deadline=None)
@given(cases(max_size=6, tiers=3), st.integers(0, 99))
def test_no_combination_is_better_where_answers_are_graded(case, seed):
    scores = np.random.default_rng(seed).choice([0, 0.4, 0.8, 1], case.answers.shape)
    outcomes = GradedOutcomes({"em": scores == 1, "f1": scores})
    front = best_front(outcomes, case.confidences, case.timing, "f1")
    everything = points_at(outcomes, case.confidences, case.timing, every_combination(case))
    assert_none_is_better(front, everything, "f1")


@settings(max_examples=20, deadline=None)
@given(cases(max_size=25, tiers=2), st.sampled_from(METRICS))
def test_of_two_tiers_it_is_the_best_of_all_their_points(case, metric):
    front = best_front(case.outcomes, case.confidences, case.timing, metric)
    everything = points_at(case.outcomes, case.confidences, case.timing, every_combination(case))
    assert_none_is_better(front, everything, metric)


@settings(max_examples=20, deadline=None)
@given(cases(min_size=4, max_size=14, tiers=4), st.sampled_from(METRICS))
def test_four_tiers_one_threshold_at_a_time_are_never_worse_than_any_three_and_cannot_be_bettered_so(case, metric):
    part = case.outcomes, case.confidences, case.timing
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "prod", lambda counts: 0 if len(list(counts)) < 2 else np.inf)
        front = best_front(*part, metric)
    assert not front.exact
    for own, thresholds in zip(columns(front, metric), front.thresholds, strict=True):
        np.testing.assert_allclose(own, by_hand(case, thresholds, metric))
    for left_out in range(4):
        tiers = [tier for tier in range(1, 5) if tier != left_out + 1]
        others = [tier - 1 for tier in tiers[:-1]]
        shorter = best_front(
            case.outcomes.subset(tiers), case.confidences[others], case.timing.subset(tiers), metric
        ).thresholds
        passes = np.insert(shorter, min(left_out, 2), 2.0 if left_out < 3 else 0.0, axis=1)
        assert_none_is_better(front, points_at(*part, passes), metric)
    for gate in range(3):
        for own in front.thresholds:
            changed = np.tile(own, (len(case.labels) + 1, 1))
            changed[:, gate] = [*case.confidences[gate], 2.0]
            assert_none_is_better(front, points_at(*part, changed), metric)


def test_a_budget_leaves_quantiles_of_the_first_threshold_and_says_so(monkeypatch):
    part = several(400)
    exact = best_front(*part, "accuracy")
    monkeypatch.setattr(module, "BUDGET", 12 * (400 + module.OVERHEAD))
    some = best_front(*part, "accuracy")
    assert exact.exact and not some.exact and 1 < len(set(some.thresholds[:, 0])) <= 12
    assert_none_is_better(exact, some, "accuracy")


def test_twenty_thousand_examples_take_no_more_memory_than_some_arrays_of_them():
    part = several(20_000, easy=4.0)
    tracemalloc.start()
    front = best_front(*part, "accuracy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert front.exact and peak < 20 * 2**20  # of all pairs of thresholds one number each: 3 GB


def test_every_choice_of_tiers_has_a_front_of_its_own():
    outcomes, confidences, timing = several(300, 4)
    found = every_front(outcomes, confidences, timing, "accuracy")
    assert list(found) == subsets(4) and len(found) == 7
    for tiers, front in found.items():
        gates = [tier - 1 for tier in tiers[:-1]]
        own = outcomes.subset(tiers), confidences[gates], timing.subset(tiers)
        again = points_at(*own, front.thresholds)
        np.testing.assert_allclose(columns(front, "accuracy"), columns(again, "accuracy"))


def test_a_tier_that_does_not_pay_makes_no_longer_cascade_better():
    """Of equal answers to the first tier's, at a price: leaving it out is better at every point of the front."""
    outcomes, confidences, timing = several(300)
    answers = np.stack([outcomes.answers[0], outcomes.answers[0], outcomes.answers[2]])
    useless = ClassOutcomes(outcomes.labels, answers, 2), confidences[[0, 0]], timing
    found = every_front(*useless, "accuracy")
    assert_none_is_better(found[1, 3], found[1, 2, 3], "accuracy")
    for keep in (0.99, 0.98):
        costs = []
        for tiers in ((1, 3), (1, 2, 3)):
            meets = found[tiers].metrics["accuracy"] >= keep * outcomes.tier_score(3, "accuracy")
            costs.append(found[tiers].time_s[meets].min())
        assert costs[0] < costs[1]


def test_of_tiers_that_pay_the_whole_cascade_is_the_cheapest():
    outcomes, confidences, timing = several(2000)
    found, last = every_front(outcomes, confidences, timing, "accuracy"), outcomes.tier_score(3, "accuracy")
    costs = {tiers: front.cost[front.metrics["accuracy"] >= 0.99 * last].min() for tiers, front in found.items()}
    assert min(costs, key=costs.get) == (1, 2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o, c, t: (o, c[:1], t), "3 tiers need the confidences of 2, got 1"),
        (lambda o, c, t: (o, c[:, :9], t), "confidence has 9 entries, the answers have 30"),
        (lambda o, c, t: (o, c, t.subset([1, 3])), "the times are of 2 tiers, the predictions of 3"),
        (lambda o, c, t: (o, c, t.typical(9)), "the times are of 9 examples, the predictions of 30"),
        (lambda o, c, t: (o, np.where(c > 0.9, np.nan, c), t), "finite numbers"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        best_front(*change(*several(30)), "accuracy")


def test_thresholds_are_compared_as_they_are_given_back():
    """A front's own thresholds answer by the tiers that its numbers are of."""
    outcomes, confidences, timing = several(200)
    front = best_front(outcomes, confidences, timing, "mcc")
    for thresholds, passed, value in zip(front.thresholds, front.passed, front.metrics["mcc"], strict=True):
        stops = Gates(confidences).stops([float(each) for each in thresholds])
        assert [(stops > gate).sum() for gate in (0, 1)] == passed.tolist()
        assert outcomes.cascade(stops).tier_score(1, "mcc") == pytest.approx(value)


def test_the_number_of_choices_of_tiers():
    for tiers in (2, 3, 5):
        expected = [(*some, tiers) for k in range(1, tiers) for some in combinations(range(1, tiers), k)]
        assert subsets(tiers) == expected


def test_a_real_middle_tier_makes_the_cascade_half_as_fast_again(real_tiers):
    """In batches; as a prototype measured it on the test sentences: 3.5, 3.8 and 5.7 times faster."""
    outcomes, _, timing = real_tiers
    last, found = outcomes.tier_score(3, "accuracy"), every_front(*real_tiers, "accuracy")
    speeds = {}
    for tiers, front in found.items():
        meets = front.metrics["accuracy"] >= 0.99 * last
        speeds[tiers] = float(timing.reference.best_batch_s / front.time_best_batch_s[meets].min())
    assert speeds[1, 2, 3] > 1.4 * max(speeds[1, 3], speeds[2, 3])
    if outcomes.n == 1821:
        assert [round(speed, 1) for speed in speeds.values()] == [3.5, 3.8, 5.7]
