"""The exact test against enumerations of every outcome."""

from math import comb, exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tangodistill.cascade import exact_test
from tangodistill.cascade.exact_test import exact_p_values, highest_rate, score


def outcomes(n):
    """All (losses, gains) of n examples."""
    losses, gains = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    possible = losses + gains <= n
    return losses[possible], gains[possible]


def probability(lost, gained, n, loss_rate, gain_rate):
    ways = comb(n, lost) * comb(n - lost, gained)
    return ways * loss_rate**lost * gain_rate**gained * (1 - loss_rate - gain_rate) ** (n - lost - gained)


def test_without_gains_it_is_the_binomial_test():
    (p_value,) = exact_p_values(np.array([0]), np.array([0]), n=10, margin=0.2, most_gains=0)
    assert p_value == pytest.approx(0.8**10)
    (p_value,) = exact_p_values(np.array([1]), np.array([0]), n=10, margin=0.2, most_gains=0)
    assert p_value == pytest.approx(0.8**10 + 10 * 0.2 * 0.8**9)


@settings(max_examples=20)
@given(st.integers(0, 12), st.integers(0, 12), st.floats(0.02, 0.4), st.floats(0.01, 0.25))
def test_the_p_value_is_the_largest_over_the_rates_of_gains(lost, gained, margin, most_gains):
    n = 12
    gained = min(gained, n - lost)
    own = score(lost, gained, n, margin) + 1e-9
    safer = [pair for pair in zip(*outcomes(n), strict=True) if score(*pair, n, margin) <= own]
    worst = max(
        sum(probability(*pair, n, rate + margin, rate) for pair in safer)
        for rate in np.linspace(1e-3, np.sqrt(most_gains), 300) ** 2
    )
    (p_value,) = exact_p_values(np.array([lost]), np.array([gained]), n, margin, most_gains)
    assert p_value == pytest.approx(worst, abs=2e-3)


@pytest.mark.parametrize("margin", [0.02, 0.1, 0.3])
def test_whatever_the_rates_it_errs_no_more_often_than_its_level(margin):
    n, most_gains = 40, (1 - margin) / 2 - 0.01
    p_values = exact_p_values(*outcomes(n), n, margin, most_gains)
    for gain_rate in np.linspace(0.001, most_gains, 37):
        for excess in (0.0, 0.01, 0.02):  # beyond the margin too
            loss_rate = min(gain_rate + margin + excess, 1 - gain_rate)
            chances = np.array(
                [probability(*map(int, pair), n, loss_rate, gain_rate) for pair in zip(*outcomes(n), strict=True)]
            )
            for level in (0.01, 0.05, 0.2):
                assert chances[p_values <= level].sum() <= level * 1.02


@pytest.mark.parametrize("margin", [0.001, 0.01, 0.1, 0.4])
def test_the_score_rises_with_losses_and_falls_with_gains(margin):
    n = 60
    of = dict(zip(zip(*outcomes(n), strict=True), score(*outcomes(n), n, margin), strict=True))
    for (lost, gained), value in of.items():
        if lost + gained < n:
            assert of[lost + 1, gained] > value > of[lost, gained + 1]


def test_the_score_takes_its_error_from_the_likeliest_rates():
    n, lost, gained, margin = 200, 7, 4, 0.03
    rates = np.linspace(1e-5, 0.2, 200_001)
    likelihood = lost * np.log(rates + margin) + gained * np.log(rates)
    likelihood += (n - lost - gained) * np.log(1 - 2 * rates - margin)
    rate = rates[likelihood.argmax()]
    expected = (lost - gained - n * margin) / np.sqrt(n * (2 * rate + margin - margin**2))
    assert score(lost, gained, n, margin) == pytest.approx(expected, rel=1e-3)


@given(st.integers(1, 300), st.floats(0, 1), st.sampled_from([1e-4, 0.05]))
def test_a_higher_rate_would_show_more(n, share, error):
    count = int(share * n)
    rate = highest_rate(count, n, error)
    if count == n:
        assert rate == 1
        return
    chance = sum(exp(log(comb(n, k)) + k * log(rate) + (n - k) * log(1 - rate)) for k in range(count + 1))
    assert chance == pytest.approx(error, rel=1e-6) and count / n < rate < 1


def test_a_finer_grid_of_rates_changes_nothing(monkeypatch):
    arguments = np.arange(12), np.arange(12)[::-1], 800, 0.0085, 0.08
    coarse = exact_p_values(*arguments)
    monkeypatch.setattr(exact_test, "GAIN_RATES", 1000)
    np.testing.assert_allclose(exact_p_values(*arguments), coarse, atol=5e-4)
