"""Checkpoint files that a kill or a full disk leaves whole."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place, then renames it.

    Lightning's own writes into the system's temporary folder and moves the file from there. Where that is another disk
    the move is a copy, of which a kill leaves half, over the checkpoint that was there; and it may be a small disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")
        with partial.open("wb") as file:  # given a path, torch would report a full disk as a bug of its own
            torch.save(checkpoint, file)
        os.replace(partial, path)
