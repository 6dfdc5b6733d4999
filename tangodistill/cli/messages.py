"""Turns an exception into the line or two that the person at the keyboard needs."""

import ast
import errno
import inspect
import json
import re
from argparse import ArgumentError
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any, get_args, get_type_hints

from tangodistill.recipe.config import did_you_mean
from tangodistill.user_error import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_WORDS = ("No space left on device", "Disk quota exceeded", "File too large", "PytorchStreamWriter failed writing")
NO_PLACE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
)
NO_PLACE_WORDS = ("Read-only file system", "Permission denied")
_UNKNOWN_KEY = re.compile(r"(?:accept option|Option) '([^']+)'|unrecognized arguments: --(\S+)|[Kk]ey '([^']+)' is not")
_NO_CLASS = re.compile(r"dot import path string: (\S+)|module 'tangodistill\.modules' has no attribute '(\w+)'")
_WHERE = re.compile(r"""[Pp]arser key "[^"]+":|Problem with given class_path '[^']+':""")
_VERB = re.compile(r"\b(?:fit|validate|test|predict)\.")
_NOISE = ("Does not validate", "Subtypes:", "Errors:", "Given value", "- Expected a")


def message_of(error: BaseException, known_keys: Iterable[str] = ()) -> str | None:
    """What to print for an error that is the user's or the machine's, None for one that is a bug.

    Args:
        known_keys: dotted keys that the verb accepts, to suggest the nearest of.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ArgumentError):
        return explain_parse_error(str(error), known_keys)
    if type(error).__name__ == "MisconfigurationException":  # Lightning's own; named, so as not to import it here
        return str(error)
    return _full_disk(error) or _closed_place(error)


def _full_disk(error: BaseException | None) -> str | None:
    """Wherever it stands in a chain of exceptions; some libraries hand on the system's words without its number."""
    while error is not None:
        if getattr(error, "errno", None) in FULL or any(words in str(error) for words in FULL_WORDS):
            name = getattr(error, "filename", None)
            where = f" while writing {name}" if name else ""
            return f"No space left on the disk{where}. Free some, then run the same command again: it resumes."
        error = error.__cause__ or error.__context__
    return None


def _closed_place(error: BaseException) -> str | None:
    number, text, name = getattr(error, "errno", None), str(error), getattr(error, "filename", None)
    if "No usable temporary directory" in text:
        return "There is no temporary folder that can be written to. Set TMPDIR to one."
    if number in NO_PLACE or any(words in text for words in NO_PLACE_WORDS):
        what = f"{name}: {error.strerror}" if name else text.splitlines()[0].rstrip(".")
        return f"{what}. Give another place, or change what lies there."
    return None


def explain_parse_error(message: str, known_keys: Iterable[str]) -> str:
    """Shortens jsonargparse's report to the key that is wrong, and suggests the nearest one that exists."""
    class_path = re.search(r"class_path '([^']+)'", message)
    unknown = _UNKNOWN_KEY.search(message)
    if unknown:
        key = next(group for group in unknown.groups() if group).split("=")[0]
        known = keys_of_class(class_path[1]) if class_path else list(known_keys)
        where = f" for {class_path[1].rsplit('.', 1)[-1]}" if class_path else ""
        return f"Unknown key {key!r}{where}.{did_you_mean(key, known) or _allowed(known)}"
    required = re.search(r"arguments are required: (.+)", message)
    keys = re.findall(r'[Pp]arser key "([^"]+)"', message)
    if required and not keys:
        return f"Missing: {re.sub(_VERB, '', required[1])}. Give it in a --config file, or as a flag."
    if no_class := _NO_CLASS.search(message):
        name = no_class[1] or no_class[2]
        known = [name for name in vars(import_module("tangodistill.modules")) if name.endswith(("Module", "Data"))]
        return f"{'.'.join(keys)}.class_path: no class {name!r}.{did_you_mean(name, known) or _allowed(known)}"
    lines = [line.strip(" -") for line in message.splitlines() if not line.strip().startswith(_NOISE)]
    text = " ".join(" ".join(_WHERE.sub("", line) for line in lines).split())
    return f"{'.'.join(keys)}: {_plain_types(text or _type_error(message))}".removeprefix(": ")


def _type_error(message: str) -> str:
    """What a value of no allowed type comes to: the innermost types and value that jsonargparse lists."""
    given, allowed = re.findall(r"Given value: (.*)", message), re.findall(r"Subtypes: \[(.*)\]", message)
    if not (given and allowed):
        return message
    return f"expected {allowed[-1].replace(', ', ' or ')}, found {given[0]}{_in_quotes(allowed[-1], given[0])}"


def _in_quotes(allowed: str, given: str) -> str:
    """What helps where text was wanted, and YAML read something else in it.

    >>> _in_quotes("list[str], null", "[False, 1.5]")
    '. YAML reads numbers, dates, null, and words such as no and on as values: put text in quotes, as in ["no", "1.5"]'
    """
    try:
        value = ast.literal_eval(given)
    except (SyntaxError, ValueError):
        return ""
    values = value if isinstance(value, list) else [value]
    if "str" not in allowed or not all(isinstance(each, str | bool | int | float | None) for each in values):
        return ""
    read = {"True": "yes", "False": "no", "None": "null"}
    quoted = ", ".join(json.dumps(read.get(str(each), str(each)), ensure_ascii=False) for each in values)
    return (
        ". YAML reads numbers, dates, null, and words such as no and on as values: put text in quotes, as in "
        f"{f'[{quoted}]' if isinstance(value, list) else quoted}"
    )


def _plain_types(text: str) -> str:
    text = re.sub(r"(?:a )?typing\.Literal\[([^\]]*)\]", lambda found: f"one of {found[1].replace(chr(39), '')}", text)
    return re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text).replace("NoneType", "null")


def _allowed(known: list[str]) -> str:
    listed = f" Known here: {', '.join(known)}." if 0 < len(known) <= 12 else ""
    return listed or " `python -m tangodistill recipes NAME --keys` lists those of a recipe's stages."


def keys_of_class(class_path: str) -> list[str]:
    """The keys that a class takes in a configuration, those of its dataclass arguments included, both ways written."""
    module, _, name = class_path.rpartition(".")
    try:
        target = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return []
    return list(_keys(target))


def _keys(target: Any) -> Iterable[str]:
    hints = get_type_hints(target if is_dataclass(target) else target.__init__)
    for key in inspect.signature(target).parameters:
        yield key
        for kind in (hints.get(key), *get_args(hints.get(key))):
            if is_dataclass(kind):
                for field in fields(kind):
                    yield field.name
                    yield f"{key}.{field.name}"
