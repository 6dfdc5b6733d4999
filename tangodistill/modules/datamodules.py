"""Data modules: labelled text for the teacher, the transfer set for the student."""

from collections.abc import Sequence

import lightning as L
import numpy as np
import torch
from datasets import Dataset
from lightning.pytorch.utilities import rank_zero_info

from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import Roles, load_roles
from tangodistill.data.tokenize import TokenizedTexts
from tangodistill.data.transfer import MASK_TOKEN, load_transfer_set, teacher_logits
from tangodistill.modules.batches import EvaluationBatches, Targets, TrainBatches
from tangodistill.modules.kinds import check_kinds
from tangodistill.tasks import Task
from tangodistill.user_error import UserError


def columns(rows: Dataset) -> tuple[list[str], list[str] | None]:
    """The texts of a role, and their second sides where the task has pairs."""
    return rows["text"][:], rows["text_pair"][:] if "text_pair" in rows.column_names else None


class RoleData(L.LightningDataModule):
    """What the data modules share: the roles of one data set, read once."""

    def __init__(self, dataset: DatasetConfig, batch_size: int, seed: int = 0):
        super().__init__()
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.roles: Roles | None = None
        self._training: TrainBatches | None = None
        self._position: dict[str, int] | None = None

    def setup(self, stage: str) -> None:
        if self.roles is None:
            self.roles = load_roles(self.dataset)
            if self.task.metric == "f1" and self.task.positive:
                rank_zero_info(f"The metric is {self.task.metric_title}; data.positive names the other class.")
        check_kinds(self.task, self, self.trainer and self.trainer.lightning_module)

    # Lightning restores a data module before it asks for the training batches; a loader's own state it forgets
    # once the length of the schedule was asked for.
    def state_dict(self) -> dict[str, int]:
        return self._training.state_dict() if self._training else {}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self._position = state_dict

    def _train_batches(self, texts: TokenizedTexts, targets: Targets) -> TrainBatches:
        self._training = TrainBatches(texts, targets, self.batch_size, self.seed, **self._batching)
        if self._position:
            self._training.load_state_dict(self._position)
        return self._training

    @property
    def task(self) -> Task:
        return self.roles.task

    def train_texts(self) -> tuple[list[str], list[str] | None]:
        """Of the train role, which lengths are chosen by."""
        return columns(self.roles.train)

    def _tokenised(self, rows: Dataset, meant: Sequence[str] = ()) -> TokenizedTexts:
        module = self.trainer.lightning_module
        return TokenizedTexts.from_texts(module.tokenizer, *columns(rows), max_length=module.max_length, meant=meant)

    def _labelled(self, rows: Dataset) -> EvaluationBatches:
        labels = torch.tensor(rows["label"][:])
        return EvaluationBatches(
            self._tokenised(rows), lambda i: {"labels": labels[i]}, 2 * self.batch_size, **self._batching
        )

    @property
    def _batching(self) -> dict[str, int]:
        """How batches are made for the module under training, and for which of the processes."""
        exact = self.trainer.lightning_module.exact_length
        return {"exact": exact, "rank": self.trainer.global_rank, "world": self.trainer.world_size}

    def held_out_tokens(self) -> TokenizedTexts:
        """The selection role as the module under training reads it."""
        return self._tokenised(self.roles.selection)

    def val_dataloader(self) -> EvaluationBatches:
        return self._labelled(self.roles.selection)

    def test_dataloader(self) -> EvaluationBatches:
        return self._labelled(self.roles.report)

    def predict_dataloader(self) -> EvaluationBatches:
        return EvaluationBatches(
            self._tokenised(self.roles.report), lambda i: {"rows": i}, 2 * self.batch_size, **self._batching
        )


class TextData(RoleData):
    """Labelled text for a teacher: train role to learn from, selection role to select on, report role to test on.

    Args:
        dataset: where the text lies and what its columns mean.
        batch_size: texts in a training batch, of all processes together.
        seed: of the training order.
    """

    kind = "classification"

    def __init__(self, dataset: DatasetConfig, batch_size: int = 32, seed: int = 0):
        super().__init__(dataset, batch_size, seed)

    def class_counts(self) -> np.ndarray:
        """(classes,) int64 training rows of each class."""
        return np.bincount(self.roles.train["label"][:], minlength=len(self.task.label_names))

    def train_dataloader(self) -> TrainBatches:
        labels = torch.tensor(self.roles.train["label"][:])
        return self._train_batches(self._tokenised(self.roles.train), lambda i: {"labels": labels[i]})


class TransferData(RoleData):
    """A transfer set with its teacher's logits for a student; selected and tested on labelled roles.

    Args:
        dataset: the labelled data that the student is selected and tested on.
        transfer_set: folder written by ``label``.
        batch_size: texts in a training batch, of all processes together.
        seed: of the training order.
    """

    kind = "classification"

    def __init__(self, dataset: DatasetConfig, transfer_set: str, batch_size: int = 64, seed: int = 0):
        super().__init__(dataset, batch_size, seed)
        self.transfer_set = transfer_set
        self.transfer: Dataset | None = None

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and self.transfer is None:
            self.transfer, manifest = load_transfer_set(self.transfer_set, labelled=True)
            found, wanted = manifest["label_names"], list(self.task.label_names)
            if sorted(found) != sorted(wanted):
                raise UserError(
                    f"{self.transfer_set} carries a teacher's logits for the labels {found}, but the data has "
                    f"{wanted}. Label the transfer set with a teacher of this task."
                )
            self._order = [found.index(name) for name in wanted]

    def class_counts(self) -> np.ndarray:
        """(classes,) int64 rows of each class, by the teacher's answer."""
        answers = teacher_logits(self.transfer)[:, self._order].argmax(1)
        return np.bincount(answers, minlength=len(self._order))

    def train_dataloader(self) -> TrainBatches:
        logits = teacher_logits(self.transfer)[:, self._order]
        return self._train_batches(
            self._tokenised(self.transfer, meant=[MASK_TOKEN]),
            lambda i: {"teacher_logits": torch.from_numpy(logits[i].astype(np.float32))},
        )
