"""What a predictor is given: texts, or pairs of them, from a list, a column or a stream; all else is named."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tangodistill.user_error import UserError

ARROW_ROWS = 8192  # of a column that become Python's at a time
_VISIBLE = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


def rows_of(given: object, text_columns: Sequence[str]) -> Iterable:
    """The rows of a list, a column of any library, or whatever else can be iterated over.

    Args:
        text_columns: one name, or two where a row is a pair of texts.

    Raises:
        UserError: it is none of these, or a table, which would be iterated over by its columns' names.
    """
    expected = f"expected {_wanted(text_columns)} or a list of such, found"
    if (names := _column_names(given)) is not None:
        listed = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
        columns = [f"table[{name!r}]" for name in text_columns]
        example = columns[0] if len(columns) == 1 else f"zip({', '.join(columns)})"
        raise UserError(
            f"{expected} a {type(given).__name__} with the columns {listed or '(none)'}. "
            f"Give the texts alone, as in predict({example})."
        )
    dimensions = getattr(given, "ndim", 1)
    if dimensions > 1:
        raise UserError(
            f"{expected} a {type(given).__name__} of {dimensions} dimensions. "
            "Give one column of it, as in predict(array[:, 0])."
        )
    is_several = hasattr(type(given), "__iter__") or hasattr(type(given), "__getitem__")
    if isinstance(given, str | bytes | bytearray) or not is_several or dimensions == 0:
        decode = "; decode it first" if isinstance(given, bytes | bytearray) else ""
        raise UserError(f"{expected} {shortened(given)}{decode}.")
    return _of_arrow(given) if hasattr(type(given), "to_pylist") else given


def checked(rows: Iterable, text_columns: Sequence[str], first_row: int) -> tuple[dict[int, Any], dict[int, str]]:
    """The rows that are texts, or pairs of them, and what is wrong with the others; both by their numbers.

    >>> checked(["good", 5, "bad"], ["text"], first_row=10)
    ({10: 'good', 12: 'bad'}, {11: 'row 11: expected a string, found int 5.'})
    """
    is_right = is_pair if len(text_columns) == 2 else _is_text
    right, wrong = {}, {}
    for number, row in enumerate(rows, start=first_row):
        if is_right(row) or is_right(row := _plain(row)):
            right[number] = row
        else:
            wrong[number] = f"row {number}: expected {_wanted(text_columns)}, found {shortened(row)}."
    return right, wrong


def is_pair(row: object) -> bool:
    return isinstance(row, tuple | list) and len(row) == 2 and all(isinstance(text, str) for text in row)


def is_blank(text: str) -> bool:
    """Whether there is nothing to read in it: blanks, control characters, characters without width.

    >>> is_blank(""), is_blank(" \\u00a0\\n\\x00\\u200b"), is_blank(" .")
    (True, True, False)
    """
    return _VISIBLE.search(text) is None


def shortened(value: object) -> str:
    """A value and its type, in a line.

    >>> shortened(None), shortened(5), shortened([" a" * 50])
    ('None', 'int 5', "list [' a a a a a a a a a a a a a a a a a a a a a a a a a...")
    """
    text = "None" if value is None else " ".join(f"{type(value).__name__} {value!r}".split())
    return text if len(text) <= 60 else text[:57] + "..."


def _wanted(text_columns: Sequence[str]) -> str:
    return f"a pair of strings ({', '.join(text_columns)})" if len(text_columns) == 2 else "a string"


def _is_text(row: object) -> bool:
    return isinstance(row, str)


def _column_names(given: object) -> list[str] | None:
    """Of a mapping, a data frame, an Arrow table, a data set or an array of records; None of anything else."""
    if isinstance(given, Mapping):
        return [str(name) for name in given]
    names = getattr(getattr(given, "dtype", None), "names", None)  # of NumPy's records
    for attribute in ("column_names", "columns"):  # asked of the type: a Series looks names up in its own index
        if names is None and hasattr(type(given), attribute):
            names = getattr(given, attribute)
            names = () if callable(names) or names is None else names
    return None if names is None else [str(name) for name in names]


def _of_arrow(column) -> Iterator:
    for start in range(0, len(column), ARROW_ROWS):
        yield from column[start : start + ARROW_ROWS].to_pylist()


def _plain(row: object) -> object:
    """A row whose texts are Arrow's, as Python's."""
    if isinstance(row, tuple | list):
        return tuple(map(_plain, row))
    return row.as_py() if hasattr(type(row), "as_py") else row
