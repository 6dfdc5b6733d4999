"""The cascade at work: the first tier answers, and defers to the second where its confidence is below the threshold."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from tangodistill.cascade.confidence import confidence as confidence_score
from tangodistill.cascade.confidence import softmax
from tangodistill.runtime.cascade_folder import read_cascade
from tangodistill.runtime.engines import TorchEngine, label_columns
from tangodistill.user_error import UserError

CHUNK_ROWS = 8192  # of an endless input, how many are held at a time


@dataclass(frozen=True)
class Prediction:
    """One answer."""

    label: str
    probability: float  # of the label, by the tier that answered
    tier: int  # 1 or 2
    confidence: float  # of the first tier: what the threshold was compared with


@dataclass(frozen=True)
class Answers:
    """Answers to n examples as arrays, in their order."""

    logits: np.ndarray  # (n, classes) float32, of the tier that answered, in the cascade's label order
    tier: np.ndarray  # (n,) int8, 1 or 2
    confidence: np.ndarray  # (n,) float32, of the first tier
    answered_s: np.ndarray  # (n,) seconds from the call until the answer stood

    @property
    def predictions(self) -> np.ndarray:
        """Label ids (n,)."""
        return self.logits.argmax(axis=1)


@dataclass(frozen=True)
class Tier:
    """An engine, its batch size, and where its labels lie in the cascade's order."""

    engine: TorchEngine
    batch_size: int
    columns: np.ndarray  # (classes,) column of the engine's logits for each of the cascade's labels


class CascadePredictor:
    """Two engines behind one threshold.

    Args:
        engines: first and second tier.
        label_names: the cascade's labels; each tier must know the same ones, in whatever order.
        threshold: defer where confidence < threshold, compared in float32.
        batch_sizes: of each tier.
        text_columns: one name, or two where the examples are pairs of texts.
        score: confidence score of the first tier.
    """

    def __init__(
        self,
        engines: Sequence[TorchEngine],
        label_names: Sequence[str],
        threshold: float,
        batch_sizes: Sequence[int] = (1, 1),
        text_columns: Sequence[str] = ("text",),
        score: str = "max_probability",
    ):
        self.label_names = tuple(label_names)
        self.threshold = threshold
        self.text_columns = tuple(text_columns)
        self.score = score
        self.first, self.second = (
            Tier(engine, batch_size, label_columns(engine, self.label_names))
            for engine, batch_size in zip(engines, batch_sizes, strict=True)
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "CascadePredictor":
        """The cascade of a folder that holds cascade.json and its tiers."""
        record = read_cascade(folder)
        if len(record.tiers) != 2:
            raise UserError(f"{folder}: cascade.json names {len(record.tiers)} tiers; a cascade has 2.")
        for tier in record.tiers:
            if (tier.engine, tier.precision) != (TorchEngine.name, TorchEngine.precision):
                raise UserError(f"{folder}: tier {tier.name} wants {tier.engine}-{tier.precision}; known: torch-fp32.")
        return cls(
            [TorchEngine.load(Path(folder) / tier.path, tier.max_length, tier.threads) for tier in record.tiers],
            record.label_names,
            record.threshold_for(record.tiers[0].engine, record.tiers[0].precision),
            [tier.batch_size for tier in record.tiers],
            record.text_columns,
            record.score,
        )

    def predict(
        self, texts: str | tuple[str, str] | Iterable[str] | Iterable[tuple[str, str]], threshold: float | None = None
    ) -> Prediction | list[Prediction]:
        """One example gives one Prediction; several give a list in their order. Examples of pair tasks are tuples.

        Raises:
            UserError: a row that is no text, or no pair of texts where the cascade wants pairs; names the row.
        """
        is_one = isinstance(texts, str) or (len(self.text_columns) == 2 and _is_pair(texts))
        predictions = list(self.predict_iter([texts] if is_one else texts, threshold))
        return predictions[0] if is_one else predictions

    def predict_iter(
        self, rows: Iterable[str] | Iterable[tuple[str, str]], threshold: float | None = None
    ) -> Iterator[Prediction]:
        """Predictions of an input of any length, in its order, a bounded chunk at a time."""
        rows = iter(rows)
        done = 0
        while chunk := list(islice(rows, CHUNK_ROWS)):
            answers = self.answer(*self._columns(chunk, first_row=done), threshold)
            done += len(chunk)
            probabilities = softmax(answers.logits)
            for row, prediction in enumerate(answers.predictions):
                yield Prediction(
                    label=self.label_names[prediction],
                    probability=float(probabilities[row, prediction]),
                    tier=int(answers.tier[row]),
                    confidence=float(answers.confidence[row]),
                )

    def answer(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        threshold: float | None = None,
        pad_to_max: bool = False,
    ) -> Answers:
        """The cascade on n examples: deferred ones queue for the second tier, which runs them in full batches and one
        partial one.

        The queue is run when the first tier is through, not as soon as a batch is full: the second tier can then put
        texts together that are of one length to *its* tokenizer. In the order in which the first tier defers them it
        ran 20 to 40 % more tokens, all padding (1,821 sentences of SST-2, batches of 8 to 32).

        Args:
            texts: n texts. pairs: their n second texts.
            threshold: instead of the cascade's own.
            pad_to_max: pad to each tier's maximum length (the paper's protocol).
        """
        started = time.perf_counter()
        threshold = np.float32(self.threshold if threshold is None else threshold)
        if np.isnan(threshold):
            raise UserError("threshold is not a number; give one between 0 (never defer) and 1.1 (always defer).")
        logits = np.empty((len(texts), len(self.label_names)), np.float32)
        answered_s = np.empty(len(texts))
        for rows, batch_logits in self.first.engine.batches(texts, pairs, self.first.batch_size, pad_to_max):
            logits[rows] = batch_logits[:, self.first.columns]
            answered_s[rows] = time.perf_counter() - started
        confidence = confidence_score(logits, self.score)
        queue = np.flatnonzero(confidence < threshold)
        queued_texts = [texts[row] for row in queue]
        queued_pairs = None if pairs is None else [pairs[row] for row in queue]
        for waiting, batch_logits in self.second.engine.batches(
            queued_texts, queued_pairs, self.second.batch_size, pad_to_max
        ):
            logits[queue[waiting]] = batch_logits[:, self.second.columns]
            answered_s[queue[waiting]] = time.perf_counter() - started
        return Answers(logits, np.where(confidence < threshold, 2, 1).astype(np.int8), confidence, answered_s)

    def _columns(self, rows: list, first_row: int) -> tuple[list[str], list[str] | None]:
        """Texts and second texts of checked rows."""
        is_pair_task = len(self.text_columns) == 2
        for number, row in enumerate(rows, start=first_row):
            if not (_is_pair(row) if is_pair_task else isinstance(row, str)):
                wanted = f"a pair of strings ({', '.join(self.text_columns)})" if is_pair_task else "a string"
                raise UserError(f"row {number}: expected {wanted}, found {_shorten(row)}.")
        if is_pair_task:
            return [row[0] for row in rows], [row[1] for row in rows]
        return rows, None


def _is_pair(row: object) -> bool:
    return isinstance(row, tuple | list) and len(row) == 2 and all(isinstance(text, str) for text in row)


def _shorten(row: object) -> str:
    text = f"{type(row).__name__} {row!r}" if row is not None else "None"
    return text if len(text) <= 60 else text[:57] + "..."
