"""Sums over the moves against sums over the examples, where they move back and forth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_cascades import cases

from tangodistill.cascade.gates import Gates
from tangodistill.cascade.moves import Moves


@st.composite
def walks(draw):
    """The tier (points, n) that answers each example, one after the other, with the tier (n,) before."""
    n, tiers, points = draw(st.integers(1, 6)), draw(st.integers(2, 4)), draw(st.integers(1, 6))
    row = st.lists(st.integers(0, tiers - 1), min_size=n, max_size=n)
    stops = np.array(draw(st.lists(row, min_size=points + 1, max_size=points + 1)), np.int8)
    return stops[0], stops[1:], tiers


@given(walks(), st.integers(0, 99))
def test_sums_at_every_point_are_those_over_the_examples(walk, seed):
    start, stops, tiers = walk
    moves, n = Moves.along(start, stops), len(start)
    rng = np.random.default_rng(seed)
    counts, seconds, right = rng.integers(-9, 9, (tiers, n)), rng.random((tiers, n)), rng.random((tiers, n)) < 0.5
    rows = np.arange(n)
    for found, values in ((moves.total(counts), counts), (moves.total(right), right), (moves.total(seconds), seconds)):
        np.testing.assert_allclose(found, [values[stop, rows].sum() for stop in stops], atol=1e-12)
    for tier in range(tiers):
        assert moves.beyond(tier).tolist() == (stops > tier).sum(axis=1).tolist()
        expected = [seconds[0][stop > tier].sum() for stop in stops]
        np.testing.assert_allclose(moves.total_beyond(tier, seconds[0]), expected, atol=1e-12)
    np.testing.assert_array_equal([stop.copy() for stop in moves.stops()], stops)


@given(walks(), st.data())
def test_some_points_and_the_moves_of_some_examples(walk, data):
    start, stops, tiers = walk
    moves, n = Moves.along(start, stops), len(start)
    points = data.draw(st.lists(st.integers(0, len(stops) - 1), unique=True, min_size=1).map(sorted))
    np.testing.assert_array_equal([stop.copy() for stop in moves.at(np.array(points)).stops()], stops[points])
    some = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    np.testing.assert_array_equal([stop.copy() for stop in moves.of(some).stops()], np.where(some, stops, start))


@given(st.integers(2, 4).flatmap(lambda tiers: cases(max_size=12, tiers=tiers)), st.data())
def test_one_gate_sweeps_the_tiers_that_a_loop_over_its_thresholds_finds(case, data):
    gates, count = Gates(case.confidences), len(case.confidences)
    level = st.one_of(st.sampled_from([0.0, 0.6, 2.0]), st.floats(0.25, 1, width=32))
    thresholds = np.array(data.draw(st.lists(level, min_size=count, max_size=count)), np.float32)
    gate = data.draw(st.integers(0, count - 1))
    found, moves = gates.sweep(gate, thresholds)
    reaching = (case.confidences[:gate] < thresholds[:gate, None]).all(axis=0)
    assert len(found) == 1 + len(set(case.confidences[gate][reaching]))
    for threshold, stop in zip(found, moves.stops(), strict=True):
        own = thresholds.copy()
        own[gate] = threshold
        expected = []
        for i in range(len(case.labels)):
            sure = [case.confidences[k, i] >= own[k] for k in range(count)]
            expected.append(sure.index(True) if True in sure else count)
        assert stop.tolist() == expected == gates.stops(own).tolist()


def test_confidences_are_compared_in_float32():
    assert Gates(np.array([0.8, np.float32(0.8)])).stops([0.8]).tolist() == [0, 0]
    assert Gates(np.array([np.nextafter(np.float32(0.8), np.float32(0))])).stops([0.8]).tolist() == [1]


@pytest.mark.parametrize(
    ("tiers", "n", "message"), [(3, 4, "3 tiers need the confidences of 2, got 1"), (2, 5, "confidence has 4 entries")]
)
def test_what_belongs_to_other_tiers_or_examples_is_refused(tiers, n, message):
    with pytest.raises(ValueError, match=message):
        Gates([0.5, 0.6, 0.7, 0.8]).check(tiers, n)
