"""The two kinds of outcomes behind one interface, and the layer above that need not know which it has."""

import json

import numpy as np
import pandas as pd
import pytest
from random_cascades import timing_of

from tangodistill.cascade.choose import Target
from tangodistill.cascade.errors import errors_by_confidence
from tangodistill.cascade.outcomes import ClassOutcomes, GradedOutcomes, outcomes_of
from tangodistill.cascade.summary import chosen_with_confidence, operating_points, summarise
from tangodistill.metrics import METRICS

N = 600


def table(seed=0):
    """Rows as of SQuAD: tier 2 is better, and tier 1 is unsure where it is wrong."""
    rng = np.random.default_rng(seed)
    confidence = rng.random(N).astype(np.float32)
    f1 = np.stack([rng.choice([0, 0.4, 0.8, 1], N, p=[0.2, 0.1, 0.1, 0.6]) for _ in (1, 2)])
    f1 = np.where(confidence > 0.4, np.maximum(f1, f1[::-1]), [f1[0], np.maximum(f1[1], f1[0])])
    columns = {
        f"tier{tier}_{name}": s for tier in (1, 2) for name, s in (("em", f1[tier - 1] == 1), ("f1", f1[tier - 1]))
    }
    return pd.DataFrame({**columns, "gold": "", "tier1_answer": "", "tier2_answer": "", "confidence": confidence})


def test_a_table_of_graded_answers_is_read():
    rows = table()
    outcomes = outcomes_of(rows)
    assert isinstance(outcomes, GradedOutcomes) and outcomes.metrics == ("em", "f1") and outcomes.n == N
    for tier in (1, 2):
        for name in outcomes.metrics:
            assert outcomes.tier_score(tier, name) == pytest.approx(rows[f"tier{tier}_{name}"].mean(), abs=1e-9)


def test_a_table_of_class_ids_is_read():
    logits = [[0.0, 1.0, 0.5], [2.0, 1.0, 0.5]]
    rows = pd.DataFrame({"label": [1, 2], "tier1_logits": logits, "tier2_logits": logits[::-1]})
    outcomes = outcomes_of(rows)
    assert isinstance(outcomes, ClassOutcomes) and outcomes.metrics == METRICS and outcomes.num_classes == 3
    assert (outcomes.tier1.tolist(), outcomes.tier2.tolist(), outcomes.n) == ([1, 0], [0, 1], 2)
    assert (outcomes.tier_score(1, "accuracy"), outcomes.tier_score(2, "accuracy")) == (0.5, 0.0)


def test_the_summary_of_graded_answers_is_that_of_any_others():
    rows, timing = table(), timing_of(N, np.random.default_rng(0))
    outcomes, confidence = outcomes_of(rows), rows["confidence"].to_numpy()
    points = operating_points(outcomes, confidence, timing)
    assert list(points)[:6] == ["kind", "threshold", "deferral_rate", "em", "f1", "time_s"]
    assert all(points[name][-2] == points[name][-1] for name in ("em", "f1"))
    summary = summarise(points, outcomes, timing, "f1", Target("keep", 0.99))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert abs(summary["random"]["area"]) < 1e-9 < summary["area"] < summary["oracle"]["area"]
    speeds = [curve["speedup_at_99"]["batch1"] for curve in (summary["random"], summary, summary["oracle"])]
    assert speeds == sorted(speeds)
    plain = summary["best_on_report"]["threshold"]
    found = chosen_with_confidence(points, outcomes, confidence, "f1", Target("keep", 0.9), plain)
    assert found["threshold"] is not None and found["reason"] is None
    assert found["metric_value"] >= 0.9 * points["f1"][-1]


def test_graded_changes_are_whatever_the_metric_tells_apart():
    outcomes = GradedOutcomes({"em": [[0, 0, 1, 1], [0, 1, 1, 0]], "f1": [[0.5, 0.6, 1, 1], [0.6, 1, 1, 0.2]]})
    sure = np.array([0.1, 0.2, 0.8, 0.9])
    for metric, better in (("em", [0.25, 0]), ("f1", [0.5, 0])):
        columns = errors_by_confidence(outcomes, metric, sure, bins=2)
        assert columns["false_to_true"].tolist() == better and columns["true_to_false"].tolist() == [0, 0.25]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"f1": [[0.5, 1.2], [0, 1]]}, "f1 holds a score that is not within 0..1"),
        ({"f1": [[0.5, np.nan], [0, 1]]}, "f1 holds a score that is not within 0..1"),
        ({"f1": [0.5, 0.4]}, "f1 must be the scores of two tiers"),
        ({"f1": [[], []]}, "f1 must be the scores of two tiers"),
        ({"em": [[0, 1], [1, 1]], "f1": [[0.5], [1]]}, "f1 has 1 examples, em has 2"),
        ({}, "no metric"),
    ],
)
def test_scores_that_are_none_are_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        GradedOutcomes(scores)


def test_an_unknown_metric_is_refused():
    outcomes = GradedOutcomes({"em": [[0], [1]], "f1": [[0.5], [1]]})
    with pytest.raises(ValueError, match="unknown metric 'accuracy'; known: em, f1"):
        outcomes.tier_score(1, "accuracy")
