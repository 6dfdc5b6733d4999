from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_cascades import cases, timing_of

from tangodistill.cascade.front import points_at
from tangodistill.cascade.timing import Reference, TierTime, Timing, queue_time_s
from tangodistill.cascade.timing import timing_of as table_timing


@given(st.integers(2, 4).flatmap(lambda tiers: st.tuples(cases(tiers=tiers), st.just(tiers))), st.data())
def test_times_equal_a_plain_loop_over_the_tiers_of_each_example(drawn, data):
    case, tiers = drawn
    levels = st.one_of(st.sampled_from([0.0, 1.1]), st.floats(0.25, 1, width=32))
    wanted = data.draw(st.lists(st.lists(levels, min_size=tiers - 1, max_size=tiers - 1), min_size=1, max_size=5))
    thresholds = np.array(wanted, np.float32)
    points = points_at(case.outcomes, case.confidences, case.timing, thresholds)
    batch_s = {0: 0.0, 1: 0.012, 2: 0.018, 3: 0.021, 4: 0.024}
    for point, own in enumerate(thresholds):
        seconds, reached = 0.0, np.zeros(tiers, int)
        for i in range(len(case.labels)):
            for tier in range(tiers):
                seconds += case.timing.tiers[tier].example_s[i]
                reached[tier] += 1
                if tier == tiers - 1 or case.confidences[tier, i] >= own[tier]:
                    break
        best_s = 0.0002 * reached[0]
        for tier in range(1, tiers):
            full, rest = divmod(reached[tier], 4)
            best_s += 4 ** (tier - 1) * (full * batch_s[4] + batch_s[rest])
        assert points.time_s[point] == pytest.approx(seconds)
        assert points.time_best_batch_s[point] == pytest.approx(best_s)
        assert points.passed[point].tolist() == reached[1:].tolist()


def test_a_partial_batch_below_the_smallest_measured_size_is_interpolated_from_zero():
    assert queue_time_s(2, batch_size=8, sizes=[4, 8], batch_s=[0.4, 0.6]) == pytest.approx(0.2)


def test_all_through_a_tier_is_full_batches_and_a_rest():
    assert timing_of(6, np.random.default_rng(0)).tiers[1].queue_s(6) == pytest.approx(0.024 + 0.018)


def test_the_last_tier_alone_has_times_of_its_own():
    examples = {"tier1_time_s": [1.0, 1.0], "tier2_time_s": [8.0, 9.0], "second_only_time_s": [4.0, 5.0]}
    rows = [(1, 1, 1.0), (2, 1, 8.5), (2, 4, 2.0), (0, 8, 1.5), (0, 16, 1.25)]
    columns = zip(*((tier, size, 10, 10 * each) for tier, size, each in rows), strict=True)
    batches = dict(zip(("tier", "batch_size", "n", "seconds"), columns, strict=True))
    timing = table_timing(examples, batches, [1, 4])
    assert timing.reference.example_s.tolist() == [4, 5] and timing.reference.best_batch_s == 2 * 1.25
    assert timing.tiers[1].batch_sizes.tolist() == [1, 4]

    del examples["second_only_time_s"]  # as cascades had it that were measured before
    batches = {name: column[:3] for name, column in batches.items()}
    timing = table_timing(examples, batches, [1, 4])
    assert timing.reference.example_s.tolist() == [8, 9]
    assert timing.reference.best_batch_s == pytest.approx(queue_time_s(2, 4, [1, 4], [8.5, 8.0]))


def test_a_cascade_of_some_tiers_has_their_times_and_the_same_reference():
    timing = timing_of(5, np.random.default_rng(0), tiers=3)
    some = timing.subset([2, 3])
    assert some.tiers == timing.tiers[1:] and some.reference is timing.reference


def test_other_examples_take_the_mean_time():
    timing = timing_of(5, np.random.default_rng(0), tiers=3)
    for changed, n in ((timing.typical(20), 20), (timing.extended(3), 8)):
        assert changed.n == n
        for own, tier in zip(changed.tiers, timing.tiers, strict=True):
            np.testing.assert_allclose(own.example_s.mean(), tier.example_s.mean())
        assert changed.reference.best_batch_s == pytest.approx(timing.reference.best_batch_s * n / 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda tier: replace(tier, best=3), r"best batch size 3 is not among the measured \[1, 2, 4\]"),
        (lambda tier: replace(tier, batch_sizes=np.array([4, 2, 1])), "batch sizes must ascend"),
        (lambda tier: replace(tier, example_s=np.zeros(5)), "example_s holds a time that is not above zero"),
        (lambda tier: replace(tier, in_batches_s=np.full(3, np.nan)), "in_batches_s holds a time that is not above"),
        (lambda tier: Timing((replace(tier, example_s=np.ones(3)), tier)), r"timed on \(3,\) and \(5,\) examples"),
        (lambda tier: Timing((tier,), Reference(np.ones(3), 1.0)), r"alone was timed on \(3,\) examples, .* \(5,\)"),
        (lambda tier: Reference(np.ones(3), 0.0), "best_batch_s of the reference holds a time that is not above zero"),
        (lambda tier: replace(tier, example_s=np.ones((2, 5))), r"must be one time per example, got \(2, 5\)"),
    ],
)
def test_impossible_timings_are_refused(make, message):
    tier: TierTime = timing_of(5, np.random.default_rng(0)).tiers[1]
    with pytest.raises(ValueError, match=message):
        make(tier)
