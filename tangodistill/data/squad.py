"""SQuAD 1.1: from its nested JSON, or its set on the hub, to one row per question."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, List, Value

from tangodistill.data.encodings import decode
from tangodistill.data.tables import Table, TextForm, read_jsonl, read_tables, table_files
from tangodistill.user_error import UserError

_FILES = {"train": ("train-v1.1.json", "train.json"), "validation": ("dev-v1.1.json", "dev.json")}
_COLUMNS = ("id", "title", "context", "question", "answers")
_PLACE = "place_in_file"
_FEATURES = Features(
    {name: Value("string") for name in ("example_id", "text", "text_pair")}
    | {"answers": List(Value("string")), "answer_starts": List(Value("int64")), "article": Value("string")}
)


def squad_files(folder: Path) -> dict[str, list[Path]]:
    """Files of the splits of a folder: the published JSON, or tables of the hub's columns.

    Raises:
        UserError: there is no training file.
    """
    found = {}
    for split, names in _FILES.items():
        paths = [folder / name for name in names if (folder / name).is_file()]
        if paths:
            found[split] = paths[:1]
    if "train" in found:
        return found
    if any(folder.glob("train*.parquet")) or (folder / "train.jsonl").is_file():
        return table_files(folder)
    others = ", ".join(sorted(path.name for path in folder.glob("*.json"))) or "no JSON files"
    raise UserError(
        f"{folder}: no {' or '.join(_FILES['train'])} here, but {others}; give the folder of SQuAD 1.1, or one with "
        "the hub's train.parquet or train.jsonl."
    )


def read_squad(paths: Sequence[Path], form: TextForm) -> Table:
    """Read SQuAD's JSON, or tables of the hub's columns, into those; an article without a title is called by its place.

    Raises:
        UserError: the file is unreadable, of another kind, or a part of it is missing or of the wrong kind.
    """
    path = paths[0]
    if path.suffix.lower() in (".parquet", ".jsonl"):
        return read_tables(paths, form)
    if path.suffix.lower() not in (".json", ""):
        raise UserError(
            f"{path}: squad is read from its JSON files, or from JSONL or Parquet with the columns "
            f"{', '.join(_COLUMNS)}, not from '{path.suffix}'."
        )
    text = decode(path, form.encoding)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one object a line, by another name
            return read_jsonl(path, form)
        raise UserError(f"{path}, line {error.lineno}: not valid JSON ({error.msg}, column {error.colno}).") from None
    rows = list(_questions(_Node(document, str(path), "")))
    return Table(str(path), (*_COLUMNS, _PLACE), lambda name: [row[name] for row in rows])


def to_questions(table: Table) -> Dataset:
    """Columns example_id, text (the question), text_pair (the context), answers, answer_starts, article.

    Raises:
        UserError: a question without an answer, an answer that is not where it should be, an id that comes twice.
    """
    if missing := set(_COLUMNS) - set(table.names):
        raise UserError(
            f"{table.origin}: no column '{min(missing)}'; it has: {', '.join(table.names)}. "
            f"The columns of SQuAD are needed: {', '.join(_COLUMNS)}."
        )
    ids, titles, contexts, questions, answers = map(table.column, _COLUMNS)
    ids = [str(key) if isinstance(key, int) else key for key in ids]
    answers = [_as_lists(found) for found in answers]
    if not ids:
        raise UserError(f"{table.origin}: no questions.")
    places = table.column(_PLACE) if _PLACE in table.names else [f"row {row}" for row in range(1, len(ids) + 1)]
    first: dict[str, str] = {}
    for place, key, *texts, found in zip(places, ids, titles, contexts, questions, answers, strict=True):
        where = f"{table.origin}, {place}"
        for name, text in zip(_COLUMNS, (key, *texts), strict=False):
            _check_text(text, name, where)
        if first.setdefault(key, place) != place:
            raise UserError(f"{where}: the id '{key}' was used in {first[key]} already.")
        _check_answers(found, context=texts[1], where=where)
    return Dataset.from_dict(
        {
            "example_id": ids,
            "text": questions,
            "text_pair": contexts,
            "answers": [found["text"] for found in answers],
            "answer_starts": [found["answer_start"] for found in answers],
            "article": titles,
        },
        features=_FEATURES,
    )


@dataclass(frozen=True)
class _Node:
    """A part of a JSON document that knows where it stands."""

    value: Any
    origin: str
    place: str

    def get(self, key: str) -> Any:
        where = f"{self.origin}, {self.place or 'top level'}"
        if not isinstance(self.value, dict):
            raise UserError(f"{where}: expected an object with the key '{key}', found {type(self.value).__name__}.")
        if key not in self.value:
            raise UserError(f"{where}: no key '{key}'; files of SQuAD 1.1 have it.")
        return self.value[key]

    def each(self, key: str) -> Iterator["_Node"]:
        parts, place = self.get(key), f"{self.place}.{key}".lstrip(".")
        if not isinstance(parts, list):
            raise UserError(f"{self.origin}, {place}: expected a list, found {type(parts).__name__}.")
        return (_Node(part, self.origin, f"{place}[{number}]") for number, part in enumerate(parts))


def _questions(document: _Node) -> Iterator[dict[str, Any]]:
    """Each question as the hub's set has it, and its place."""
    for article in document.each("data"):
        for paragraph in article.each("paragraphs"):
            for asked in paragraph.each("qas"):
                key = asked.get("id")
                answers = [] if asked.value.get("is_impossible") else list(asked.each("answers"))
                yield {
                    "id": str(key) if isinstance(key, int) else key,
                    "title": article.value.get("title", article.place),
                    "context": paragraph.get("context"),
                    "question": asked.get("question"),
                    "answers": {name: [answer.get(name) for answer in answers] for name in ("text", "answer_start")},
                    _PLACE: asked.place,
                }


def _as_lists(answers: Any) -> Any:
    """A list of answers as the hub's lists of their texts and starts; all else as it is."""
    if not isinstance(answers, list) or not all(isinstance(each, dict) for each in answers):
        return answers
    return {name: [each.get(name) for each in answers] for name in ("text", "answer_start")}


def _check_text(text: Any, name: str, where: str) -> None:
    if not isinstance(text, str):
        raise UserError(f"{where}: {name} is {text!r}, a {type(text).__name__}; it must be a string.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise UserError(f"{where}: half a character (a lone surrogate) in {name}.")


def _check_answers(answers: Any, context: str, where: str) -> None:
    if not isinstance(answers, dict) or not {"text", "answer_start"} <= set(answers):
        raise UserError(f"{where}: answers must hold lists named text and answer_start, found {answers!r}.")
    if not answers["text"]:
        raise UserError(
            f"{where}: a question without an answer, as SQuAD 2 has them, is not supported; leave it out, "
            "or give SQuAD 1.1."
        )
    for text, start in zip(answers["text"], answers["answer_start"], strict=True):
        _check_text(text, "an answer's text", where)
        if not text or not isinstance(start, int) or start < 0 or not context.startswith(text, start):
            found = context[start : start + len(text)] if isinstance(start, int) and start >= 0 else "nothing"
            raise UserError(
                f"{where}: the answer '{text}' is not in its context at answer_start {start}, which reads '{found}'; "
                "count its characters from 0."
            )
