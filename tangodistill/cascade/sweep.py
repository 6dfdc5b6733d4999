"""Every operating point of a two-tier cascade, from one pass of each tier over the examples.

An example goes to the second tier where confidence < threshold (strict, compared in float32), so examples of equal
confidence are deferred together and each distinct confidence is one operating point. Sorted by confidence, the deferred
are a prefix, and prefix sums of the changes in the counts give all metrics at once: O(n log n) for all the points.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tangodistill.metrics import Counts, check_class_ids, class_counts, scores_from_counts


@dataclass(frozen=True)
class Sweep:
    """The operating points in ascending order of threshold: the first defers nothing, the last everything."""

    threshold: np.ndarray
    """(points,) float32: each distinct confidence, and the float32 next above the largest."""
    deferred: np.ndarray
    """(points,) int64: how many examples go to the second tier."""
    metrics: Mapping[str, np.ndarray]
    """(points,) values of each metric."""
    order: np.ndarray
    """(n,) the examples, least confident first: a point defers the first `deferred` of them."""

    @property
    def deferral_rate(self) -> np.ndarray:
        """(points,) share of the examples that go to the second tier."""
        return self.deferred / len(self.order)

    def metric(self, name: str) -> np.ndarray:
        """(points,) values of a metric by name."""
        if name not in self.metrics:
            raise ValueError(f"unknown metric {name!r}; known: {', '.join(self.metrics)}")
        return self.metrics[name]


def sweep(
    labels: np.ndarray,
    tier1_predictions: np.ndarray,
    tier2_predictions: np.ndarray,
    confidence: np.ndarray,
    num_classes: int,
) -> Sweep:
    """All operating points of the cascade over n examples.

    Args: `labels`, `tier1_predictions`, `tier2_predictions` (n,) class ids; `confidence` (n,) of the first tier.

    Raises: ValueError for arrays that do not fit together, or a confidence that is not finite.

    >>> points = sweep([1, 0, 1], [0, 0, 1], [1, 1, 1], confidence=[0.5, 0.7, 0.7], num_classes=2)
    >>> points.deferred.tolist(), points.metric("accuracy").round(2).tolist()
    ([0, 1, 3], [0.67, 1.0, 0.67])
    """
    labels, tier1, tier2 = check_class_ids(
        num_classes, labels=labels, tier1_predictions=tier1_predictions, tier2_predictions=tier2_predictions
    )
    order, threshold, deferred = rank(confidence)
    if len(order) != len(labels):
        raise ValueError(f"confidence has {len(order)} entries, labels has {len(labels)}")
    # only where the tiers differ does deferring change a count
    differ = (tier1 != tier2)[order]
    changed, changed_deferred = order[differ], prefix_sums(differ)[deferred]
    counts = cascade_counts(
        class_counts(labels, tier1, num_classes),
        labels[changed],
        tier1[changed],
        tier2[changed],
        sum_deferred=lambda change: prefix_sums(change)[changed_deferred],
    )
    return Sweep(threshold, deferred, scores_from_counts(counts), order)


def rank(confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The examples by ascending confidence, each point's threshold (float32), and how many examples lie below it.

    >>> order, threshold, deferred = rank([0.75, 0.5, 0.75])
    >>> order[0], threshold[:2].tolist(), threshold[2] > 0.75, deferred.tolist()
    (np.int64(1), [0.5, 0.75], np.True_, [0, 1, 3])
    """
    confidence = np.asarray(confidence, np.float32)
    if confidence.ndim != 1 or not confidence.size or not np.isfinite(confidence).all():
        raise ValueError("confidence must be a non-empty list of finite numbers")
    order = np.argsort(confidence)
    ranked = confidence[order]
    first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    above_all = np.nextafter(ranked[-1], np.float32(np.inf))
    return order, np.append(ranked[first], above_all), np.append(first, len(ranked))


def cascade_counts(
    tier1_counts: Iterable[Counts],
    labels: np.ndarray,
    tier1: np.ndarray,
    tier2: np.ndarray,
    sum_deferred: Callable[[np.ndarray], np.ndarray],
) -> Iterator[Counts]:
    """The counts of each class in a cascade's answers, at all points of `sum_deferred`.

    Args: `tier1_counts` of the first tier's answers to all examples; `labels`, `tier1`, `tier2` (m,) class ids of the
    examples or kinds of example whose deferral is open; `sum_deferred` maps a change per such entry, (m,) int8, to its
    sum over the deferred of each point.
    """
    for c, (true, predicted, hit) in enumerate(tier1_counts):
        change = (tier2 == c).astype(np.int8) - (tier1 == c)
        yield true, predicted + sum_deferred(change), hit + sum_deferred(change * (labels == c))


def prefix_sums(values: np.ndarray) -> np.ndarray:
    """(n + 1,) sums of the first 0, 1, ..., n values; float64 for floats, else int64.

    >>> prefix_sums(np.array([1, 2, 3])).tolist()
    [0, 1, 3, 6]
    """
    dtype = np.float64 if np.issubdtype(values.dtype, np.floating) else np.int64
    sums = np.zeros(len(values) + 1, dtype)
    np.cumsum(values, out=sums[1:])
    return sums
