"""What every training has in common: optimiser, checkpoints, and the model folder at the end."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_linear_schedule_with_warmup

from tangodistill.data.text_lengths import covering_length
from tangodistill.data.transfer import write_json
from tangodistill.models.device import has_bfloat16
from tangodistill.models.load import quietly
from tangodistill.models.positions import position_limit
from tangodistill.modules.checkpoints import WholeFiles
from tangodistill.tasks import Task
from tangodistill.user_error import UserError

CHECKPOINT_EVERY = timedelta(minutes=1)  # of training, beside the one at each better validation


class TrainedModule(L.LightningModule):
    """A Hugging Face model under training; the finished folder is the trainer's ``default_root_dir``.

    The weights with the highest ``val/score``, which a subclass logs on the selection role, are the ones that are kept.

    Args:
        lr: peak learning rate of AdamW.
        weight_decay: of all weights but biases and layer norms.
        warmup_fraction: share of the steps over which the learning rate rises; it falls to 0 over the rest.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    exact_length = False
    bfloat16 = True
    """Whether the model bears it."""

    def __init__(self, lr: float, weight_decay: float, warmup_fraction: float):
        super().__init__()
        self.lr, self.weight_decay, self.warmup_fraction = lr, weight_decay, warmup_fraction

    @property
    def task(self) -> Task:
        return self.trainer.datamodule.task

    @property
    def score_name(self) -> str:
        """What ``val/score`` is."""
        raise NotImplementedError

    def reading_length(self, wanted: int | None, *models: PreTrainedModel) -> int:
        """Tokens to read of a text, no more than the models have positions for; kept in the tokenizer's folder too.

        Args: `wanted` by the module's own setting; None: the task's length, or what the training texts need.
        """
        length = wanted or self.task.max_length
        if length is None:
            length = covering_length(self.tokenizer.backend_tokenizer, *self.trainer.datamodule.train_texts())
        self.tokenizer.model_max_length = min([length, *(position_limit(model) or length for model in models)])
        return self.tokenizer.model_max_length

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16 and has_bfloat16(self.device))

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        self._weight = batch["weight"]

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Gradients whose mean over the processes is that of the whole batch, however its rows were shared."""
        super().backward(self._weight * loss, *args, **kwargs)

    def configure_optimizers(self) -> dict[str, Any]:
        decayed = [p for p in self.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in self.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        mixed = isinstance(self.trainer.precision_plugin, MixedPrecision)  # clips only what it can unscale itself
        optimizer = torch.optim.AdamW(groups, lr=self.lr, fused=not mixed)
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
        check_options(self.trainer)
        self.trainer.strategy.checkpoint_io = WholeFiles()
        if self.global_rank > 0:
            torch.manual_seed(torch.initial_seed() + self.global_rank)  # or all processes would drop the same units

    def on_fit_end(self) -> None:
        """Put back the weights to keep, check them, and write the model folder."""
        if self.trainer.fast_dev_run:
            return
        scores = self.kept_scores() | self.check_trained()
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
        return {self.score_name: float(best.best_model_score)}

    def check_trained(self) -> dict[str, Any]:
        """What else is to stand in ``metrics.json``; a UserError where the trained model must not be saved.

        Called in every process.
        """
        return {}

    def save(self, scores: dict[str, Any]) -> None:
        """Write the folder that ``from_pretrained`` loads, and ``metrics.json`` beside it; in the first process."""
        self.root.mkdir(parents=True, exist_ok=True)
        with quietly(self.root):
            self.model.save_pretrained(self.root)
        self.tokenizer.save_pretrained(self.root)
        write_json(self.root / "metrics.json", scores)


def check_options(trainer: L.Trainer) -> None:
    """
    Raises:
        UserError: the trainer's options leave nothing to train on or to select by, or a precision that nothing runs in.
    """
    for option in ("max_epochs", "max_steps", "limit_train_batches", "limit_val_batches"):
        if getattr(trainer, option) == 0:
            raise UserError(f"trainer.{option} is 0: no model can be made so. Leave it out, or give a number above 0.")
    if trainer.barebones:
        raise UserError("trainer.barebones keeps neither scores nor models, so no model can be made so. Leave it out.")
    if trainer.precision == "16-true" and trainer.strategy.root_device.type == "cpu":
        raise UserError("trainer.precision is 16-true, which CPUs do not train in. Give bf16-mixed, or leave it out.")
