"""The command line: `python -m tangodistill VERB`. Nothing heavy is imported before a verb needs it."""

import sys
from argparse import ArgumentError
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from tangodistill.config import did_you_mean, get_key, read_yaml
from tangodistill.launching import (
    PART_OF_RUN,
    end_with_parent,
    help_silently,
    is_helper,
    may_start_processes,
    run_as_process,
)
from tangodistill.messages import message_of
from tangodistill.user_error import UserError

PROGRAM = "python -m tangodistill"

VERBS = {
    "run": "Run a recipe, from labelled text to a measured cascade and its report.",
    "recipes": "List the shipped recipes, or copy one to edit.",
    "fit": "Train a teacher or a student from a stage file.",
    "validate": "Evaluate a model on held-out data; for a cascade: sweep every threshold and time both tiers.",
    "test": "Evaluate a model on the report role.",
    "predict": "Write a model's predictions for the report role.",
    "augment": "Make an unlabelled transfer set from the training texts.",
    "label": "Store the teacher's logits beside a transfer set.",
    "export": "Write both tiers for faster engines, each checked against PyTorch.",
    "tune": "Find the fastest engine, threads and batch size of each tier on this machine.",
    "choose": "Choose another operating point of a finished cascade.",
    "report": "Write a run's report as one HTML file.",
}
FUNCTIONS = {
    "augment": "tangodistill.augment.pipeline:augment",
    "label": "tangodistill.labelling:label",
    "export": "tangodistill.exporting:export",
    "tune": "tangodistill.tuning:tune",
    "choose": "tangodistill.runtime.choose:choose",
    "report": "tangodistill.report.html:write_report",
}
CASCADE_VERBS = ("export", "tune")
"""Work on the cascade folder that is their first word, or on a recipe's stages by keys."""
RESUMING_VERBS = ("run", "augment", "label")
TRAINER_VERBS = ("fit", "validate", "test", "predict")

NEXT = {
    "TeacherModule": "make a transfer set: {program} augment --config STAGE_FILE",
    "StudentModule": "build the cascade: {program} validate --config STAGE_FILE (see recipes/*/cascade.yaml)",
    "TinyBertIntermediateModule": "teach it answers: {program} fit --config STAGE_FILE (see recipes/cola/student.yaml)",
    "TinyBertModule": "build the cascade: {program} validate --config STAGE_FILE (see recipes/*/cascade.yaml)",
    "DeeBertModule": "measure it beside a cascade: {program} validate --config STAGE_FILE --model.early_exit {result}",
    "CascadeModule": "choose another operating point: {program} choose {result} --max-ms 20",
    "augment": "have the teacher label it: {program} label --transfer_set {result} --teacher FOLDER --output FOLDER",
    "label": "train a student on it: {program} fit --config STAGE_FILE --data.transfer_set {result}",
    "export": "find the fastest on this machine: {program} tune {result}",
    "tune": "choose a threshold for what was found: {program} choose {result} --keep 0.99",
    "choose": "serve it: CascadePredictor.from_pretrained('{result}')",
    "report": "open it in a browser; another operating point: {program} choose --help",
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command line; returns the exit code: 0, 2 for a user's error, 130 for Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug, part_of_run = "--debug" in arguments, PART_OF_RUN in arguments
    arguments = [_underscored(argument) for argument in arguments if argument not in ("--debug", PART_OF_RUN)]
    if part_of_run:
        end_with_parent()
    try:
        if is_helper():
            help_silently(lambda: _dispatch(arguments))
        else:
            _dispatch(arguments, closing_lines=not part_of_run)
        return 0
    except (KeyboardInterrupt, SystemExit, Exception) as error:
        if _follows_ctrl_c(error):  # Lightning tears its trainer down on Ctrl-C, then exits by itself
            if not (part_of_run or is_helper()):
                _say_interrupted(arguments)
            return 130
        if isinstance(error, SystemExit):
            raise
        message = message_of(error)
        if debug or message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 2


def _underscored(argument: str) -> str:
    """`--max-ms=20` as `--max_ms=20`: keys are named as in Python, flags are often written otherwise."""
    name, equals, value = argument.partition("=")
    return name[:2] + name[2:].replace("-", "_") + equals + value if name.startswith("--") else argument


def _follows_ctrl_c(error: BaseException | None) -> bool:
    """Whether Ctrl-C stands anywhere behind an exception that was raised while it was dealt with."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _say_interrupted(arguments: list[str]) -> None:
    resumes = " The same command resumes where it was." if arguments[0] in RESUMING_VERBS else ""
    print(f"\nStopped by Ctrl-C.{resumes}", file=sys.stderr)


def _dispatch(arguments: list[str], closing_lines: bool = True) -> None:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return
    verb, rest = arguments[0], arguments[1:]
    if verb == "--version":
        print(import_module("tangodistill").__version__)
    elif verb == "run":
        _run(rest)
    elif verb == "recipes":
        _recipes(rest)
    elif verb in VERBS:
        done = execute(verb, rest)
        if closing_lines:
            _say_next(*done)
    else:
        raise UserError(f"Unknown verb {verb!r}.{did_you_mean(verb, VERBS)} Verbs: {', '.join(VERBS)}.")


def overview() -> str:
    verbs = "\n".join(f"  {verb:<9} {line}" for verb, line in VERBS.items())
    return (
        f"usage: {PROGRAM} VERB [options]\n\n"
        "Distil a small first tier from a transformer teacher, and serve both as a confidence cascade on CPUs.\n\n"
        f"{verbs}\n\n"
        f"First try:      {PROGRAM} run demo\n"
        f"Own CSV:        {PROGRAM} run custom --data reviews.csv\n"
        f"A verb's help:  {PROGRAM} VERB --help\n"
        "Any verb takes --debug: show the traceback of an error."
    )


def execute(verb: str, arguments: list[str]) -> tuple[str, Path]:
    """Runs a verb other than `run`; returns what it worked on, and where the result lies."""
    _refuse_overridden_flags(verb, arguments)
    if verb in TRAINER_VERBS:
        trained = _trainer_cli(verb, arguments, parse_only=False)
        return type(trained.model).__name__, Path(trained.trainer.default_root_dir)
    if verb in CASCADE_VERBS and arguments and not arguments[0].startswith("-"):
        arguments = ["--cascade", *arguments]
    function, parser = _function_parser(verb)
    values = parser.instantiate_classes(_parse(parser, arguments)).as_dict()
    values.pop("config", None)
    return verb, Path(function(**values))


def _execute_stage(verb: str, arguments: list[str]) -> None:
    """Runs a stage of a recipe: `--config FILE` and more."""
    if verb in TRAINER_VERBS and may_start_processes(read_yaml(arguments[1])):
        run_as_process(verb, arguments)
    else:
        execute(verb, arguments)


def check(verb: str, arguments: list[str]) -> None:
    """Parses a verb's arguments, every key and type of them, and runs nothing."""
    if verb in TRAINER_VERBS:
        _trainer_cli(verb, arguments, parse_only=True)
    else:
        _parse(_function_parser(verb)[1], arguments)


def _say_next(subject: str, result: Path) -> None:
    print(f"Result: {result}")
    if subject in NEXT:
        print(f"Next, {NEXT[subject].format(program=PROGRAM, result=result)}")


def _function_parser(verb: str) -> tuple[Callable[..., Any], Any]:
    module, name = FUNCTIONS[verb].split(":")
    function = getattr(import_module(module), name)
    parser = _parser(verb)
    parser.add_function_arguments(function, as_positional=verb == "choose")
    return function, parser


def _parser(verb: str) -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        prog=f"{PROGRAM} {verb}",
        description=VERBS[verb],
        exit_on_error=False,
        allow_abbrev=False,
        epilog="--debug shows the traceback of an error.",
    )
    parser.add_argument("--config", action="config", help="YAML file with any of these keys; flags after it win.")
    return parser


def _parse(parser: Any, arguments: list[str]) -> Any:
    try:
        return parser.parse_args(arguments)
    except ArgumentError as error:
        known = [action.dest for action in parser._actions]
        raise UserError(message_of(error, known)) from error


def _refuse_overridden_flags(verb: str, arguments: list[str]) -> None:
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


def _trainer_cli(verb: str, arguments: list[str], parse_only: bool) -> Any:
    from tangodistill.modules.trainer_cli import TrainerCLI, trainer_keys

    try:
        return TrainerCLI(verb, arguments, PROGRAM, VERBS[verb], parse_only)
    except ArgumentError as error:
        raise UserError(message_of(error, trainer_keys())) from error


def _run(arguments: list[str]) -> None:
    from tangodistill.overrides import Overrides
    from tangodistill.recipe import read_recipe
    from tangodistill.recipe_run import RecipeRun

    parser = _parser("run")
    parser.add_argument(
        "recipe",
        type=str,
        help="A shipped recipe's name (see `recipes`), or a recipe folder; NAME/small: its variant for 2 cores.",
    )
    parser.add_argument("--out", type=str, help="Folder of the results (default: runs/NAME, runs/NAME_small).")
    parser.add_argument("--data", type=str, help="Labelled data: a GLUE folder, a table, or a hub name.")
    parser.add_argument(
        "--teacher",
        type=str,
        help="The second tier: a model folder or hub name. A classifier is evaluated and used as it is, "
        "an encoder is fine-tuned.",
    )
    parser.add_argument(
        "--protocol",
        type=Literal["natural", "paper"],
        default="natural",
        help="paper: also measure with every text padded to the task's maximum length.",
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="STAGE.KEY=VALUE",
        default=[],
        help="Change a key of a stage file (data.KEY: of every stage's data), e.g. student.model.lr=1e-3. Repeatable.",
    )
    parser.add_argument("--from", metavar="STAGE", help="Begin here; earlier stages are taken as they are.")
    parser.add_argument("--until", metavar="STAGE", help="Stop after this stage.")
    parser.add_argument("--force", action="append", metavar="STAGE", default=[], help="Run it anew. Repeatable.")
    _refuse_overridden_flags("run", arguments)
    given = _parse(parser, arguments)
    recipe = read_recipe(given.recipe)
    Overrides(given.data, given.teacher, given.protocol, given.set).apply(recipe)
    out = Path(given.out or f"runs/{recipe.name.replace('/', '_')}")
    RecipeRun(recipe, out, _execute_stage, check).run(given["from"], given.until, given.force)
    report = out / "report" / "report.html"
    print(f"Result: {out}" + (f"\nNext, open the report: {report.resolve()}" if report.exists() else ""))


def _recipes(arguments: list[str]) -> None:
    from tangodistill.recipe import copy_recipe, read_recipe, shipped_recipes, variants_of

    parser = _parser("recipes")
    parser.add_argument("name", nargs="?", type=str, help="A recipe, to see its stages or to copy it.")
    parser.add_argument("--copy", metavar="FOLDER", type=str, help="Where to put a copy of it, to edit.")
    given = _parse(parser, arguments)
    if given.name is None:
        for recipe, folder in shipped_recipes().items():
            for name in (recipe, *variants_of(recipe, folder)):
                print(f"{name:<18} {read_recipe(name).description}")
        print(f"Next, run one: {PROGRAM} run NAME; or copy one to edit: {PROGRAM} recipes NAME --copy FOLDER")
    elif given.copy is None:
        recipe = read_recipe(given.name)
        print(f"{recipe.name}: {recipe.description}")
        for stage in recipe.stages:
            print(f"  {stage.name:<14} {stage.verb:<9} {stage.file}")
        print(f"Next, run it: {PROGRAM} run {recipe.name}")
    else:
        folder = copy_recipe(given.name, Path(given.copy))
        _, slash, variant = read_recipe(given.name).name.partition("/")
        print(f"Result: {folder}\nNext, edit its files, then: {PROGRAM} run {folder}{slash}{variant}")
