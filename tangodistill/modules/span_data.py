"""Questions over contexts for training: windows with the places of their answers."""

import numpy as np
import torch
from datasets import Dataset

from tangodistill.data.sources import DatasetConfig
from tangodistill.data.spans import span_targets
from tangodistill.data.windows import WindowEncoder, Windows
from tangodistill.modules.batches import EvaluationBatches, TrainBatches
from tangodistill.modules.datamodules import RoleData, columns


class SpanData(RoleData):
    """Questions with their contexts: train role to learn from, selection role to select on, report role to test on.

    A context that is too long for the module under training is read in windows that overlap; a batch holds windows.

    Args:
        dataset: SQuAD's files or hub set.
        batch_size: windows in a training batch, of all processes together.
        seed: of the training order.
    """

    kind = "spans"

    def __init__(self, dataset: DatasetConfig, batch_size: int = 16, seed: int = 0):
        super().__init__(dataset, batch_size, seed)

    def train_dataloader(self) -> TrainBatches:
        windows = self.windows(self.roles.train)
        first, last = (torch.from_numpy(places) for places in span_targets(windows, *_answers(self.roles.train)))
        return self._train_batches(windows.tokens, lambda i: {"first": first[i], "last": last[i]})

    def windows(self, rows: Dataset) -> Windows:
        """The windows of a role, by the tokenizer and the length of the module under training."""
        module = self.trainer.lightning_module
        return WindowEncoder.of(module.tokenizer, module.max_length).encode(*columns(rows))

    def val_dataloader(self) -> EvaluationBatches:
        return self._evaluated(self.roles.selection)

    def test_dataloader(self) -> EvaluationBatches:
        return self._evaluated(self.roles.report)

    predict_dataloader = test_dataloader

    def _evaluated(self, rows: Dataset) -> EvaluationBatches:
        windows = self.windows(rows)

        def inside(i: np.ndarray) -> dict[str, np.ndarray]:
            return {"window": i, "in_context": windows.in_context(i, int(windows.tokens.lengths[i].max()))}

        return EvaluationBatches(windows.tokens, inside, 2 * self.batch_size, **self._batching)


def _answers(rows: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Characters (n,) at which each row's first gold answer begins, and ends."""
    starts = np.array([each[0] for each in rows["answer_starts"]], np.int64)
    return starts, starts + np.array([len(each[0]) for each in rows["answers"]], np.int64)
