"""A recipe: a folder with recipe.yaml, which lists its stages in order, and a YAML file for each that needs one.

What a stage reads is what its keys name: `transfer_set: runs/demo/label` is the folder of stage `label`, wherever the
run's own folder lies in the end. A variant, `NAME/small`, is one more file: other settings for the same stages.
"""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tangodistill.recipe.config import did_you_mean, flatten, get_key, read_yaml, set_key
from tangodistill.recipe.places import PLACES
from tangodistill.user_error import UserError

DATA = "data"
"""The pseudo stage whose keys are those of every stage's `dataset` mapping."""
TEACHERS = ("teacher", "second_tier")
"""Stages that `--teacher` may fill, in the last of a recipe's."""
RUN_LOGGER = "tangodistill.report.tracking.RunLogger"
"""Of each stage that is trained or measured, where its file says nothing else."""
KEYS = ("description", "variants", "stages", "settings")
VARIANT_KEYS = ("description", "leave_out", "settings")


@dataclass
class Stage:
    """One line of recipe.yaml, with its keys."""

    name: str
    verb: str
    run_folder: str
    """Of the run, as its keys name it: what they name there is what the recipe's stages write."""
    file: str | None = None
    """With its keys; None: its verb says them."""
    config: dict[str, Any] = field(default_factory=dict)
    """With all keys, then with what the command line changes."""

    @property
    def output(self) -> str:
        """Key of the folder that it writes."""
        return PLACES[self.verb].output

    @property
    def dataset(self) -> str | None:
        """Key of the mapping that describes the labelled data, where it reads any."""
        key = PLACES[self.verb].dataset
        return key if key and isinstance(get_key(self.config, key), dict) else None

    @property
    def teacher(self) -> str | None:
        """Key that `--teacher` fills."""
        return "model.init_args.pretrained" if self.name in TEACHERS else None

    @property
    def protocol(self) -> str | None:
        """Key that `--protocol` fills."""
        key = "model.init_args.protocol"
        return key if get_key(self.config, key) is not None else None

    @property
    def inputs(self) -> dict[str, str | list[str]]:
        """Key -> the stage whose folder it names, or a list; `.` is the run's folder, with every earlier one."""
        found = {}
        for key, value in flatten(self.config).items():
            names = [self._stage_of(each) for each in as_list(value)]
            if key != self.output and not key.startswith("trainer.") and any(names):
                found[key] = [name for name in names if name] if isinstance(value, list) else names[0]
        return found

    def _stage_of(self, value: Any) -> str | None:
        if not isinstance(value, str):
            return None
        folder, _, name = value.rpartition("/")
        return "." if value == self.run_folder else name if folder == self.run_folder else None

    def move(self, out: str) -> None:
        """Has all keys name the same stages' folders below another run's folder."""
        folders = {key: value for key, value in flatten(self.config).items() if key in self.inputs}
        for key, value in folders.items():
            moved = [self._moved(each, out) for each in as_list(value)]
            set_key(self.config, key, moved if isinstance(value, list) else moved[0])
        set_key(self.config, self.output, f"{out}/{self.name}")
        self.run_folder = out

    def _moved(self, value: Any, out: str) -> Any:
        name = self._stage_of(value)
        return value if name is None else out if name == "." else f"{out}/{name}"


@dataclass
class Recipe:
    name: str
    description: str
    stages: list[Stage]
    given: str = ""
    """As it is named on the command line."""

    def stage(self, name: str) -> Stage:
        names = [stage.name for stage in self.stages]
        if name not in names:
            hint = did_you_mean(name, names)
            raise UserError(f"Recipe {self.name} has no stage {name!r}.{hint} Its stages: {', '.join(names)}.")
        return self.stages[names.index(name)]

    def set(self, name: str, key: str, value: Any) -> None:
        """Writes a dotted key of a stage's configuration; of stage `data`: in the `dataset` of every stage."""
        for stage in [stage for stage in self.stages if stage.dataset] if name == DATA else [self.stage(name)]:
            set_key(stage.config, f"{stage.dataset}.{key}" if name == DATA else key, value)

    def leave_out(self, name: str, instead: str | None) -> None:
        """Drops a stage; those that read its folder read that of stage `instead`, or nothing.

        A stage may read nothing where it reads several, or where what would have read it is null.
        """
        self.stages.remove(self.stage(name))
        substitutes = [f"{self.stages[0].run_folder}/{self.stage(instead).name}"] if instead else []
        for stage in self.stages:
            for key, sources in stage.inputs.items():
                if name not in as_list(sources):
                    continue
                value = get_key(stage.config, key)
                gone = f"{stage.run_folder}/{name}"
                kept = [each for old in as_list(value) for each in (substitutes if old == gone else [old])]
                if not kept and not isinstance(value, list):
                    raise UserError(f"{self.name} leaves out stage {name}, but stage {stage.name} needs it for {key}.")
                set_key(stage.config, key, kept if isinstance(value, list) else kept[0])


def recipes_folder() -> Path:
    """Where the shipped recipes lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    return next((folder for folder in (package / "recipes", package.parent / "recipes") if folder.is_dir()), package)


def shipped_recipes() -> dict[str, Path]:
    return {path.parent.name: path.parent for path in sorted(recipes_folder().glob("*/recipe.yaml"))}


def shipped_file(path: str) -> str:
    """A file as the README names it, `recipes/NAME/FILE`, where the shipped recipes lie; any other as it is.

    Raises:
        UserError: it is neither in the working folder nor shipped.
    """
    folder, *rest = Path(path).parts or ("",)
    if folder != "recipes" or Path(path).exists():
        return path
    found = recipes_folder().joinpath(*rest)
    if not found.is_file():
        known = [str(Path("recipes", each.relative_to(recipes_folder()))) for each in recipes_folder().glob("*/*.yaml")]
        raise UserError(
            f"{path} is neither a file here nor one that is shipped.{did_you_mean(path, known)} "
            "`python -m tangodistill recipes NAME` lists a recipe's files, and with --copy FOLDER copies them."
        )
    return str(found)


def variants_of(name: str, folder: Path) -> list[str]:
    """What a recipe's variants are called on the command line."""
    return [f"{name}/{variant}" for variant in read_yaml(folder / "recipe.yaml").get("variants") or []]


def read_recipe(recipe: str) -> Recipe:
    """Reads a recipe by folder or shipped name, every stage file with it; with `/small` after it: its variant.

    Raises:
        UserError: there is none, or a file of it names an unknown key or stage.
    """
    if folder := folder_of(recipe):
        return replace(_read_folder(folder), given=recipe)
    name, _, variant = recipe.rpartition("/")
    known = [each for name, folder in shipped_recipes().items() for each in (name, *variants_of(name, folder))]
    if name and (folder := folder_of(name)):
        known = [name, *variants_of(name, folder)]
        if recipe in known:
            return replace(_with_variant(_read_folder(folder), folder, variant), given=recipe)
    hint = did_you_mean(recipe, known)
    raise UserError(f"{recipe!r} is neither a folder with a recipe.yaml nor one of {', '.join(known)}.{hint}")


def folder_of(recipe: str) -> Path | None:
    return Path(recipe) if (Path(recipe) / "recipe.yaml").is_file() else shipped_recipes().get(recipe)


def _read_folder(folder: Path) -> Recipe:
    path = folder / "recipe.yaml"
    content = read_yaml(path)
    _refuse_unknown(path, content, KEYS)
    listed = content.get("stages")
    if not listed or not isinstance(listed, dict):
        raise UserError(f"{path} lists no stages: give `stages:` with a line `NAME: VERB` for each.")
    recipe = Recipe(folder.resolve().name, str(content.get("description", "")), _read_stages(folder, listed))
    _apply_settings(recipe, path, content)
    _refuse_unknown_inputs(recipe, path)
    return recipe


def _read_stages(folder: Path, listed: dict[str, str]) -> list[Stage]:
    files = {}
    for name, verb in listed.items():
        if verb not in PLACES:
            hint = did_you_mean(str(verb), PLACES)
            raise UserError(f"{folder / 'recipe.yaml'}: stage {name} has no verb {verb!r}.{hint}")
        file = folder / f"{name}.yaml"
        if file.is_file() or not PLACES[verb].reads:
            files[name] = read_yaml(file)
    outputs = [get_key(config, PLACES[listed[name]].output) for name, config in files.items()]
    run_folder = str(outputs[0]).rpartition("/")[0] if outputs else f"runs/{folder.resolve().name}"
    dataset = next((found for name, config in files.items() if (found := _dataset(listed[name], config))), None)
    stages = []
    for name, verb in listed.items():
        config = files[name] if name in files else PLACES[verb].defaults(run_folder, name, listed, dataset)
        if isinstance(trainer := config.get("trainer"), dict):
            trainer.setdefault("logger", _logger(f"{folder.resolve().name}-{name}", name))
        stages.append(Stage(name, verb, run_folder, f"{name}.yaml" if name in files else None, config))
    return stages


def _logger(name: str, stage: str) -> dict[str, Any]:
    return {"class_path": RUN_LOGGER, "init_args": {"project": "tangodistill", "name": name, "job_type": stage}}


def _dataset(verb: str, config: dict[str, Any]) -> Any:
    return PLACES[verb].dataset and get_key(config, PLACES[verb].dataset)


def _refuse_unknown(path: Path, content: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in content:
        if key not in known:
            raise UserError(f"{path}: unknown key {key!r}.{did_you_mean(key, known)}")


def _refuse_unknown_inputs(recipe: Recipe, path: Path) -> None:
    """A folder below the run's that no earlier stage writes would be missed hours later."""
    for position, stage in enumerate(recipe.stages):
        earlier = [other.name for other in recipe.stages[:position]]
        for key, sources in stage.inputs.items():
            for source in as_list(sources):
                if source != "." and source not in earlier:
                    raise UserError(
                        f"{path}: stage {stage.name} takes {key} from {source!r}, "
                        f"which is no earlier stage ({', '.join(earlier) or 'there is none'})."
                    )


def _apply_settings(recipe: Recipe, path: Path, content: dict[str, Any]) -> None:
    for stage, settings in (content.get("settings") or {}).items():
        if not isinstance(settings, dict):
            raise UserError(f"{path}: settings of {stage} must be `key: value` lines, found {settings!r}.")
        for key, value in settings.items():
            recipe.set(stage, key, value)


def _with_variant(recipe: Recipe, folder: Path, variant: str) -> Recipe:
    """The recipe with what a variant's file says otherwise: `description`, `leave_out`, `settings`."""
    path = folder / f"{variant}.yaml"
    content = read_yaml(path)
    _refuse_unknown(path, content, VARIANT_KEYS)
    recipe.name = f"{recipe.name}/{variant}"
    recipe.description = content.get("description", recipe.description)
    _apply_settings(recipe, path, content)
    for stage, instead in (content.get("leave_out") or {}).items():
        recipe.leave_out(stage, instead)
    return recipe


def copy_recipe(recipe: str, target: Path) -> Path:
    """Copies a shipped recipe's files, its variants among them, into a new folder.

    Raises:
        UserError: the folder is there already.
    """
    source = shipped_recipes()[read_recipe(recipe).name.split("/")[0]]
    if target.exists():
        raise UserError(f"{target} exists already; give --copy a folder that does not.")
    return Path(shutil.copytree(source, target))


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
