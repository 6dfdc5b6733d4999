"""What the cascade is held against: deferring at random, and deferring with knowledge of the labels."""

from collections.abc import Callable
from itertools import combinations

import numpy as np

from tangodistill.cascade.baseline_curve import Baseline, Points, one_after_the_other, oracle_curve, random_curve
from tangodistill.cascade.graded import graded_oracle, graded_random
from tangodistill.cascade.moves import cascade_counts, prefix_sums
from tangodistill.cascade.rescue import Rescue
from tangodistill.cascade.timing import Timing
from tangodistill.metrics import METRICS, check_class_ids, class_counts, scores_from_counts


def random_baseline(
    metric: str,
    labels: np.ndarray,
    answers: np.ndarray,
    timing: Timing,
    num_classes: int,
    pays_first_tier: bool = False,
    draws: int = 100,
    seed: int = 0,
) -> Baseline:
    """Examples deferred at random: the metric to expect, and its time.

    Of more than two tiers, mixes of two, among which is the best at every cost. Accuracy has its expected value, at
    every number of deferred examples. F1 and MCC are the mean of `draws` random orders at up to 201 rates.

    Args: `answers` (K, n) class ids; `pays_first_tier` as in `random_curve`.
    """
    labels, answers = _checked(metric, labels, answers, num_classes)
    if metric == "accuracy":
        return graded_random(answers == labels, timing, pays_first_tier)
    n, curves = len(labels), []
    for pair in combinations(range(1, len(answers) + 1), 2):
        deferred = np.unique(np.linspace(0, n, 201).round().astype(np.int64))
        kept, passed = (answers[tier - 1] for tier in pair)
        drawn = _random_draws(metric, labels, kept, passed, num_classes, deferred, draws, seed)
        interval = tuple(np.quantile(drawn, (0.025, 0.975), axis=0))
        curve = random_curve(deferred, drawn.mean(axis=0), timing.subset(pair), pays_first_tier, interval)
        curves.append((pair, curve))
    return one_after_the_other(curves, len(answers))


def oracle(metric: str, labels: np.ndarray, answers: np.ndarray, timing: Timing, num_classes: int) -> Baseline:
    """The best metric that at most k deferrals can reach, for each k, and the time of the cheapest such choice.

    Only examples that tier 1 gets wrong and a later one right are worth deferring. Each goes from tier 1 straight to
    the cheapest tier that is right, and among alike ones those go that this takes the least time. Exact for accuracy,
    and for F1 and MCC of two classes; beyond two classes F1 and MCC are those of a greedy choice, which the true oracle
    can only better (`exact` is then False).

    Args: `answers` (K, n) class ids.
    """
    labels, answers = _checked(metric, labels, answers, num_classes)
    if metric == "accuracy":
        return graded_oracle(answers == labels, timing)
    rescue = Rescue.of((answers == labels).astype(np.int64), timing)
    if num_classes == 2:
        points = _binary_oracle(metric, labels, answers[0], rescue)
    else:
        points = _greedy_oracle(metric, labels, answers[0], num_classes, rescue)
    return oracle_curve(points, timing, exact=num_classes == 2)


def _binary_oracle(metric: str, labels: np.ndarray, first: np.ndarray, rescue: Rescue) -> Points:
    """Exact F1 or MCC of two classes at each k.

    Two kinds of move help: a false negative made right, a times, and a false positive made right, b times. No such move
    lowers F1 or MCC, so a + b = k, and only the split is open:
    - F1 = 2 TP / (2 TP + FP + FN), where k moves take k from FP + FN whatever the split: a as large as can be.
    - MCC = (u + v q) / sqrt(P N q (n - q)) with q = TP + FP, P and N the true counts, u and v fixed by k. Its slope
      has the sign of q (v n + 2 u) - u n, which is linear in q: the best a lies at an end or at that line's root. At
      q = 0 and q = n MCC is 0 by definition, so the ends' neighbours are tried too.
    """
    n, positives = len(labels), np.sum(labels)
    to_positive, positive_tiers = rescue.cheapest_first((labels == 1) & (rescue.gain > 0))
    to_negative, negative_tiers = rescue.cheapest_first((labels == 0) & (rescue.gain > 0))
    predicted, hit = np.sum(first), np.sum(labels & first)
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
    a = a[best, deferred]
    reaching = positive_tiers[a] + negative_tiers[deferred - a]
    return deferred, values[best, deferred], seconds[best, deferred], reaching


def _greedy_oracle(
    metric: str, labels: np.ndarray, first: np.ndarray, num_classes: int, rescue: Rescue, steps: int = 200
) -> Points:
    """Macro F1 or MCC by always making the kinds of move, (label, tier-1 answer), that gain most from here.

    Each step makes 1/steps of all useful moves, at least one: of the best kind first, and the cheapest of their kind.
    """
    useful = np.flatnonzero(rescue.gain > 0)
    kinds, kind_of, size = np.unique(
        labels[useful] * num_classes + first[useful], return_inverse=True, return_counts=True
    )
    right, wrong = np.divmod(kinds, num_classes)
    ranked = useful[np.lexsort((rescue.seconds[useful], kind_of))]
    seconds, tiers = prefix_sums(rescue.seconds[ranked]), rescue.reaching(ranked)
    start = np.cumsum(size) - size
    step = -(-len(useful) // steps)
    start_counts = list(class_counts(labels, first, num_classes))
    moved, points = np.zeros(len(size), np.int64), []

    def reached(sum_passed: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return scores_from_counts(cascade_counts(start_counts, right, wrong, right, sum_passed))[metric]

    while True:
        spent, reaching = (np.sum(each[start + moved] - each[start], axis=0) for each in (seconds, tiers))
        points.append((moved.sum(), reached(lambda change: moved @ change), spent, reaching))
        left = size - moved
        if not left.any():
            return tuple(np.array(column) for column in zip(*points, strict=True))
        # one more move of a kind adds just that kind's change
        one_more = (left > 0).astype(np.int8)
        best = np.argsort(-reached(lambda change, more=one_more: moved @ change + change * more), kind="stable")
        before = np.cumsum(left[best]) - left[best]
        moved[best] += np.clip(step - before, 0, left[best])


def _random_draws(
    metric: str,
    labels: np.ndarray,
    kept: np.ndarray,
    passed: np.ndarray,
    num_classes: int,
    deferred: np.ndarray,
    draws: int,
    seed: int,
) -> np.ndarray:
    """(draws, points) of the metric: each draw puts the examples in a random order and defers the first of them."""
    differ = np.flatnonzero(kept != passed)
    start_counts = list(class_counts(labels, kept, num_classes))
    rng = np.random.default_rng(seed)
    values = np.empty((draws, len(deferred)))
    for row in values:
        # only examples on which the tiers differ count: their places in the order, and who takes which
        places = np.sort(rng.choice(len(labels), len(differ), replace=False, shuffle=False))
        taken, shuffled = np.searchsorted(places, deferred), rng.permutation(differ)
        counts = cascade_counts(
            start_counts,
            labels[shuffled],
            kept[shuffled],
            passed[shuffled],
            sum_passed=lambda change, taken=taken: prefix_sums(change)[taken],
        )
        row[:] = scores_from_counts(counts)[metric]
    return values


def _checked(metric: str, labels: np.ndarray, answers: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    labels, *tiers = check_class_ids(num_classes, labels=labels, **named_tiers(answers))
    return labels, np.stack(tiers)


def named_tiers(answers: np.ndarray) -> dict[str, np.ndarray]:
    """Answers (K, n) by the names that messages call them."""
    return {f"tier{tier}_predictions": each for tier, each in enumerate(answers, 1)}
