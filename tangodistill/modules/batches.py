"""Loaders that hand Lightning whole batches of similar length, and resume inside an epoch."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tangodistill.data.length_batches import length_batches, shuffled_length_batches
from tangodistill.data.tokenize import TokenizedTexts

Batch = dict[str, Any]
Targets = Callable[[np.ndarray], Mapping[str, Any]]


class TrainBatches:
    """Shuffled batches of similar length, in an order fixed by ``(seed, epoch)``.

    ``state_dict`` tells how far it is, so that a run which was cut off goes on with the batch it had not seen.

    Args:
        texts: the tokenised texts, n in all.
        targets: maps row numbers ``(batch,)`` to what is added to the inputs, such as labels or teacher logits.
        batch_size: rows in a batch.
        seed: of the order.
        exact: every batch holds texts of one length only (what a recurrent tier wants).
    """

    def __init__(self, texts: TokenizedTexts, targets: Targets, batch_size: int, seed: int, exact: bool = False):
        self.texts, self.targets, self.batch_size, self.seed, self.exact = texts, targets, batch_size, seed, exact
        self.epoch = 0
        self.done = 0
        self.count = len(self._plan(0))

    def _plan(self, epoch: int) -> list[np.ndarray]:
        return shuffled_length_batches(self.texts.lengths, self.batch_size, self.seed, epoch, exact=self.exact)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        # Lightning stops at len() without asking for more, so a finished epoch is noticed at the start of the next.
        if self.done >= self.count:
            self.epoch, self.done = self.epoch + 1, 0
        for rows in self._plan(self.epoch)[self.done :]:
            self.done += 1
            yield {**self.texts.batch(rows), **self.targets(rows)}

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.done = state["epoch"], state["done"]


class EvaluationBatches:
    """Batches sorted by length, each carrying its row numbers as ``rows`` ``(batch,)``."""

    def __init__(self, texts: TokenizedTexts, targets: Targets, batch_size: int, exact: bool = False):
        self.texts, self.targets = texts, targets
        self.plan = length_batches(texts.lengths, batch_size, exact=exact)

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self.plan:
            yield {**self.texts.batch(rows), **self.targets(rows)}
