"""Loaders that hand Lightning whole batches of similar length, and resume inside an epoch."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tangodistill.data.length_batches import length_batches, shuffled_length_batches
from tangodistill.data.tokenize import TokenizedTexts
from tangodistill.models.inputs import tensors
from tangodistill.user_error import UserError

Batch = dict[str, Any]
Targets = Callable[[np.ndarray], Mapping[str, Any]]


class TrainBatches:
    """Shuffled batches of similar length, in an order fixed by ``(seed, epoch)``.

    ``state_dict`` tells how far it is, so that a run which was cut off goes on with the batch it had not seen.
    Where several processes train, each takes its `share` of every batch, and ``weight`` tells what it counts.

    Args:
        texts: the tokenised texts, n in all.
        targets: maps row numbers ``(batch,)`` to what is added to the inputs, such as labels or teacher logits.
        batch_size: rows in a batch, of all processes together.
        seed: of the order.
        exact: every batch holds texts of one length only (what a recurrent tier wants).
        rank, world: this process among all.
    """

    def __init__(
        self,
        texts: TokenizedTexts,
        targets: Targets,
        batch_size: int,
        seed: int,
        exact: bool = False,
        rank: int = 0,
        world: int = 1,
    ):
        self.texts, self.targets, self.batch_size, self.seed, self.exact = texts, targets, batch_size, seed, exact
        self.rank, self.world = rank, world
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
            own, weight = share(rows, self.rank, self.world)
            yield {**tensors(self.texts.batch(own)), **self.targets(own), "weight": weight}

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.done = state["epoch"], state["done"]


def share(rows: np.ndarray, rank: int, world: int) -> tuple[np.ndarray, float]:
    """One process' rows of a batch ``(n,)``, at least one, and the weight of its mean loss over them.

    With these weights the mean over the processes is the mean over the batch. Of a batch that has fewer rows than there
    are processes, several take the same row.

    >>> share(np.array([5, 6, 7]), rank=0, world=2), share(np.array([5, 6, 7]), rank=1, world=2)
    ((array([5, 7]), 1.3333333333333333), (array([6]), 0.6666666666666666))
    >>> share(np.array([5]), rank=1, world=2)
    (array([5]), 1.0)
    """
    if len(rows) < world:
        first = rank % len(rows)
        takers = len(range(first, world, len(rows)))
        return rows[first : first + 1], world / (len(rows) * takers)
    own = rows[rank::world]
    return own, world * len(own) / len(rows)


class EvaluationBatches:
    """Batches sorted by length; what they carry beside the inputs is up to ``targets``.

    Where several processes evaluate, each takes every so manieth batch, so that no row comes twice and the batches are
    those of one process (unless there are fewer batches than processes, which makes them smaller).

    Raises:
        UserError: there are fewer rows than processes.
    """

    def __init__(
        self,
        texts: TokenizedTexts,
        targets: Targets,
        batch_size: int,
        exact: bool = False,
        rank: int = 0,
        world: int = 1,
    ):
        n = len(texts.lengths)
        if n < world:
            raise UserError(f"{n} rows cannot be shared by {world} processes. Set trainer.devices to {max(n, 1)}.")
        self.texts, self.targets = texts, targets
        self.plan = length_batches(texts.lengths, min(batch_size, max(n // world, 1)), exact=exact)[rank::world]

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self.plan:
            yield {**tensors(self.texts.batch(rows)), **self.targets(rows)}
