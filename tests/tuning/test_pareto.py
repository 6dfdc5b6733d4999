"""The front, its hull and its area against brute force."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangodistill.tuning import pareto
from tangodistill.tuning.pareto import hypervolume, pareto_front, upper_hull

few = st.integers(0, 6).map(float)  # few values: many ties
points = st.lists(st.tuples(few, few), min_size=1, max_size=20).map(lambda rows: tuple(np.array(rows).T))


def dominated(i, seconds, scores):
    """By another point that is better in one way and no worse in the other, or by an equal one before it."""
    for j in range(len(seconds)):
        no_worse = seconds[j] <= seconds[i] and scores[j] >= scores[i]
        equal = seconds[j] == seconds[i] and scores[j] == scores[i]
        if j != i and no_worse and (not equal or j < i):
            return True
    return False


@given(points)
def test_the_front_is_what_nothing_dominates(given_points):
    expected = {i for i in range(len(given_points[0])) if not dominated(i, *given_points)}
    front = pareto_front(*given_points)
    assert set(front.tolist()) == expected and len(front) == len(expected)
    assert (np.diff(given_points[0][front]) > 0).all() and (np.diff(given_points[1][front]) > 0).all()


@given(points)
def test_the_hull_is_the_part_of_the_front_under_no_line(given_points):
    seconds, scores = given_points
    front, hull = pareto_front(seconds, scores).tolist(), upper_hull(seconds, scores).tolist()

    def under_a_line(i):
        return any(
            scores[i] <= scores[a] + (scores[b] - scores[a]) * (seconds[i] - seconds[a]) / (seconds[b] - seconds[a])
            for a in front
            for b in front
            if seconds[a] < seconds[i] < seconds[b]
        )

    assert hull == [i for i in front if not under_a_line(i)]


@given(points)
def test_the_area_is_that_of_a_grid(given_points):
    seconds, scores = given_points
    cells = [(x + 0.5, y + 0.5) for x in range(5) for y in range(1, 8)]
    covered = sum(any(s <= x and y <= q for s, q in zip(seconds, scores, strict=True)) for x, y in cells)
    assert hypervolume(seconds, scores, slowest=5.0, worst=1.0) == pytest.approx(covered)


def test_doctests():
    assert doctest.testmod(pareto).failed == 0
