"""A nested configuration, as a stage's YAML file holds it, read and written by dotted keys."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tangodistill.user_error import UserError


class _Loader(yaml.SafeLoader):
    """Reads `1e-5` as the number it is; YAML 1.1, and so PyYAML, takes it for a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def parse_yaml(text: str) -> Any:
    """The value that a piece of YAML stands for.

    >>> parse_yaml("[a, 1e-5]")
    ['a', 1e-05]
    """
    return yaml.load(text, _Loader)


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        UserError: the file is missing, is not YAML, or holds no mapping.
    """
    try:
        config = parse_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} must hold `key: value` lines, found {type(config).__name__}.")
    return config


def write_yaml(path: Path, config: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def full_key(config: dict[str, Any], key: str) -> tuple[str, ...]:
    """The parts of a dotted key, with the `init_args` that a short key leaves out.

    >>> full_key({"model": {"class_path": "Student", "init_args": {}}}, "model.lr")
    ('model', 'init_args', 'lr')
    """
    parts: list[str] = []
    node: Any = config
    for part in key.split("."):
        if isinstance(node, dict) and "class_path" in node and part not in ("class_path", "init_args"):
            parts.append("init_args")
            node = node.get("init_args")
        parts.append(part)
        node = node.get(part) if isinstance(node, dict) else None
    return tuple(parts)


def get_key(config: dict[str, Any], key: str) -> Any:
    """The value at a dotted key, None where there is none."""
    node: Any = config
    for part in full_key(config, key):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def set_key(config: dict[str, Any], key: str, value: Any) -> None:
    """Writes a value at a dotted key, making the mappings on the way.

    >>> config = {"model": {"class_path": "Student"}}
    >>> set_key(config, "model.lr", 0.001)
    >>> config
    {'model': {'class_path': 'Student', 'init_args': {'lr': 0.001}}}
    """
    *parents, last = full_key(config, key)
    node = config
    for part in parents:
        if not isinstance(node.get(part), dict):
            node[part] = {}
        node = node[part]
    node[last] = value


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every value that is not a mapping, by its dotted key.

    >>> flatten({"trainer": {"max_epochs": 3}, "seed": 0})
    {'trainer.max_epochs': 3, 'seed': 0}
    """
    if not isinstance(config, dict) or not config:
        return {prefix: config}
    return {
        key: value
        for name, child in config.items()
        for key, value in flatten(child, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' with the nearest known word, '' where none is near.

    >>> did_you_mean("max_epoch", ["lr", "max_epochs"])
    " Did you mean 'max_epochs'?"
    """
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
