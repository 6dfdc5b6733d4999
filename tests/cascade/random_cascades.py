"""Small random cascades for property tests."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.cascade.speedup import Timing


class Case(NamedTuple):
    labels: np.ndarray
    tier1: np.ndarray
    tier2: np.ndarray
    confidence: np.ndarray
    num_classes: int
    timing: Timing

    @property
    def answers(self):
        return self.labels, self.tier1, self.tier2

    @property
    def outcomes(self):
        return ClassOutcomes(*self.answers, self.num_classes)

    @property
    def swept(self):
        return *self.answers, self.confidence, self.num_classes


def timing_of(n: int, rng: np.random.Generator) -> Timing:
    return Timing(
        tier1_s=rng.uniform(0.5, 1.5, n) / 1000,
        tier2_s=rng.uniform(5, 30, n) / 1000,
        tier1_best_batch_s=n * 0.0002,
        tier2_batch_sizes=np.array([1, 2, 4]),
        tier2_batch_s=np.array([0.012, 0.018, 0.024]),
        tier2_best_batch=4,
    )


CLASSES = st.integers(2, 4)


@st.composite
def cases(draw, min_size=1, max_size=30, num_classes=CLASSES):
    """Cascades whose confidences tie often."""
    num_classes = draw(num_classes)
    ids = st.integers(0, num_classes - 1)
    # neighbours in float32 that float64 tells apart from their decimal spelling
    levels = st.sampled_from([0.5, 0.6, 0.7, 0.8, float(np.nextafter(np.float32(0.8), np.float32(1))), 1.0])
    confidences = st.one_of(levels, st.floats(0.25, 1.0, width=32))
    rows = draw(st.lists(st.tuples(ids, ids, ids, confidences), min_size=min_size, max_size=max_size))
    labels, tier1, tier2, sure = zip(*rows, strict=True)
    timing = timing_of(len(rows), np.random.default_rng(draw(st.integers(0, 99))))
    return Case(np.array(labels), np.array(tier1), np.array(tier2), np.array(sure, np.float32), num_classes, timing)
