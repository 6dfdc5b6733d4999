"""What each verb runs, and how its words become arguments. Nothing heavy is imported before a verb needs it."""

import inspect
import json
from argparse import ArgumentError
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from tangodistill.cli.launching import may_start_processes, run_as_process
from tangodistill.cli.messages import message_of
from tangodistill.cli.verb_table import VERBS
from tangodistill.recipe.config import get_key, read_yaml
from tangodistill.recipe.reading import shipped_file
from tangodistill.recipe.stage import exclusive
from tangodistill.user_error import UserError

PROGRAM = "python -m tangodistill"

YES_OR_NO = ("true", "false", "yes", "no")


def execute(verb: str, arguments: list[str], alone: bool = True) -> tuple[str, Path | None]:
    """Runs a verb other than `run`; returns what it worked on, and where the result lies, None where it wrote none.

    Args: `alone`: it holds its output folder itself; that of a stage lies in the one that `run` holds.
    """
    arguments = _shipped_files(arguments)
    refuse_overridden_flags(verb, arguments)
    if VERBS[verb].trains:
        trained = _trainer_cli(verb, arguments, alone=alone)
        folder = None if trained.trainer.fast_dev_run else Path(trained.trainer.default_root_dir)
        return type(trained.model).__name__, folder
    if VERBS[verb].word and arguments and not arguments[0].startswith("-"):
        arguments = [f"--{VERBS[verb].word}", *arguments]
    function, parser = _function_parser(verb)
    arguments = _switched_on(arguments, function)
    if VERBS[verb].words:
        arguments = _words_named(arguments, VERBS[verb].words)
    values = parser.instantiate_classes(parse(parser, arguments)).as_dict()
    values.pop("config", None)
    with _held(verb, values) if alone else nullcontext():
        result = Path(function(**values))
    return "paper" if values.get("paper") else verb, result


def _held(verb: str, values: dict[str, Any]) -> AbstractContextManager:
    """The folder that a verb writes to; one that it also reads is not made where it is missing."""
    for key in VERBS[verb].holds:
        if values[key] is not None and (key == "output" or Path(values[key]).is_dir()):
            return exclusive(Path(values[key]), f"--{key}")
    return nullcontext()


def execute_stage(verb: str, arguments: list[str]) -> None:
    """Runs a stage of a recipe: `--config FILE` and more."""
    if VERBS[verb].trains and may_start_processes(read_yaml(arguments[1])):
        run_as_process(verb, arguments)
    else:
        execute(verb, arguments, alone=False)


def check(verb: str, arguments: list[str]) -> None:
    """Parses a verb's arguments, every key and type of them, and runs nothing."""
    if VERBS[verb].trains:
        _trainer_cli(verb, arguments, parse_only=True)
    else:
        parse(_function_parser(verb)[1], arguments)


def command_parser(verb: str) -> Any:
    from tangodistill.cli.parsers import NestedNull

    parser = NestedNull(
        prog=f"{PROGRAM} {verb}",
        description=VERBS[verb].help,
        exit_on_error=False,
        allow_abbrev=False,
        epilog="--debug shows the traceback of an error.",
    )
    parser.add_argument("--config", action="config", help="YAML file with any of these keys; flags after it win.")
    return parser


def parse(parser: Any, arguments: list[str]) -> Any:
    try:
        return parser.parse_args(arguments)
    except ArgumentError as error:
        known = [action.dest for action in parser._actions]
        raise UserError(message_of(error, known)) from error


def refuse_overridden_flags(verb: str, arguments: list[str]) -> None:
    """A value in a later `--config` file wins over an earlier flag without a word; better to say so."""
    seen: list[str] = []
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name != "--config":
            seen += [name.removeprefix("--").removesuffix("+")] if argument.startswith("--") else []
            continue
        path = value if equals else next(iter(arguments[position + 1 :]), None)
        content = read_yaml(path) if path and Path(path).is_file() else {}
        for key in seen:
            if get_key(content, key) is not None:
                raise UserError(
                    f"--{key} stands before --config {path}, which sets it too and would override it. "
                    f"Put --config first: {PROGRAM} {verb} --config {path} --{key} ..."
                )


def _shipped_files(arguments: list[str]) -> list[str]:
    """The same with each `--config` file that the package brings along by its path."""
    found = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name, equals, value = argument.partition("=")
        if before == "--config":
            argument = shipped_file(argument)
        elif name == "--config" and equals:
            argument = f"--config={shipped_file(value)}"
        found.append(argument)
    return found


def _switched_on(arguments: list[str], function: Callable[..., Any]) -> list[str]:
    """A flag of a yes-or-no parameter that stands without a value means yes."""
    parameters = inspect.signature(function).parameters.values()
    switches = {f"--{each.name}" for each in parameters if isinstance(each.default, bool)}
    return [
        f"{argument}=true" if argument in switches and after.lower() not in YES_OR_NO else argument
        for argument, after in zip(arguments, [*arguments[1:], ""], strict=False)
    ]


def _words_named(arguments: list[str], flag: str) -> list[str]:
    """The words that are neither a flag nor a flag's value, together as the value of a flag.

    >>> _words_named(["--paper=true", "runs/a", "runs/b", "--output", "all"], "run_folder")
    ['--paper=true', '--output', 'all', '--run_folder', '["runs/a", "runs/b"]']
    """
    words, others, value_next = [], [], False
    for argument in arguments:
        is_flag = argument.startswith("-")
        (others if is_flag or value_next else words).append(argument)
        value_next = is_flag and "=" not in argument and argument not in ("-h", "--help")
    return [*others, f"--{flag}", json.dumps(words)] if words else others


def _function_parser(verb: str) -> tuple[Callable[..., Any], Any]:
    function, parser = VERBS[verb].load(), command_parser(verb)
    parser.add_function_arguments(function, as_positional=VERBS[verb].positional)
    return function, parser


def _trainer_cli(verb: str, arguments: list[str], parse_only: bool = False, alone: bool = False) -> Any:
    from tangodistill.cli.trainer import TrainerCLI, trainer_keys

    try:
        return TrainerCLI(verb, arguments, PROGRAM, VERBS[verb].help, parse_only, alone)
    except ArgumentError as error:
        raise UserError(message_of(error, trainer_keys())) from error
