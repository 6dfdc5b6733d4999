from dataclasses import replace

import numpy as np
import pytest
from synthetic_examples import classes, graded, spans

from tangodistill.cascade.errors import errors_by_confidence


def test_accuracy_is_a_mean_of_scores():
    """Two ways to one curve: by counts, and by scores per example."""
    counted, averaged = classes(60).curves(), spans(60).curves()
    for kind in ("cascade", "random", "oracle"):
        for column, other in zip(counted[kind], averaged[kind], strict=True):
            np.testing.assert_allclose(column, other)
    by_counts, by_scores = (
        errors_by_confidence(each.outcomes, each.metric, each.confidences[0]) for each in (classes(60), spans(60))
    )
    for column in by_counts:
        np.testing.assert_allclose(by_counts[column], by_scores[column])


def test_curves_of_spans_by_hand():
    scores = np.random.default_rng(1).random((2, 60))
    examples = graded(classes(60), scores)
    speedup, metric = examples.curves()["cascade"]
    first_s, second_s = (tier.example_s for tier in examples.timing.tiers)
    sure = examples.confidences[0]
    for at, threshold in enumerate([*np.unique(sure), 2.0]):
        defer = sure < threshold
        assert metric[at] == pytest.approx(np.where(defer, scores[1], scores[0]).mean())
        assert speedup[at] == pytest.approx(second_s.sum() / (first_s.sum() + second_s[defer].sum()))
    assert examples.curves()["oracle"][1][-1] == pytest.approx(scores.max(axis=0).mean())


@pytest.mark.parametrize("metric", ["f1", "mcc"])
def test_drawn_examples_are_a_cascade_of_their_own(metric):
    examples = replace(classes(60), metric=metric)
    every_other = examples.drawn(np.arange(0, 60, 2))
    assert every_other.n == every_other.timing.n == 30
    assert every_other.timing.reference.best_batch_s == examples.timing.reference.best_batch_s / 2
    assert every_other.curves()["cascade"][1][-1] == every_other.outcomes.tier_score(2, metric)
