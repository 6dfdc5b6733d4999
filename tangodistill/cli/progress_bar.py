"""How far a trainer is, in place of Lightning's bar: that one draws frames into files, and none of them has a time."""

from math import inf
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.trainer.states import TrainerFn

from tangodistill.progress import Progress


class TrainerProgress(ProgressBar):
    """One bar for a whole training, the validations in it included; one for an evaluation by itself."""

    def __init__(self):
        super().__init__()
        self._bar: Progress | None = None
        self._enabled = True

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._open("train", _train_batches(trainer), trainer.fit_loop.epoch_loop.batch_progress.total.completed)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        shown = trainer.global_step % trainer.log_every_n_steps == 0  # reading the loss waits for the GPU
        self._advance(_told(trainer) if shown else None)

    def on_train_end(self, *_: Any) -> None:
        self._close()

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self._bar:
            self._bar.note = "validation"
        elif not trainer.sanity_checking:
            self._open("validate", _count(trainer.num_val_batches))

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:  # by itself, not in a training
            self._advance()
        elif self._bar:
            self._bar.beat()

    def on_validation_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:  # what a cascade then times must have no bar beside it
            self._close()

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        if self._bar:
            self._bar.note = _told(trainer)

    def on_test_start(self, trainer: Trainer, *_: Any) -> None:
        self._open("test", _count(trainer.num_test_batches))

    def on_test_batch_end(self, *_: Any) -> None:
        self._advance()

    def on_test_epoch_end(self, *_: Any) -> None:
        self._close()

    def on_predict_start(self, trainer: Trainer, *_: Any) -> None:
        self._open("predict", _count(trainer.num_predict_batches))

    def on_predict_batch_end(self, *_: Any) -> None:
        self._advance()

    def on_predict_end(self, *_: Any) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self._close(exception)

    def _open(self, title: str, total: int | None, done: int = 0) -> None:
        if self._enabled:
            self._bar = Progress(title, total, done).__enter__()

    def _advance(self, note: str | None = None) -> None:
        if self._bar:
            self._bar.advance(note=note)

    def _close(self, exception: BaseException | None = None) -> None:
        if self._bar:
            self._bar.__exit__(exception)
            self._bar = None


def _train_batches(trainer: Trainer) -> int | None:
    epochs = inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    batches = epochs * trainer.num_training_batches
    if trainer.max_steps != -1:
        batches = min(batches, trainer.max_steps * trainer.accumulate_grad_batches)
    return _count([batches])


def _count(batches: list[int | float]) -> int | None:
    total = sum(batches)
    return None if total == inf else int(total)


def _told(trainer: Trainer) -> str:
    """Epoch, loss and score."""
    epochs = "" if trainer.max_epochs in (None, -1) else f" of {trainer.max_epochs}"
    numbers = [f"{name} {value:.4g}" for name, value in trainer.progress_bar_metrics.items()]
    return ", ".join([f"epoch {trainer.current_epoch + 1}{epochs}", *numbers])
