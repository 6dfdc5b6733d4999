"""Runs a recipe's stages in order: skips what is done, resumes what was cut off, says which and why."""

import copy
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tangodistill.progress import duration
from tangodistill.recipe.config import flatten, full_key, get_key, set_key, write_yaml
from tangodistill.recipe.places import PLACES
from tangodistill.recipe.reading import RUN_LOGGER, Recipe, Stage, as_list
from tangodistill.recipe.stage import (
    RECORD,
    StageFolder,
    StageRecord,
    content_hash,
    describe_host,
    exclusive,
    read_record,
)
from tangodistill.user_error import UserError

Execute = Callable[[str, list[str]], Any]
"""Runs a verb with its command line arguments."""

SOURCES = ("source", "validation", "test")
"""Keys of a dataset that count by the contents of what they name."""
NOT_SEMANTIC = (
    "trainer.logger",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.log_every_n_steps",
    "data.init_args.num_workers",
    "workers",
)
"""Keys (with all below them) that change how a stage runs and not what it makes."""
LOCAL_OR_HUB = ("pretrained", "start", "glove")
"""Keys that may name a file or folder here by a bare word, which then counts by its contents."""
NO_RESULT = (RECORD, "config.yaml", "checkpoints", "lightning_logs")
"""What may lie in a stage's folder besides what it was run for."""
WRITES_NOTHING = ("fast_dev_run", "limit_val_batches", "limit_test_batches", "limit_predict_batches")
"""The trainer's options by which a stage can end without one."""


@dataclass
class RecipeRun:
    """One recipe at work in one output folder."""

    recipe: Recipe
    out: Path
    execute: Execute
    check: Execute
    """Parses a verb's arguments without running it, so that a misspelt key stops the run before its first stage."""
    say: Callable[[str], None] = print
    _read: list[dict[str, Any]] = field(default_factory=list, init=False)
    """Data that was found to be sound."""

    def run(self, first: str | None = None, last: str | None = None, force: Sequence[str] = ()) -> None:
        """Runs the stages from `first` to `last`; earlier ones that they read are taken as they are, `force` ones made
        anew."""
        for name in force:
            self.recipe.stage(name)
        names = [stage.name for stage in self.recipe.stages]
        start = names.index(self.recipe.stage(first).name) if first else 0
        stop = names.index(self.recipe.stage(last).name) + 1 if last else len(names)
        if start >= stop:
            raise UserError(f"--from {first} comes after --until {last}: nothing to run.")
        with exclusive(self.out):
            for stage in self.recipe.stages:
                self._wire(stage)
            self._check(self.recipe.stages[start:stop])
            for source in self._read_by(self.recipe.stages[start:stop]):
                if source in self.recipe.stages[:start]:
                    self._require(source, f"--from {first}")
            for stage in self.recipe.stages[start:stop]:
                self._advance(stage, forced=stage.name in force)

    def _read_by(self, stages: list[Stage]) -> list[Stage]:
        """The stages whose results others read."""
        named = {source for stage in stages for sources in stage.inputs.values() for source in as_list(sources)}
        return [stage for stage in self.recipe.stages if stage.name in named or "." in named]

    def _wire(self, stage: Stage) -> None:
        """Points a stage's input and output keys, and its logger, into the run's folder."""
        stage.move(str(self.out))
        if get_key(stage.config, "trainer.logger.class_path"):
            set_key(stage.config, "trainer.logger.group", self.out.name)
            set_key(stage.config, "trainer.logger.save_dir", str(self.out))

    def _check(self, stages: list[Stage]) -> None:
        with TemporaryDirectory() as scratch:
            for stage in stages:
                path = Path(scratch) / f"{stage.name}.yaml"
                write_yaml(path, stage.config)
                try:
                    self.check(stage.verb, ["--config", str(path)])
                except UserError as error:
                    keys = f"python -m tangodistill recipes {self.recipe.given} --keys {stage.name}"
                    raise UserError(f"Stage {stage.name}: {error} Its keys: {keys}") from error

    def _check_data(self, stage: Stage) -> None:
        """Reads a stage's data before anything of it is begun, so that a bad table leaves nothing behind."""
        mapping = get_key(stage.config, stage.dataset) if stage.dataset else None
        if mapping is None or mapping in self._read:
            return
        from tangodistill.data.sources import DatasetConfig, load_labelled

        try:
            load_labelled(DatasetConfig(**mapping))
        except UserError as error:
            raise UserError(re.sub(r"\bdataset\.(\w+)", r"\1 (--set data.\1=...)", str(error))) from error
        self._read.append(mapping)

    def _require(self, stage: Stage, why: str) -> StageRecord:
        record = read_record(StageFolder(self.out, stage.name).final)
        if record is None or not record.finished:
            raise UserError(f"{why} needs the result of stage {stage.name} in {self.out}: run it first.")
        return record

    def _record(self, stage: Stage) -> StageRecord:
        """What the stage's result would be made from, as things stand."""
        inputs = {
            key: " ".join(self._identity(stage, source) for source in as_list(sources))
            for key, sources in stage.inputs.items()
        }
        named = {key: {"stage": " ".join(as_list(sources))} for key, sources in stage.inputs.items()}
        skipped = [*NOT_SEMANTIC, stage.output, *stage.inputs]
        if stage.dataset:
            dataset = get_key(stage.config, stage.dataset)
            inputs[stage.dataset] = _fingerprint(dataset)
            named[stage.dataset] = {key: dataset.get(key) for key in SOURCES}
            skipped += [f"{stage.dataset}.{key}" for key in SOURCES]
        for key in flatten(stage.config):
            path = Path(str(get_key(stage.config, key)))
            if key.rpartition(".")[2] in LOCAL_OR_HUB and path.exists():
                inputs[key], named[key] = content_hash(path), {"path": str(path)}
                skipped.append(key)
        prefixes = [".".join(full_key(stage.config, key)) for key in skipped]
        settings = {
            key: value
            for key, value in flatten(stage.config).items()
            if not any(key == prefix or key.startswith(f"{prefix}.") for prefix in prefixes)
        }
        for key, value in list(settings.items()):
            if paths := _local_paths(value):  # whatever else a stage is told to read: it counts by its contents too
                inputs[key], named[key] = " ".join(map(content_hash, paths)), {"path": str(settings.pop(key))}
        seed = stage.config.get("seed_everything", stage.config.get("seed"))
        return StageRecord(stage.name, stage.verb, settings, inputs, named, seed=seed, machine=describe_host())

    def _identity(self, stage: Stage, source: str) -> str:
        if source != ".":
            return self._require(self.recipe.stage(source), f"Stage {stage.name}").identity
        earlier = self.recipe.stages[: self.recipe.stages.index(stage)]
        return " ".join(self._require(other, f"Stage {stage.name}").identity for other in earlier)

    def _advance(self, stage: Stage, forced: bool) -> None:
        """Skips, resumes or runs one stage, and says which and why."""
        folder = StageFolder(self.out, stage.name)
        wanted, done = self._record(stage), read_record(folder.final)
        if folder.final.exists() and done is None and not forced:
            raise UserError(
                f"{folder.final} was not made by `run` (it holds no stage.json). "
                f"Move it away, choose another --out, or replace it with --force {stage.name}."
            )
        if done is not None and done.hash == wanted.hash and not forced:
            folder.discard()
            self.say(f"[{stage.name}] already done ({done.finished[:16]}), skipped")
            return
        cut_off = folder.was_cut_off(wanted) and not forced
        resumes = cut_off and _can_resume(stage, folder)
        known = done or folder.unfinished()
        self._check_data(stage)
        folder.begin(wanted, resumes)
        self.say(f"[{stage.name}] {_reason(cut_off, resumes, forced, known, wanted)}")
        began = time.monotonic()
        self.execute(stage.verb, self._arguments(stage, folder))
        _refuse_empty(stage, folder)
        write_yaml(folder.work / "config.yaml", stage.config)
        folder.finish(wanted)
        self.say(f"[{stage.name}] done in {duration(time.monotonic() - began)}: {folder.final}")
        self._track(stage, folder.final)

    def _track(self, stage: Stage, folder: Path) -> None:
        """Shows in W&B what the stage made, and from what; a stage without a trainer follows the others' logger."""
        stages = [stage] if "trainer" in stage.config else self.recipe.stages
        loggers = [get_key(each.config, "trainer.logger") for each in stages]
        tracked = [each["init_args"] for each in loggers if isinstance(each, dict) and each["class_path"] == RUN_LOGGER]
        if tracked:
            from tangodistill.report.lineage import log_folder

            run = {"name": f"{self.recipe.name.partition('/')[0]}-{stage.name}", "job_type": stage.name}
            sources = dict.fromkeys(source for sources in stage.inputs.values() for source in as_list(sources))
            log_folder(folder, [self.out / source for source in sources], {**tracked[0], **run})

    def _arguments(self, stage: Stage, folder: StageFolder) -> list[str]:
        config = copy.deepcopy(stage.config)
        set_key(config, stage.output, str(folder.work))
        write_yaml(folder.work / "config.yaml", config)
        arguments = ["--config", str(folder.work / "config.yaml")]
        if stage.verb == "fit" and (checkpoint := _last_checkpoint(folder)):
            arguments += ["--ckpt_path", str(checkpoint)]
        return arguments


def _refuse_empty(stage: Stage, folder: StageFolder) -> None:
    """A stage that wrote no result is not finished."""
    if all(path.name in NO_RESULT or path.name.startswith(".") for path in folder.work.iterdir()):
        settings = flatten(stage.config.get("trainer") or {})
        to_blame = [f"trainer.{key} is {value}" for key, value in settings.items() if key in WRITES_NOTHING]
        raise UserError(
            f"Stage {stage.name} wrote no result, so it is not finished"
            + (f": {', '.join(to_blame)}. Leave that out to make it." if to_blame else ".")
        )


def _last_checkpoint(folder: StageFolder) -> Path | None:
    """The newest of those written every minute and at each better validation."""
    found = (folder.work / "checkpoints").glob("*.ckpt")
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def _can_resume(stage: Stage, folder: StageFolder) -> bool:
    """Training goes on from its last checkpoint, some verbs from what they wrote; the others begin again."""
    return _last_checkpoint(folder) is not None if stage.verb == "fit" else PLACES[stage.verb].resumes


def _local_paths(value: Any) -> list[Path]:
    """What a setting names, where that is files or folders here and nothing else; a bare word may mean anything."""
    names = as_list(value) if isinstance(value, str | list) else []
    paths = [Path(name).expanduser() for name in names if isinstance(name, str) and os.sep in name]
    return paths if len(paths) == len(names) and all(path.exists() for path in paths) else []


def _fingerprint(mapping: Any) -> str:
    from tangodistill.data.sources import DatasetConfig, dataset_fingerprint

    return dataset_fingerprint(DatasetConfig(**mapping))


def _reason(cut_off: bool, resumes: bool, forced: bool, known: StageRecord | None, wanted: StageRecord) -> str:
    """Why a stage runs; `known` is what it was made from, or begun from, before."""
    if cut_off:
        return "was cut off, resumes" if resumes else "was cut off, begins again"
    if forced:
        return "runs anew: --force"
    if known is None:
        return "runs"
    return f"runs anew: {'; '.join(known.differences(wanted))}"
