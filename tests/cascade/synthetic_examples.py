"""Measured examples of tiers of which each is better than the one before, and the less sure the oftener it is wrong."""

import numpy as np
from random_cascades import timing_of

from tangodistill.cascade.examples import Examples
from tangodistill.cascade.outcomes import ClassOutcomes, GradedOutcomes


def classes(n: int, seed: int = 4) -> Examples:
    """Two tiers."""
    rng = np.random.default_rng(seed)
    labels, sure = rng.integers(0, 2, n), rng.uniform(0.5, 1, n).astype(np.float32)
    tier1 = np.where(rng.random(n) < 1.6 * (1 - sure), 1 - labels, labels)
    tier2 = np.where(rng.random(n) < 0.05, 1 - labels, labels)
    return Examples("accuracy", ClassOutcomes(labels, np.stack([tier1, tier2]), 2), sure, timing_of(n, rng))


def graded(examples: Examples, scores: np.ndarray) -> Examples:
    """The same examples, with a score (2, n) each."""
    return Examples("f1", GradedOutcomes({"em": scores, "f1": scores}), examples.confidences, examples.timing)


def spans(n: int, seed: int = 4) -> Examples:
    """Those of `classes`, with a score of 0 or 1 each."""
    examples = classes(n, seed)
    given = examples.outcomes
    return graded(examples, (given.answers == given.labels).astype(float))


def several(n: int, tiers: int = 3, seed: int = 0, easy: float = 2.0):
    """Outcomes, confidences and times of any number of tiers; the easier, the less do they differ."""
    rng = np.random.default_rng(seed)
    labels, ease = rng.integers(0, 2, n), rng.gamma(easy, 1.0, n)
    margins = np.stack([(1 + k) * ease - 0.5 / (1 + k) + rng.normal(0, 0.5, n) for k in range(tiers)])
    answers = np.where(margins > 0, labels, 1 - labels)
    confidences = 1 / (1 + np.exp(-np.abs(margins[:-1])))
    return ClassOutcomes(labels, answers, 2), confidences.astype(np.float32), timing_of(n, rng, tiers)
