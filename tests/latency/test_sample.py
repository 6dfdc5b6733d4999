"""Which examples are timed, and how their times stand for all."""

import doctest

import numpy as np
import pytest

from tangodistill.latency import sample
from tangodistill.latency.sample import timed_sample


def test_the_sample_is_fixed_stratified_and_stands_for_all():
    lengths = np.random.default_rng(3).gamma(2, 40, 5003).astype(int)
    found = timed_sample(lengths, 200)
    again = timed_sample(lengths.copy(), 200)
    np.testing.assert_array_equal(found.rows, again.rows)
    assert len(set(found.rows)) == 200 == found.timed.sum() and (np.diff(found.rows) > 0).all()
    spread = found.spread(lengths[found.rows].astype(float))
    assert spread.mean() == pytest.approx(lengths.mean(), rel=0.02)
    long = lengths > np.quantile(lengths, 0.9)  # a part that was not drawn at random
    assert spread[long].mean() == pytest.approx(lengths[long].mean(), rel=0.05)
    np.testing.assert_array_equal(spread[found.rows], lengths[found.rows])


@pytest.mark.parametrize("n", [0, 1, 7])
def test_few_examples_are_all_timed(n):
    found = timed_sample(np.arange(n)[::-1], 2000)
    assert found.rows.tolist() == list(range(n)) and found.timed.all()
    assert found.spread(np.arange(n)).tolist() == list(range(n))


def test_doctests():
    assert doctest.testmod(sample).failed == 0
