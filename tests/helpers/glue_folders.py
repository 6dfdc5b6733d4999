"""GLUE folders in the layout that GLUE publishes, filled with the small texts that tiny models learn."""

import csv
from pathlib import Path

from separable import write_table

MRPC_HEADER = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
QNLI_NAMES = {"positive": "entailment", "negative": "not_entailment"}


def write_glue(folder: Path, task: str) -> Path:
    """The files of `sst2`, `cola`, `qnli` or `mrpc`: 400 training rows, 100 of dev, and where the task has it a test.

    MRPC's files open with a byte-order mark and hold bare quotes; CoLA's have no header.
    """
    folder.mkdir()
    with write_table(folder / "all.csv", pairs=task in ("qnli", "mrpc")).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    (folder / "all.csv").unlink()
    last = {"sst2": "test_labelled", "mrpc": "test"}.get(task)
    parts = {"train": rows[:400], "dev": rows[400:500]} | ({last: rows[500:]} if last else {})
    encoding = "utf-8-sig" if task == "mrpc" else "utf-8"
    for name, part in parts.items():
        lines = [*_HEADERS.get(task, []), *(_LINES[task](i, row) for i, row in enumerate(part))]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding=encoding)
    return folder


def _is_positive(row: dict[str, str]) -> int:
    return int(row["label"] == "positive")


_HEADERS = {"sst2": ["sentence\tlabel"], "qnli": ["index\tquestion\tsentence\tlabel"], "mrpc": [MRPC_HEADER]}
_LINES = {
    "sst2": lambda i, row: f"{row['text']}\t{_is_positive(row)}",
    "cola": lambda i, row: f"gj04\t{_is_positive(row)}\t{'' if _is_positive(row) else '*'}\t{row['text']}",
    "qnli": lambda i, row: f"{i}\t{row['text_pair']}\t{row['text']}\t{QNLI_NAMES[row['label']]}",
    "mrpc": lambda i, row: f'{_is_positive(row)}\t{i}\t{i + 10**6}\t"{row["text"]}\t{row["text_pair"]} "it',
}
