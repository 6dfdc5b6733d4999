"""Where on the scale of a tier's confidence the last tier mends it, and where it spoils a better answer."""

import numpy as np

from tangodistill.cascade.gates import rank
from tangodistill.cascade.moves import prefix_sums
from tangodistill.cascade.outcomes import Outcomes


def errors_by_confidence(
    outcomes: Outcomes, metric: str, confidence: np.ndarray, bins: int = 10, tier: int = 1
) -> dict[str, np.ndarray]:
    """Changes from a tier to the last one by quantile of its confidence, least confident first.

    A threshold at a bin's upper edge defers this bin and those before it. Of class ids, the accuracy of a cascade of
    these two tiers there is the first one's plus the sum over these bins of `false_to_true - true_to_false`. For that
    to hold, examples of equal confidence stay together, in the upper of two bins; without ties the bins are of equal
    count, give or take one.

    Returns: columns (bins,): `threshold` float32, the bin's upper edge; `count`, examples in it; `false_to_true`, the
    tier wrong and the last right, and `true_to_false`, the reverse, as shares of all n examples. Of graded answers,
    they are the shares to which the metric gives more with the last tier, and less.

    >>> from tangodistill.cascade.outcomes import ClassOutcomes
    >>> outcomes = ClassOutcomes([1, 1, 0, 0], [[0, 1, 0, 0], [1, 1, 1, 0]], num_classes=2)
    >>> table = errors_by_confidence(outcomes, "accuracy", [0.5, 0.6, 0.7, 0.8], bins=2)
    >>> table["false_to_true"].tolist(), table["true_to_false"].tolist()
    ([0.25, 0.0], [0.0, 0.25])
    """
    better, worse = outcomes.changes(metric, tier)
    order, threshold, below = rank(confidence)
    n = len(order)
    edge = np.linspace(0, n, bins + 1).round()
    point = np.searchsorted(below, edge, side="right") - 1

    def share(changed: np.ndarray) -> np.ndarray:
        return np.diff(prefix_sums(changed[order])[below[point]]) / n

    return {
        "threshold": threshold[point[1:]],
        "count": np.diff(below[point]),
        "false_to_true": share(better),
        "true_to_false": share(worse),
    }
