"""Slices: whole groups, and the classes' shares."""

import doctest

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tangodistill.data import slices as module
from tangodistill.data.slices import cut_slices, slice_size


@given(st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_every_row_is_on_one_side_with_its_group(slices, seed):
    rng = np.random.default_rng(seed)
    groups, classes = rng.integers(0, 80, 200), rng.integers(0, 3, 200)
    rows, rest = cut_slices(groups, classes, 3, slices, seed)
    sides = [*rows, rest]
    assert sorted(np.concatenate(sides).tolist()) == list(range(200))
    assert sum(len(np.unique(groups[side])) for side in sides) == len(np.unique(groups))
    assert all(len(side) <= slice_size(200) and (np.diff(side) > 0).all() for side in rows)


def test_doctests():
    assert doctest.testmod(module).failed == 0
