"""Rows of a stream on their way through both tiers, given back in their order."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tangodistill.cascade.confidence import confidence as confidence_score
from tangodistill.data.tokenize import TokenizedTexts
from tangodistill.runtime.answers import Prediction, predictions_of
from tangodistill.runtime.engines import Engine


@dataclass(frozen=True)
class Tier:
    """An engine, its batch size, and where its labels lie in the cascade's order."""

    engine: Engine
    batch_size: int
    columns: np.ndarray  # (classes,) column of the engine's logits for each of the cascade's labels


@dataclass(frozen=True)
class Chunk:
    """Rows on their way to the first tier."""

    texts: list[str]
    pairs: list[str] | None
    tokens: TokenizedTexts  # by the first tier's tokenizer


class AnswerQueue:
    """Rows that the first tier has seen, in their order, until they and all before them are answered."""

    def __init__(self, first: Tier, second: Tier, label_names: Sequence[str], score: str, threshold: np.float32):
        self.first, self.second = first, second
        self.label_names, self.score, self.threshold = label_names, score, threshold
        self.answers: deque[Prediction | None] = deque()  # None: waits for the second tier
        self.released = 0  # rows before these
        self.deferred: list[tuple[int, str, str | None, float]] = []  # row, texts, confidence

    def __len__(self) -> int:
        return len(self.answers)

    def add(self, chunk: Chunk) -> None:
        """Run the first tier; rows below the threshold wait for the second."""
        logits = np.empty((len(chunk.texts), len(self.label_names)), np.float32)
        for rows, batch_logits in self.first.engine.run(chunk.tokens, self.first.batch_size):
            logits[rows] = batch_logits[:, self.first.columns]
        confidence = confidence_score(logits, self.score)
        first_row = self.released + len(self.answers)
        for row in np.flatnonzero(confidence < self.threshold):
            pair = None if chunk.pairs is None else chunk.pairs[row]
            self.deferred.append((first_row + int(row), chunk.texts[row], pair, float(confidence[row])))
        stands = confidence >= self.threshold
        self.answers.extend(predictions_of(logits, self.label_names, 1, confidence, stands))

    def run_second(self, everything: bool) -> None:
        """Run the second tier on as many full batches as wait for it, or on all that waits."""
        size, waiting = self.second.batch_size, len(self.deferred)
        count = waiting if everything else waiting // size * size
        if not count:
            return
        rows, texts, pairs, confidence = zip(*self.deferred[:count], strict=True)
        del self.deferred[:count]
        logits = self.second.engine.logits(texts, None if pairs[0] is None else pairs, size)[:, self.second.columns]
        answers = predictions_of(logits, self.label_names, 2, np.array(confidence), np.ones(count, bool))
        for row, answer in zip(rows, answers, strict=True):
            self.answers[row - self.released] = answer

    def release(self) -> Iterator[Prediction]:
        """The answers at the head that stand."""
        while self.answers and self.answers[0] is not None:
            self.released += 1
            yield self.answers.popleft()
