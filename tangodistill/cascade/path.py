"""One way down through the thresholds of all tiers, from the safest to the cheapest: what is chosen or certified on it.

Free thresholds fit the examples that they are chosen on: the cheapest pair that keeps a share there keeps less
elsewhere. So only the step on a path is chosen, and the path is fixed on other examples, those of the selection role.
On it the tiers run equal risks: at every step an answer that just stands is as likely a loss, one that the last tier
would have had right, whichever tier gives it. A tier's risk is a logistic curve over its grid of thresholds, which is
even in the logit of a probability, with a weak prior for confidences that mean what they say.
"""

import numpy as np

from tangodistill.cascade.outcomes import Outcomes

SAFEST = 11.5
"""Logit of the risk that the prior gives a tier at the grid's end: from there it falls to even at its beginning."""
PRIOR_SPREAD = 5.0
"""Standard deviation of the prior of both ends, in logits."""
FLATTEST = 1.0
"""Logits that a risk must rise by over the grid: a tier that is sure at random is passed in a few steps."""


def equal_risk_path(outcomes: Outcomes, confidences: np.ndarray, grid: np.ndarray, metric: str) -> np.ndarray:
    """(steps, K - 1) float32 thresholds of the grid, falling from the safest step to the first tier alone.

    Of two tiers it is the grid itself, whatever the examples.

    Args: `outcomes` and `confidences` (K - 1, n) of the selection role; `grid` (steps,) falling, as `threshold_grid`'s.

    >>> from tangodistill.cascade.outcomes import ClassOutcomes
    >>> sure = np.linspace(0.5, 1, 200)
    >>> wrong_below = [np.where(sure < at, 0, 1) for at in (0.9, 0.7, 0)]
    >>> outcomes, grid = ClassOutcomes(np.ones(200, int), wrong_below, 2), np.linspace(1, 0.5, 51, dtype=np.float32)
    >>> for thresholds in equal_risk_path(outcomes, [sure, sure], grid, "accuracy")[[0, 20, 50]]:
    ...     print(thresholds)
    [1. 1.]
    [0.91 0.71]
    [0.5 0.5]
    """
    at = np.interp(-np.asarray(confidences, np.float64), -grid.astype(np.float64), np.linspace(0, 1, len(grid)))
    fits = np.array([risk_curve(*pair) for pair in zip(at, outcomes.losses(metric), strict=True)])
    start, rise = fits.T
    risk = np.linspace(start.min(), (start + rise).max(), len(grid))[:, None]
    place = np.clip((risk - start) / rise, 0, 1)
    return grid[np.rint(place * (len(grid) - 1)).astype(int)]


def risk_curve(at: np.ndarray, lost: np.ndarray) -> tuple[float, float]:
    """Logit of the chance of a loss at the grid's beginning, and by how much it rises over the grid.

    The likeliest under the prior, by Newton's method.

    Args: `at` (n,) places on the grid, 0 the surest, 1 the least sure; `lost` (n,) within 0..1.
    """
    features = np.stack([np.ones(len(at)), at], axis=1)
    prior, precision = np.array([-SAFEST, SAFEST]), np.eye(2) / PRIOR_SPREAD**2
    own = prior.copy()
    for _ in range(100):
        chance = 1 / (1 + np.exp(-features @ own))
        slope = features.T @ (lost - chance) - precision @ (own - prior)
        curvature = features.T @ (features * (chance * (1 - chance))[:, None]) + precision
        step = np.clip(np.linalg.solve(curvature, slope), -2, 2)
        own += step
        if np.abs(step).max() < 1e-9:
            break
    rise = max(float(own[1]), FLATTEST)
    return float(own[0] + (own[1] - rise) * at.mean()), rise  # as likely as before in the middle of the examples
