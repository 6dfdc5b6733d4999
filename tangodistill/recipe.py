"""A recipe: a folder with recipe.yaml, which lists its stages in order, and one YAML file per stage."""

import shutil
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tangodistill.config import did_you_mean, read_yaml
from tangodistill.user_error import UserError


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
        raise UserError(f"{recipe!r} is neither a folder with a recipe.yaml nor one of {', '.join(shipped)}.{hint}")
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


def as_list(sources: str | list[str]) -> list[str]:
    return sources if isinstance(sources, list) else [sources]
