"""The folders of a recipe's run as W&B artifacts: which stage made each of them, and from which others.

Teacher, transfer set, student and cascade form a chain: the run of each stage uses the artifacts of the folders that it
read and logs that of the folder that it wrote. An artifact is its contents, so a folder that was made by an earlier
`run` is the same artifact again. Offline as well: what is used stands in the run's own file, until `wandb sync`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from tangodistill.report.tracking import RunLogger

KIND_OF = {"cascade.json": "cascade", "model.safetensors": "model", "dataset_info.json": "transfer-set"}
"""File that tells what a folder holds -> type of its artifact."""
BY_REFERENCE = ".arrow"
"""Ending of the files of which W&B gets the path and the checksum only."""


def log_folder(folder: Path, inputs: Sequence[Path], logger: Mapping[str, Any]) -> None:
    """Logs a finished stage's folder as made from the folders of other stages, and closes the stage's W&B run.

    A stage without a trainer gets a run here. Without the server nothing fails and nothing waits.

    Args:
        folder: what the stage wrote, at the place where it stays: files are read from there when they are sent.
        inputs: folders that the stage read.
        logger: arguments of the stage's ``RunLogger``, ``group`` and ``job_type`` among them.
    """
    try:
        made = folder_artifact(folder, logger["group"])
        if made is None or (run := _run_of(logger)).disabled:
            return
        settings = json.loads((folder / "stage.json").read_text(encoding="utf-8"))["settings"]
        run.config.update({"settings": settings}, allow_val_change=True)
        for artifact in filter(None, (folder_artifact(each, logger["group"]) for each in inputs)):
            _use(run, artifact)
        run.log_artifact(made)
    except (wandb.Error, OSError, ValueError) as error:
        print(f"{folder} is not among W&B's artifacts: {error}")
    finally:
        wandb.finish()


def folder_artifact(folder: Path, group: str) -> wandb.Artifact | None:
    """The artifact of a model folder, a transfer set or a cascade; None for a folder of another kind.

    Weights and small files belong to it. The texts of a transfer set stay where they are: the artifact holds their
    manifest, their place and their checksum.
    """
    kind = next((kind for name, kind in KIND_OF.items() if (folder / name).is_file()), None)
    if kind is None:
        return None
    artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", f"{group}-{folder.name}"), kind)
    root = folder.resolve()
    for path in sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")):
        name = str(path.relative_to(root))
        if path.suffix == BY_REFERENCE:
            artifact.add_reference(f"file://{path}", name=name)
        else:
            artifact.add_file(str(path), name=name, policy="immutable", skip_cache=True)  # no second copy on this disk
    return artifact


def _run_of(logger: Mapping[str, Any]) -> Any:
    """The W&B run in which the stage was trained or measured, else a new one."""
    run = wandb.run
    if run is not None and (run.group, run.job_type) == (logger["group"], logger["job_type"]):
        return run
    new = RunLogger(**logger)
    run = new.experiment
    new.finalize("success")
    return run


def _use(run: Any, artifact: wandb.Artifact) -> None:
    """``run.use_artifact``, which refuses offline, and online waits for the server."""
    run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
