"""What both tiers made of the same n examples: all that a sweep, the baselines and a guarantee are computed from.

Answers are class ids that are right or wrong, or they are graded. What is built on them need not know which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np

from tangodistill.cascade.baseline_curve import Baseline
from tangodistill.cascade.baselines import oracle, random_baseline
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.certify import certify, certify_graded
from tangodistill.cascade.graded import graded_oracle, graded_random, graded_sweep, mean_score
from tangodistill.cascade.guarantee import Guarantee
from tangodistill.cascade.speedup import Timing
from tangodistill.cascade.sweep import Sweep, sweep
from tangodistill.metrics import METRICS, positive_last, score, squad_scores

GRADES = ("em", "f1")
"""Metrics of graded answers that a table may hold."""


class Outcomes(Protocol):
    """Both tiers' outcomes on n examples.

    Methods raise ValueError for an unknown metric, and for arrays that are not of these n examples.
    """

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that follow from the outcomes."""

    @property
    def n(self) -> int:
        """Examples."""

    def sweep(self, confidence: np.ndarray) -> Sweep:
        """Every operating point; `confidence` (n,) of the first tier."""

    def tier_score(self, tier: int, metric: str) -> float:
        """The metric of tier 1 or 2 alone."""

    def drawn(self, rows: np.ndarray) -> Self:
        """The outcomes of some examples, for a bootstrap."""

    def extended(self, right: np.ndarray) -> Self:
        """These and more: `right` (2, m) bool says what each tier makes of m more, which come in every class alike."""

    def deferring(self, deferred: np.ndarray) -> Self:
        """The cascade's own in tier 1's place, where `deferred` (n,) bool says which examples tier 2 answers."""

    def random(self, metric: str, timing: Timing, draws: int = 100) -> Baseline:
        """Deferring at random; `draws` random orders where the metric has no closed form."""

    def oracle(self, metric: str, timing: Timing) -> Baseline:
        """Deferring with knowledge of the outcomes."""

    def certify(self, metric: str, calibration: CalibrationSet, keep: float, level: float, plain: float) -> Guarantee:
        """The cheapest threshold that keeps a share of tier 2's metric on unseen data; arguments as of `certify`."""

    def changes(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """(n,) bool of the examples that tier 2 does better, and of those that it does worse."""


@dataclass(frozen=True)
class ClassOutcomes:
    """Answers that are class ids, for accuracy, F1 and MCC."""

    labels: np.ndarray
    """(n,) class ids."""
    tier1: np.ndarray
    """(n,) class ids that the tier gives."""
    tier2: np.ndarray
    num_classes: int
    positive: int = 1
    """The class of two that F1 is of."""

    @property
    def metrics(self) -> tuple[str, ...]:
        return METRICS

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def _answers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        each = (self.labels, self.tier1, self.tier2)
        return tuple(positive_last(ids, self.num_classes, self.positive) for ids in each)

    def sweep(self, confidence: np.ndarray) -> Sweep:
        return sweep(*self._answers, confidence, self.num_classes)

    def tier_score(self, tier: int, metric: str) -> float:
        return score(metric, self._answers[0], self._answers[tier], self.num_classes)

    def drawn(self, rows: np.ndarray) -> Self:
        arrays = (answers[rows] for answers in (self.labels, self.tier1, self.tier2))
        return ClassOutcomes(*arrays, self.num_classes, self.positive)

    def extended(self, right: np.ndarray) -> Self:
        classes = np.repeat(np.arange(self.num_classes), right.shape[1])
        tiers = np.where(np.tile(right, self.num_classes), classes, (classes + 1) % self.num_classes)
        own = self.labels, self.tier1, self.tier2
        arrays = (np.concatenate(columns) for columns in zip(own, (classes, *tiers), strict=True))
        return ClassOutcomes(*arrays, self.num_classes, self.positive)

    def deferring(self, deferred: np.ndarray) -> Self:
        return replace(self, tier1=np.where(deferred, self.tier2, self.tier1))

    def random(self, metric: str, timing: Timing, draws: int = 100) -> Baseline:
        return random_baseline(metric, *self._answers, timing, self.num_classes, draws=draws)

    def oracle(self, metric: str, timing: Timing) -> Baseline:
        return oracle(metric, *self._answers, timing, self.num_classes)

    def certify(self, metric: str, calibration: CalibrationSet, keep: float, level: float, plain: float) -> Guarantee:
        return certify(metric, *self._answers, self.num_classes, calibration, keep, level, plain)

    def changes(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """From wrong to right and from right to wrong, whatever the metric."""
        right1, right2 = (np.asarray(answers) == self.labels for answers in (self.tier1, self.tier2))
        return ~right1 & right2, right1 & ~right2


@dataclass(frozen=True)
class GradedOutcomes:
    """Answers that have a score of 0..1 by each metric, which is the mean over the examples."""

    scores: Mapping[str, np.ndarray]
    """By metric, (2, n) scores of both tiers' answers."""

    def __post_init__(self) -> None:
        arrays = {name: np.asarray(tiers, np.float64) for name, tiers in self.scores.items()}
        object.__setattr__(self, "scores", arrays)
        if not arrays:
            raise ValueError("graded outcomes need the scores of a metric, and got no metric")
        for name, tiers in arrays.items():
            if tiers.ndim != 2 or len(tiers) != 2 or not tiers.size:
                raise ValueError(f"{name} must be the scores of two tiers on one or more examples, got {tiers.shape}")
            if tiers.shape[1] != self.n:
                raise ValueError(f"{name} has {tiers.shape[1]} examples, {self.metrics[0]} has {self.n}")
            if not ((tiers >= 0) & (tiers <= 1)).all():
                raise ValueError(f"{name} holds a score that is not within 0..1")

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.scores)

    @property
    def n(self) -> int:
        return self.scores[self.metrics[0]].shape[1]

    def sweep(self, confidence: np.ndarray) -> Sweep:
        return graded_sweep(self.scores, confidence)

    def tier_score(self, tier: int, metric: str) -> float:
        return mean_score(self._tiers(metric)[tier - 1])

    def drawn(self, rows: np.ndarray) -> Self:
        return GradedOutcomes({name: tiers[:, rows] for name, tiers in self.scores.items()})

    def extended(self, right: np.ndarray) -> Self:
        return GradedOutcomes({name: np.hstack([tiers, right]) for name, tiers in self.scores.items()})

    def deferring(self, deferred: np.ndarray) -> Self:
        cascade = {name: np.where(deferred, tiers[1], tiers[0]) for name, tiers in self.scores.items()}
        return GradedOutcomes({name: np.stack([own, self.scores[name][1]]) for name, own in cascade.items()})

    def random(self, metric: str, timing: Timing, draws: int = 100) -> Baseline:
        return graded_random(self._tiers(metric), timing)

    def oracle(self, metric: str, timing: Timing) -> Baseline:
        return graded_oracle(self._tiers(metric), timing)

    def certify(self, metric: str, calibration: CalibrationSet, keep: float, level: float, plain: float) -> Guarantee:
        return certify_graded(self._tiers(metric), calibration, keep, level, plain)

    def changes(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """By how the metric grades the two answers: however small the difference."""
        tier1, tier2 = self._tiers(metric)
        return tier2 > tier1, tier2 < tier1

    def _tiers(self, metric: str) -> np.ndarray:
        if metric not in self.scores:
            raise ValueError(f"unknown metric {metric!r}; known: {', '.join(self.metrics)}")
        return self.scores[metric]


def graded_columns(tier: int, answers: Sequence[str], gold: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Columns (n,) of a table for one tier's answers to questions: the answer, its exact match, and its F1.

    >>> graded_columns(1, ["the river"], [["River"]])
    {'tier1_answer': ['the river'], 'tier1_em': array([1.]), 'tier1_f1': array([1.])}
    """
    em, f1 = np.array([squad_scores(*pair) for pair in zip(answers, gold, strict=True)], np.float64).reshape(-1, 2).T
    return {f"tier{tier}_answer": list(answers), f"tier{tier}_em": em, f"tier{tier}_f1": f1}


def outcomes_of(table: Mapping, positive: int = 1) -> Outcomes:
    """The outcomes in a table like predictions.parquet.

    Args: `table` columns (n,): `label`, `tier1_logits`, `tier2_logits`, logits a row each; or, of graded answers,
    `tier1_em`, `tier2_em`, `tier1_f1`, `tier2_f1`. `positive` the class of two that F1 is of.

    >>> outcomes_of({"tier1_em": [0, 1], "tier2_em": [1, 1], "tier1_f1": [0.5, 1], "tier2_f1": [1, 1]}).metrics
    ('em', 'f1')
    """
    if "label" not in table:
        return GradedOutcomes({name: np.stack([table[f"tier{tier}_{name}"] for tier in (1, 2)]) for name in GRADES})
    tier1, tier2 = (np.stack(list(table[f"tier{tier}_logits"])) for tier in (1, 2))
    answers = (tier.argmax(axis=1) for tier in (tier1, tier2))
    return ClassOutcomes(np.asarray(table["label"]), *answers, tier1.shape[1], positive)
