"""A recipe: a folder of stage files, run in order. What is done is skipped, what was cut off is resumed."""

import copy
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tangodistill.config import did_you_mean, full_key, flatten, get_key, parse_yaml, read_yaml, set_key, write_yaml
from tangodistill.stage import StageFolder, StageRecord, content_hash, describe_host, exclusive, read_record
from tangodistill.user_error import UserError

Execute = Callable[[str, list[str]], Any]
"""Runs a verb with its command line arguments."""

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

DATA = "data"
"""The pseudo stage of `--set data.KEY=VALUE`: the `dataset` mapping of every stage."""


@dataclass
class Stage:
    """One line of recipe.yaml; the keys it names are dotted keys of the stage's own file."""

    name: str
    verb: str
    file: str
    output: str
    """Key of the folder that the stage writes."""
    inputs: dict[str, str | list[str]] = field(default_factory=dict)
    """Key -> the stage whose folder it reads, or a list of them; `.` is the run's folder, with every earlier stage."""
    dataset: str | None = None
    """Key of the mapping that describes the labelled data."""
    teacher: str | None = None
    """Key that `--teacher` fills."""
    protocol: str | None = None
    """Key that `--protocol` fills."""
    files: list[str] = field(default_factory=list)
    """Keys that may name a local file or folder, which then counts by its contents."""
    config: dict[str, Any] = field(default_factory=dict)
    """The stage file's contents, then with what the command line changes."""


@dataclass
class Recipe:
    name: str
    description: str
    stages: list[Stage]

    def stage(self, name: str) -> Stage:
        names = [stage.name for stage in self.stages]
        if name not in names:
            hint = did_you_mean(name, names)
            raise UserError(f"Recipe {self.name} has no stage {name!r}.{hint} Its stages: {', '.join(names)}.")
        return self.stages[names.index(name)]


def recipes_folder() -> Path:
    """Where the shipped recipes lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    return next((folder for folder in (package / "recipes", package.parent / "recipes") if folder.is_dir()), package)


def shipped_recipes() -> dict[str, Path]:
    return {path.parent.name: path.parent for path in sorted(recipes_folder().glob("*/recipe.yaml"))}


def read_recipe(recipe: str) -> Recipe:
    """Reads a recipe by folder or shipped name, every stage file with it.

    Raises:
        UserError: there is none, or recipe.yaml names an unknown key or stage.
    """
    folder = Path(recipe) if (Path(recipe) / "recipe.yaml").is_file() else shipped_recipes().get(recipe)
    if folder is None:
        shipped = shipped_recipes()
        hint = did_you_mean(recipe, shipped)
        raise UserError(f"No recipe {recipe!r}: neither a folder with a recipe.yaml nor one of {', '.join(shipped)}.{hint}")
    content = read_yaml(folder / "recipe.yaml")
    stages = [_read_stage(folder, entry) for entry in content.get("stages") or []]
    if not stages:
        raise UserError(f"{folder / 'recipe.yaml'} lists no stages.")
    for position, stage in enumerate(stages):
        earlier = [other.name for other in stages[:position]]
        for key, sources in stage.inputs.items():
            for source in _as_list(sources):
                if source != "." and source not in earlier:
                    raise UserError(
                        f"{folder / 'recipe.yaml'}: stage {stage.name} takes {key} from {source!r}, "
                        f"which is no earlier stage ({', '.join(earlier) or 'there is none'})."
                    )
    return Recipe(folder.resolve().name, str(content.get("description", "")), stages)


def copy_recipe(recipe: str, target: Path) -> Path:
    """Copies a shipped recipe's files into a new folder.

    Raises:
        UserError: the folder is there already.
    """
    source = shipped_recipes()[read_recipe(recipe).name]
    if target.exists():
        raise UserError(f"{target} exists already; give --copy a folder that does not.")
    return Path(shutil.copytree(source, target))


def _read_stage(folder: Path, entry: dict[str, Any]) -> Stage:
    known = [item.name for item in fields(Stage) if item.name != "config"]
    for key in entry:
        if key not in known:
            raise UserError(f"{folder / 'recipe.yaml'}: unknown key {key!r}.{did_you_mean(key, known)}")
    missing = [key for key in ("name", "verb", "file", "output") if key not in entry]
    if missing:
        raise UserError(f"{folder / 'recipe.yaml'}: a stage lacks {', '.join(missing)}: {entry}")
    return Stage(**entry, config=read_yaml(folder / entry["file"]))


@dataclass
class Overrides:
    """What the command line changes in a recipe's stages."""

    data: str | None = None
    teacher: str | None = None
    protocol: str = "natural"
    settings: Sequence[str] = ()
    """`STAGE.KEY=VALUE` each, VALUE in YAML."""

    def apply(self, recipe: Recipe) -> None:
        for stage in recipe.stages:
            if self.data is not None and stage.dataset:
                self._apply_data(stage)
            if self.protocol != "natural" and stage.protocol:
                set_key(stage.config, stage.protocol, self.protocol)
        if self.teacher is not None:
            self._apply_teacher(recipe)
        for setting in self.settings:
            self._apply_setting(recipe, setting)

    def _apply_data(self, stage: Stage) -> None:
        """Another source, without the validation and test sets that belong to the recipe's own."""
        dataset = get_key(stage.config, stage.dataset)
        dataset.pop("validation", None)
        dataset.pop("test", None)
        dataset["source"] = self.data

    def _apply_teacher(self, recipe: Recipe) -> None:
        stages = [stage for stage in recipe.stages if stage.teacher]
        if not stages:
            raise UserError(f"Recipe {recipe.name} has no stage that takes a teacher; --teacher has no place to go.")
        verb = "validate" if is_classifier(self.teacher) else "fit"
        for stage in stages:
            set_key(stage.config, stage.teacher, self.teacher)
            stage.verb = verb
            if verb == "validate":
                set_key(stage.config, "model.save_validated", True)

    def _apply_setting(self, recipe: Recipe, setting: str) -> None:
        target, equals, value = setting.partition("=")
        name, dot, key = target.partition(".")
        if not (equals and dot and key):
            raise UserError(f"--set {setting}: expected STAGE.KEY=VALUE, for instance --set student.trainer.max_epochs=3.")
        stages = [stage for stage in recipe.stages if stage.dataset] if name == DATA else [recipe.stage(name)]
        for stage in stages:
            set_key(stage.config, f"{stage.dataset}.{key}" if name == DATA else key, parse_yaml(value))


def is_classifier(name: str) -> bool:
    """Whether a model folder or hub name holds a sequence classifier, head included, by its config.json."""
    from transformers import AutoConfig

    import tangodistill.models  # noqa: F401  (registers this package's own architectures)
    from tangodistill.data.packages import resolve

    try:
        config = AutoConfig.from_pretrained(resolve(name))
    except (OSError, ValueError) as error:
        raise UserError(
            f"--teacher {name}: no readable model config there ({str(error).splitlines()[0]}). "
            "Give a folder with config.json and model.safetensors, or a hub name where the hub can be reached."
        ) from error
    return any(kind.endswith("ForSequenceClassification") for kind in config.architectures or [])


@dataclass
class RecipeRun:
    """One recipe at work in one output folder."""

    recipe: Recipe
    out: Path
    execute: Execute
    check: Execute
    """Parses a verb's arguments without running it, so that a misspelt key stops the run before its first stage."""
    say: Callable[[str], None] = print

    def run(self, first: str | None = None, last: str | None = None, force: Sequence[str] = ()) -> None:
        """Runs the stages from `first` to `last`; earlier ones are taken as they are, `force` ones made anew."""
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
            for stage in self.recipe.stages[:start]:
                self._require(stage, f"--from {first}")
            for stage in self.recipe.stages[start:stop]:
                self._advance(stage, forced=stage.name in force)

    def _wire(self, stage: Stage) -> None:
        """Points a stage's input and output keys, and its logger, into the run's folder."""
        for key, sources in stage.inputs.items():
            folders = [str(self.out / source) for source in _as_list(sources)]
            set_key(stage.config, key, folders if isinstance(sources, list) else folders[0])
        set_key(stage.config, stage.output, str(self.out / stage.name))
        if get_key(stage.config, "trainer.logger.class_path"):
            set_key(stage.config, "trainer.logger.group", self.out.name)
            set_key(stage.config, "trainer.logger.save_dir", str(self.out))

    def _check(self, stages: list[Stage]) -> None:
        scratch = self.out / ".check.yaml"
        for stage in stages:
            write_yaml(scratch, stage.config)
            try:
                self.check(stage.verb, ["--config", str(scratch)])
            except UserError as error:
                raise UserError(f"Stage {stage.name}: {error}") from error
        scratch.unlink()

    def _require(self, stage: Stage, why: str) -> StageRecord:
        record = read_record(StageFolder(self.out, stage.name).final)
        if record is None or not record.finished:
            raise UserError(f"{why} needs the result of stage {stage.name} in {self.out}, which is not there. Run it first.")
        return record

    def _record(self, stage: Stage) -> StageRecord:
        """What the stage's result would be made from, as things stand."""
        inputs = {
            key: " ".join(self._identity(stage, source) for source in _as_list(sources))
            for key, sources in stage.inputs.items()
        }
        skipped = [*NOT_SEMANTIC, stage.output, *stage.inputs]
        if stage.dataset:
            inputs[stage.dataset] = _fingerprint(get_key(stage.config, stage.dataset))
            skipped += [f"{stage.dataset}.{key}" for key in ("source", "validation", "test")]
        for key in [*stage.files, *([stage.teacher] if stage.teacher else [])]:
            path = Path(str(get_key(stage.config, key)))
            if path.exists():
                inputs[key] = content_hash(path)
                skipped.append(key)
        prefixes = [".".join(full_key(stage.config, key)) for key in skipped]
        settings = {
            key: value
            for key, value in flatten(stage.config).items()
            if not any(key == prefix or key.startswith(f"{prefix}.") for prefix in prefixes)
        }
        seed = stage.config.get("seed_everything", stage.config.get("seed"))
        return StageRecord(stage.name, stage.verb, settings, inputs, seed=seed, machine=describe_host())

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
        folder.begin(wanted, resumes)
        self.say(f"[{stage.name}] {_reason(cut_off, resumes, forced, done, wanted)}")
        began = time.monotonic()
        self.execute(stage.verb, self._arguments(stage, folder))
        write_yaml(folder.work / "config.yaml", stage.config)
        folder.finish(wanted)
        self.say(f"[{stage.name}] done in {_minutes(time.monotonic() - began)}: {folder.final}")

    def _arguments(self, stage: Stage, folder: StageFolder) -> list[str]:
        config = copy.deepcopy(stage.config)
        set_key(config, stage.output, str(folder.work))
        write_yaml(folder.work / "config.yaml", config)
        arguments = ["--config", str(folder.work / "config.yaml")]
        if stage.verb == "fit" and _checkpoint(folder).exists():
            arguments += ["--ckpt_path", str(_checkpoint(folder))]
        return arguments


def _checkpoint(folder: StageFolder) -> Path:
    return folder.work / "checkpoints" / "last.ckpt"


def _can_resume(stage: Stage, folder: StageFolder) -> bool:
    """Training goes on from its last checkpoint, `augment` and `label` from their shards; the others begin again."""
    return _checkpoint(folder).exists() if stage.verb == "fit" else stage.verb in ("augment", "label")


def _as_list(sources: str | list[str]) -> list[str]:
    return sources if isinstance(sources, list) else [sources]


def _fingerprint(mapping: Any) -> str:
    from tangodistill.data.sources import DatasetConfig, dataset_fingerprint

    return dataset_fingerprint(DatasetConfig(**mapping))


def _reason(cut_off: bool, resumes: bool, forced: bool, done: StageRecord | None, wanted: StageRecord) -> str:
    if cut_off:
        return "was cut off, resumes" if resumes else "was cut off, begins again"
    if forced:
        return "runs anew: --force"
    if done is None:
        return "runs"
    return f"runs anew: {'; '.join(done.differences(wanted))}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
