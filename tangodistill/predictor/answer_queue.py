"""Rows of a stream on their way through both tiers, given back in their order."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from tangodistill.engines.engine import Engine
from tangodistill.predictor.answers import Prediction, Readout, SpanPrediction, is_finite, not_finite


@dataclass(frozen=True)
class Tier:
    """An engine, where its labels lie in the cascade's order, and its batch size."""

    engine: Engine
    columns: np.ndarray  # (k,) of the engine's outputs, in the cascade's order
    batch_size: int


@dataclass(frozen=True)
class Chunk:
    """n rows of the input that are to be answered."""

    rows: Sequence[int]  # their numbers in the whole input
    texts: Sequence[str]
    pairs: Sequence[str] | None

    def at(self, places: np.ndarray) -> Self:
        """Some of them."""
        sides = (None if side is None else [side[place] for place in places] for side in (self.texts, self.pairs))
        return Chunk([self.rows[place] for place in places], *sides)


class AnswerQueue:
    """Rows that the first tier has seen, in their order, until they and all before them are answered."""

    def __init__(self, first: Tier, second: Tier, readout: Readout, threshold: np.float32):
        self.first, self.second, self.readout, self.threshold = first, second, readout, threshold
        self.answers: deque[Prediction | SpanPrediction | None] = deque()  # None: waits for the second tier
        self.released = 0  # rows before these
        self.deferred: list[tuple[int, str, str | None, float]] = []  # row, texts, confidence

    def __len__(self) -> int:
        return len(self.answers)

    def add(self, chunk: Chunk, errors: Mapping[int, str]) -> None:
        """Run the first tier on the rows that come next; those below the threshold wait for the second.

        Args:
            errors: of the rows among them that are no texts, by their number.
        """
        self.answers.extend([None] * (len(chunk.rows) + len(errors)))
        for row, error in errors.items():
            self._settle(row, self.readout.answer_type(error=error))
        if not chunk.rows:
            return
        outputs = self.first.engine.outputs(chunk.texts, chunk.pairs, self.first.batch_size)[:, self.first.columns]
        finite = is_finite(outputs)
        confidence = np.full(len(outputs), np.nan, np.float32)
        confidence[finite] = self.readout.confidence(outputs[finite])
        deferred = confidence < self.threshold  # never without a confidence
        waits, stands = np.flatnonzero(deferred), np.flatnonzero(~deferred)
        late = chunk.at(waits)
        pairs = late.pairs or [None] * len(waits)
        self.deferred += zip(late.rows, late.texts, pairs, confidence[waits].tolist(), strict=True)
        self._read(1, chunk.at(stands), outputs[stands], confidence[stands])

    def run_second(self, everything: bool) -> None:
        """Run the second tier on as many full batches as wait for it, or on all that waits."""
        size, waiting = self.second.batch_size, len(self.deferred)
        count = waiting if everything else waiting // size * size
        if not count:
            return
        rows, texts, pairs, confidence = zip(*self.deferred[:count], strict=True)
        del self.deferred[:count]
        chunk = Chunk(rows, texts, None if pairs[0] is None else pairs)
        outputs = self.second.engine.outputs(chunk.texts, chunk.pairs, size)[:, self.second.columns]
        self._read(2, chunk, outputs, np.array(confidence))

    def release(self) -> Iterator[Prediction | SpanPrediction]:
        """The answers at the head that stand."""
        while self.answers and self.answers[0] is not None:
            self.released += 1
            yield self.answers.popleft()

    def _read(self, tier: int, chunk: Chunk, outputs: np.ndarray, confidence: np.ndarray) -> None:
        """Settle rows by a tier's outputs (n, k), or by an error where it gave no number."""
        finite = is_finite(outputs)
        read = chunk.at(np.flatnonzero(finite))
        answers = self.readout.predictions(outputs[finite], tier, confidence[finite], read.texts, read.pairs)
        for row, answer in zip(read.rows, answers, strict=True):
            self._settle(row, answer)
        for row in chunk.at(np.flatnonzero(~finite)).rows:
            self._settle(row, self.readout.answer_type(tier=tier, error=not_finite(tier, row)))

    def _settle(self, row: int, answer: Prediction | SpanPrediction) -> None:
        self.answers[row - self.released] = answer
