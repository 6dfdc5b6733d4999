"""The thresholds of a score of confidence that may be certified: fixed before any data is seen."""

import numpy as np

from tangodistill.cascade.confidence import confidence

STEPS = 400
NEARLY_ONE = 1 - 1e-5  # closer to 1, neighbours would share a float32


def threshold_grid(score: str, num_classes: int) -> np.ndarray:
    """(STEPS,) float32 thresholds of a score of labels, from nearly 1 down to the least that the score can be.

    They are the scores of a tier that gives its best class probabilities that are even in their logit, from nearly 1
    down to 1/classes, and the others a like share of the rest. So where scores rank alike, as they do with two
    classes, their thresholds cut alike.

    Raises: ValueError for an unknown score, or fewer than two classes.

    >>> for score in ("max_probability", "margin"):
    ...     print(threshold_grid(score, 2)[[0, 300, 399]].round(3))
    [1.    0.946 0.5  ]
    [1.    0.891 0.   ]
    """
    logits = np.zeros((STEPS, num_classes))
    logits[:, 0] = np.linspace(_logit(NEARLY_ONE) + np.log(num_classes - 1), 0, STEPS)
    return confidence(logits, score)


def probability_grid(lowest: float) -> np.ndarray:
    """(STEPS,) float32 thresholds of a probability, even in their logit, from nearly 1 down to its lowest value.

    Down to 0 they are even as far as nearly 0.

    >>> print(probability_grid(1 / 20)[[0, 200, 399]].round(3))
    [1.    0.986 0.05 ]
    """
    grid = 1 / (1 + np.exp(-np.linspace(_logit(NEARLY_ONE), _logit(lowest or 1 - NEARLY_ONE), STEPS)))
    grid[-1] = lowest
    return grid.astype(np.float32)


def _logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))
