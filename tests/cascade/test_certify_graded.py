"""The guarantee of graded answers: by simulation, and as properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tangodistill.cascade.betting_test import betting_p_values
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.certify import BETTING, EXACT
from tangodistill.cascade.certify import certify_graded as certify
from tangodistill.cascade.threshold_grid import probability_grid

KEEP = 0.95


def certify_graded(tiers, confidence, keep, level, plain):
    return certify(tiers, CalibrationSet(confidence, probability_grid(0)), keep, level, plain)


def drawn(n, seed):
    """From a population in which the cascade keeps 0.95 of tier 2's mean score at thresholds from 0.4 upwards only.

    Surer than 0.4, three fifths of all, tier 1 halves a sixth of tier 2's scores, which costs a twentieth of the mean;
    below it halves each one.
    """
    rng = np.random.default_rng(seed)
    confidence, luck = rng.random(n), rng.random(n)
    tier2 = np.where(rng.random(n) < 0.9, 1.0, 0.5)
    halved = luck < np.where(confidence >= 0.4, 1 / 6, 1)
    return np.stack([np.where(halved, tier2 / 2, tier2), tier2]), confidence


def test_it_errs_less_often_than_it_says():
    wrong = [(certify_graded(*drawn(400, seed), KEEP, 0.95, 0.4).threshold or 1) < 0.399 for seed in range(120)]
    assert np.mean(wrong) <= 0.05


def test_at_the_edge_of_the_hypothesis_p_values_are_small_no_more_often_than_they_say():
    rng, small = np.random.default_rng(0), []
    alone = CalibrationSet(np.full(200, 0.8), np.array([0.5], np.float32))
    for _ in range(400):
        tier1 = rng.choice([0, 0.5, 1.0], 200, p=[0.05, 0.1, 0.85])  # 0.9 on average
        small.append(betting_p_values(np.stack([tier1, np.ones(200)]), alone, keep=0.9)[0])
    for level in (0.01, 0.05, 0.2):
        assert np.mean(np.array(small) <= level) <= level + 2 * np.sqrt(level * (1 - level) / 400)
    assert np.mean(np.array(small) <= 0.2) > 0.02  # and not just by never being small


def test_many_examples_find_nearly_the_cheapest_threshold():
    few, many = (certify_graded(*drawn(n, 0), KEEP, 0.95, 0.4) for n in (1000, 20_000))
    assert many.method == BETTING and 0.399 < many.threshold < 0.45
    assert few.threshold > many.threshold and few.n == 1000
    assert few.deferral_rate == np.mean(drawn(1000, 0)[1].astype(np.float32) < np.float32(few.threshold))


def test_scores_of_0_and_1_are_tested_exactly():
    tier2 = np.ones(500)
    assert certify_graded(np.stack([tier2, tier2]), np.full(500, 0.7), KEEP, 0.95, 0.5).method == EXACT


def test_too_few_say_how_many_it_takes():
    def found(n):
        tier2 = np.resize([0.5, 1.0], n)
        return certify_graded(np.stack([tier2, tier2]), np.full(n, 0.7), KEEP, 0.95, 0.5)

    few = found(40)
    assert few.threshold is None and "40 calibration examples are too few to keep 0.95" in few.reason
    assert 40 < few.groups_needed == few.groups_for_plain < 200
    assert found(few.groups_needed).deferral_rate == 0
    assert found(few.groups_needed * 3 // 4).threshold is None


def test_a_loss_that_no_number_makes_up_for_is_told():
    tiers = np.stack([np.full(300, 0.2), np.full(300, 0.9)])
    found = certify_graded(tiers, np.full(300, 0.99999), KEEP, 0.95, 0.5)
    assert found.threshold is None and found.groups_needed is None and found.groups_for_plain is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.floats(0.3, 0.9))
def test_more_confidence_is_never_cheaper(seed, keep):
    founds = [certify_graded(*drawn(150, seed), keep, level, 0.4) for level in (0.6, 0.9, 0.99)]
    rates = [1.0 if found.threshold is None else found.deferral_rate for found in founds]
    assert rates == sorted(rates)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": 1.0}, "the share to keep must be above 0 and below 1, got 1.0"),
        ({"level": 95}, "the confidence must be above 0.5 and at most 0.999, such as 0.95, got 95"),
        ({"confidence": [0.5]}, "confidence must be of the 40 examples, got 1"),
    ],
)
def test_what_cannot_be_certified_is_refused(changes, message):
    tiers, confidence = drawn(40, 0)
    arguments = {"tiers": tiers, "confidence": confidence, "keep": 0.9, "level": 0.95, "plain": 0.5}
    with pytest.raises(ValueError, match=message):
        certify_graded(**(arguments | changes))
