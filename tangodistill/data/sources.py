"""Where labelled data comes from: one configuration, one result, whatever the source."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasets import Dataset

from tangodistill.data.examples import choose_text_columns, read_labels, to_dataset
from tangodistill.data.glue_folder import glue_files, read_glue
from tangodistill.data.hub import hub_revision, read_hub
from tangodistill.data.labels import given_label_names, infer_label_names, label_ids, label_text
from tangodistill.data.packages import resolve
from tangodistill.data.squad import read_squad, squad_files, to_questions
from tangodistill.data.tables import FORMATS, Table, TextForm, read_tables, table_files
from tangodistill.tasks import Task, get_task
from tangodistill.user_error import UserError

METRICS = {"classification": ("accuracy", "f1", "mcc"), "spans": ("f1", "em")}
SHORTEST_LENGTH = 8  # two texts, and the special tokens around them


@dataclass
class DatasetConfig:
    """The labelled data of a stage.

    Args:
        source: a GLUE folder as published; a CSV, TSV (never quoted), JSONL or Parquet file; a folder holding
            train, validation and test tables of those kinds; SQuAD 1.1 as its JSON, or as tables of the hub's columns;
            a data set on the Hugging Face hub; or package:snippets.
        task: sst2, cola, mrpc, qnli, squad, or custom for data of your own.
        text_columns: one column, or two for pairs of texts; by default the task's, for custom data text.
        label_column: by default label.
        label_names: the classes in the order of their ids, written as in the data, in quotes; by default the task's,
            or those in the data, sorted. A CSV's labels are text as it stands (1.0 is not 1); numbers and booleans of
            JSON and Parquet are named as Python writes them: 1, 1.0, True.
        label_ids: the data's labels are ids, places in label_names, and not names themselves.
        metric: accuracy, f1 or mcc, for squad f1 or em; by default the task's, for custom data accuracy. F1 of more
            than two classes is their mean (macro).
        positive: the class of two that F1 is of; by default the rarer one of the training split, of a published task
            the second.
        max_length: tokens of a text, or of squad's windows, special tokens included; by default the task's, and of own
            data as many as hold 99 % of the training texts whole.
        validation: file or hub set to use as the validation split.
        test: file or hub set to use as the labelled test split.
        seed: of the slices cut from the training split.
        separator: of CSV and TSV files, one character such as ; or tab; by default the comma, of TSV the tab.
        encoding: of text files, such as cp1252 or utf-16; by default UTF-8, or what a file's byte-order mark says.
    """

    source: str
    task: str = "custom"
    text_columns: list[str] | None = None
    label_column: str | None = None
    label_names: list[str] | None = None
    label_ids: bool = False
    metric: str | None = None
    positive: str | None = None
    max_length: int | None = None
    validation: str | None = None
    test: str | None = None
    seed: int = 0
    separator: str | None = None
    encoding: str | None = None


@dataclass
class LabelledData:
    """Labelled splits in one shape: columns example_id, text, (text_pair,) label; of spans those of `to_questions`."""

    task: Task
    splits: dict[str, Dataset]
    files: dict[str, str]
    """What each split was read from, in short."""
    fingerprint: str


def load_labelled(config: DatasetConfig) -> LabelledData:
    """Read every labelled split of a source.

    Raises:
        UserError: anything that is wrong with the configuration or the data.
    """
    task = _task_of(config)
    tables = _open(config, task)
    if task.kind == "spans":
        splits = {split: to_questions(table) for split, table in tables.items()}
    else:
        task, splits = _classified(config, task, tables)
    _check_ids(splits, tables)
    files = {split: table.short_origin for split, table in tables.items()}
    return LabelledData(task, splits, files, dataset_fingerprint(config))


def dataset_fingerprint(config: DatasetConfig) -> str:
    """SHA-256 of the contents of the source's files (of a hub set: its name and commit), without parsing them.

    Raises:
        UserError: a file is missing, or the hub unreachable.
    """
    task = _task_of(config)
    digest = hashlib.sha256()
    sources = {"": config.source, "validation": config.validation, "test": config.test}
    for split, source in sources.items():
        if source is None:
            continue
        files = _local_files(source, task)
        if files is None:
            digest.update(f"{split} {source} {hub_revision(source)}\n".encode())
        for name, path in ((name, path) for name, paths in (files or {}).items() for path in paths):
            with path.open("rb") as file:
                digest.update(f"{split or name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _classified(config: DatasetConfig, task: Task, tables: dict[str, Table]) -> tuple[Task, dict[str, Dataset]]:
    """The task with the columns and classes found, and the splits with labels as class ids."""
    labels = {split: read_labels(table, task) for split, table in tables.items()}
    given_names = task.label_names or tables["train"].class_names.get(task.label_column, ())
    names = given_names or infer_label_names(labels["train"], tables["train"].origin)
    published = config.label_names is None and task.label_names
    columns = {split: choose_text_columns(table, task, config.text_columns) for split, table in tables.items()}
    splits = {
        split: to_dataset(
            split,
            table,
            columns[split],
            # a published task's files hold names or ids, and its names are words
            label_ids(
                labels[split],
                names,
                table.origin,
                are_ids=config.label_ids or bool(published and not set(names) & set(labels[split])),
            ),
        )
        for split, table in tables.items()
    }
    if len(present := set(labels["train"])) == 1:
        raise UserError(
            f"{tables['train'].origin}: every row has the label '{present.pop()}'; at least two classes are needed."
        )
    positive = _positive_class(config, names, splits["train"]["label"][:])
    return replace(task, text_columns=columns["train"], label_names=tuple(names), positive=positive), splits


def _positive_class(config: DatasetConfig, names: Sequence[str], labels: Sequence[int]) -> str | None:
    """The class of two that F1 is of; None where there are more."""
    if config.positive is not None and len(names) > 2:
        raise UserError(
            f"dataset.positive is '{config.positive}', but there are {len(names)} classes, whose F1 is the mean over "
            "the classes (macro F1); leave it out."
        )
    positive = config.positive and label_text(config.positive)
    if positive is not None and positive not in names:
        raise UserError(f"dataset.positive is '{positive}'; allowed: {', '.join(names)}.")
    if len(names) > 2:
        return None
    first_is_rarer = config.task == "custom" and labels.count(0) < labels.count(1)
    return positive or names[0 if first_is_rarer else 1]


def _check_ids(splits: dict[str, Dataset], tables: dict[str, Table]) -> None:
    """Refuse an id that two splits use."""
    split_of: dict[str, str] = {}
    for split, rows in splits.items():
        for value in rows["example_id"][:]:
            if (first := split_of.setdefault(value, split)) != split:
                raise UserError(
                    f"{tables[split].origin}: example_id '{value}' is one of {tables[first].origin} too; "
                    "ids must differ across the splits."
                )


def _task_of(config: DatasetConfig) -> Task:
    """The task's record with what the configuration says otherwise."""
    task = get_task(config.task)
    metrics = METRICS[task.kind]
    if config.metric not in (None, *metrics):
        raise UserError(f"dataset.metric is '{config.metric}'; allowed: {', '.join(metrics)}.")
    if task.kind == "spans":
        _refuse_columns(config)
    if config.text_columns is not None and len(config.text_columns) not in (1, 2):
        raise UserError(f"dataset.text_columns names {len(config.text_columns)} columns; give one, or two for pairs.")
    if config.label_ids and not (config.label_names or task.label_names):
        raise UserError("dataset.label_ids says that labels are ids; name their classes in dataset.label_names.")
    if config.max_length is not None and config.max_length < SHORTEST_LENGTH:
        raise UserError(f"dataset.max_length is {config.max_length}; at least {SHORTEST_LENGTH} tokens are needed.")
    return replace(
        task,
        label_column=config.label_column or task.label_column,
        label_names=given_label_names(config.label_names or task.label_names, "dataset.label_names"),
        metric=config.metric or task.metric,
        max_length=config.max_length or task.max_length,
    )


def _refuse_columns(config: DatasetConfig) -> None:
    for name in ("text_columns", "label_column", "label_names", "label_ids", "positive"):
        if getattr(config, name) not in (None, False):
            raise UserError(
                f"dataset.{name} is set, but {config.task} has columns of its own, and spans in place of labels; "
                "leave it out."
            )


def _text_form(config: DatasetConfig) -> TextForm:
    separator = {"tab": "\t", "\\t": "\t"}.get(config.separator, config.separator)
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise UserError(f"dataset.separator is {separator!r}; give one character, such as ; or tab.")
    return TextForm(separator, config.encoding)


def _local_files(source: str, task: Task) -> dict[str, list[Path]] | None:
    """Files of the splits of a source; None if it can only be a hub set."""
    path = Path(resolve(source)).expanduser()
    if path.is_dir():
        if task.kind == "spans":
            return squad_files(path)
        if task.glue_folder:
            return {split: [file] for split, file in glue_files(path, task).items()}
        return table_files(path)
    if path.is_file():
        return {"train": [path]}
    if path.suffix.lower() in (*FORMATS, ".json") or len(path.parts) > 2 or source.startswith((".", "/", "~")):
        raise UserError(f"{source}: no such file or folder. Give a table or a folder (of `run`: --data FILE).")
    return None


def _open(config: DatasetConfig, task: Task) -> dict[str, Table]:
    """Read the source, then what validation and test name in place of its splits."""
    form = _text_form(config)
    tables = _read(config.source, task, form)
    if "train" not in tables:
        raise UserError(f"{config.source}: this hub set has no labelled train split.")
    for split, source in (("validation", config.validation), ("test", config.test)):
        if source is None:
            continue
        found = _read(source, task, form)
        if split not in found and len(found) > 1:
            raise UserError(f"{source}: no labelled {split} split here.")
        tables[split] = found.get(split) or next(iter(found.values()))
    return tables


def _read(source: str, task: Task, form: TextForm) -> dict[str, Table]:
    """The labelled splits of a folder or hub set; a single file is its own train split."""
    files = _local_files(source, task)
    if files is None:
        return read_hub(source, task)
    if task.kind == "spans":
        return {split: read_squad(paths, form) for split, paths in files.items()}
    if task.glue_folder and Path(source).expanduser().is_dir():
        return {split: read_glue(path, task) for split, (path,) in files.items()}
    return {split: read_tables(paths, form) for split, paths in files.items()}
