"""Rows on their way through the tiers of a cascade, given back in their order: what is served, and what is timed.

A row stops at the first tier whose confidence is at least that tier's threshold; the last tier always answers. What a
tier defers waits in a queue of the next one, which puts texts together that are of one length to *its* tokenizer. In
the order in which they are deferred it ran 20 to 40 % more tokens, all padding (1,821 sentences of SST-2, batches of 8
to 32).
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from tangodistill.engines.engine import Engine
from tangodistill.predictor.answers import Prediction, Readout, SpanPrediction, is_finite, not_finite


@dataclass(frozen=True)
class Tier:
    """An engine, where its labels lie in the cascade's order, its batch size, and its place in the cascade."""

    engine: Engine
    columns: np.ndarray  # (k,) of the engine's outputs, in the cascade's order
    batch_size: int
    number: int  # from 1


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


class DeferralQueue:
    """Rows that the first tier has seen, in their order, until they and all before them are answered.

    Args:
        tiers: K of them, cheapest first.
        thresholds: (K - 1,) float32; a tier's answer stands unless its confidence is below.
    """

    def __init__(self, tiers: Sequence[Tier], readout: Readout, thresholds: np.ndarray):
        self.tiers, self.readout, self.thresholds = tiers, readout, thresholds
        self.answers: deque[Prediction | SpanPrediction | None] = deque()  # None: waits for another tier
        self.released = 0  # rows before these
        # of each tier but the first: row, texts, and the confidence of the tier that deferred it
        self.waiting: list[list[tuple[int, str, str | None, float]]] = [[] for _ in tiers[1:]]

    def __len__(self) -> int:
        return len(self.answers)

    def add(self, chunk: Chunk, errors: Mapping[int, str]) -> None:
        """Run the first tier on the rows that come next.

        Args:
            errors: of the rows among them that are no texts, by their number.
        """
        self.answers.extend([None] * (len(chunk.rows) + len(errors)))
        for row, error in errors.items():
            self._settle(row, self.readout.answer_type(error=error))
        if chunk.rows:
            self._ask(0, chunk, None)

    def run(self, everything: bool) -> None:
        """Run each later tier on as many full batches as wait for it, or on all that waits."""
        for place, waiting in enumerate(self.waiting, 1):
            size = self.tiers[place].batch_size
            count = len(waiting) if everything else len(waiting) // size * size
            if count:
                rows, texts, pairs, confidence = zip(*waiting[:count], strict=True)
                del waiting[:count]
                self._ask(place, Chunk(rows, texts, None if pairs[0] is None else pairs), np.array(confidence))

    def release(self) -> Iterator[Prediction | SpanPrediction]:
        """The answers at the head that stand."""
        while self.answers and self.answers[0] is not None:
            self.released += 1
            yield self.answers.popleft()

    def _ask(self, place: int, chunk: Chunk, confidence: np.ndarray | None) -> None:
        """Have a tier answer, and settle or defer each row; one without a number is an error, whatever its threshold.

        Args: `confidence` (n,) by which the tier before deferred them; the last tier's answers keep it.
        """
        tier = self.tiers[place]
        outputs = tier.engine.outputs(chunk.texts, chunk.pairs, tier.batch_size)[:, tier.columns]
        finite, stands = is_finite(outputs), np.ones(len(outputs), bool)
        if confidence is None or place < len(self.waiting):
            confidence = np.full(len(outputs), np.nan, np.float32)
            confidence[finite] = self.readout.confidence(outputs[finite])
        if place < len(self.waiting):
            stands = ~(confidence < self.thresholds[place])  # never deferred without a confidence
            self._defer(place, chunk, confidence, np.flatnonzero(~stands))
        self._read(tier.number, chunk, outputs, confidence, np.flatnonzero(stands & finite))
        for broken in np.flatnonzero(~finite):
            row = chunk.rows[broken]
            self._settle(row, self.readout.answer_type(tier=tier.number, error=not_finite(tier.number, row)))

    def _defer(self, place: int, chunk: Chunk, confidence: np.ndarray, places: np.ndarray) -> None:
        late = chunk.at(places)
        pairs = late.pairs or [None] * len(places)
        self.waiting[place] += zip(late.rows, late.texts, pairs, confidence[places].tolist(), strict=True)

    def _read(self, tier: int, chunk: Chunk, outputs: np.ndarray, confidence: np.ndarray, places: np.ndarray) -> None:
        read = chunk.at(places)
        answers = self.readout.predictions(outputs[places], tier, confidence[places], read.texts, read.pairs)
        for row, answer in zip(read.rows, answers, strict=True):
            self._settle(row, answer)

    def _settle(self, row: int, answer: Prediction | SpanPrediction) -> None:
        self.answers[row - self.released] = answer
