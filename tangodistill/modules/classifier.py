"""What training a teacher and training a student have in common."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    Accuracy,
    BinaryF1Score,
    MatthewsCorrCoef,
    MulticlassF1Score,
)
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_linear_schedule_with_warmup

from tangodistill.data.transfer import write_json
from tangodistill.latency.hardware import has_bfloat16
from tangodistill.models.load import quietly
from tangodistill.modules.checkpoints import WholeFiles
from tangodistill.modules.processes import gathered
from tangodistill.tasks import Task
from tangodistill.user_error import UserError

CHECKPOINT_EVERY = timedelta(minutes=1)  # of training, beside the one at each better validation


class ClassifierModule(L.LightningModule):
    """A Hugging Face classifier under training: metrics, optimiser, checkpoints, and the model folder at the end.

    The finished folder is the trainer's ``default_root_dir``. Logits are handed on in the task's label order, whatever
    the model's own. Metrics are on the selection role in ``fit`` and ``validate``, on the report role in ``test``.

    Args:
        lr: peak learning rate of AdamW.
        weight_decay: of all weights but biases and layer norms.
        warmup_fraction: share of the steps over which the learning rate rises; it falls to 0 over the rest.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    exact_length = False

    def __init__(self, lr: float, weight_decay: float, warmup_fraction: float):
        super().__init__()
        self.lr, self.weight_decay, self.warmup_fraction = lr, weight_decay, warmup_fraction

    @property
    def task(self) -> Task:
        return self.trainer.datamodule.task

    def follow_task(self, own_names: list[str]) -> None:
        """Fix the order of the logits by label name, and the metrics.

        Raises:
            UserError: where the model's label names differ from the data's.
        """
        names = list(self.task.label_names)
        if sorted(own_names) != sorted(names):
            raise UserError(
                f"the model's labels are {own_names}, but the data's are {names}. Give the data's names with "
                "data.label_names, or the model's, in its own order, with model.label_names."
            )
        self.label_order = [own_names.index(name) for name in names]
        classes = len(names)
        kind = {"task": "multiclass", "num_classes": classes}
        f1 = BinaryF1Score() if classes == 2 else MulticlassF1Score(classes, average="macro")
        self.metrics = MetricCollection(
            {"accuracy": Accuracy(**kind, average="micro"), "f1": f1, "mcc": MatthewsCorrCoef(**kind)}, prefix="val/"
        )

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Logits ``(batch, classes)`` float32, in the task's label order."""
        return self.task_logits(self.model, batch)

    def task_logits(self, model: PreTrainedModel, batch: dict[str, Any]) -> Tensor:
        inputs = {k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "token_type_ids")}
        return model(**inputs).logits.float()[:, self.label_order]

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=has_bfloat16(self.device))

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        self._weight = batch["weight"]

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Gradients whose mean over the processes is that of the whole batch, however its rows were shared."""
        super().backward(self._weight * loss, *args, **kwargs)

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

    def configure_optimizers(self) -> dict[str, Any]:
        decayed = [p for p in self.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in self.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.lr, fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.schedule(optimizer, steps), "interval": "step"},
        }

    def schedule(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        """The learning rate over the ``steps`` of the training."""
        return get_linear_schedule_with_warmup(optimizer, int(self.warmup_fraction * steps), steps)

    @property
    def root(self) -> Path:
        return Path(self.trainer.default_root_dir)

    def configure_callbacks(self) -> list[Callback]:
        """The best weights by the task's metric, and the last ones for a run that is cut off."""
        folder = self.root / "checkpoints"
        best = ModelCheckpoint(folder, "best", monitor="val/score", mode="max", enable_version_counter=False)
        return [best, self.last_checkpoint()]

    def last_checkpoint(self) -> ModelCheckpoint:
        folder = self.root / "checkpoints"
        return ModelCheckpoint(folder, "last", train_time_interval=CHECKPOINT_EVERY, enable_version_counter=False)

    def on_fit_start(self) -> None:
        self.trainer.strategy.checkpoint_io = WholeFiles()
        if self.global_rank > 0:
            torch.manual_seed(torch.initial_seed() + self.global_rank)  # or all processes would drop the same units

    def on_fit_end(self) -> None:
        """Put back the weights to keep, check them, and write the model folder."""
        if self.trainer.fast_dev_run:
            return
        scores = self.kept_scores()
        self.check_trained()
        self.trainer.strategy.barrier()  # every process has read the weights before the first one removes them
        if not self.trainer.is_global_zero:
            return
        rows = len(self.trainer.datamodule.roles.selection)
        self.save({"split": "selection", "rows": rows, **scores})
        folder = self.root / "checkpoints"
        (folder / "last.ckpt").unlink(missing_ok=True)  # first: a run killed in here still goes on from the best one
        shutil.rmtree(folder, ignore_errors=True)

    def kept_scores(self) -> dict[str, Any]:
        """Put back the weights that are kept, here the best ones; how they scored. Called in every process."""
        best = self.trainer.checkpoint_callbacks[0]
        if not best.best_model_path:
            return {}
        self.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
        return {self.task.metric: float(best.best_model_score)}

    def check_trained(self) -> None:
        """Raise a UserError where the trained model must not be saved; called in every process."""

    def save(self, scores: dict[str, Any]) -> None:
        """Write the folder that ``from_pretrained`` loads, and ``metrics.json`` beside it; in the first process."""
        self.root.mkdir(parents=True, exist_ok=True)
        with quietly(self.root):
            self.model.save_pretrained(self.root)
        self.tokenizer.save_pretrained(self.root)
        write_json(self.root / "metrics.json", scores)
