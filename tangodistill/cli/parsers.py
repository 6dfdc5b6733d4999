"""jsonargparse's parser, with `null` meaning null at any depth."""

from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentParser, set_parsing_settings

set_parsing_settings(docstring_parse_attribute_docstrings=True)  # what stands below a dataclass's fields


class NestedNull(ArgumentParser):
    """A flag below a class or an optional dataclass (`--data.dataset.test null`) is read twice: jsonargparse loads its
    value, and hands that on to a parser of the class as Python prints it. `None` would be a text there."""

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        if args is not None and getattr(self, "_inner_parser", False):
            args = [f"{arg.removesuffix('None')}null" if arg.endswith("=None") else arg for arg in args]
        return super().parse_args(args, *more, **options)
