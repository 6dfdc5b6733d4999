"""From a table to examples: the right columns, checked texts, unique ids."""

from collections.abc import Sequence

from datasets import Dataset, Features, Value

from tangodistill.data.labels import label_texts
from tangodistill.data.tables import Table, separator_hint
from tangodistill.tasks import Task
from tangodistill.user_error import UserError

ID_COLUMN = "example_id"
"""A column of this name in an own table gives the ids; otherwise they are counted."""


def choose_text_columns(table: Table, task: Task, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The columns that were asked for; else the task's; else, for single texts, one named text.

    Raises:
        UserError: the table lacks them.
    """
    usual = [task.text_columns] if task.is_pair else [task.text_columns, ("text",)]
    candidates = [tuple(wanted)] if wanted else usual
    for names in candidates:
        if set(names) <= set(table.names):
            return names
    missing = next(name for name in candidates[0] if name not in table.names)
    raise UserError(_no_column(table, missing, "dataset.text_columns"))


def read_labels(table: Table, task: Task) -> list[str]:
    """The label column, each label as a name.

    Raises:
        UserError: no such column, no rows, a row without a label or with several.
    """
    if task.label_column not in table.names:
        raise UserError(_no_column(table, task.label_column, "dataset.label_column"))
    values = table.column(task.label_column)
    if not values:
        raise UserError(f"{table.origin}: no rows.")
    return label_texts(values, table.origin, table.class_names.get(task.label_column, ()))


def to_dataset(split: str, table: Table, columns: Sequence[str], labels: list[int]) -> Dataset:
    """Columns example_id, text, (text_pair,) label (int64).

    Raises:
        UserError: a text is missing or no text; an id comes twice.
    """
    data = {"example_id": _ids(split, table, len(labels))}
    for name, column in zip(("text", "text_pair"), columns, strict=False):
        data[name] = _texts(table, column)
    data["label"] = labels
    features = {name: Value("string") for name in data} | {"label": Value("int64")}
    return Dataset.from_dict(data, features=Features(features))


def _texts(table: Table, column: str) -> list[str]:
    texts = table.column(column)
    for row, text in enumerate(texts, start=1):
        if text is None:
            raise UserError(f"{table.origin}, row {row}: no text in column '{column}'; an empty one would do.")
        if not isinstance(text, str):
            kind = type(text).__name__
            raise UserError(f"{table.origin}, row {row}: column '{column}' holds a {kind} ({text}), not a text.")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise UserError(f"{table.origin}, row {row}: half a character (a lone surrogate) in column '{column}'.")
    return texts


def _ids(split: str, table: Table, rows: int) -> list[str]:
    if ID_COLUMN not in table.names:
        return [f"{split}-{row}" for row in range(rows)]
    first_row: dict[str, int] = {}
    for row, value in enumerate(table.column(ID_COLUMN), start=1):
        if (first := first_row.setdefault(str(value), row)) != row:
            raise UserError(f"{table.origin}, row {row}: {ID_COLUMN} '{value}' was used in row {first} already.")
    return list(first_row)


def _no_column(table: Table, missing: str, key: str) -> str:
    found = f"{table.origin}: no column '{missing}'; it has: {', '.join(table.names)}."
    return f"{found}{separator_hint(table.names) or f' Name the right one in {key}.'}"
