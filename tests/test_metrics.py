"""Metrics against scikit-learn, an independent implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from tangodistill.metrics import (
    accuracy,
    expected_calibration_error,
    f1,
    mcc,
    metric_title,
    score,
    scores_from_counts,
)


@st.composite
def labels_and_predictions(draw):
    num_classes = draw(st.integers(2, 5))
    ids = st.integers(0, num_classes - 1)
    pairs = draw(st.lists(st.tuples(ids, ids), min_size=1, max_size=40))
    labels, predictions = np.array(pairs).T
    return num_classes, labels, predictions


@given(labels_and_predictions(), st.integers(0, 1))
def test_scores_equal_scikit_learn(case, positive):
    num_classes, labels, predictions = case
    average = {"average": "binary", "pos_label": positive} if num_classes == 2 else {"average": "macro"}
    assert accuracy(labels, predictions) == pytest.approx(accuracy_score(labels, predictions))
    assert f1(labels, predictions, num_classes, positive) == pytest.approx(
        f1_score(labels, predictions, zero_division=0, **average)
    )
    if len(labels) > 1:  # scikit-learn calls a single example undefined
        assert mcc(labels, predictions) == pytest.approx(matthews_corrcoef(labels, predictions), abs=1e-12)


def test_counts_of_a_hundred_million_do_not_overflow():
    n = np.int64(10**8)
    scores = scores_from_counts([(n, n, n - 10), (n, n, n - 10)])
    assert scores["mcc"] == pytest.approx(1 - 2e-7, abs=1e-12)


def test_calibration_error_is_the_weighted_gap_of_each_bin():
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(500), rng.random(500) < 0.7
    expected = 0.0
    for lower in range(10):
        inside = [i for i in range(500) if lower / 10 < confidence[i] <= (lower + 1) / 10]
        if inside:
            gap = np.mean([correct[i] for i in inside]) - np.mean([confidence[i] for i in inside])
            expected += len(inside) / 500 * abs(gap)
    assert expected_calibration_error(confidence, correct, bins=10) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 1], [0], "predictions has 1 entries, labels has 2"),
        ([], [], "labels must be a non-empty list"),
        ([0, 2], [0, 1], r"labels\[1\] is 2, outside the class ids 0..1"),
        ([0, 1], [0.0, 1.0], "predictions must be a non-empty list of integer class ids, got float64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        f1(np.array(labels, int), np.array(predictions), num_classes=2)


def test_an_unknown_metric_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown metric 'f2'; known: accuracy, f1, mcc"):
        score("f2", [0], [0])


def test_which_class_an_f1_is_of_is_part_of_its_name():
    two = ("legit", "fraud")
    assert metric_title("f1", two, "legit") == "F1 of legit" and metric_title("f1", two) == "F1 of fraud"
    assert metric_title("f1", (*two, "other")) == "macro F1"
    assert [metric_title(name, two, "fraud") for name in ("accuracy", "mcc")] == ["accuracy", "MCC"]
