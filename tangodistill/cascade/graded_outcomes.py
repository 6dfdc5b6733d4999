"""Answers that have a score of 0..1 by each metric, which is the mean over the examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from tangodistill.cascade.baseline_curve import Baseline
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.certify import certify_graded
from tangodistill.cascade.graded import WHOLE, graded_oracle, graded_random, mean_score, whole
from tangodistill.cascade.guarantee import Guarantee
from tangodistill.cascade.moves import Moves
from tangodistill.cascade.timing import Timing


@dataclass(frozen=True)
class GradedOutcomes:
    """Scores of n examples' answers; methods as of `Outcomes`.

    Raises: ValueError for scores that are none, or arrays that do not fit together.
    """

    scores: Mapping[str, np.ndarray]
    """By metric, (K, n) scores of the tiers' answers."""

    def __post_init__(self) -> None:
        arrays = {name: np.asarray(tiers, np.float64) for name, tiers in self.scores.items()}
        object.__setattr__(self, "scores", arrays)
        if not arrays:
            raise ValueError("graded outcomes need the scores of a metric, and got no metric")
        for name, tiers in arrays.items():
            if tiers.ndim != 2 or not tiers.size:
                raise ValueError(f"{name} must be the scores of tiers on one or more examples, got {tiers.shape}")
            if tiers.shape[1] != self.n:
                raise ValueError(f"{name} has {tiers.shape[1]} examples, {self.metrics[0]} has {self.n}")
            if len(tiers) != self.tiers:
                raise ValueError(f"{name} has {len(tiers)} tiers, {self.metrics[0]} has {self.tiers}")
            if not ((tiers >= 0) & (tiers <= 1)).all():
                raise ValueError(f"{name} holds a score that is not within 0..1")

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.scores)

    @property
    def n(self) -> int:
        return self.scores[self.metrics[0]].shape[1]

    @property
    def tiers(self) -> int:
        return len(self.scores[self.metrics[0]])

    @cached_property
    def _whole(self) -> dict[str, np.ndarray]:
        return {name: whole(tiers) for name, tiers in self.scores.items()}

    def metrics_at(self, moves: Moves) -> Mapping[str, np.ndarray]:
        return {name: moves.total(tiers) / WHOLE / self.n for name, tiers in self._whole.items()}

    def tier_score(self, tier: int, metric: str) -> float:
        return mean_score(self._tiers(metric)[tier - 1])

    def subset(self, tiers: Sequence[int]) -> Self:
        return self._map(lambda scores: scores[np.array(tiers) - 1])

    def drawn(self, rows: np.ndarray) -> Self:
        return self._map(lambda scores: scores[:, rows])

    def extended(self, right: np.ndarray) -> Self:
        return self._map(lambda scores: np.hstack([scores, right]))

    def cascade(self, stops: np.ndarray) -> Self:
        return self._map(lambda scores: scores[np.asarray(stops, np.intp), np.arange(self.n)][None])

    def _map(self, change) -> Self:
        return GradedOutcomes({name: change(scores) for name, scores in self.scores.items()})

    def random(self, metric: str, timing: Timing, draws: int = 100) -> Baseline:
        return graded_random(self._tiers(metric), timing)

    def oracle(self, metric: str, timing: Timing) -> Baseline:
        return graded_oracle(self._tiers(metric), timing)

    def certify(
        self, metric: str, calibration: CalibrationSet, keep: float, level: float, plain: np.ndarray | float
    ) -> Guarantee:
        return certify_graded(self._tiers(metric), calibration, keep, level, plain)

    def changes(self, metric: str, tier: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """By how the metric grades the two answers: however small the difference."""
        scores = self._tiers(metric)
        return scores[-1] > scores[tier - 1], scores[-1] < scores[tier - 1]

    def losses(self, metric: str) -> np.ndarray:
        """By how much the last tier's score is above it."""
        scores = self._tiers(metric)
        return np.maximum(scores[-1] - scores[:-1], 0)

    def may_gain(self, metric: str, before: np.ndarray | int, after: np.ndarray | int, row: np.ndarray) -> np.ndarray:
        """To a higher score."""
        scores = self._tiers(metric)
        return scores[after, row] > scores[before, row]

    def _tiers(self, metric: str) -> np.ndarray:
        if metric not in self.scores:
            raise ValueError(f"unknown metric {metric!r}; known: {', '.join(self.metrics)}")
        return self.scores[metric]
