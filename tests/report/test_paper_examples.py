import numpy as np
import pytest
from synthetic_run import random_logits, softmax

from tangodistill.cascade.outcomes import ClassOutcomes, GradedOutcomes
from tangodistill.cascade.speedup import Timing, speedup_at
from tangodistill.report.paper_examples import Examples, intervals


@pytest.fixture
def classes():
    labels, *logits = random_logits(60, 4)
    rng = np.random.default_rng(0)
    timing = Timing(rng.uniform(1, 2, 60), rng.uniform(9, 20, 60), 30.0, np.array([1, 8]), np.array([9.0, 40.0]), 8)
    answers = (each.argmax(axis=1) for each in logits)
    return Examples("accuracy", ClassOutcomes(labels, *answers, 2), softmax(logits[0]).max(axis=1), timing)


def graded(classes, scores):
    """The same examples, with a score each."""
    return Examples("f1", GradedOutcomes({"em": scores, "f1": scores}), classes.confidence, classes.timing)


@pytest.fixture
def spans(classes):
    """The same examples with a score of 0 or 1 each."""
    given = classes.outcomes
    return graded(classes, np.stack([each == given.labels for each in (given.tier1, given.tier2)]).astype(float))


def test_accuracy_is_a_mean_of_scores(classes, spans):
    """Two ways to one curve: by counts, and by scores per example."""
    counted, averaged = classes.curves(), spans.curves()
    for kind in ("cascade", "random", "oracle"):
        for column, other in zip(counted[kind], averaged[kind], strict=True):
            np.testing.assert_allclose(column, other)
    assert classes.errors().equals(spans.errors())


def test_curves_of_spans_by_hand(classes):
    scores = np.random.default_rng(1).random((2, 60))
    spans = graded(classes, scores)
    speedup, metric = spans.curves()["cascade"]
    first_s, second_s = spans.timing.tier1_s, spans.timing.tier2_s
    for at, threshold in enumerate([*np.unique(spans.confidence.astype(np.float32)), 2.0]):
        defer = spans.confidence.astype(np.float32) < threshold
        assert metric[at] == pytest.approx(np.where(defer, scores[1], scores[0]).mean())
        assert speedup[at] == pytest.approx(second_s.sum() / (first_s.sum() + second_s[defer].sum()))
    assert spans.curves()["oracle"][1][-1] == pytest.approx(scores.max(axis=0).mean())


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
