"""The command line: `python -m tangodistill VERB`. Nothing heavy is imported before a verb needs it."""

import sys
from importlib import import_module
from pathlib import Path

from tangodistill.cli.home import ensure_home
from tangodistill.cli.launching import PART_OF_RUN, end_with_parent, help_silently, is_helper
from tangodistill.cli.messages import message_of
from tangodistill.cli.output import lasting_output
from tangodistill.cli.verb_table import VERBS
from tangodistill.cli.verbs import PROGRAM, execute
from tangodistill.progress import no_frames
from tangodistill.recipe.config import did_you_mean
from tangodistill.recipe.places import PLACES
from tangodistill.user_error import UserError

NEXT = {
    "TeacherModule": "make a transfer set: {program} augment --config STAGE_FILE",
    "StudentModule": "build the cascade: {program} validate --config STAGE_FILE (see recipes/*/cascade.yaml)",
    "EncoderStudentModule": "build the cascade: {program} validate --config STAGE_FILE (see recipes/*/cascade.yaml)",
    "TinyBertIntermediateModule": "teach it answers: {program} fit --config STAGE_FILE (see recipes/cola/student.yaml)",
    "TinyBertModule": "build the cascade: {program} validate --config STAGE_FILE (see recipes/*/cascade.yaml)",
    "DynamicTinyBertModule": "find its best lengths: {program} search --model {result} (see recipes/*/lengths.yaml)",
    "DynamicSpanModule": "find its best lengths: {program} search --model {result} (see recipes/*/lengths.yaml)",
    "DeeBertModule": "measure it beside a cascade: {program} validate --config STAGE_FILE --model.early_exit {result}",
    "CascadeModule": "choose another operating point: {program} choose {result} --max-ms 20",
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command line; returns the exit code: 0, 2 for a user's error, 130 for Ctrl-C."""
    with lasting_output():
        return _run(list(sys.argv[1:] if argv is None else argv))


def _run(arguments: list[str]) -> int:
    debug, part_of_run = "--debug" in arguments, PART_OF_RUN in arguments
    arguments = [_underscored(argument) for argument in arguments if argument not in ("--debug", PART_OF_RUN)]
    if part_of_run:
        end_with_parent()
    try:
        ensure_home()
        no_frames()
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
    verb = arguments[0]
    goes_on = verb == "run" or (verb in PLACES and PLACES[verb].resumes)
    resumes = " The same command resumes where it was." if goes_on else ""
    print(f"\nStopped by Ctrl-C.{resumes}", file=sys.stderr)


def _dispatch(arguments: list[str], closing_lines: bool = True) -> None:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return
    verb, rest = arguments[0], arguments[1:]
    if verb == "--version":
        print(import_module("tangodistill").__version__)
    elif verb in VERBS and VERBS[verb].recipes:
        getattr(import_module("tangodistill.cli.recipe_verbs"), verb)(rest)
    elif verb in VERBS:
        done = execute(verb, rest, alone=closing_lines)
        if closing_lines:
            _say_next(*done)
    else:
        raise UserError(f"Unknown verb {verb!r}.{did_you_mean(verb, VERBS)} Verbs: {', '.join(VERBS)}.")


def overview() -> str:
    verbs = "\n".join(f"  {name:<9} {verb.help}" for name, verb in VERBS.items())
    return (
        f"usage: {PROGRAM} VERB [options]\n\n"
        "Distil a small first tier from a transformer teacher, and serve both as a confidence cascade on CPUs.\n\n"
        f"{verbs}\n\n"
        f"First try:      {PROGRAM} run demo\n"
        f"Own CSV:        {PROGRAM} run custom --data reviews.csv\n"
        f"A verb's help:  {PROGRAM} VERB --help\n"
        "Any verb takes --debug: show the traceback of an error."
    )


def _say_next(subject: str, result: Path | None) -> None:
    if result is None:
        print("Result: none. trainer.fast_dev_run tries a stage out and writes nothing.")
        return
    print(f"Result: {result}")
    told = NEXT.get(subject) or (VERBS[subject].next if subject in VERBS else "")
    if told:
        print(f"Next, {told.format(program=PROGRAM, result=result)}")
