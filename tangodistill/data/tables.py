"""Read one table (CSV, TSV, JSONL, Parquet) into columns of plain Python values."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features

from tangodistill.data.encodings import decode
from tangodistill.user_error import UserError

SEPARATORS = (",", ";", "\t", "|")
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
        path = Path(self.origin)
        return path.name if path.suffix and path.parent.is_dir() else self.origin


@dataclass(frozen=True)
class TextForm:
    """How text files are written, where it is not as usual."""

    separator: str | None = None
    """One character; None: the comma of CSV, the tab of TSV."""
    encoding: str | None = None
    """None: UTF-8, or what the file's mark says."""


AS_USUAL = TextForm()


def table_files(folder: Path) -> dict[str, list[Path]]:
    """The tables of a folder by the split that their names say; of Parquet, which may be cut, all parts.

    Raises:
        UserError: two tables of one split, a part that is missing, or none to train on.
    """
    found = {}
    for split, stems in SPLIT_FILES.items():
        tables = [[path] for stem in stems for form in FORMATS if (path := folder / f"{stem}{form}").is_file()]
        tables += [parts for stem in stems if (parts := sorted(folder.glob(f"{stem}-[0-9]*-of-[0-9]*.parquet")))]
        if len(tables) > 1:
            (first, *_), (second, *_) = tables[:2]
            raise UserError(f"{folder}: both {first.name} and {second.name} could be the {split} split; keep one.")
        if tables:
            found[split] = tables[0]
            parts = re.search(r"-of-0*(\d+)$", tables[0][0].stem)
            if parts and int(parts[1]) != len(tables[0]):
                raise UserError(f"{tables[0][0]}: of its {parts[1]} parts, {len(tables[0])} lie here; copy them all.")
    if "train" not in found:
        raise UserError(f"{folder}: no training table here; expected train with one of {', '.join(FORMATS)}.")
    return found


def read_tables(paths: Sequence[Path], form: TextForm) -> Table:
    """Read a table that may be cut into several files of the same columns."""
    first, *others = (read_table(path, form) for path in paths)
    if not others:
        return first
    origin = str(paths[0].with_name(re.sub(r"-\d+-of-\d+", "-*", paths[0].name)))
    parts = (first, *others)
    return Table(origin, first.names, lambda name: [x for part in parts for x in part.column(name)], first.class_names)


def read_table(path: Path, form: TextForm = AS_USUAL) -> Table:
    """Read a table by its suffix.

    CSV is quoted as usual; TSV is never quoted, a quote there is text like any other.

    Raises:
        UserError: unknown suffix, unreadable or corrupt file.
    """
    readers = {".csv": read_csv, ".tsv": read_tsv, ".jsonl": read_jsonl, ".parquet": read_parquet}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: cannot read a table of the kind '{path.suffix}'; allowed: {', '.join(FORMATS)}.")
    return readers[path.suffix.lower()](path, form)


def read_csv(path: Path, form: TextForm) -> Table:
    """Read separated rows below a header; quoted fields may hold separators, quotes and line ends."""
    csv.field_size_limit(2**31 - 1)  # the module's default refuses texts beyond 131,072 characters
    text, separator = decode(path, form.encoding), form.separator or ","
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            if row:
                rows.append((reader.line_num, row))
    except csv.Error as error:
        hint = separator_hint([text.partition("\n")[0]], separator)
        raise UserError(f"{path}, line {reader.line_num}: broken quoting ({error}).{hint}") from None
    return _from_rows(path, rows)


def read_tsv(path: Path, form: TextForm, header: Sequence[str] | None = None) -> Table:
    """Read separated rows without quoting, below a header unless its names are given here."""
    lines, separator = _lines(path, form), form.separator or "\t"
    rows = [(number, line.split(separator)) for number, line in enumerate(lines, start=1) if line]
    return _from_rows(path, rows if header is None else [(0, list(header)), *rows])


def read_jsonl(path: Path, form: TextForm) -> Table:
    """Read one JSON object per line; a key that a line lacks is null there."""
    rows: list[dict] = []
    for number, line in enumerate(_lines(path, form), start=1):
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


def read_parquet(path: Path, form: TextForm) -> Table:
    """Open a Parquet file: only columns that are asked for are read, whatever types the others have.

    The label names that `datasets` stores in it are kept; text that was written as bytes is text.
    """
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None

    def column(name: str) -> list:
        try:
            values = pq.ParquetFile(path).read(columns=[name])[name]
            if pa.types.is_dictionary(values.type):
                values = values.cast(values.type.value_type)
            if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
                values = values.cast(pa.large_string())
            return values.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error, f"column '{name}' of ") from None

    return Table(str(path), tuple(schema.names), column, _stored_class_names(schema))


def separator_hint(header: Sequence[str], separator: str | None = None) -> str:
    """What to set where a header came out as one field because it is separated by something else; else nothing.

    >>> separator_hint(["text;label"])
    " The header looks separated by ';': set dataset.separator to it."
    """
    found = max((each for each in SEPARATORS if each != separator), key=header[0].count)
    if len(header) > 1 or found not in header[0] or (separator and separator in header[0]):
        return ""
    shown = "a tab: set dataset.separator to tab" if found == "\t" else f"'{found}': set dataset.separator to it"
    return f" The header looks separated by {shown}."


def class_names_of(features: Features) -> dict[str, tuple[str, ...]]:
    """Label names of the ClassLabel columns."""
    return {name: tuple(feature.names) for name, feature in features.items() if isinstance(feature, ClassLabel)}


def _stored_class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Label names of the ClassLabel columns, by what `datasets` stored beside the schema."""
    stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = (stored.get("info") or {}).get("features") or {}
    labels = {name: each for name, each in features.items() if isinstance(each, dict) and "names" in each}
    return {name: tuple(each["names"]) for name, each in labels.items() if each.get("_type") == "ClassLabel"}


def _unreadable(path: Path, error: Exception, what: str = "") -> UserError:
    reason = str(error).splitlines()[0]
    return UserError(f"{what}{path}: not a readable Parquet file ({reason}).")


def _lines(path: Path, form: TextForm) -> list[str]:
    """Not `splitlines()`: it also cuts at characters that may stand inside a text, such as U+2028."""
    return decode(path, form.encoding).replace("\r\n", "\n").replace("\r", "\n").split("\n")


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
            hint = separator_hint(header)
            raise UserError(f"{path}, line {number}: {len(row)} fields, but the header has {len(header)}.{hint}")
    columns = dict(zip(header, map(list, zip(*(row for _, row in body), strict=True)), strict=True)) if body else {}
    return Table(str(path), tuple(header), lambda name: columns.get(name, []))
