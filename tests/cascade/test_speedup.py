from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_cascades import cases, timing_of

from tangodistill.cascade.speedup import (
    area,
    best_batch_time_s,
    cascade_time_s,
    point_keeping,
    queue_time_s,
    speedup_at,
    tier2_best_batch_time_s,
)
from tangodistill.cascade.speedup import timing_of as table_timing
from tangodistill.cascade.sweep import sweep


@given(cases())
def test_times_equal_a_plain_loop(case):
    points, timing = sweep(*case.swept), case.timing
    batch_s = {0: 0.0, 1: 0.012, 2: 0.018, 3: 0.021, 4: 0.024}
    for threshold, one_by_one, batched in zip(
        points.threshold, cascade_time_s(points, timing), best_batch_time_s(points.deferred, timing), strict=True
    ):
        seconds, waiting, best_seconds = 0.0, 0, timing.tier1_best_batch_s
        for i, sure in enumerate(case.confidence):
            seconds += timing.tier1_s[i]
            if sure < threshold:
                seconds += timing.tier2_s[i]
                waiting += 1
            if waiting == 4:
                best_seconds, waiting = best_seconds + batch_s[4], 0
        assert one_by_one == pytest.approx(seconds)
        assert batched == pytest.approx(best_seconds + batch_s[waiting])


def test_a_partial_batch_below_the_smallest_measured_size_is_interpolated_from_zero():
    assert queue_time_s(2, batch_size=8, sizes=[4, 8], batch_s=[0.4, 0.6]) == pytest.approx(0.2)


def speedup_by_definition(fraction, points, tier2_metric):
    """(interpolated, attained), walking the envelope from the fastest point down."""
    target = fraction * tier2_metric
    envelope = [(s, max(m for t, m in points if t >= s)) for s in sorted({s for s, _ in points}, reverse=True)]
    for i, (s, m) in enumerate(envelope):
        if m >= target:
            if i == 0:
                return s, s
            faster, lower = envelope[i - 1]
            return faster + (target - lower) / (m - lower) * (s - faster), s
    return None, None


@given(
    st.lists(st.tuples(st.sampled_from([0.9, 1.0, 2.5, 4.0, 9.0]), st.floats(-1, 1)), min_size=1, max_size=12),
    st.floats(-1, 1),
    st.sampled_from([0.98, 0.99]),
)
def test_speedup_at_a_fraction_equals_its_definition(points, tier2_metric, fraction):
    found = speedup_at(fraction, *np.array(points).T, tier2_metric)
    interpolated, attained = speedup_by_definition(fraction, points, tier2_metric)
    assert found.attained == attained
    assert found.interpolated == (None if interpolated is None else pytest.approx(interpolated))
    assert (found.reason is None) == (attained is not None)


def test_tier_1_alone_answers_with_its_own_speedup():
    found = speedup_at(0.99, np.array([20.0, 5.0, 0.95]), np.array([0.895, 0.92, 0.9]), tier2_metric=0.9)
    assert (found.interpolated, found.attained, found.reason) == (20.0, 20.0, None)


def test_no_speedup_comes_with_its_reason():
    found = speedup_at(0.99, np.array([20.0, 5.0]), np.array([0.5, 0.6]), tier2_metric=0.9)
    assert (found.interpolated, found.attained) == (None, None)
    assert found.reason == "no operating point reaches 0.8910; the best is 0.6000"


@given(cases())
def test_area_is_the_trapezoids_above_the_straight_line(case):
    points = sweep(*case.swept)
    rate, metric = points.deferral_rate, points.metric("accuracy")
    expected = -(metric[0] + metric[-1]) / 2
    for i in range(1, len(rate)):
        expected += (rate[i] - rate[i - 1]) * (metric[i] + metric[i - 1]) / 2
    assert area(rate, metric) == pytest.approx(expected, abs=1e-12)


def test_the_second_tier_alone_has_times_of_its_own():
    examples = {"tier1_time_s": [1.0, 1.0], "tier2_time_s": [8.0, 9.0], "second_only_time_s": [4.0, 5.0]}
    rows = [(1, 1, 1.0), (2, 1, 8.5), (2, 4, 2.0), (0, 8, 1.5), (0, 16, 1.25)]
    columns = zip(*((tier, size, 10, 10 * each) for tier, size, each in rows), strict=True)
    batches = dict(zip(("tier", "batch_size", "n", "seconds"), columns, strict=True))
    timing = table_timing(examples, batches, [1, 4])
    assert timing.second_only_s.tolist() == [4, 5] and timing.second_only_best_batch_s == 2 * 1.25
    assert timing.tier2_batch_sizes.tolist() == [1, 4]

    del examples["second_only_time_s"]  # as cascades had it that were measured before
    batches = {name: column[:3] for name, column in batches.items()}
    timing = table_timing(examples, batches, [1, 4])
    assert timing.second_only_s.tolist() == [8, 9]
    assert timing.second_only_best_batch_s == pytest.approx(queue_time_s(2, 4, [1, 4], [8.5, 8.0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tier2_best_batch": 3}, r"best batch size 3 is not among the measured \[1, 2, 4\]"),
        ({"tier2_batch_sizes": np.array([4, 2, 1])}, "batch sizes must ascend"),
        ({"tier2_s": np.ones(3)}, r"timed on \(5,\) and \(3,\) examples"),
        ({"tier1_s": np.zeros(5)}, "tier1_s holds a time that is not above zero"),
        ({"tier1_best_batch_s": float("nan")}, "tier1_best_batch_s must be above zero"),
    ],
)
def test_impossible_timings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(timing_of(5, np.random.default_rng(0)), **change)


def test_all_through_tier_2_is_full_batches_and_a_rest():
    assert tier2_best_batch_time_s(6, timing_of(6, np.random.default_rng(0))) == pytest.approx(0.024 + 0.018)


def test_the_point_that_keeps_a_share_is_the_fastest_of_those_that_do():
    points = {"speedup": np.array([1.0, 2.0, 3.0, 4.0]), "accuracy": np.array([0.9, 0.89, 0.7, 0.5])}
    assert point_keeping(points, 0.98, "accuracy", 0.9) == 1
    assert point_keeping(points, 0.995, "accuracy", 0.9) == 0
    assert point_keeping(points, 0.5, "accuracy", 0.9) == 3
    assert point_keeping(points, 0.99, "accuracy", 0.95) is None


def test_equally_fast_points_are_told_apart():
    points = {"speedup": np.array([1.0, 2.0, 2.0]), "accuracy": np.array([0.9, 0.5, 0.9])}
    assert point_keeping(points, 0.99, "accuracy", 0.9) == 2
