"""Answers that are class ids, for accuracy, F1 and MCC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from tangodistill.cascade.baseline_curve import Baseline
from tangodistill.cascade.baselines import named_tiers, oracle, random_baseline
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.certify import certify
from tangodistill.cascade.guarantee import Guarantee
from tangodistill.cascade.moves import Moves, cascade_counts
from tangodistill.cascade.timing import Timing
from tangodistill.metrics import METRICS, check_class_ids, class_counts, positive_last, score, scores_from_counts


@dataclass(frozen=True)
class ClassOutcomes:
    """Right and given class ids of n examples; methods as of `Outcomes`.

    Raises: ValueError for ids out of range, or arrays that do not fit together.
    """

    labels: np.ndarray
    """(n,) class ids."""
    answers: np.ndarray
    """(K, n) class ids that the tiers give."""
    num_classes: int
    positive: int = 1
    """The class of two that F1 is of."""

    def __post_init__(self) -> None:
        labels, *answers = check_class_ids(self.num_classes, labels=self.labels, **named_tiers(self.answers))
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "answers", np.stack(answers))

    @property
    def metrics(self) -> tuple[str, ...]:
        return METRICS

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def tiers(self) -> int:
        return len(self.answers)

    @property
    def _ids(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels (n,) and answers (K, n) with the positive class of two as class 1."""
        return tuple(positive_last(ids, self.num_classes, self.positive) for ids in (self.labels, self.answers))

    def metrics_at(self, moves: Moves) -> Mapping[str, np.ndarray]:
        labels, answers = self._ids
        # only where the tiers differ does a move change a count
        some = moves.of((answers[1:] != answers[0]).any(axis=0))
        counts = cascade_counts(
            class_counts(labels, answers[moves.start, np.arange(self.n)], self.num_classes),
            labels[some.row],
            answers[some.before, some.row],
            answers[some.after, some.row],
            some.sum_made,
        )
        return scores_from_counts(counts)

    def tier_score(self, tier: int, metric: str) -> float:
        labels, answers = self._ids
        return score(metric, labels, answers[tier - 1], self.num_classes)

    def subset(self, tiers: Sequence[int]) -> Self:
        return replace(self, answers=self.answers[np.array(tiers) - 1])

    def drawn(self, rows: np.ndarray) -> Self:
        return replace(self, labels=self.labels[rows], answers=self.answers[:, rows])

    def extended(self, right: np.ndarray) -> Self:
        classes = np.repeat(np.arange(self.num_classes), right.shape[1])
        added = np.where(np.tile(right, self.num_classes), classes, (classes + 1) % self.num_classes)
        return replace(self, labels=np.append(self.labels, classes), answers=np.hstack([self.answers, added]))

    def cascade(self, stops: np.ndarray) -> Self:
        return replace(self, answers=self.answers[np.asarray(stops, np.intp), np.arange(self.n)][None])

    def random(self, metric: str, timing: Timing, draws: int = 100) -> Baseline:
        return random_baseline(metric, *self._ids, timing, self.num_classes, draws=draws)

    def oracle(self, metric: str, timing: Timing) -> Baseline:
        return oracle(metric, *self._ids, timing, self.num_classes)

    def certify(
        self, metric: str, calibration: CalibrationSet, keep: float, level: float, plain: np.ndarray | float
    ) -> Guarantee:
        return certify(metric, *self._ids, self.num_classes, calibration, keep, level, plain)

    def changes(self, metric: str, tier: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """From wrong to right and from right to wrong, whatever the metric."""
        right, last = self.answers[tier - 1] == self.labels, self.answers[-1] == self.labels
        return ~right & last, right & ~last

    def losses(self, metric: str) -> np.ndarray:
        """Where it is wrong and the last tier right, whatever the metric."""
        right = self.answers == self.labels
        return (right[-1] & ~right[:-1]).astype(np.float64)

    def may_gain(self, metric: str, before: np.ndarray | int, after: np.ndarray | int, row: np.ndarray) -> np.ndarray:
        """From wrong to right; of more than two classes F1 and MCC may gain by any other answer."""
        kept, passed = self.answers[before, row], self.answers[after, row]
        if metric == "accuracy" or self.num_classes == 2:
            return (kept != passed) & (passed == self.labels[row])
        return kept != passed
