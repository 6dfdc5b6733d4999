"""What a certificate is computed from beside the outcomes: which examples stay with tier 1, and which hang together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class CalibrationSet:
    """n calibration examples.

    Raises: ValueError for arrays that do not fit together, or a confidence that is not finite.
    """

    confidence: np.ndarray
    """(n,) of the first tier."""
    thresholds: np.ndarray
    """(steps,) float32, falling: those that are tested, as `threshold_grid` gives them for the score."""
    groups: Sequence | None = None
    """(n,) equal values for examples that are not independent of one another; None: all are."""

    def __post_init__(self) -> None:
        confidence = np.asarray(self.confidence, np.float32)
        groups = np.arange(len(confidence)) if self.groups is None else np.unique(self.groups, return_inverse=True)[1]
        if confidence.ndim != 1 or not confidence.size or not np.isfinite(confidence).all():
            raise ValueError(f"confidence must be one or more finite numbers, got an array of {confidence.shape}")
        if groups.shape != confidence.shape:
            raise ValueError(f"confidence has {len(confidence)} entries, groups has {len(groups)}")
        object.__setattr__(self, "confidence", confidence)
        object.__setattr__(self, "groups", groups)

    @property
    def n(self) -> int:
        """Examples."""
        return len(self.confidence)

    @cached_property
    def group_sizes(self) -> np.ndarray:
        """(groups,) int64: the examples of each."""
        return np.bincount(self.groups)

    @property
    def steps(self) -> int:
        """Thresholds."""
        return len(self.thresholds)

    @cached_property
    def deferrals(self) -> np.ndarray:
        """(n,) int64: the first so many thresholds defer the example."""
        return np.searchsorted(-self.thresholds, -self.confidence)

    def standing(self, part: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(steps,) how many of some examples each threshold leaves to tier 1."""
        return np.cumsum(np.bincount(self.deferrals[part], minlength=self.steps + 1))[: self.steps]

    def one_each(self) -> tuple["CalibrationSet", np.ndarray]:
        """The set of one example of each group, drawn by a fixed seed, and the rows (groups,) of these.

        >>> drawn, rows = CalibrationSet([0.5, 0.6, 0.7], np.array([0.9, 0.5], np.float32), ["a", "b", "b"]).one_each()
        >>> rows[0], len(rows), drawn.n
        (np.int64(0), 2, 2)
        """
        order = np.random.default_rng(0).permutation(self.n)
        rows = np.sort(order[np.unique(self.groups[order], return_index=True)[1]])
        return CalibrationSet(self.confidence[rows], self.thresholds), rows
