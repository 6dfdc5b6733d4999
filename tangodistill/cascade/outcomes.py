"""What K tiers made of the same n examples: all that a sweep, the baselines and a guarantee are computed from.

Answers are class ids that are right or wrong, or they are graded. What is built on them need not know which.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np

from tangodistill.cascade.baseline_curve import Baseline
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.class_outcomes import ClassOutcomes as ClassOutcomes
from tangodistill.cascade.columns import column
from tangodistill.cascade.graded_outcomes import GradedOutcomes as GradedOutcomes
from tangodistill.cascade.guarantee import Guarantee
from tangodistill.cascade.moves import Moves
from tangodistill.cascade.timing import Timing
from tangodistill.metrics import squad_scores

GRADES = ("em", "f1")
"""Metrics of graded answers that a table may hold."""


class Outcomes(Protocol):
    """K tiers' outcomes on n examples. Tiers are numbered from 1; from 0 where they index an array (K, n).

    Methods raise ValueError for an unknown metric, and for arrays that are not of these n examples.
    """

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that follow from the outcomes."""

    @property
    def n(self) -> int:
        """Examples."""

    @property
    def tiers(self) -> int:
        """K."""

    def metrics_at(self, moves: Moves) -> Mapping[str, np.ndarray]:
        """Every metric (points,) of the cascade at each point."""

    def tier_score(self, tier: int, metric: str) -> float:
        """The metric of one tier alone, numbered from 1."""

    def subset(self, tiers: Sequence[int]) -> Self:
        """The outcomes of some of the tiers, numbered from 1."""

    def drawn(self, rows: np.ndarray) -> Self:
        """The outcomes of some examples, for a bootstrap."""

    def extended(self, right: np.ndarray) -> Self:
        """These and more: `right` (K, m) bool says what each tier makes of m more, which come in every class alike."""

    def cascade(self, stops: np.ndarray) -> Self:
        """The cascade's own as those of a single tier; `stops` (n,) the tier, from 0, that answers each example."""

    def random(self, metric: str, timing: Timing, draws: int = 100) -> Baseline:
        """Deferring at random; `draws` random orders where the metric has no closed form."""

    def oracle(self, metric: str, timing: Timing) -> Baseline:
        """Deferring with knowledge of the outcomes."""

    def certify(
        self, metric: str, calibration: CalibrationSet, keep: float, level: float, plain: np.ndarray | float
    ) -> Guarantee:
        """The cheapest thresholds that keep a share of the last tier's metric on unseen data; as `certify`."""

    def changes(self, metric: str, tier: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """(n,) bool of the examples that the last tier does better than another one, and of those it does worse."""

    def losses(self, metric: str) -> np.ndarray:
        """(K - 1, n) within 0..1: what is lost where a tier answers in place of a last one that does better."""

    def may_gain(self, metric: str, before: np.ndarray | int, after: np.ndarray | int, row: np.ndarray) -> np.ndarray:
        """(moves,) bool: whether the metric may rise where these examples move from one tier, from 0, to another."""


def graded_columns(tier: int, answers: Sequence[str], gold: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Columns (n,) of a table for one tier's answers to questions: the answer, its exact match, and its F1.

    >>> graded_columns(1, ["the river"], [["River"]])
    {'tier1_answer': ['the river'], 'tier1_em': array([1.]), 'tier1_f1': array([1.])}
    """
    em, f1 = np.array([squad_scores(*pair) for pair in zip(answers, gold, strict=True)], np.float64).reshape(-1, 2).T
    return {column(tier, "answer"): list(answers), column(tier, "em"): em, column(tier, "f1"): f1}


def outcomes_of(table: Mapping, positive: int = 1) -> Outcomes:
    """The outcomes in a table like predictions.parquet, of as many tiers as it has columns of.

    Args: `table` columns (n,): `label`, `tier1_logits`, `tier2_logits` and so on, logits a row each; or, of graded
    answers, `tier1_em`, `tier1_f1` and so on. `positive` the class of two that F1 is of.

    >>> outcomes_of({"tier1_em": [0, 1], "tier2_em": [1, 1], "tier1_f1": [0.5, 1], "tier2_f1": [1, 1]}).metrics
    ('em', 'f1')
    """
    graded = "label" not in table
    name, tiers = GRADES[0] if graded else "logits", 0
    while column(tiers + 1, name) in table:
        tiers += 1
    numbers = range(1, tiers + 1)
    if graded:
        return GradedOutcomes({name: np.stack([table[column(tier, name)] for tier in numbers]) for name in GRADES})
    logits = np.stack([np.stack(list(table[column(tier, "logits")])) for tier in numbers])
    return ClassOutcomes(np.asarray(table["label"]), logits.argmax(axis=2), logits.shape[2], positive)
