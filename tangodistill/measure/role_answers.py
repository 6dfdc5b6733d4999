"""All tiers' answers to the examples of one role: labels, or spans of contexts."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd

from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.columns import column, gate_columns
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.graded import mean_score
from tangodistill.cascade.outcomes import GRADES, ClassOutcomes, Outcomes, outcomes_of
from tangodistill.predictor.answers import Prediction, Readout, SpanPrediction, check_finite


@dataclass
class RoleAnswers(ABC):
    """K tiers' outputs for n examples."""

    example_ids: list[str]
    texts: list[str]
    pairs: list[str] | None
    outputs: tuple[np.ndarray, ...]
    """(n, k) float32 of each tier: logits in the task's label order, or spans."""
    readout: Readout
    groups: list[int]
    """(n,) equal numbers for examples that are not independent of one another."""

    def __len__(self) -> int:
        return len(self.texts)

    @property
    @abstractmethod
    def outcomes(self) -> Outcomes:
        """How good the answers are."""

    @property
    def confidences(self) -> np.ndarray:
        """(K - 1, n) float32 of every tier but the last."""
        return np.stack([self.readout.confidence(outputs) for outputs in self.outputs[:-1]])

    def stops(self, thresholds: np.ndarray) -> np.ndarray:
        """(n,) the tier, from 0, whose answer stands at thresholds (K - 1,)."""
        return Gates(self.confidences).stops(thresholds)

    def answered(self, stops: np.ndarray) -> np.ndarray:
        """(n, k) the outputs of the tiers, from 0, that answer the examples."""
        return np.stack(self.outputs)[stops, np.arange(len(self))]

    @property
    def calibration_set(self) -> CalibrationSet:
        """What thresholds are certified on."""
        return CalibrationSet(self.confidences, self.readout.thresholds, self.groups)

    @property
    @abstractmethod
    def right(self) -> np.ndarray:
        """(n,) bool: whether the first tier's answer is right."""

    @abstractmethod
    def marks(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """What somebody's outputs (n, k) are scored by, (n,) each: `answer`, class ids; or of spans `em` and `f1`."""

    @abstractmethod
    def scores(self, outputs: np.ndarray) -> dict[str, float]:
        """The metrics of somebody's outputs (n, k) for these examples, in the order of the tiers'."""

    @abstractmethod
    def answer_columns(self) -> dict[str, Any]:
        """What was right, and what the tiers answered, (n,) each."""

    def part(self, rows: np.ndarray) -> tuple[list[str], list[str] | None]:
        """Texts and second sides of some rows."""
        return [self.texts[i] for i in rows], [self.pairs[i] for i in rows] if self.pairs else None

    def select(self, rows: np.ndarray) -> Self:
        """The examples of the given indices."""
        texts, pairs = self.part(rows)
        ids, groups = ([column[i] for i in rows] for column in (self.example_ids, self.groups))
        own = {"texts": texts, "pairs": pairs, "outputs": tuple(each[rows] for each in self.outputs)}
        return replace(self, example_ids=ids, groups=groups, **own, **self._selected(rows))

    def of_tiers(self, numbers: Sequence[int]) -> Self:
        """The answers of some of the tiers, numbered from 1."""
        return replace(self, outputs=tuple(self.outputs[number - 1] for number in numbers))

    @abstractmethod
    def _selected(self, rows: np.ndarray) -> dict[str, Any]:
        """What was right for the examples of the given indices."""

    @abstractmethod
    def outputs_of(self, predictions: Sequence[Any]) -> np.ndarray:
        """Outputs (n, k) that say what these served answers to the examples do."""

    def frame(self, times_s: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """The rows of predictions.parquet; `times_s` its columns (n,) of times at batch 1."""
        names = {"example_id": self.example_ids, "group": self.groups}
        sure = gate_columns("confidence", self.confidences.T)
        return pd.DataFrame({**names, **self.answer_columns(), **sure, **times_s})


@dataclass
class LabelAnswers(RoleAnswers):
    """Answers that are labels."""

    labels: np.ndarray
    """(n,) label ids."""
    positive: int = 1
    """The class of two that F1 is of."""

    @property
    def outcomes(self) -> Outcomes:
        return self._outcomes(*self.outputs)

    def _outcomes(self, *outputs: np.ndarray) -> Outcomes:
        answers = np.stack([each.argmax(axis=1) for each in outputs])
        return ClassOutcomes(self.labels, answers, outputs[0].shape[1], self.positive)

    @property
    def right(self) -> np.ndarray:
        return self.outputs[0].argmax(axis=1) == self.labels

    def marks(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        return {"answer": outputs.argmax(axis=1)}

    def scores(self, outputs: np.ndarray) -> dict[str, float]:
        outcomes = self._outcomes(outputs)
        return {name: outcomes.tier_score(1, name) for name in outcomes.metrics}

    def _selected(self, rows: np.ndarray) -> dict[str, Any]:
        return {"labels": self.labels[rows]}

    def outputs_of(self, predictions: Sequence[Prediction]) -> np.ndarray:
        names = self.readout.label_names
        return np.eye(len(names), dtype=np.float32)[[names.index(each.label) for each in predictions]]

    def answer_columns(self) -> dict[str, Any]:
        tiers = {column(tier, "logits"): list(outputs) for tier, outputs in enumerate(self.outputs, 1)}
        return {"label": self.labels, **tiers}


@dataclass
class SpanAnswers(RoleAnswers):
    """Answers that are pieces of the contexts."""

    gold: Sequence[Sequence[str]]
    """All answers that count as right to each question."""

    @cached_property
    def _graded(self) -> dict[str, Any]:
        tiers = [self._columns(tier, outputs) for tier, outputs in enumerate(self.outputs, 1)]
        return {name: values for own in tiers for name, values in own.items()}

    def _columns(self, tier: int, outputs: np.ndarray) -> dict[str, Any]:
        return self.readout.columns(tier, outputs, self.pairs, self.gold)

    @property
    def outcomes(self) -> Outcomes:
        return outcomes_of(self._graded)

    @property
    def right(self) -> np.ndarray:
        return self._graded["tier1_em"] == 1

    def marks(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        columns = self._columns(1, outputs)
        return {name: np.asarray(columns[f"tier1_{name}"], np.float64) for name in GRADES}

    def scores(self, outputs: np.ndarray) -> dict[str, float]:
        return {name: mean_score(values) for name, values in self.marks(outputs).items()}

    def _selected(self, rows: np.ndarray) -> dict[str, Any]:
        return {"gold": [self.gold[i] for i in rows]}

    def outputs_of(self, predictions: Sequence[SpanPrediction]) -> np.ndarray:
        return np.array([[each.start, each.end, each.probability] for each in predictions], np.float32)

    def answer_columns(self) -> dict[str, Any]:
        return {"gold": [list(answers) for answers in self.gold], **self._graded}


def joined(batches: list[dict[str, Any]], readout: Readout, positive: int = 1) -> RoleAnswers:
    """The batches of one role as one; `positive` the class of two that F1 is of."""
    columns = ("example_ids", "texts", "pairs", "groups")
    ids, texts, pairs, groups = ([x for batch in batches for x in batch[name] or ()] for name in columns)
    tiers = range(len(batches[0]["outputs"]))
    outputs = tuple(np.concatenate([batch["outputs"][tier] for batch in batches]) for tier in tiers)
    for tier, found in enumerate(outputs, 1):
        check_finite(found, tier)
    if "gold" in batches[0]:
        gold = [answers for batch in batches for answers in batch["gold"]]
        return SpanAnswers(ids, texts, pairs, outputs, readout, groups, gold)
    labels = np.concatenate([batch["labels"] for batch in batches])
    return LabelAnswers(ids, texts, pairs or None, outputs, readout, groups, labels, positive)
