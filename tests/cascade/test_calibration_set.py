"""Certificates on examples that hang together: as properties, by simulation, and what too few groups are told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cascades import cases

from tangodistill.cascade.betting_test import betting_p_values
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.certify import BETTING, EXACT, certify, certify_graded
from tangodistill.cascade.threshold_grid import threshold_grid

KEEP = 0.9
ONE_THRESHOLD = np.array([0.5], np.float32)  # below all confidences: tier 1 alone


def found(case, metric, groups=None, rows=slice(None)):
    calibration = CalibrationSet(case.confidence[rows], threshold_grid("max_probability", case.num_classes), groups)
    answers = case.labels[rows], case.answers[:, rows]
    return certify(metric, *answers, case.num_classes, calibration, 0.7, 0.9, plain=0.7)


@settings(max_examples=8, deadline=None)
@given(cases(min_size=2, max_size=40), st.sampled_from(["accuracy", "f1", "mcc"]))
def test_groups_of_one_are_independent_examples(case, metric):
    n = len(case.labels)
    assert found(case, metric, [f"group {i:03}" for i in range(n)]) == found(case, metric)


@settings(max_examples=8, deadline=None)
@given(cases(min_size=2, max_size=40), st.sampled_from(["f1", "mcc"]), st.integers(2, 4))
def test_copies_in_a_group_count_for_nothing(case, metric, copies):
    n = len(case.labels)
    alone, copied = found(case, metric), found(case, metric, np.repeat(range(n), copies), np.repeat(range(n), copies))
    assert (copied.n, copied.groups) == (copies * n, n)
    for name in ("threshold", "deferral_rate", "groups_needed", "groups_for_plain"):
        assert getattr(copied, name) == getattr(alone, name)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 999), st.integers(2, 4))
def test_copies_of_graded_answers_count_for_nothing(seed, copies):
    rng = np.random.default_rng(seed)
    sure, tier2 = rng.random(60), rng.uniform(0.5, 1, 60)
    tiers = np.stack([np.where(rng.random(60) < 0.9, tier2, 0), tier2])
    thresholds = np.linspace(1, 0, 50, dtype=np.float32)
    alone = certify_graded(tiers, CalibrationSet(sure, thresholds), 0.6, 0.9, plain=0.5)
    rows = np.repeat(range(60), copies)
    copied = certify_graded(tiers[:, rows], CalibrationSet(sure[rows], thresholds, rows), 0.6, 0.9, plain=0.5)
    assert (copied.threshold, copied.groups) == (alone.threshold, 60)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_one_of_each_group_is_drawn(groups):
    groups = np.array(groups)
    drawn, rows = CalibrationSet(np.linspace(0.5, 1, len(groups)), ONE_THRESHOLD, groups).one_each()
    assert sorted(groups[rows]) == sorted(set(groups)) and (np.diff(rows) > 0).all()
    assert drawn.n == len(set(groups)) == len(drawn.group_sizes)


def tier_1_at_the_edge(rng, sizes, alike):
    """Right answers of groups, 0.9 of those of a second tier that is always right, by group `alike` or not."""
    groups = np.repeat(range(len(sizes)), sizes)
    likely = np.where(alike, rng.random(len(sizes)) < KEEP, KEEP)
    return rng.random(len(groups)) < likely[groups], groups


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("sizes", [[8] * 80, [1, 15] * 40], ids=["equal", "unequal"])
def test_at_the_edge_groups_are_certified_no_more_often_than_they_say(sizes, alike):
    draws, small = 300, {True: [], False: []}
    for seed in range(draws):
        right, groups = tier_1_at_the_edge(np.random.default_rng(seed), sizes, alike)
        for grouped in small:
            calibration = CalibrationSet(np.full(len(right), 0.8), ONE_THRESHOLD, groups if grouped else None)
            scores = np.stack([right, np.ones(len(right))])
            p_values = betting_p_values(scores, calibration, KEEP)
            small[grouped].append(p_values[0] <= 0.05)
    assert np.mean(small[True]) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / draws)
    if alike:
        assert np.mean(small[False]) > 0.15  # what the groups are for


def test_ten_articles_are_too_few_whatever_their_questions():
    right, groups = np.ones(2000), np.arange(2000) // 200
    found = certify_graded([right, right], CalibrationSet(np.full(2000, 0.8), ONE_THRESHOLD, groups), 0.99, 0.95, 0.5)
    assert (found.n, found.groups, found.threshold) == (2000, 10, None)
    assert found.reason == (
        "2,000 calibration examples in 10 independent groups are too few to keep 0.99 of tier 2 with 95 % confidence: "
        f"it takes about {found.groups_needed} groups to certify any threshold at all, and about "
        f"{found.groups_for_plain} groups for the one chosen without confidence"
    )
    assert 300 < found.groups_needed < 500


def test_the_means_of_groups_tell_more_than_one_row_of_each():
    groups, thresholds = np.repeat(range(500), 4), threshold_grid("max_probability", 2)
    deferred = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        sure = rng.uniform(0.5, 1, 2000)
        tiers = np.stack([rng.random(2000) < 0.6 + 0.4 * sure, np.ones(2000)])
        means = certify_graded(tiers, CalibrationSet(sure, thresholds, groups), 0.9, 0.95, 0.5)
        first = certify_graded(tiers[:, ::4], CalibrationSet(sure[::4], thresholds), 0.9, 0.95, 0.5)
        assert (means.method, first.method) == (BETTING, EXACT)
        deferred.append((means.deferral_rate, first.deferral_rate))
    means, first = np.mean(deferred, axis=0)
    assert means < 0.6 * first


def test_what_few_hang_together_is_tested_exactly_on_one_of_each():
    right, groups = np.ones(500), np.append(np.arange(450), np.arange(50))
    found = certify_graded([right, right], CalibrationSet(np.full(500, 0.8), ONE_THRESHOLD, groups), 0.99, 0.95, 0.5)
    assert found.method == EXACT + " (one example of each group)" and found.threshold == 0.5
    assert found.basis == "500 calibration examples in 450 independent groups"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, np.inf], ONE_THRESHOLD), "^confidence must be a non-empty list of finite numbers for each gating tier"),
        (([], ONE_THRESHOLD), "^confidence must be a non-empty list of finite numbers for each gating tier$"),
        (([0.5, 0.6], ONE_THRESHOLD, [1]), "^confidence has 2 entries, groups has 1$"),
        (([[0.5], [0.6]], ONE_THRESHOLD), r"^a path of 3 tiers has 2 thresholds a step, got \(1, 1\)$"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CalibrationSet(*arguments)
