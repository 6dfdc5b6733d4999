"""The guarantee: by hand, by simulation, and as properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cascades import cases

from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.certify import BOOTSTRAP, EXACT, certify
from tangodistill.cascade.front import every_point
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.guarantee import fixed_sequence
from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.cascade.threshold_grid import threshold_grid

KEEP = 0.95


def drawn(n, seed):
    """From a population in which the cascade keeps 0.95 of tier 2's accuracy at thresholds from 0.8 upwards only.

    Of the examples surer than 0.8, two fifths, tier 1 spoils 0.1625 and mends 0.05, which costs 0.045 in all: a
    twentieth of tier 2's accuracy, 0.9. Below it spoils a quarter.
    """
    rng = np.random.default_rng(seed)
    confidence, luck = rng.uniform(0.5, 1, n), rng.random(n)
    labels = rng.integers(0, 2, n)
    spoilt = luck < np.where(confidence >= 0.8, 0.1625, 0.25)
    mended = luck > 0.95
    wrong2 = mended | (~spoilt & (luck > 0.9))
    wrong1 = spoilt | (wrong2 & ~mended)
    return labels, labels ^ wrong1, labels ^ wrong2, confidence


def plain(metric, labels, tier1, tier2, confidence, keep=KEEP, classes=2):
    threshold, moves = Gates(confidence).sweep()
    values = ClassOutcomes(labels, [tier1, tier2], classes).metrics_at(moves)[metric]
    return float(threshold[np.argmax(values >= keep * values[-1] - 1e-12)])


def certified_at(plain, metric, labels, tier1, tier2, confidence, classes, keep, level):
    calibration = CalibrationSet(confidence, threshold_grid("max_probability", classes))
    return certify(metric, labels, [tier1, tier2], classes, calibration, keep, level, plain)


def certified(metric, *rows, keep=KEEP, level=0.95, classes=2):
    chosen = plain(metric, *rows, keep=min(keep, 1), classes=classes)
    return certified_at(chosen, metric, *rows, classes, keep, level)


def perfect(n):
    """Both tiers right on n examples of confidence 0.7."""
    labels = np.arange(n) % 2
    return labels, labels, labels, np.full(n, 0.7)


def test_enough_examples_without_a_loss_certify_tier_1_alone():
    found = certified("accuracy", *perfect(500))
    assert (found.threshold, found.deferral_rate, found.n, found.method) == (0.5, 0.0, 500, EXACT)
    assert found.groups == 500
    assert found.groups_needed is None and found.reason is None
    assert found.target == "keep 0.95 of tier 2 with 95 % confidence"


def test_too_few_say_how_many_it_takes():
    found = certified("accuracy", *perfect(40))
    assert found.threshold is None and found.deferral_rate is None
    assert found.reason == (
        f"40 calibration examples are too few to keep 0.95 of tier 2 with 95 % confidence: it takes about "
        f"{found.groups_needed} to certify any threshold at all, and about {found.groups_for_plain} for the one "
        "chosen without confidence"
    )
    assert certified("accuracy", *perfect(found.groups_needed)).threshold == 0.5
    assert certified("accuracy", *perfect(found.groups_needed * 3 // 4)).threshold is None


def test_a_loss_that_no_number_makes_up_for_is_told():
    labels = np.arange(300) % 2
    confidence = np.where(np.arange(300) < 100, 0.9, 0.6)
    found = certified("accuracy", labels, 1 - labels, labels, confidence)
    assert found.threshold is None and found.groups_needed is None
    assert "it takes more than 10,000,000 to certify any threshold at all, and more than 10,000,000 for" in found.reason


def test_it_stops_at_the_first_threshold_that_fails_though_cheaper_ones_would_pass():
    n = 2000
    labels = np.arange(n) % 2
    band = np.repeat([0.95, 0.75, 0.6], [300, 700, 1000])
    tier1 = np.where(band == 0.95, 1 - labels, labels)  # spoils what it is surest of
    tier2 = np.where(band == 0.75, 1 - labels, labels)  # and would make up for it below
    assert plain("accuracy", labels, tier1, tier2, band) < 0.75
    assert certified("accuracy", labels, tier1, tier2, band).threshold is None


def test_the_sequence_counts_rejections_before_the_first_failure():
    for p_values, rejected in (([0.2, 0.01], 0), ([0.01, 0.04, 0.06, 0.0], 2), ([0.01, 0.05], 2)):
        assert fixed_sequence(np.array(p_values), 0.05) == rejected


def test_it_errs_as_often_as_it_says_and_no_more():
    """A threshold below 0.8 loses too much. The choice without a guarantee does so in half of all draws."""
    rows = [drawn(300, seed) for seed in range(500)]
    wrong = np.mean([(certified("accuracy", *row).threshold or 1) < 0.799 for row in rows])
    assert wrong <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)
    # the same count finds a guarantee that is weaker than it says, and none at all
    weaker = np.mean([(certified("accuracy", *row, level=0.6).threshold or 1) < 0.799 for row in rows[:150]])
    without = np.mean([plain("accuracy", *row) < 0.799 for row in rows])
    assert weaker > 0.15 and without > 0.3


def test_many_examples_find_nearly_the_cheapest_threshold():
    found = certified("accuracy", *drawn(20_000, 0))
    assert 0.799 < found.threshold < 0.83
    assert certified("accuracy", *drawn(1000, 0)).threshold > found.threshold


@pytest.mark.parametrize("metric", ["f1", "mcc"])
def test_other_metrics_are_bootstrapped(metric):
    found, few = (certified(metric, *drawn(n, 0), keep=keep) for n, keep in ((2000, 0.9), (40, 0.98)))
    assert found.method == BOOTSTRAP
    assert plain(metric, *drawn(2000, 0), keep=0.9) <= found.threshold < 0.9
    assert few.threshold is None and few.groups_needed > 40


@settings(max_examples=40, deadline=None)
@given(cases(min_size=5, max_size=60), st.sampled_from(["accuracy", "mcc"]), st.floats(0.2, 0.9), st.randoms())
def test_the_order_of_the_examples_changes_nothing(case, metric, keep, random):
    order = random.sample(range(len(case.labels)), len(case.labels))
    rows = (case.labels, *case.answers, case.confidence)
    shuffled = tuple(column[order] for column in rows)
    arguments = (case.num_classes, keep, 0.9)
    assert certified_at(0.7, metric, *rows, *arguments) == certified_at(0.7, metric, *shuffled, *arguments)


@settings(max_examples=25, deadline=None)
@given(cases(min_size=5, max_size=60), st.sampled_from(["accuracy", "f1"]), st.floats(0.2, 0.9))
def test_more_confidence_is_never_cheaper_and_none_is_the_cheapest(case, metric, keep):
    rows = (case.labels, *case.answers, case.confidence)
    rates = [
        found.deferral_rate if found.threshold is not None else 1.0
        for found in (
            certified_at(0.7, metric, *rows, case.num_classes, keep, level) for level in (0.6, 0.9, 0.95, 0.99)
        )
    ]
    assert rates == sorted(rates)
    if metric == "accuracy":
        points = every_point(case.outcomes, case.confidence, case.timing)
        meets = points.metrics["accuracy"] >= keep * points.metrics["accuracy"][-1] - 1e-12
        assert points.passed[np.argmax(meets), 0] / len(case.labels) <= rates[1]


@pytest.mark.parametrize("metric", ["accuracy", "mcc"])
def test_keeping_more_is_never_cheaper(real_case, metric):
    for seed in range(5):
        rows = np.random.default_rng(seed).permutation(1821)[:800]
        columns = [column[rows] for column in (real_case.labels, *real_case.answers, real_case.confidence)]
        thresholds = [certified(metric, *columns, keep=keep).threshold or 1 for keep in (0.9, 0.95, 0.97, 0.98, 0.99)]
        assert thresholds == sorted(thresholds) and thresholds[0] < thresholds[-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": 1.0}, "^with confidence, the share to keep must be above 0 and below 1, got 1.0$"),
        ({"keep": 0.0}, "^with confidence, the share to keep must be above 0 and below 1, got 0.0$"),
        ({"level": 95}, "^the confidence must be above 0.5 and at most 0.999, such as 0.95, got 95$"),
        ({"level": 0.5}, "^the confidence must be above 0.5 and at most 0.999, such as 0.95, got 0.5$"),
        ({"metric": "auc"}, "^unknown metric 'auc'; known: accuracy, f1, mcc$"),
        ({"confidence": [0.5]}, "^confidence must be of the 40 examples, got 1$"),
        ({"confidence": np.full(40, np.nan)}, "^confidence must be a non-empty list of finite numbers"),
    ],
)
def test_what_cannot_be_certified_is_refused(changes, message):
    labels, tier1, tier2, confidence = perfect(40)
    arguments = {"plain": 0.5, "metric": "accuracy", "labels": labels, "tier1": tier1, "tier2": tier2}
    arguments |= {"confidence": confidence, "classes": 2, "keep": 0.9, "level": 0.95}
    with pytest.raises(ValueError, match=message):
        certified_at(**(arguments | changes))


def test_a_second_tier_that_is_never_right_certifies_nothing():
    labels = np.arange(50) % 2
    found = certified_at(0.5, "accuracy", labels, labels, 1 - labels, np.full(50, 0.7), 2, 0.9, 0.95)
    assert found.threshold is None
