"""What training a teacher and training a student have in common."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    Accuracy,
    MatthewsCorrCoef,
    MulticlassF1Score,
)
from transformers import PreTrainedModel

from tangodistill.modules.chance import constant_warning, refuse_chance
from tangodistill.modules.class_weights import ClassWeights, class_weights
from tangodistill.modules.processes import gathered
from tangodistill.modules.trained import TrainedModule
from tangodistill.user_error import UserError


class ClassF1(MulticlassF1Score):
    """F1 of one class of two."""

    def __init__(self, positive: int):
        super().__init__(2, average="none")
        self.positive = positive

    def compute(self) -> Tensor:
        return super().compute()[self.positive]


class ClassifierModule(TrainedModule):
    """A Hugging Face classifier under training: metrics, and answers to the report role.

    Logits are handed on in the task's label order, whatever the model's own. Metrics are on the selection role in
    ``fit`` and ``validate``, on the report role in ``test``.
    """

    kind = "classification"
    untaught = "train it longer, or on more texts"
    """What to do where it has learnt nothing."""
    class_weights: ClassWeights | None = None

    @property
    def score_name(self) -> str:
        return self.task.metric

    @property
    def who(self) -> str:
        """What it is called in a message."""
        return "the student"

    def check_trained(self) -> dict[str, Any]:
        """Its scores on the selection role, and what must be told of them.

        Raises:
            UserError: it is at chance.
        """
        scores = self.selection_scores()
        warnings = self.warnings_of(scores)
        for warning in warnings:
            rank_zero_info(f"Warning: {warning}.")
        self.refuse_chance(scores)
        return {self.score_name: scores[self.score_name], "warnings": warnings}

    @torch.inference_mode()
    def selection_scores(self) -> dict[str, float]:
        self.eval()
        self.metrics.reset()
        for batch in self.trainer.datamodule.val_dataloader():
            self.validation_step(self.transfer_batch_to_device(batch, self.device, 0), 0)
        return {name.removeprefix("val/"): float(value) for name, value in self.metrics.compute().items()}

    def warnings_of(self, scores: dict[str, float]) -> list[str]:
        """Sentences on what it scores on the selection role."""
        labels = np.array(self.trainer.datamodule.roles.selection["label"][:])
        told = constant_warning(self.who, scores[self.score_name], labels, self.task, "selection")
        return [told] if told else []

    def refuse_chance(self, scores: dict[str, float]) -> None:
        refuse_chance(self.who, scores["mcc"], len(self.trainer.datamodule.roles.selection), self.untaught)

    def follow_task(self, own_names: list[str]) -> None:
        """Fix the order of the logits by label name, and the metrics.

        Raises:
            UserError: where the model's label names differ from the data's.
        """
        names = list(self.task.label_names)
        if sorted(own_names) != sorted(names):
            raise UserError(
                f"the model's labels are {own_names}, but the data's are {names}. Name the model's as the data does, "
                "in the model's own order, with model.label_names; or, where the data's labels are ids, their classes "
                "with data.label_names and data.label_ids=true."
            )
        self.label_order = [own_names.index(name) for name in names]
        classes = len(names)
        kind = {"task": "multiclass", "num_classes": classes}
        f1 = ClassF1(self.task.positive_id) if classes == 2 else MulticlassF1Score(classes, average="macro")
        self.metrics = MetricCollection(
            {"accuracy": Accuracy(**kind, average="micro"), "f1": f1, "mcc": MatthewsCorrCoef(**kind)}, prefix="val/"
        )

    def weights_of(self, classes: Tensor) -> Tensor | float:
        """What the loss of each row ``(batch,)`` counts, by its class in the task's label order."""
        if self.class_weights is None:
            return 1.0
        if not hasattr(self, "_class_weights"):
            counts = self.trainer.datamodule.class_counts()
            found = class_weights(self.class_weights, self.task.label_names, counts)
            self.register_buffer("_class_weights", found.to(self.device), persistent=False)
        return self._class_weights[classes]

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Logits ``(batch, classes)`` float32, in the task's label order."""
        return self.task_logits(self.model, batch)

    def task_logits(self, model: PreTrainedModel, batch: dict[str, Any]) -> Tensor:
        inputs = {k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "token_type_ids")}
        return model(**inputs).logits.float()[:, self.label_order]

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self.metrics.update(self(batch).argmax(-1), batch["labels"])

    def on_validation_epoch_end(self) -> None:
        scores = {name: value.float() for name, value in self.metrics.compute().items()}
        # Callbacks are made before the data is read, so checkpoints watch a key that is the same for every task.
        # The metrics counted every process' rows already; sync_dist says so to Lightning.
        self.log_dict({**scores, "val/score": scores[f"val/{self.task.metric}"]}, prog_bar=True, sync_dist=True)
        self.metrics.reset()

    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        scores = {k.replace("val/", "test/"): v.float() for k, v in self.metrics.compute().items()}
        self.log_dict(scores, sync_dist=True)
        self.metrics.reset()

    def save(self, scores: dict[str, Any]) -> None:
        super().save({**scores, "metric": self.task.metric_title})

    def on_predict_start(self) -> None:
        self._predicted: list[tuple[Any, Tensor]] = []

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        logits = self(batch)
        self._predicted.append((batch["rows"], logits.cpu()))
        return logits

    def on_predict_end(self) -> None:
        """Write ``predictions.parquet``: ``example_id``, ``prediction`` (label name), ``logits`` of the report role."""
        import pandas as pd

        everyones = [batch for predicted in gathered(self._predicted) for batch in predicted]
        if not self.trainer.is_global_zero:
            return
        rows = [int(i) for part, _ in everyones for i in part]
        logits = torch.cat([part for _, part in everyones])
        ids = self.trainer.datamodule.roles.report["example_id"][:]
        frame = pd.DataFrame(
            {
                "example_id": [ids[i] for i in rows],
                "prediction": [self.task.label_names[i] for i in logits.argmax(-1).tolist()],
                "logits": logits.tolist(),
            },
            index=rows,
        ).sort_index()
        self.root.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(self.root / "predictions.parquet", index=False)
