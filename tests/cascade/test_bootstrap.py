import numpy as np
import pytest

from tangodistill.cascade.bootstrap import bootstrap_p_values
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.metrics import score

STEPS = 5


def random_answers(classes, n=150):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, n)
    tiers = [np.where(rng.random(n) < right, labels, rng.integers(0, classes, n)) for right in (0.75, 0.85)]
    return labels, *tiers, rng.integers(0, STEPS + 1, n)


def p_values(metric, labels, tier1, tier2, deferrals, classes, keep):
    """Of examples that so many of the steps defer."""
    path = np.linspace(0.9, 0.5, STEPS, dtype=np.float32)
    calibration = CalibrationSet(np.append(0.95, path - 0.01)[deferrals], path)
    return bootstrap_p_values(metric, labels, np.stack([tier1, tier2]), calibration, classes, keep)


@pytest.mark.parametrize(("metric", "classes"), [("f1", 2), ("mcc", 2), ("f1", 4), ("mcc", 4)])
def test_p_values_agree_with_a_loop_over_draws_of_rows(metric, classes):
    labels, tier1, tier2, deferrals = random_answers(classes)
    # an example more, that tier 1 alone gets wrong and no threshold defers: a share of it in each class
    weights = np.append(np.ones(len(labels)), np.full(classes, 1 / classes)) / (len(labels) + 1)
    n, each = len(labels), np.arange(classes)
    added = (each, (each + 1) % classes, each, 0 * each)
    labels_, tier1_, tier2_, deferrals_ = map(np.append, (labels, tier1, tier2, deferrals), added)
    rng, draws = np.random.default_rng(1), 500
    short = np.zeros(STEPS)
    for _ in range(draws):
        rows = rng.choice(n + classes, n, p=weights)
        second = score(metric, labels_[rows], tier2_[rows], classes)
        for step in range(STEPS):
            answers = np.where(deferrals_ > step, tier2_, tier1_)
            short[step] += score(metric, labels_[rows], answers[rows], classes) <= 0.93 * second
    found = p_values(metric, labels, tier1, tier2, deferrals, classes, keep=0.93)
    np.testing.assert_allclose(found, short / draws, atol=0.08)
    assert 0.05 < found.max() and found.min() < 0.5


def test_neither_the_order_of_the_rows_nor_the_memory_changes_a_draw(monkeypatch):
    rows = random_answers(3)
    first = p_values("mcc", *rows, 3, keep=0.9)
    monkeypatch.setattr("tangodistill.cascade.bootstrap.DRAWN_AT_ONCE", 1000)
    order = np.random.default_rng(0).permutation(len(rows[0]))
    again = p_values("mcc", *(column[order] for column in rows), 3, keep=0.9)
    np.testing.assert_array_equal(again, first)
