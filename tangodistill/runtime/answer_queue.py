"""Rows of a stream on their way through both tiers, given back in their order."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tangodistill.data.tokenize import TokenizedTexts
from tangodistill.data.windows import Windows
from tangodistill.runtime.answers import Prediction, Readout, SpanPrediction
from tangodistill.runtime.engines import Engine


@dataclass(frozen=True)
class Tier:
    """An engine, where its labels lie in the cascade's order, and its batch size."""

    engine: Engine
    columns: np.ndarray  # (k,) of the engine's outputs, in the cascade's order
    batch_size: int


@dataclass(frozen=True)
class Chunk:
    """Rows on their way to the first tier."""

    texts: list[str]
    pairs: list[str] | None
    tokens: TokenizedTexts | Windows  # by the first tier's tokenizer


class AnswerQueue:
    """Rows that the first tier has seen, in their order, until they and all before them are answered."""

    def __init__(self, first: Tier, second: Tier, readout: Readout, threshold: np.float32):
        self.first, self.second, self.readout, self.threshold = first, second, readout, threshold
        self.answers: deque[Prediction | SpanPrediction | None] = deque()  # None: waits for the second tier
        self.released = 0  # rows before these
        self.deferred: list[tuple[int, str, str | None, float]] = []  # row, texts, confidence

    def __len__(self) -> int:
        return len(self.answers)

    def add(self, chunk: Chunk) -> None:
        """Run the first tier; rows below the threshold wait for the second."""
        outputs = np.empty((len(chunk.texts), len(self.first.columns)), np.float32)
        for rows, batch_outputs in self.first.engine.run(chunk.tokens, self.first.batch_size):
            outputs[rows] = batch_outputs[:, self.first.columns]
        confidence = self.readout.confidence(outputs)
        first_row = self.released + len(self.answers)
        for row in np.flatnonzero(confidence < self.threshold):
            pair = None if chunk.pairs is None else chunk.pairs[row]
            self.deferred.append((first_row + int(row), chunk.texts[row], pair, float(confidence[row])))
        stands = confidence >= self.threshold
        self.answers.extend(self.readout.predictions(outputs, 1, confidence, stands, chunk.pairs))

    def run_second(self, everything: bool) -> None:
        """Run the second tier on as many full batches as wait for it, or on all that waits."""
        size, waiting = self.second.batch_size, len(self.deferred)
        count = waiting if everything else waiting // size * size
        if not count:
            return
        rows, texts, pairs, confidence = zip(*self.deferred[:count], strict=True)
        del self.deferred[:count]
        outputs = self.second.engine.outputs(texts, None if pairs[0] is None else pairs, size)[:, self.second.columns]
        answers = self.readout.predictions(outputs, 2, np.array(confidence), np.ones(count, bool), pairs)
        for row, answer in zip(rows, answers, strict=True):
            self.answers[row - self.released] = answer

    def release(self) -> Iterator[Prediction | SpanPrediction]:
        """The answers at the head that stand."""
        while self.answers and self.answers[0] is not None:
            self.released += 1
            yield self.answers.popleft()
