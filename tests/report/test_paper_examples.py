import doctest

import numpy as np
import pytest
from synthetic_run import random_logits, softmax

from tangodistill.cascade.speedup import Timing, speedup_at
from tangodistill.report import paper_examples
from tangodistill.report.paper_examples import ClassExamples, SpanExamples, intervals

TIERS = ("tier1", "tier2")


@pytest.fixture
def classes():
    labels, *logits = random_logits(60, 4)
    rng = np.random.default_rng(0)
    timing = Timing(rng.uniform(1, 2, 60), rng.uniform(9, 20, 60), 30.0, np.array([1, 8]), np.array([9.0, 40.0]), 8)
    answers = (each.argmax(axis=1) for each in logits)
    return ClassExamples("accuracy", labels, *answers, softmax(logits[0]).max(axis=1), timing, 2)


@pytest.fixture
def spans(classes):
    """The same examples with a score of 0 or 1 each."""
    right = [(getattr(classes, tier) == classes.labels).astype(float) for tier in TIERS]
    return SpanExamples(*right, *right, classes.confidence, classes.timing.tier1_s, classes.timing.tier2_s)


def test_accuracy_is_a_mean_of_scores(classes, spans):
    """Two ways to one curve: by counts, and by scores per example."""
    counted, averaged = classes.curves(), spans.curves()
    for kind in ("cascade", "random"):
        for column, other in zip(counted[kind], averaged[kind], strict=True):
            np.testing.assert_allclose(column, other)
    for fraction in (0.9, 0.99):
        found = [speedup_at(fraction, *each["oracle"], spans.tier2.mean()).interpolated for each in (counted, averaged)]
        assert found[0] == pytest.approx(found[1])
    assert classes.errors().equals(spans.errors())


def test_curves_of_spans_by_hand(spans):
    rng = np.random.default_rng(1)
    spans = SpanExamples(
        rng.random(60), rng.random(60), *[np.ones(60)] * 2, spans.confidence, spans.tier1_s, spans.tier2_s
    )
    speedup, metric = spans.curves()["cascade"]
    for at, threshold in enumerate([*np.unique(spans.confidence.astype(np.float32)), 2.0]):
        defer = spans.confidence.astype(np.float32) < threshold
        assert metric[at] == pytest.approx(np.where(defer, spans.tier2, spans.tier1).mean())
        assert speedup[at] == pytest.approx(spans.tier2_s.sum() / (spans.tier1_s.sum() + spans.tier2_s[defer].sum()))
    best = np.maximum(spans.tier1, spans.tier2).mean()
    assert spans.curves()["oracle"][1][-1] == pytest.approx(best)


def test_intervals_hold_the_value_and_come_out_the_same_twice(classes, spans):
    for examples in (classes, spans):
        found = intervals(examples, draws=60)
        assert found == intervals(examples, draws=60)
        curves = examples.curves()
        second = curves["cascade"][1][-1]
        low, high = found["second_tier"]
        assert low < second < high
        for kind in ("cascade", "random", "oracle"):
            low, high = found[f"{kind}_98"]
            assert low <= speedup_at(0.98, *curves[kind], second).interpolated <= high


def test_examples_that_are_all_alike_leave_no_doubt(spans):
    alike = spans.drawn(np.zeros(40, np.int64))
    assert all(low == pytest.approx(high) for low, high in intervals(alike, draws=5).values())


@pytest.mark.parametrize("metric", ["f1", "mcc"])
def test_counted_metrics_have_intervals_too(classes, metric):
    from dataclasses import replace

    assert intervals(replace(classes, metric=metric), draws=5).keys() >= {"second_tier", "cascade_99", "random_98"}


def test_doctests():
    assert doctest.testmod(paper_examples).failed == 0
