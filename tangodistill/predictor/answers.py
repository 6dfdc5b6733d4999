"""What a cascade says of its examples, read from its tiers' outputs: labels, or spans of contexts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tangodistill.cascade.confidence import SCORES, softmax
from tangodistill.cascade.confidence import confidence as confidence_score
from tangodistill.cascade.outcomes import graded_columns
from tangodistill.cascade.threshold_grid import probability_grid, threshold_grid
from tangodistill.data.spans import SPAN_SCORES
from tangodistill.engines.engine import Engine, label_columns
from tangodistill.predictor.input_rows import is_blank
from tangodistill.user_error import UserError


@dataclass(frozen=True)
class Prediction:
    """One answer, or in `error` why there is none: then the other fields are None, but for the tier that failed."""

    label: str | None = None
    probability: float | None = None  # of the label, by the tier that answered
    tier: int | None = None  # from 1
    confidence: float | None = None  # of the last tier that was asked for it: what its threshold was compared with
    blank: bool = False  # there was nothing to read in the text, or in one of the two
    error: str | None = None


@dataclass(frozen=True)
class SpanPrediction:
    """One answer to a question: a piece of its context, ``context[start:end]``; or in `error` why there is none."""

    answer: str | None = None
    start: int | None = None
    end: int | None = None
    probability: float | None = None  # of the span, by the tier that answered
    tier: int | None = None  # from 1
    confidence: float | None = None  # of the last tier that was asked for it: what its threshold was compared with
    blank: bool = False  # there was nothing to read in the question or the context
    error: str | None = None


def is_finite(outputs: np.ndarray) -> np.ndarray:
    """(n,) bool: whether a tier's outputs (n, k) are numbers that an answer can be read from."""
    return np.isfinite(outputs).all(axis=1)


def not_finite(tier: int, row: int) -> str:
    return f"row {row}: tier {tier} gave no finite numbers (nan or infinity), so there is no answer."


def check_finite(outputs: np.ndarray, tier: int, rows: np.ndarray | None = None) -> None:
    """Raise a UserError that names the first row without finite outputs (n, k); `rows` (n,) are their numbers."""
    wrong = np.flatnonzero(~is_finite(outputs))
    if len(wrong):
        raise UserError(not_finite(tier, int(wrong[0] if rows is None else rows[wrong[0]])))


class Readout(Protocol):
    """How outputs are read, where they are finite."""

    score: str
    """Of the confidence."""
    answer_type: type[Prediction] | type[SpanPrediction]

    @property
    def thresholds(self) -> np.ndarray:
        """(steps,) float32, falling: those of the score that may be certified."""

    def of(self, engine: Engine) -> tuple[Engine, np.ndarray]:
        """The engine as the cascade runs it, and the columns (k,) of its outputs in the cascade's order.

        Raises:
            UserError: it answers something else.
        """

    def confidence(self, outputs: np.ndarray) -> np.ndarray:
        """(n,) float32 of a tier's outputs (n, k)."""

    def same(self, outputs: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(n,) bool: which answers are the same in two outputs (n, k) of one tier."""

    def difference(self, outputs: np.ndarray, others: np.ndarray) -> float:
        """The largest of two outputs (n, k): of their logits, or of their spans' probabilities."""

    def columns(self, tier: int, outputs: np.ndarray, contexts: Any, gold: Any) -> dict[str, Any]:
        """One tier's answers (n,) as they stand in predictions.parquet; of spans graded by the gold answers."""

    def predictions(
        self,
        outputs: np.ndarray,
        tier: int,
        confidence: np.ndarray,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
    ) -> list[Prediction | SpanPrediction]:
        """One tier's predictions (n,) from its outputs (n, k) for the texts."""


@dataclass(frozen=True)
class LabelReadout:
    """Outputs are logits.

    >>> logits = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> readout = LabelReadout(("no", "yes"))
    >>> [(answer.label, answer.blank) for answer in readout.predictions(logits, 1, np.array([0.7, 0.7]), ["hm", " "])]
    [('yes', False), ('no', True)]
    """

    label_names: tuple[str, ...]
    score: str = "max_probability"
    answer_type = Prediction

    @property
    def thresholds(self) -> np.ndarray:
        return threshold_grid(self.score, len(self.label_names))

    def of(self, engine: Engine) -> tuple[Engine, np.ndarray]:
        return engine, label_columns(engine, self.label_names)

    def confidence(self, outputs: np.ndarray) -> np.ndarray:
        return confidence_score(outputs, self.score)

    def same(self, outputs: np.ndarray, others: np.ndarray) -> np.ndarray:
        return outputs.argmax(axis=1) == others.argmax(axis=1)

    def difference(self, outputs: np.ndarray, others: np.ndarray) -> float:
        return float(np.abs(outputs - others).max())

    def columns(self, tier: int, outputs: np.ndarray, contexts: Any, gold: Any) -> dict[str, Any]:
        return {f"tier{tier}_logits": list(outputs)}

    def predictions(
        self,
        outputs: np.ndarray,
        tier: int,
        confidence: np.ndarray,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
    ) -> list[Prediction]:
        labels = outputs.argmax(axis=1)
        probabilities = softmax(outputs)[np.arange(len(labels)), labels]
        columns = (labels.tolist(), probabilities.tolist(), confidence.tolist(), _blanks(texts, pairs))
        return [
            Prediction(self.label_names[label], probability, tier, sure, blank)
            for label, probability, sure, blank in zip(*columns, strict=True)
        ]


@dataclass(frozen=True)
class SpanReadout:
    """Outputs are first character, the one behind the last, and the probability, which is the confidence.

    >>> outputs = np.array([[4, 9, 0.5]], np.float32)
    >>> answer = SpanReadout().predictions(outputs, 1, np.array([0.5]), ["what?"], ["the river"])[0]
    >>> answer.answer, answer.start, answer.end
    ('river', 4, 9)
    """

    score: str = "max_probability"
    answer_type = SpanPrediction

    @property
    def thresholds(self) -> np.ndarray:
        return probability_grid(SPAN_SCORES[self.score].lowest)

    def of(self, engine: Engine) -> tuple[Engine, np.ndarray]:
        if engine.facts.kind != "spans":
            raise UserError(
                f"{engine.facts.source} is a classifier, but this cascade answers questions by spans of a context: "
                "its tiers must be question-answering models."
            )
        return engine.scoring(self.score), np.arange(engine.facts.outputs)

    def confidence(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[:, 2]

    def same(self, outputs: np.ndarray, others: np.ndarray) -> np.ndarray:
        return (outputs[:, :2] == others[:, :2]).all(axis=1)

    def difference(self, outputs: np.ndarray, others: np.ndarray) -> float:
        return float(np.abs(outputs[:, 2] - others[:, 2]).max())

    def columns(self, tier: int, outputs: np.ndarray, contexts: Any, gold: Any) -> dict[str, Any]:
        places = outputs[:, :2].astype(int).tolist()
        answers = [context[start:end] for context, (start, end) in zip(contexts, places, strict=True)]
        return graded_columns(tier, answers, gold)

    def predictions(
        self,
        outputs: np.ndarray,
        tier: int,
        confidence: np.ndarray,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
    ) -> list[SpanPrediction]:
        starts, ends = outputs[:, :2].astype(int).T.tolist()
        columns = (pairs, starts, ends, outputs[:, 2].tolist(), confidence.tolist(), _blanks(texts, pairs))
        return [
            SpanPrediction(context[start:end], start, end, probability, tier, sure, blank)
            for context, start, end, probability, sure, blank in zip(*columns, strict=True)
        ]


def _blanks(texts: Sequence[str], pairs: Sequence[str] | None) -> list[bool]:
    if pairs is None:
        return [is_blank(text) for text in texts]
    return [is_blank(text) or is_blank(pair) for text, pair in zip(texts, pairs, strict=True)]


def readout_of(label_names: Sequence[str], score: str) -> Readout:
    """For a cascade's labels; without any, its answers are spans.

    Raises:
        UserError: there is no such score for answers of this kind.
    """
    known, answers = (SCORES, "labels") if label_names else (tuple(SPAN_SCORES), "spans")
    if score not in known:
        raise UserError(
            f"score is {score!r}; a cascade that answers with {answers} knows {', '.join(known)}. Correct it in the "
            "cascade stage (--model.score), or in cascade.json."
        )
    return LabelReadout(tuple(label_names), score) if label_names else SpanReadout(score)
