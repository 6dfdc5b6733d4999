"""A recipe: a folder with recipe.yaml, which lists its stages in order, and one YAML file per stage.

A variant of it, `NAME/small`, is one more file of the folder: other settings for the same stages.
"""

import shutil
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tangodistill.recipe.config import did_you_mean, get_key, read_yaml, set_key
from tangodistill.user_error import UserError

DATA = "data"
"""The pseudo stage whose keys are those of every stage's `dataset` mapping."""


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
    """Key that `--teacher` fills, in the last stage that has one: the second tier."""
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
        substitutes = [self.stage(instead).name] if instead else []
        for stage in self.stages:
            for key, sources in list(stage.inputs.items()):
                kept = [each for source in as_list(sources) for each in (substitutes if source == name else [source])]
                if kept or isinstance(sources, list):
                    stage.inputs[key] = kept if isinstance(sources, list) else kept[0]
                elif "." in key and get_key(stage.config, key.rpartition(".")[0]) is None:
                    del stage.inputs[key]
                else:
                    raise UserError(f"{self.name} leaves out stage {name}, but stage {stage.name} needs it for {key}.")


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
    if folder := _folder_of(recipe):
        return replace(_read_folder(folder), given=recipe)
    name, _, variant = recipe.rpartition("/")
    known = [each for name, folder in shipped_recipes().items() for each in (name, *variants_of(name, folder))]
    if name and (folder := _folder_of(name)):
        known = [name, *variants_of(name, folder)]
        if recipe in known:
            return replace(_with_variant(_read_folder(folder), folder, variant), given=recipe)
    hint = did_you_mean(recipe, known)
    raise UserError(f"{recipe!r} is neither a folder with a recipe.yaml nor one of {', '.join(known)}.{hint}")


def _folder_of(recipe: str) -> Path | None:
    return Path(recipe) if (Path(recipe) / "recipe.yaml").is_file() else shipped_recipes().get(recipe)


def _read_folder(folder: Path) -> Recipe:
    content = read_yaml(folder / "recipe.yaml")
    stages = [_read_stage(folder, entry) for entry in content.get("stages") or []]
    if not stages:
        raise UserError(f"{folder / 'recipe.yaml'} lists no stages.")
    for position, stage in enumerate(stages):
        earlier = [other.name for other in stages[:position]]
        for key, sources in stage.inputs.items():
            for source in as_list(sources):
                if source != "." and source not in earlier:
                    raise UserError(
                        f"{folder / 'recipe.yaml'}: stage {stage.name} takes {key} from {source!r}, "
                        f"which is no earlier stage ({', '.join(earlier) or 'there is none'})."
                    )
    return Recipe(folder.resolve().name, str(content.get("description", "")), stages)


def _with_variant(recipe: Recipe, folder: Path, variant: str) -> Recipe:
    """The recipe with what a variant's file says otherwise: `description`, `leave_out`, `settings`."""
    path = folder / f"{variant}.yaml"
    content = read_yaml(path)
    for key in content:
        if key not in (known := ("description", "leave_out", "settings")):
            raise UserError(f"{path}: unknown key {key!r}.{did_you_mean(key, known)}")
    recipe.name = f"{recipe.name}/{variant}"
    recipe.description = content.get("description", recipe.description)
    for stage, settings in (content.get("settings") or {}).items():
        if not isinstance(settings, dict):
            raise UserError(f"{path}: settings of {stage} must be `key: value` lines, found {settings!r}.")
        for key, value in settings.items():
            recipe.set(stage, key, value)
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


def _read_stage(folder: Path, entry: dict[str, Any]) -> Stage:
    known = [item.name for item in fields(Stage) if item.name != "config"]
    for key in entry:
        if key not in known:
            raise UserError(f"{folder / 'recipe.yaml'}: unknown key {key!r}.{did_you_mean(key, known)}")
    missing = [key for key in ("name", "verb", "file", "output") if key not in entry]
    if missing:
        raise UserError(f"{folder / 'recipe.yaml'}: a stage lacks {', '.join(missing)}: {entry}")
    return Stage(**entry, config=read_yaml(folder / entry["file"]))


def as_list(sources: str | list[str]) -> list[str]:
    return sources if isinstance(sources, list) else [sources]
