"""Graded answers: each function against the plainest way to compute it, and against class ids for scores of 0 and 1."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cascades import cases, timing_of

from tangodistill.cascade.front import every_point
from tangodistill.cascade.graded import graded_oracle, graded_random, mean_score
from tangodistill.cascade.outcomes import GradedOutcomes
from tangodistill.cascade.speedup import area

SCORES = st.one_of(st.sampled_from([0.0, 1 / 3, 0.5, 2 / 3, 1.0]), st.integers(0, 1000).map(lambda i: i / 1000))
"""That tie often, and whose differences do but for rounding."""


@st.composite
def tiers(draw, max_size=9):
    rows = draw(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=max_size))
    return np.array(rows).T


def timed(scores, seed=0):
    return timing_of(scores.shape[1], np.random.default_rng(seed))


def graded(case):
    """The scores of 0 and 1 that an accuracy is the mean of."""
    return (case.answers == case.labels).astype(float)


@given(tiers(max_size=30), st.data())
def test_sweep_equals_a_naive_loop_over_thresholds(scores, data):
    sure = st.one_of(st.sampled_from([0.1, 0.2]), st.floats(0, 1, width=32))
    n = scores.shape[1]
    confidence = np.array(data.draw(st.lists(sure, min_size=n, max_size=n)), np.float32)
    points = every_point(GradedOutcomes({"em": scores.round(), "f1": scores}), confidence, timed(scores))
    assert points.thresholds[:-1, 0].tolist() == sorted(set(confidence.tolist()))
    for i, threshold in enumerate(points.thresholds[:, 0]):
        defer = confidence < threshold
        assert points.passed[i] == defer.sum()
        for name, each in (("em", scores.round()), ("f1", scores)):
            assert points.metrics[name][i] == pytest.approx(np.mean(np.where(defer, each[1], each[0])), abs=1e-9)
    # exactly, whatever the order of the sums: a target of all of tier 2's metric depends on it
    assert points.metrics["f1"][[0, -1]].tolist() == [mean_score(scores[0]), mean_score(scores[1])]


@settings(max_examples=50)
@given(tiers(), st.integers(0, 9))
def test_oracle_equals_brute_force_over_all_subsets(scores, seed):
    timing, n = timed(scores, seed), scores.shape[1]
    curve = graded_oracle(scores, timing)
    allowed = np.round(curve.deferral_rate * n).astype(int)
    assert curve.exact and allowed[0] == 0 and allowed[-1] == n
    best = (-1.0, 0.0)
    for k in range(n + 1):
        for subset in map(list, combinations(range(n), k)):
            value = (scores[0].sum() + (scores[1] - scores[0])[subset].sum()) / n
            # rounded, so that equal means are told apart by time alone
            best = max(best, (round(value, 8), -timing.tiers[1].example_s[subset].sum()))
        point = np.searchsorted(allowed, k, side="right") - 1
        assert curve.metric[point] == pytest.approx(best[0], abs=1e-7)
        assert curve.time_s[point] == pytest.approx(timing.tiers[0].example_s.sum() - best[1])


@given(tiers(max_size=30))
def test_oracle_gains_ever_less_and_ends_above_both_tiers(scores):
    curve = graded_oracle(scores, timed(scores))
    gains = np.diff(curve.metric)
    assert np.all(gains >= 0) and np.all(np.diff(gains) <= 1e-10) and np.all(np.diff(curve.time_s) >= 0)
    assert curve.metric[0] == mean_score(scores[0])
    assert curve.metric[-1] == pytest.approx(scores.max(axis=0).mean(), abs=1e-9)


@settings(max_examples=30)
@given(tiers(max_size=7))
def test_random_equals_the_mean_over_all_subsets(scores):
    curve, n = graded_random(scores, timed(scores)), scores.shape[1]
    assert curve.exact and curve.interval is None
    for k in range(n + 1):
        values = [scores[0].mean() + (scores[1] - scores[0])[list(s)].sum() / n for s in combinations(range(n), k)]
        assert curve.metric[k] == pytest.approx(np.mean(values), abs=1e-9)
    assert np.all(np.diff(curve.metric) * np.sign(curve.metric[-1] - curve.metric[0]) >= 0)
    assert area(curve.deferral_rate, curve.metric) == pytest.approx(0, abs=1e-12)


@given(cases())
def test_scores_of_0_and_1_are_an_accuracy_exactly(case):
    scores = graded(case)
    swept, of_classes = (
        every_point(each, case.confidence, case.timing) for each in (GradedOutcomes({"em": scores}), case.outcomes)
    )
    np.testing.assert_array_equal(swept.metrics["em"], of_classes.metrics["accuracy"])
    for curve, expected in (
        (graded_random(scores, case.timing), case.outcomes.random("accuracy", case.timing)),
        (graded_oracle(scores, case.timing), case.outcomes.oracle("accuracy", case.timing)),
    ):
        for name in ("deferral_rate", "metric", "time_s", "time_best_batch_s", "exact"):
            np.testing.assert_array_equal(getattr(curve, name), getattr(expected, name))


def test_sweep_refuses_confidences_of_other_examples():
    with pytest.raises(ValueError, match="confidence has 1 entries, the answers have 2"):
        every_point(GradedOutcomes({"f1": np.ones((2, 2))}), [0.5], timed(np.ones((2, 2))))
