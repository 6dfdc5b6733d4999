"""Length configurations: what may be one, and that all ways to make one give one."""

import doctest
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangodistill.models import length_configuration
from tangodistill.models.length_configuration import (
    GRID,
    checked,
    crossover,
    monotone,
    mutate,
    sample,
    share_of,
    smallest,
)
from tangodistill.user_error import UserError

ratios = st.integers(1, GRID).map(lambda parts: parts / GRID)
configurations = st.lists(ratios, min_size=4, max_size=4).map(monotone)
seeds = st.integers(0, 2**32 - 1)


@given(st.integers(1, 100_000), ratios)
def test_a_share_is_rounded_up_exactly(tokens, ratio):
    assert share_of(tokens, ratio) == math.ceil(tokens * Fraction(round(ratio * GRID), GRID))


@given(st.lists(ratios, min_size=1, max_size=12))
def test_monotone_never_rises_and_leaves_what_never_did(values):
    repaired = monotone(values)
    assert checked(repaired, len(values)) == repaired == monotone(repaired)
    assert all(after <= before for after, before in zip(repaired, values, strict=True))


@given(seeds, st.lists(st.booleans(), min_size=6, max_size=6))
def test_samples_lie_within_length_drop(seed, kept_layers):
    drawn = sample(6, np.random.default_rng(seed), kept_layers=kept_layers)
    assert checked(drawn, 6) == drawn
    for before, after, kept in zip((1.0, *drawn), drawn, kept_layers, strict=False):
        assert (after == before) if not kept else (0.8 * before - 1 / GRID <= after <= before)


def test_samples_are_spread_from_the_smallest_to_all():
    draws = np.array([sample(4, np.random.default_rng(seed)) for seed in range(500)])
    assert (draws[:, -1] >= smallest(4)[-1]).all() and draws[:, 0].min() < 0.81 and draws[:, 0].max() > 0.99
    assert draws[:, 0].mean() == pytest.approx(0.9, abs=0.01)


@given(configurations, seeds)
def test_a_mutant_lies_between_its_neighbours(parent, seed):
    mutant = mutate(parent, np.random.default_rng(seed), lowest=0.1)
    assert checked(mutant, 4) == mutant
    assert mutant[-1] >= min(0.1, parent[-1]) - 1 / GRID
    assert mutate(parent, np.random.default_rng(seed), lowest=0.1, probability=0) == parent


@given(configurations, configurations)
def test_a_crossover_is_a_configuration(left, right):
    child = crossover(left, right)
    assert checked(child, 4) == child == crossover(right, left)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ([0.9, 0.8], r"has 2 entries \(\[0.9, 0.8\]\), but the model 3 layers"),
        ([1, 0.5, 0.0], r"holds 0.0; a layer keeps a share of the tokens from 0.0001 to 1"),
        ([1.2, 1, 1], "holds 1.2"),
        ([float("nan"), 1, 1], "holds nan"),
        ([0.9, 0.5, 0.7], r"rises from 0.5 \(layer 2\) to 0.7 \(layer 3\).* For instance \[0.9, 0.5, 0.5\]"),
    ],
)
def test_what_is_no_configuration_is_refused_by_its_value(wrong, message):
    with pytest.raises(UserError, match=message):
        checked(wrong, 3)


def test_doctests():
    assert doctest.testmod(length_configuration).failed == 0
