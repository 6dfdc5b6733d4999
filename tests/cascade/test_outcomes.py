"""The two kinds of outcomes behind one interface, and the layer above that need not know which it has."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_cascades import cases, timing_of
from sklearn.metrics import f1_score

from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.choose import Target
from tangodistill.cascade.errors import errors_by_confidence
from tangodistill.cascade.front import every_point
from tangodistill.cascade.outcomes import ClassOutcomes, GradedOutcomes, outcomes_of
from tangodistill.cascade.summary import chosen_with_confidence, operating_points, summarise
from tangodistill.cascade.threshold_grid import probability_grid, threshold_grid
from tangodistill.metrics import METRICS, score

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
    assert (outcomes.answers.tolist(), outcomes.n) == ([[1, 0], [0, 1]], 2)
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
    calibration = CalibrationSet(confidence, probability_grid(0))
    found = chosen_with_confidence(points, outcomes, calibration, "f1", Target("keep", 0.9), plain)
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
        ({"f1": [0.5, 0.4]}, "f1 must be the scores of tiers"),
        ({"f1": [[], []]}, "f1 must be the scores of tiers"),
        ({"em": [[0, 1], [1, 1]], "f1": [[0.5], [1]]}, "f1 has 1 examples, em has 2"),
        ({"em": [[0, 1], [1, 1]], "f1": [[0.5, 1]]}, "f1 has 1 tiers, em has 2"),
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


@given(cases(num_classes=st.just(2)))
def test_f1_of_the_first_class_is_swept_and_kept_in_a_draw(case):
    outcomes = ClassOutcomes(case.labels, case.answers, 2, positive=0)
    points = every_point(outcomes, case.confidence, case.timing)
    for value, threshold in zip(points.metrics["f1"], points.thresholds[:, 0], strict=True):
        answers = np.where(case.confidence < threshold, case.tier2, case.tier1)
        assert value == pytest.approx(f1_score(case.labels, answers, pos_label=0, zero_division=0))
    assert outcomes.tier_score(2, "f1") == points.metrics["f1"][-1]
    rows = np.arange(outcomes.n)[::-1]
    assert outcomes.drawn(rows).drawn(rows).tier_score(1, "f1") == points.metrics["f1"][0]
    others = every_point(case.outcomes, case.confidence, case.timing)
    for metric in ("accuracy", "mcc"):
        np.testing.assert_allclose(points.metrics[metric], others.metrics[metric])


@given(cases(max_size=7, num_classes=st.just(2)))
def test_the_oracle_and_random_deferral_are_of_the_same_class(case):
    outcomes, n = ClassOutcomes(case.labels, case.answers, 2, positive=0), len(case.labels)
    best = np.zeros(n + 1)
    for choice in range(2**n):
        deferred = np.array([choice >> i & 1 for i in range(n)], bool)
        value = score("f1", case.labels, np.where(deferred, case.tier2, case.tier1), 2, positive=0)
        best[deferred.sum() :] = np.maximum(best[deferred.sum() :], value)
    oracle = outcomes.oracle("f1", case.timing)
    np.testing.assert_allclose(oracle.metric, best[: len(oracle.metric)])
    random = outcomes.random("f1", case.timing, draws=2)
    ends = [outcomes.tier_score(tier, "f1") for tier in (1, 2)]
    assert [random.metric[0], random.metric[-1]] == pytest.approx(ends)


def test_what_is_certified_is_the_f1_of_the_class_that_was_named():
    """Of the first class the tiers agree; of the second, tier 1 finds hardly any."""
    labels = np.tile([0] * 9 + [1], 400)
    tier2 = labels
    tier1 = np.where((labels == 1) & (np.arange(4000) % 4 > 0), 0, labels)
    confidence = np.linspace(0.6, 0.99, 4000).astype(np.float32)
    calibration = CalibrationSet(confidence, threshold_grid("max_probability", 2))
    plenty, few = (ClassOutcomes(labels, [tier1, tier2], 2, positive) for positive in (0, 1))
    found = [outcomes.certify("f1", calibration, 0.9, 0.95, 0.7) for outcomes in (plenty, few)]
    assert found[0].deferral_rate == 0 and found[1].deferral_rate > 0.5
