"""A test that a cascade's mean score stays above a share of the second tier's, for scores of 0..1 and at any n.

It bets on the paired differences D = score of the cascade - keep * score of tier 2, which lie within -keep..1, one
example after another. Stakes are set before each example is seen, so where the mean of D is 0 or less no betting makes
the wealth grow on average, and the chance that it ever reaches 1/p is at most p (Ville's inequality). The p-value is
one over the largest wealth reached. Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by
betting".
"""

import numpy as np

STAKED_FOR = np.log(1 / 0.05)  # nats of wealth that the stakes are set to win
MOST_AT_RISK = 0.75  # of the wealth on one example
RATES = 2.0 ** -np.arange(0, 10, 0.5)  # of the largest stake


def betting_p_values(
    tier1: np.ndarray, tier2: np.ndarray, deferrals: np.ndarray, steps: int, keep: float
) -> np.ndarray:
    """(steps,) p-values of "mean score of the cascade <= keep * mean score of tier 2".

    The examples are bet on in a random order from a fixed seed, so that rows sorted by anything do no harm.

    Args: `tier1`, `tier2` (n,) scores; `deferrals` (n,): the first so many of the steps defer the example.

    >>> half = np.tile([0.0, 1.0], 20)  # right, and tier 2 always
    >>> betting_p_values(half, np.ones(40), np.full(40, 1), steps=2, keep=0.9).round(3).tolist()
    [0.041, 0.857]
    """
    order = np.random.default_rng(0).permutation(len(tier1))
    tier1, tier2, deferrals = tier1[order], tier2[order], deferrals[order]
    deferred, alone = (1 - keep) * tier2, tier1 - keep * tier2
    return np.array([_p_value(np.where(deferrals > step, deferred, alone), keep) for step in range(steps)])


def _p_value(differences: np.ndarray, keep: float) -> float:
    """Stakes rise as the variance of the examples seen so far (and of one before, of 1/4) falls."""
    n = len(differences)
    seen = np.arange(2, n + 2)
    mean = np.cumsum(differences) / seen
    variance = (1 / 4 + np.cumsum((differences - mean) ** 2)) / seen
    known_before = np.append(1 / 4, variance[:-1])
    stakes = np.minimum(np.sqrt(2 * STAKED_FOR / (n * known_before)), MOST_AT_RISK / keep)
    log_wealth = np.cumsum(np.log1p(stakes * differences))
    return float(np.exp(-max(log_wealth.max(), 0.0)))


def examples_to_win(
    tier1: np.ndarray, tier2: np.ndarray, deferrals: np.ndarray, steps: int, keep: float, level: float
) -> np.ndarray:
    """(steps,) about how many examples like these give a p-value of 1 - level: by the best constant stake's growth.

    Args: as in `betting_p_values`; infinite where no stake gains.

    >>> tier2 = np.ones(200)  # each example deferred gains log(1 + 0.75 / 0.9 * 0.1), as it loses nothing
    >>> examples_to_win(tier2, tier2, np.full(200, 1), steps=1, keep=0.9, level=0.95).round(1).tolist()
    [37.4]
    """
    growth = np.zeros(steps)
    for stake in RATES * MOST_AT_RISK / keep:
        deferred, alone = np.log1p(stake * (1 - keep) * tier2), np.log1p(stake * (tier1 - keep * tier2))
        changed = np.cumsum(np.bincount(deferrals, alone - deferred, minlength=steps + 1))[:steps]
        growth = np.maximum(growth, (deferred.sum() + changed) / len(tier1))
    return np.divide(np.log(1 / (1 - level)), growth, where=growth > 0, out=np.full(steps, np.inf))
