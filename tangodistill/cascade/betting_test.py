"""A test that a cascade's mean score stays above a share of the last tier's, for scores of 0..1 and at any n.

It bets on paired differences, score of the cascade - keep * score of the last tier, which lie within -keep..1, one
group of examples after another: D is the mean of a group. Stakes are set before each group is seen, so where the mean
of D is 0 or less no betting makes the wealth grow on average, and the chance that it ever reaches 1/p is at most p
(Ville's inequality). The p-value is one over the largest wealth reached. Waudby-Smith and Ramdas (2024), "Estimating
means of bounded random variables by betting".
"""

from collections.abc import Iterator

import numpy as np

from tangodistill.cascade.calibration_set import CalibrationSet

STAKED_FOR = np.log(1 / 0.05)  # nats of wealth that the stakes are set to win
MOST_AT_RISK = 0.75  # of the wealth on one group
RATES = 2.0 ** -np.arange(8)  # of the largest stake


def betting_p_values(scores: np.ndarray, calibration: CalibrationSet, keep: float) -> np.ndarray:
    """(steps,) p-values of "mean score of the cascade <= keep * mean score of the last tier".

    The groups are bet on in a random order from a fixed seed, so that rows sorted by anything do no harm.

    Args: `scores` (K, n) of the calibration examples.

    >>> scores = np.stack([np.tile([0.0, 1.0], 20), np.ones(40)])
    >>> calibration = CalibrationSet(np.full(40, 0.8), np.array([0.9, 0.5], np.float32))
    >>> betting_p_values(scores, calibration, keep=0.9).round(3).tolist()
    [0.041, 0.857]
    """
    order = np.random.default_rng(0).permutation(len(calibration.group_sizes))
    return np.array([_p_value(d[order], keep) for d in _group_differences(scores, calibration, keep)])


def _group_differences(scores: np.ndarray, calibration: CalibrationSet, keep: float) -> Iterator[np.ndarray]:
    """(groups,) mean differences at each step of the path."""
    last = scores[-1]
    differences = np.stack([*(scores[:-1] - keep * last), (1 - keep) * last])
    for stop in calibration.moves.stops():
        own = differences[stop, np.arange(calibration.n)]
        yield np.bincount(calibration.groups, own) / calibration.group_sizes


def _p_value(differences: np.ndarray, keep: float) -> float:
    """Stakes rise as the variance of the groups seen so far (and of one before, of 1/4) falls."""
    n = len(differences)
    seen = np.arange(2, n + 2)
    mean = np.cumsum(differences) / seen
    variance = (1 / 4 + np.cumsum((differences - mean) ** 2)) / seen
    known_before = np.append(1 / 4, variance[:-1])
    stakes = np.minimum(np.sqrt(2 * STAKED_FOR / (n * known_before)), MOST_AT_RISK / keep)
    log_wealth = np.cumsum(np.log1p(stakes * differences))
    return float(np.exp(-max(log_wealth.max(), 0.0)))


def groups_to_win(scores: np.ndarray, calibration: CalibrationSet, keep: float, level: float) -> np.ndarray:
    """(steps,) about how many groups like these give a p-value of 1 - level: by the best constant stake's growth.

    Args: as in `betting_p_values`; infinite where no stake gains.

    >>> scores = np.ones((2, 200))  # each example passed on gains log(1 + 0.75 / 0.9 * 0.1), as it loses nothing
    >>> calibration = CalibrationSet(np.full(200, 0.8), np.array([0.9], np.float32))
    >>> groups_to_win(scores, calibration, keep=0.9, level=0.95).round(1).tolist()
    [37.4]
    """
    stakes = RATES[:, None] * MOST_AT_RISK / keep
    differences = _group_differences(scores, calibration, keep)
    growth = np.array([max(0.0, np.log1p(stakes * each).mean(axis=1).max()) for each in differences])
    return np.divide(np.log(1 / (1 - level)), growth, where=growth > 0, out=np.full(calibration.steps, np.inf))
