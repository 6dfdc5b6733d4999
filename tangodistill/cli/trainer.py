"""LightningCLI over this package's modules, for the verbs of the Trainer."""

import inspect
import logging
import os
import subprocess
import warnings
import zipfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

import tangodistill.measure
import tangodistill.modules  # noqa: F401  (so that class names need no module path)
from tangodistill.cli.parsers import NestedNull
from tangodistill.cli.progress_bar import TrainerProgress
from tangodistill.recipe.stage import exclusive
from tangodistill.user_error import UserError

RANKS = ("LOCAL_RANK", "RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Environment variables in which launchers number the processes of one training."""
NOT_HELPFUL_LOGS = (
    "Tip:",
    "GPU available",
    "TPU available",
    "Loading `train_dataloader`",
    "will override existing callbacks",
    "Detected KeyboardInterrupt",
    "distributed_backend=",
    "Initializing distributed",
)
NOT_HELPFUL_WARNINGS = (
    ".*does not have many workers.*",
    ".*LeafSpec.* is deprecated.*",
    ".*is smaller than the logging interval.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    "LightningCLI's args parameter.*",
    ".*in eval mode at the start of training.*",  # a frozen backbone is meant to be
)


class TrainerParser(NestedNull, LightningArgumentParser):
    """Lightning's parser, with `null` meaning null at any depth."""


class TrainerCLI(LightningCLI):
    """One verb with its arguments; `parse_only` stops before anything is built or run, `alone` holds its root folder.

    Raises:
        argparse.ArgumentError: a key or value that is not accepted.
        UserError: a checkpoint that is not there, not whole, or holds more than numbers.
    """

    def __init__(
        self,
        verb: str,
        arguments: list[str],
        program: str,
        description: str,
        parse_only: bool = False,
        alone: bool = False,
    ):
        self.parse_only, self.alone = parse_only, alone
        quieten_lightning()
        options = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            parser_class=TrainerParser,
            parser_kwargs={"prog": program, **options, verb: {**options, "description": description}},
            args=[verb, *arguments],
        )

    def _set_seed(self) -> None:
        if not self.parse_only:
            super()._set_seed()

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        path = self.config[self.config.subcommand].get("ckpt_path")
        if path and not zipfile.is_zipfile(path):
            raise UserError(
                f"ckpt_path: {path} is missing, or not a whole checkpoint. Give one that `fit` wrote "
                "(checkpoints/last.ckpt), or leave it out to begin anew."
            )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's, each without the argument that would let a checkpoint run code."""
        return {verb: skipped | {"weights_only"} for verb, skipped in LightningCLI.subcommands().items()}

    def _parse_ckpt_path(self) -> None:
        """Lightning would take the model's class and settings from the checkpoint; here they are the stage's."""

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        return {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}

    def instantiate_classes(self) -> None:
        if not self.parse_only:
            super().instantiate_classes()

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        own = config.get("callbacks") or []
        has_bar = any(isinstance(callback, ProgressBar) for callback in (own if isinstance(own, list) else [own]))
        if not has_bar and config.get("enable_progress_bar") is not False:
            callbacks = [*callbacks, TrainerProgress()]
        return super()._instantiate_trainer(config, callbacks)

    def _run_subcommand(self, subcommand: str) -> None:
        if self.parse_only:
            return
        try:
            with self._held():
                super()._run_subcommand(subcommand)
        except BaseException as error:
            code = next(filter(None, map(_code_of, self._helpers())), None)
            for helper in self._helpers():
                helper.kill()
                helper.wait()
            if isinstance(error, RuntimeError) and code:  # the connection to a helper broke
                if code < 0:
                    raise UserError(f"one of the processes of `{subcommand}` was killed (signal {-code}).") from error
                raise SystemExit(code) from error  # it has told what it died of
            if isinstance(error, UnpicklingError):
                path = self.config[subcommand].get("ckpt_path")
                raise UserError(
                    f"ckpt_path: {path} holds more than tensors and plain values, so it was not opened: reading it "
                    "could run code. Give one that `fit` wrote (checkpoints/last.ckpt), or leave it out to begin anew."
                ) from error
            raise
        for helper in self._helpers():
            helper.wait()

    def _held(self) -> AbstractContextManager:
        """The root folder, where one was given, for the first of all processes that work on it together."""
        root = self._get(self.config, "trainer.default_root_dir")
        first = all(os.environ.get(rank, "0") == "0" for rank in RANKS)
        return exclusive(Path(root), "--trainer.default_root_dir") if self.alone and root and first else nullcontext()

    def _helpers(self) -> list[subprocess.Popen]:
        """The processes that Lightning started beside this one, with the same command line."""
        processes = getattr(self.trainer.strategy.launcher, "procs", ())
        return [process for process in processes if isinstance(process, subprocess.Popen)]


def _code_of(helper: subprocess.Popen) -> int | None:
    """The exit code of a process that has ended, or does so within a moment."""
    try:
        return helper.wait(1)
    except subprocess.TimeoutExpired:
        return None


def trainer_keys() -> list[str]:
    """The keys that a stage file of the Trainer's verbs knows, without those of its model and data classes."""
    keys = [f"trainer.{name}" for name in inspect.signature(Trainer).parameters]
    return [*keys, "model.class_path", "data.class_path", "trainer", "model", "data", "seed_everything", "ckpt_path"]


def quieten_lightning() -> None:
    """Leaves out Lightning's advertisements, and advice that does not fit how it is used here."""
    for name in ("pytorch.utilities.rank_zero", "fabric.utilities.distributed"):
        logger = logging.getLogger(f"lightning.{name}")
        if _is_helpful not in logger.filters:
            logger.addFilter(_is_helpful)
    for message in NOT_HELPFUL_WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def _is_helpful(record: logging.LogRecord) -> bool:
    return not any(words in record.getMessage() for words in NOT_HELPFUL_LOGS)
