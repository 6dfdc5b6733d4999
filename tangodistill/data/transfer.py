"""Transfer sets on disk: unlabelled text in memory-mapped Arrow, with the teacher's logits once it is labelled."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, load_from_disk
from datasets.arrow_writer import ArrowWriter
from datasets.features import Features

from tangodistill.user_error import UserError

MANIFEST = "manifest.json"
MASK_TOKEN = "[MASK]"  # one word for a BERT teacher; the student's vocabulary keeps a row for it


def write_transfer_set(folder: Path, tables: Iterable[pa.Table], features: Features, manifest: dict[str, Any]) -> None:
    """Stream ``tables`` into an Arrow data set that ``datasets.load_from_disk`` maps; ``manifest.json`` comes last.

    The bytes depend on the rows alone, so two runs with the same rows write the same folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = "data-00000-of-00001.arrow"
    unfinished = folder / f"{name}.partial"
    with ArrowWriter(features=features, path=str(unfinished), fingerprint="transfer-set") as writer:
        for table in tables:
            writer.write_table(table)
        writer.finalize()
    os.replace(unfinished, folder / name)
    state = {
        "_data_files": [{"filename": name}],
        "_fingerprint": _sha256(folder / name)[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    write_json(folder / "state.json", state)
    write_json(folder / "dataset_info.json", {"citation": "", "description": "", "features": features.to_dict()})
    write_json(folder / MANIFEST, manifest)


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file is either the old one or the new one, never half of it."""
    unfinished = path.with_name(f"{path.name}.partial")
    unfinished.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_transfer_set(folder: str | Path, labelled: bool) -> tuple[Dataset, dict[str, Any]]:
    """The memory-mapped rows of a transfer set (``text``, ``text_pair`` for pairs, ``logits``), and its manifest.

    Raises:
        UserError: where the folder is no finished transfer set, a file of it is gone or damaged, or ``labelled`` is
            asked for and there are no logits.
    """
    folder, verb = Path(folder), "label" if labelled else "augment"
    if not (folder / MANIFEST).is_file():
        raise UserError(
            f"{folder} is no finished transfer set: it has no {MANIFEST}. "
            f"Write one with 'python -m tangodistill {verb}'."
        )
    try:
        rows = load_from_disk(str(folder))
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(
            f"{folder}: a file of this transfer set is gone or damaged ({reason}). "
            f"Write it anew: 'python -m tangodistill {verb}', or --force of its stage."
        ) from error
    if labelled and "logits" not in rows.column_names:
        raise UserError(f"{folder} has no teacher logits. Label it first: 'python -m tangodistill label'.")
    return rows, manifest


def teacher_logits(rows: Dataset) -> np.ndarray:
    """The logits of a labelled transfer set, ``(n, classes)`` float16, in the teacher's label order."""
    flat = rows.data.column("logits").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(rows), -1)
