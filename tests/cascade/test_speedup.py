import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_cascades import cases

from tangodistill.cascade.front import every_point
from tangodistill.cascade.speedup import area, point_keeping, speedup_at


def speedup_by_definition(fraction, points, last_metric):
    """(interpolated, attained), walking the envelope from the fastest point down."""
    target = fraction * last_metric
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
def test_speedup_at_a_fraction_equals_its_definition(points, last_metric, fraction):
    found = speedup_at(fraction, *np.array(points).T, last_metric)
    interpolated, attained = speedup_by_definition(fraction, points, last_metric)
    assert found.attained == attained
    assert found.interpolated == (None if interpolated is None else pytest.approx(interpolated))
    assert (found.reason is None) == (attained is not None)


def test_tier_1_alone_answers_with_its_own_speedup():
    found = speedup_at(0.99, np.array([20.0, 5.0, 0.95]), np.array([0.895, 0.92, 0.9]), last_metric=0.9)
    assert (found.interpolated, found.attained, found.reason) == (20.0, 20.0, None)


def test_no_speedup_comes_with_its_reason():
    found = speedup_at(0.99, np.array([20.0, 5.0]), np.array([0.5, 0.6]), last_metric=0.9)
    assert (found.interpolated, found.attained) == (None, None)
    assert found.reason == "no operating point reaches 0.8910; the best is 0.6000"


@given(cases())
def test_area_is_the_trapezoids_above_the_straight_line(case):
    points = every_point(case.outcomes, case.confidences, case.timing)
    rate, metric = points.passed[:, 0] / len(case.labels), points.metrics["accuracy"]
    expected = -(metric[0] + metric[-1]) / 2
    for i in range(1, len(rate)):
        expected += (rate[i] - rate[i - 1]) * (metric[i] + metric[i - 1]) / 2
    assert area(rate, metric) == pytest.approx(expected, abs=1e-12)


def test_the_point_that_keeps_a_share_is_the_fastest_of_those_that_do():
    points = {"speedup": np.array([1.0, 2.0, 3.0, 4.0]), "accuracy": np.array([0.9, 0.89, 0.7, 0.5])}
    assert point_keeping(points, 0.98, "accuracy", 0.9) == 1
    assert point_keeping(points, 0.995, "accuracy", 0.9) == 0
    assert point_keeping(points, 0.5, "accuracy", 0.9) == 3
    assert point_keeping(points, 0.99, "accuracy", 0.95) is None


def test_equally_fast_points_are_told_apart():
    points = {"speedup": np.array([1.0, 2.0, 2.0]), "accuracy": np.array([0.9, 0.5, 0.9])}
    assert point_keeping(points, 0.99, "accuracy", 0.9) == 2
