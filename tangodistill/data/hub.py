"""Data sets on the Hugging Face hub."""

from contextlib import nullcontext
from pathlib import Path

import datasets
from datasets import load_dataset
from datasets.naming import camelcase_to_snakecase
from huggingface_hub import HfApi

from tangodistill.data.hub_access import spare_the_wait
from tangodistill.data.tables import Table, class_names_of
from tangodistill.progress import Progress, on_terminal
from tangodistill.tasks import Task
from tangodistill.user_error import UserError


def read_hub(name: str, task: Task) -> dict[str, Table]:
    """Fetch a data set's labelled splits: the task's configuration if it is the task's own set.

    Raises:
        UserError: the hub is unreachable, or has no such set.
    """
    configuration = _configuration(name, task)
    spare_the_wait(name)
    try:
        with nullcontext() if on_terminal() else Progress(f"fetch {name}"):
            splits = load_dataset(name, configuration)
    except (ConnectionError, OSError, ValueError) as error:
        raise _unreachable(name, error) from None
    tables = {}
    for split in ("train", "validation", "test"):
        if split not in splits:
            continue
        rows = splits[split]
        # a hidden label is published as -1
        if task.label_column in rows.column_names and set(rows[task.label_column][:]) == {-1}:
            continue
        origin = f"{name} ({configuration}), {split}" if configuration else f"{name}, {split}"
        tables[split] = Table(
            origin, tuple(rows.column_names), lambda column, rows=rows: rows[column][:], class_names_of(rows.features)
        )
    return tables


def hub_revision(name: str) -> str:
    """Commit of the data set: the hub's newest, or without a network the newest that was fetched.

    Raises:
        UserError: neither is known.
    """
    spare_the_wait(name)
    try:
        return HfApi().dataset_info(name).sha
    except Exception as error:  # the errors of the HTTP client below the hub library: it has changed clients before
        *namespace, base = name.split("/")
        folder = Path(datasets.config.HF_DATASETS_CACHE, "___".join([*namespace, camelcase_to_snakecase(base)]))
        # configuration, version, commit: the layout that load_dataset itself falls back to
        fetched = sorted(folder.glob("*/*/*/dataset_info.json"), key=lambda path: path.stat().st_mtime)
        if not fetched:
            raise _unreachable(name, error) from None
        return fetched[-1].parent.name


def _configuration(name: str, task: Task) -> str | None:
    return task.hub[1] if task.hub and task.hub[0] == name else None


def _unreachable(name: str, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(
        f"'{name}' is neither a file or folder here nor could it be fetched from the Hugging Face hub ({reason}). "
        "Without the hub, give dataset.source (--data) a local path: a GLUE folder, a CSV, TSV, JSONL or Parquet "
        "file, a folder of train, validation and test tables, or for squad the folder of its JSON files."
    )
