"""What the cascade is held against: deferring at random, and deferring with knowledge of the labels."""

from collections.abc import Callable

import numpy as np

from tangodistill.cascade.baseline_curve import Baseline, Points, oracle_curve, random_curve
from tangodistill.cascade.graded import graded_oracle, graded_random
from tangodistill.cascade.speedup import Timing
from tangodistill.cascade.sweep import cascade_counts, prefix_sums
from tangodistill.metrics import METRICS, check_class_ids, class_counts, scores_from_counts


def random_baseline(
    metric: str,
    labels: np.ndarray,
    tier1_predictions: np.ndarray,
    tier2_predictions: np.ndarray,
    timing: Timing,
    num_classes: int,
    pays_first_tier: bool = False,
    draws: int = 100,
    seed: int = 0,
) -> Baseline:
    """Examples deferred at random: the metric to expect, and its time.

    Accuracy has its expected value, at every number of deferred examples. F1 and MCC are the mean of `draws` random
    orders at up to 201 rates.

    Args: `pays_first_tier` as in `random_curve`.
    """
    labels, tier1, tier2 = _checked(metric, labels, tier1_predictions, tier2_predictions, num_classes)
    if metric == "accuracy":
        return graded_random(np.stack([tier1 == labels, tier2 == labels]), timing, pays_first_tier)
    n = len(labels)
    deferred = np.unique(np.linspace(0, n, 201).round().astype(np.int64))
    drawn = _random_draws(metric, labels, tier1, tier2, num_classes, deferred, draws, seed)
    interval = tuple(np.quantile(drawn, (0.025, 0.975), axis=0))
    return random_curve(deferred, drawn.mean(axis=0), timing, pays_first_tier, interval)


def oracle(
    metric: str,
    labels: np.ndarray,
    tier1_predictions: np.ndarray,
    tier2_predictions: np.ndarray,
    timing: Timing,
    num_classes: int,
) -> Baseline:
    """The best metric that at most k deferrals can reach, for each k, and the time of the cheapest such choice.

    Only examples that tier 1 gets wrong and tier 2 right are worth deferring, and among alike ones those with the
    lowest tier-2 time. Exact for accuracy, and for F1 and MCC of two classes; beyond two classes F1 and MCC are those
    of a greedy choice, which the true oracle can only better (`exact` is then False).
    """
    labels, tier1, tier2 = _checked(metric, labels, tier1_predictions, tier2_predictions, num_classes)
    if metric == "accuracy":
        return graded_oracle(np.stack([tier1 == labels, tier2 == labels]), timing)
    if num_classes == 2:
        points = _binary_oracle(metric, labels, tier1, tier2, timing.tier2_s)
    else:
        points = _greedy_oracle(metric, labels, tier1, tier2, num_classes, timing.tier2_s)
    return oracle_curve(points, timing, exact=num_classes == 2)


def _binary_oracle(
    metric: str, labels: np.ndarray, tier1: np.ndarray, tier2: np.ndarray, tier2_s: np.ndarray
) -> Points:
    """Exact F1 or MCC of two classes at each k.

    Two kinds of move help: a false negative made right, a times, and a false positive made right, b times. No such move
    lowers F1 or MCC, so a + b = k, and only the split is open:
    - F1 = 2 TP / (2 TP + FP + FN), where k moves take k from FP + FN whatever the split: a as large as can be.
    - MCC = (u + v q) / sqrt(P N q (n - q)) with q = TP + FP, P and N the true counts, u and v fixed by k. Its slope
      has the sign of q (v n + 2 u) - u n, which is linear in q: the best a lies at an end or at that line's root. At
      q = 0 and q = n MCC is 0 by definition, so the ends' neighbours are tried too.
    """
    n, positives = len(labels), np.sum(labels)
    to_positive = prefix_sums(np.sort(tier2_s[(labels == 1) & (tier1 == 0) & (tier2 == 1)]))
    to_negative = prefix_sums(np.sort(tier2_s[(labels == 0) & (tier1 == 1) & (tier2 == 0)]))
    predicted, hit = np.sum(tier1), np.sum(labels & tier1)
    deferred = np.arange(len(to_positive) + len(to_negative) - 1)
    lowest = np.maximum(0, deferred - (len(to_negative) - 1))
    highest = np.minimum(deferred, len(to_positive) - 1)
    if metric == "f1":
        tried = highest[None]
    else:
        v, u = n / 2 - positives, n * (hit + (deferred - predicted) / 2)
        slope = v * n + 2 * u
        root = np.divide(u * n, slope, where=slope != 0, out=np.zeros(len(deferred)))
        turn = (root - predicted + deferred) / 2
        tried = np.stack([lowest, lowest + 1, np.floor(turn), np.ceil(turn), highest - 1, highest])
    a = np.clip(tried, lowest, highest).astype(np.int64)
    q, hits = predicted - deferred + 2 * a, hit + a
    negatives = (n - positives, n - q, n - positives - q + hits)
    values = scores_from_counts([negatives, (positives, q, hits)])[metric]
    seconds = to_positive[a] + to_negative[deferred - a]
    best = np.argmin(np.where(values >= values.max(axis=0) - 1e-12, seconds, np.inf), axis=0)
    return deferred, values[best, deferred], seconds[best, deferred]


def _greedy_oracle(
    metric: str,
    labels: np.ndarray,
    tier1: np.ndarray,
    tier2: np.ndarray,
    num_classes: int,
    tier2_s: np.ndarray,
    steps: int = 200,
) -> Points:
    """Macro F1 or MCC by always making the kinds of move, (label, tier-1 answer), that gain most from here.

    Each step makes 1/steps of all useful moves, at least one: of the best kind first, and the cheapest of their kind.
    """
    useful = np.flatnonzero((tier1 != labels) & (tier2 == labels))
    kinds, kind_of, size = np.unique(
        labels[useful] * num_classes + tier1[useful], return_inverse=True, return_counts=True
    )
    right, wrong = np.divmod(kinds, num_classes)
    seconds = prefix_sums(tier2_s[useful][np.lexsort((tier2_s[useful], kind_of))])
    start = np.cumsum(size) - size
    step = -(-len(useful) // steps)
    tier1_counts = list(class_counts(labels, tier1, num_classes))
    moved, points = np.zeros(len(size), np.int64), []

    def score(sum_deferred: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return scores_from_counts(cascade_counts(tier1_counts, right, wrong, right, sum_deferred))[metric]

    while True:
        spent = np.sum(seconds[start + moved] - seconds[start])
        points.append((moved.sum(), score(lambda change: moved @ change), spent))
        left = size - moved
        if not left.any():
            return tuple(np.array(column) for column in zip(*points, strict=True))
        # one more move of a kind adds just that kind's change
        one_more = (left > 0).astype(np.int8)
        ranked = np.argsort(-score(lambda change, more=one_more: moved @ change + change * more), kind="stable")
        before = np.cumsum(left[ranked]) - left[ranked]
        moved[ranked] += np.clip(step - before, 0, left[ranked])


def _random_draws(
    metric: str,
    labels: np.ndarray,
    tier1: np.ndarray,
    tier2: np.ndarray,
    num_classes: int,
    deferred: np.ndarray,
    draws: int,
    seed: int,
) -> np.ndarray:
    """(draws, points) of the metric: each draw puts the examples in a random order and defers the first of them."""
    differ = np.flatnonzero(tier1 != tier2)
    tier1_counts = list(class_counts(labels, tier1, num_classes))
    rng = np.random.default_rng(seed)
    values = np.empty((draws, len(deferred)))
    for row in values:
        # only examples on which the tiers differ count: their places in the order, and who takes which
        places = np.sort(rng.choice(len(labels), len(differ), replace=False, shuffle=False))
        taken, shuffled = np.searchsorted(places, deferred), rng.permutation(differ)
        counts = cascade_counts(
            tier1_counts,
            labels[shuffled],
            tier1[shuffled],
            tier2[shuffled],
            sum_deferred=lambda change, taken=taken: prefix_sums(change)[taken],
        )
        row[:] = scores_from_counts(counts)[metric]
    return values


def _checked(
    metric: str, labels: np.ndarray, tier1_predictions: np.ndarray, tier2_predictions: np.ndarray, num_classes: int
) -> list[np.ndarray]:
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    return check_class_ids(
        num_classes, labels=labels, tier1_predictions=tier1_predictions, tier2_predictions=tier2_predictions
    )
