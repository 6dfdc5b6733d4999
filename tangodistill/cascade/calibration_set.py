"""What a certificate is computed from beside the outcomes: the path that is tested, and what hangs together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tangodistill.cascade.gates import Gates
from tangodistill.cascade.moves import Moves


@dataclass(frozen=True)
class CalibrationSet:
    """n calibration examples, and the path of thresholds that is tested on them from its safest step.

    Along a path of one threshold, which falls, an example goes from the second tier to the first and stays there. With
    more gates it may move back: a test takes the answer that it has at each step, and no order of these is presumed.

    Raises: ValueError for arrays that do not fit together, or a confidence that is not finite.
    """

    confidences: np.ndarray
    """(K - 1, n) of every tier but the last; two tiers may be given as (n,)."""
    path: np.ndarray
    """(steps, K - 1) float32, fixed before the examples were seen; two tiers may be given as (steps,)."""
    groups: Sequence | None = None
    """(n,) equal values for examples that are not independent of one another; None: all are."""

    def __post_init__(self) -> None:
        gates, path = Gates(self.confidences), np.asarray(self.path, np.float32)
        path = path[:, None] if path.ndim == 1 else path
        groups = np.arange(gates.n) if self.groups is None else np.unique(self.groups, return_inverse=True)[1]
        if groups.shape != (gates.n,):
            raise ValueError(f"confidence has {gates.n} entries, groups has {len(groups)}")
        if path.shape[1] != gates.tiers - 1:
            raise ValueError(f"a path of {gates.tiers} tiers has {gates.tiers - 1} thresholds a step, got {path.shape}")
        object.__setattr__(self, "confidences", gates.confidences)
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "groups", groups)

    @property
    def n(self) -> int:
        """Examples."""
        return self.confidences.shape[1]

    @property
    def tiers(self) -> int:
        """K."""
        return len(self.confidences) + 1

    @property
    def steps(self) -> int:
        """Of the path."""
        return len(self.path)

    @cached_property
    def group_sizes(self) -> np.ndarray:
        """(groups,) int64: the examples of each."""
        return np.bincount(self.groups)

    @cached_property
    def moves(self) -> Moves:
        """From the last tier alone down the path, a point for each step."""
        return Gates(self.confidences).moves(self.path)

    @property
    def last_rate(self) -> np.ndarray:
        """(steps,) share of the examples that the last tier answers."""
        return self.moves.beyond(self.tiers - 2) / self.n

    def one_each(self) -> tuple["CalibrationSet", np.ndarray]:
        """The set of one example of each group, drawn by a fixed seed, and the rows (groups,) of these.

        >>> drawn, rows = CalibrationSet([0.5, 0.6, 0.7], np.array([0.9, 0.5], np.float32), ["a", "b", "b"]).one_each()
        >>> rows[0], len(rows), drawn.n
        (np.int64(0), 2, 2)
        """
        order = np.random.default_rng(0).permutation(self.n)
        rows = np.sort(order[np.unique(self.groups[order], return_index=True)[1]])
        return CalibrationSet(self.confidences[:, rows], self.path), rows
