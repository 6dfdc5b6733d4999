"""Every key that `--set STAGE.KEY=VALUE` takes: what it is in a recipe, and one line on it."""

import re
from argparse import SUPPRESS
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from functools import cache
from importlib import import_module
from typing import Any, get_args

import yaml

from tangodistill.cli.parsers import NestedNull
from tangodistill.cli.verb_table import VERBS
from tangodistill.recipe.config import flatten, get_key
from tangodistill.recipe.reading import DATA, Recipe, Stage


@dataclass(frozen=True)
class Key:
    name: str
    value: Any
    """As the recipe says, else the default."""
    line: str

    def __str__(self) -> str:
        value = yaml.safe_dump(self.value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
        return f"{self.name:<44} {value:<24} {self.line}".rstrip()


def keys_of_recipe(recipe: Recipe, stage: str | None = None) -> Iterator[Key]:
    """The keys of one stage or of all; those of `data`, which reach every stage's dataset, come first."""
    with_data = [(DATA, each, f"{short(each.dataset)}.") for each in recipe.stages if each.dataset][:1]
    wanted = [*with_data, *((each.name, each, "") for each in recipe.stages)]
    if stage not in (None, DATA):
        wanted = [(stage, recipe.stage(stage), "")]
    elif stage == DATA:
        wanted = with_data
    for name, each, below in wanted:
        for key in _keys_of(each, below):
            yield Key(f"{name}.{key.name}", key.value, key.line)


def short(key: str) -> str:
    """A dotted key without `init_args`.

    >>> short("data.init_args.dataset.source")
    'data.dataset.source'
    """
    return key.replace(".init_args", "")


def _keys_of(stage: Stage, below: str) -> Iterator[Key]:
    """The keys of a stage file, in the order of the signatures; those that `run` fills are left out."""
    given = {short(key): value for key, value in flatten(stage.config).items()}
    filled = {short(key) for key in (stage.output, *stage.inputs)}
    for action in _actions(stage):
        if action.dest not in filled and action.dest.startswith(below):
            value = given.get(action.dest, action.default)
            yield Key(action.dest.removeprefix(below), value, _first_sentence(action.help))


def _actions(stage: Stage) -> Iterator[Any]:
    for action in _of_verb(stage):
        if not isinstance(get_key(stage.config, action.dest), dict):
            yield action
        if class_path := get_key(stage.config, f"{action.dest}.class_path"):
            yield from _of_class(class_path, action.dest)
        for kind in get_args(getattr(action, "_typehint", None)):
            if is_dataclass(kind):
                yield from _of_class(f"{kind.__module__}.{kind.__name__}", action.dest)


def _of_verb(stage: Stage) -> list[Any]:
    if VERBS[stage.verb].trains:
        parts = [_of_class(get_key(stage.config, f"{section}.class_path"), section) for section in ("model", "data")]
        return [*_of_seed(), *_of_class("lightning.Trainer", "trainer"), *parts[0], *parts[1]]
    parser = NestedNull()
    parser.add_function_arguments(VERBS[stage.verb].load())
    return _settable(parser)


@cache
def _of_class(class_path: str, key: str) -> list[Any]:
    parser = NestedNull()
    parser.add_class_arguments(_named(class_path), key)
    return _settable(parser)


def _of_seed() -> list[Any]:
    parser = NestedNull()
    parser.add_argument("--seed_everything", default=True, help="Seed of all random numbers; true: one is drawn.")
    return _settable(parser)


def _settable(parser: NestedNull) -> list[Any]:
    return [action for action in parser._actions if action.default != SUPPRESS]


def _named(dotted: str) -> Any:
    """A class or function; a class without a module is one of `tangodistill.modules`."""
    module, _, name = dotted.rpartition(".")
    return getattr(import_module(module or "tangodistill.modules"), name)


def _first_sentence(text: str | None) -> str:
    """
    >>> _first_sentence("Stop after this number\\nof epochs. Disabled by default.")
    'Stop after this number of epochs.'
    """
    return re.split(r"(?<=\.) (?=[A-Z])", " ".join((text or "").replace("``", "").split()))[0]
