"""An exact test that a cascade's accuracy stays within a margin of the last tier's, on the same examples.

Of n examples, the last tier alone gets `losses` right, and the cascade alone `gains`; those that both get right or
wrong say nothing. The null hypothesis is that the rate of losses exceeds that of gains by the margin or more. Outcomes
are ranked by Tango's score (1998, "Equivalence test and confidence interval for the difference in proportions for the
paired-sample design"), and the p-value is the probability of ranking as low or lower, at the rate of gains that makes
it largest (Hsueh, Liu and Chen 2001, "Unconditional exact tests for equivalence or noninferiority for paired binary
endpoints").
"""

import numpy as np

GAIN_RATES = 100  # at which the p-value is computed; between them it hardly changes
TAIL = 6  # standard deviations, beyond which an outcome's probability is left out


def exact_p_values(losses: np.ndarray, gains: np.ndarray, n: int, margin: float, most_gains: float) -> np.ndarray:
    """(k,) p-values of k outcomes of n examples.

    Args: `losses`, `gains` (k,) counts; `margin` above 0; `most_gains` the highest rate of gains to consider.

    >>> exact_p_values(np.array([0, 3]), np.array([0, 3]), n=500, margin=0.01, most_gains=0.05).round(3).tolist()
    [0.012, 0.046]
    """
    log_factorial = _log_factorials(n)
    observed = score(losses, gains, n, margin) + 1e-9  # equal outcomes tie, however they were rounded
    p_values = np.zeros(len(observed))
    for gain_rate in np.linspace(1e-6, np.sqrt(max(most_gains, 1e-12)), GAIN_RATES) ** 2:
        loss_rate = gain_rate + margin
        lost, gained = np.meshgrid(_likely(n, loss_rate), _likely(n, gain_rate), indexing="ij")
        possible = lost + gained <= n
        lost, gained = lost[possible], gained[possible]
        rest = n - lost - gained
        log_probability = (
            log_factorial[n] - log_factorial[lost] - log_factorial[gained] - log_factorial[rest]
            + lost * np.log(loss_rate) + gained * np.log(gain_rate) + rest * np.log1p(-loss_rate - gain_rate)
        )  # fmt: skip
        scores = score(lost, gained, n, margin)
        order = np.argsort(scores)
        below = np.append(0.0, np.cumsum(np.exp(log_probability[order])))
        p_values = np.maximum(p_values, below[np.searchsorted(scores[order], observed)])
    return np.minimum(p_values, 1.0)


def score(losses: np.ndarray, gains: np.ndarray, n: int, margin: float) -> np.ndarray:
    """Tango's score: how many standard errors the excess of losses lies above the margin; lower is safer.

    The standard error is that of the likeliest rates whose difference is the margin, the root of a quadratic.

    >>> score(np.array([0, 3, 3]), np.array([0, 0, 3]), n=500, margin=0.01).round(2).tolist()
    [-2.25, -0.9, -1.69]
    """
    linear = margin * (2 * n - losses + gains) - losses - gains
    gain_rate = (np.sqrt(linear**2 + 8 * n * gains * margin * (1 - margin)) - linear) / (4 * n)
    return (losses - gains - n * margin) / np.sqrt(n * (2 * gain_rate + margin * (1 - margin)))


def highest_rate(count: int, n: int, error: float) -> float:
    """The highest rate that `count` or fewer of n leave open: a lower one would show more with probability 1 - error.

    The upper bound of Clopper and Pearson (1934).

    >>> round(highest_rate(0, 100, error=0.05), 4)  # 1 - 0.05 ** (1 / 100)
    0.0295
    """
    seen, log_factorial = np.arange(count + 1), _log_factorials(n)
    log_ways = log_factorial[n] - log_factorial[seen] - log_factorial[n - seen]
    low, high = count / n, 1.0
    for _ in range(50):
        rate = (low + high) / 2
        probability = np.exp(log_ways + seen * np.log(rate) + (n - seen) * np.log1p(-rate)).sum() if rate < 1 else 0.0
        low, high = (rate, high) if probability > error else (low, rate)
    return high


def _likely(n: int, rate: float) -> np.ndarray:
    """The counts of n examples that an event of this rate may reach."""
    reach = TAIL * np.sqrt(n * rate) + TAIL
    return np.arange(max(0, int(n * rate - reach)), min(n, int(n * rate + reach)) + 1)


def _log_factorials(n: int) -> np.ndarray:
    return np.append(0.0, np.cumsum(np.log(np.arange(1, n + 1))))
