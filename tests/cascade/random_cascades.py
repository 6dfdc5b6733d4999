"""Small random cascades for property tests."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.cascade.timing import TierTime, Timing


class Case(NamedTuple):
    labels: np.ndarray
    answers: np.ndarray
    """(K, n)"""
    confidences: np.ndarray
    """(K - 1, n)"""
    num_classes: int
    timing: Timing

    @property
    def outcomes(self):
        return ClassOutcomes(self.labels, self.answers, self.num_classes)

    @property
    def tier1(self):
        return self.answers[0]

    @property
    def tier2(self):
        return self.answers[1]

    @property
    def confidence(self):
        """Of two tiers."""
        return self.confidences[0]

    @property
    def tier1_s(self):
        return self.timing.tiers[0].example_s

    @property
    def tier2_s(self):
        return self.timing.tiers[1].example_s

    def first(self, n):
        """The first n examples, with the times of all."""
        return self._replace(labels=self.labels[:n], answers=self.answers[:, :n], confidences=self.confidences[:, :n])


SECONDS = ((0.5, 1.5), (5, 30), (40, 90), (100, 300))
"""Of each tier, milliseconds from and to."""


def timing_of(n: int, rng: np.random.Generator, tiers: int = 2) -> Timing:
    """The first tier answers 5,000 examples a second in batches of 4, the next in 6 ms each, and so on."""
    first = TierTime(rng.uniform(*SECONDS[0], n) / 1000, np.array([1, 4]), np.array([0.0008, 0.0002]), best=4)
    in_batches_s = np.array([0.012, 0.009, 0.006])
    others = [
        TierTime(rng.uniform(*seconds, n) / 1000, np.array([1, 2, 4]), 4**each * in_batches_s, best=4)
        for each, seconds in enumerate(SECONDS[1:tiers])
    ]
    return Timing((first, *others))


CLASSES = st.integers(2, 4)


@st.composite
def cases(draw, min_size=1, max_size=30, num_classes=CLASSES, tiers=2):
    """Cascades whose confidences tie often."""
    num_classes = draw(num_classes)
    ids = st.integers(0, num_classes - 1)
    # neighbours in float32 that float64 tells apart from their decimal spelling
    levels = st.sampled_from([0.5, 0.6, 0.7, 0.8, float(np.nextafter(np.float32(0.8), np.float32(1))), 1.0])
    confidences = st.one_of(levels, st.floats(0.25, 1.0, width=32))
    row = st.tuples(ids, *[ids] * tiers, *[confidences] * (tiers - 1))
    rows = draw(st.lists(row, min_size=min_size, max_size=max_size))
    labels, *columns = map(np.array, zip(*rows, strict=True))
    timing = timing_of(len(rows), np.random.default_rng(draw(st.integers(0, 99))), tiers)
    answers, sure = np.stack(columns[:tiers]), np.stack(columns[tiers:]).astype(np.float32)
    return Case(labels, answers, sure, num_classes, timing)
