"""Read one table (CSV, TSV, JSONL, Parquet) into columns of plain Python values."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features

from tangodistill.user_error import UserError

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")
SPLIT_FILES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


@dataclass(frozen=True)
class Table:
    """Named columns of one file or hub split; a column is made only once it is asked for."""

    origin: str
    """File or hub set, as messages name it."""
    names: tuple[str, ...]
    column: Callable[[str], list]
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Label names of the columns that carry them in their type."""

    @property
    def short_origin(self) -> str:
        """The file's name without its folder; a hub set as it is."""
        return Path(self.origin).name if Path(self.origin).is_file() else self.origin


def table_files(folder: Path) -> dict[str, Path]:
    """The tables of a folder by the split that their names say.

    Raises:
        UserError: two tables of one split, or none to train on.
    """
    found = {}
    for split, stems in SPLIT_FILES.items():
        paths = [path for stem in stems for form in FORMATS if (path := folder / f"{stem}{form}").is_file()]
        if len(paths) > 1:
            raise UserError(f"{folder}: both {paths[0].name} and {paths[1].name} could be the {split} split; keep one.")
        if paths:
            found[split] = paths[0]
    if "train" not in found:
        raise UserError(f"{folder}: no training table here; expected train with one of {', '.join(FORMATS)}.")
    return found


def read_table(path: Path) -> Table:
    """Read a table by its suffix.

    CSV is quoted as usual; TSV is never quoted, a quote there is text like any other.

    Raises:
        UserError: unknown suffix, unreadable or corrupt file.
    """
    readers = {".csv": read_csv, ".tsv": read_tsv, ".jsonl": read_jsonl, ".parquet": read_parquet}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: cannot read a table of the kind '{path.suffix}'; allowed: {', '.join(FORMATS)}.")
    return readers[path.suffix.lower()](path)


def read_csv(path: Path) -> Table:
    """Read comma-separated rows below a header; quoted fields may hold commas, quotes and line ends."""
    csv.field_size_limit(2**31 - 1)  # the module's default refuses texts beyond 131,072 characters
    reader = csv.reader(io.StringIO(decode(path), newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            if row:
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: broken quoting ({error}).") from None
    return _from_rows(path, rows)


def read_tsv(path: Path, header: Sequence[str] | None = None) -> Table:
    """Read tab-separated rows without quoting, below a header unless its names are given here."""
    # not splitlines(): it also cuts at characters that may stand inside a text, such as U+2028
    lines = decode(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rows = [(number, line.split("\t")) for number, line in enumerate(lines, start=1) if line]
    return _from_rows(path, rows if header is None else [(0, list(header)), *rows])


def read_jsonl(path: Path) -> Table:
    """Read one JSON object per line; a key that a line lacks is null there."""
    rows: list[dict] = []
    for number, line in enumerate(decode(path).replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number}: not valid JSON ({error.msg}, column {error.colno}).") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}.")
        rows.append(row)
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table(str(path), names, lambda name: [row.get(name) for row in rows])


def read_parquet(path: Path) -> Table:
    """Read a Parquet file; the label names that `datasets` stores in it are kept."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]}).") from None
    features = Features.from_arrow_schema(table.schema)
    return Table(str(path), tuple(table.column_names), lambda name: table[name].to_pylist(), class_names_of(features))


def decode(path: Path) -> str:
    """The file's text, without its byte-order mark, line ends as they are.

    Raises:
        UserError: unreadable, or not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8.") from None


def class_names_of(features: Features) -> dict[str, tuple[str, ...]]:
    """Label names of the ClassLabel columns."""
    return {name: tuple(feature.names) for name, feature in features.items() if isinstance(feature, ClassLabel)}


def _from_rows(path: Path, rows: list[tuple[int, list[str]]]) -> Table:
    """Turn numbered lines, the header first, into columns."""
    if not rows:
        raise UserError(f"{path}: the file is empty.")
    (_, header), *body = rows
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f"{path}: the header names the column '{repeated}' twice.")
    for number, row in body:
        if len(row) != len(header):
            raise UserError(f"{path}, line {number}: {len(row)} fields, but the header has {len(header)}.")
    columns = dict(zip(header, map(list, zip(*(row for _, row in body), strict=True)), strict=True)) if body else {}
    return Table(str(path), tuple(header), lambda name: columns.get(name, []))
