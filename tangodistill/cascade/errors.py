"""Where on the scale of confidence the second tier mends the first, and where it spoils a right answer."""

import numpy as np

from tangodistill.cascade.sweep import prefix_sums, rank
from tangodistill.metrics import check_class_ids


def errors_by_confidence(
    labels: np.ndarray,
    tier1_predictions: np.ndarray,
    tier2_predictions: np.ndarray,
    confidence: np.ndarray,
    bins: int = 10,
) -> dict[str, np.ndarray]:
    """Changes of correctness from tier 1 to tier 2 by quantile of confidence, least confident first.

    A threshold at a bin's upper edge defers this bin and those before it, so the cascade's accuracy there is tier 1's
    plus the sum over these bins of `false_to_true - true_to_false`. For that to hold, examples of equal confidence stay
    together, in the upper of two bins; without ties the bins are of equal count, give or take one.

    Returns: columns (bins,): `threshold` float32, the bin's upper edge; `count`, examples in it; `false_to_true`,
    tier 1 wrong and tier 2 right, and `true_to_false`, the reverse, as shares of all n examples.

    >>> table = errors_by_confidence([1, 1, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0], [0.5, 0.6, 0.7, 0.8], bins=2)
    >>> table["false_to_true"].tolist(), table["true_to_false"].tolist()
    ([0.25, 0.0], [0.0, 0.25])
    """
    num_classes = int(max(np.max(ids, initial=1) for ids in (labels, tier1_predictions, tier2_predictions))) + 1
    labels, tier1, tier2 = check_class_ids(
        num_classes, labels=labels, tier1_predictions=tier1_predictions, tier2_predictions=tier2_predictions
    )
    order, threshold, below = rank(confidence)
    n = len(order)
    edge = np.linspace(0, n, bins + 1).round()
    point = np.searchsorted(below, edge, side="right") - 1
    right1, right2 = (tier1 == labels)[order], (tier2 == labels)[order]

    def share(changed: np.ndarray) -> np.ndarray:
        return np.diff(prefix_sums(changed)[below[point]]) / n

    return {
        "threshold": threshold[point[1:]],
        "count": np.diff(below[point]),
        "false_to_true": share(~right1 & right2),
        "true_to_false": share(right1 & ~right2),
    }
