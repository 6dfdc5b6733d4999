"""Measured examples of two tiers, the second one better, and the first unsure where it is wrong."""

import numpy as np
from random_cascades import timing_of

from tangodistill.cascade.examples import Examples
from tangodistill.cascade.outcomes import ClassOutcomes, GradedOutcomes


def classes(n: int, seed: int = 4) -> Examples:
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
