"""export.json: how each format of a tier agrees with PyTorch, and so which may answer."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tangodistill.data.contents import model_hash
from tangodistill.engines.tier_record import EXPORT_RECORD
from tangodistill.tuning.measured_files import CHOSEN_ON
from tangodistill.user_error import UserError


@dataclass
class Agreement:
    """How a format of a tier answers the n selection examples, beside PyTorch in fp32, equally shortened."""

    tier: int
    key: str
    """Engine, precision, and length configuration where it is not the tier's own."""
    metric: float | None
    """This and what follows is None for a format that could not be written or run."""
    torch_metric: float
    same_labels: float | None
    """Share of the examples with the same label, or the same span."""
    max_difference: float | None
    """Of any logit, or of the spans' probabilities."""
    refused: str | None = None
    """Why it may not be used."""
    role: str = CHOSEN_ON
    """Of the examples."""
    not_finite: int = 0
    """Examples for which it gave no finite numbers."""
    weights: str = ""
    """Hash of the tier's folder."""


def write_agreements(folder: Path, found: list[Agreement]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{EXPORT_RECORD}"
    partial.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n", encoding="utf-8")
    os.replace(partial, folder / EXPORT_RECORD)


def accepted(folder: Path, tier: int) -> list[str]:
    """Formats of a tier that may answer, PyTorch's own in fp32 first.

    Raises:
        UserError: nothing was exported here, or formats were accepted on another role.
    """
    return ["torch-fp32", *(row["key"] for row in _recorded(folder) if row["tier"] == tier and not row["refused"])]


def refuse_other_weights(folder: Path, tiers: Sequence[Path]) -> None:
    """Raises UserError where a tier holds other weights than those whose formats were checked in a folder."""
    held = {tier: model_hash(path) for tier, path in enumerate(tiers, 1)}
    for row in _recorded(folder):
        if row.get("weights", "") not in ("", held[row["tier"]]):
            raise UserError(
                f"{folder / EXPORT_RECORD} is of other weights than {tiers[row['tier'] - 1]} holds. Run "
                "`python -m tangodistill export` again."
            )


def _recorded(folder: Path) -> list[dict[str, Any]]:
    path = folder / EXPORT_RECORD
    if not path.is_file():
        raise UserError(f"{path} is missing: nothing was exported. Run `python -m tangodistill export` first.")
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read {path} ({error}). Run `python -m tangodistill export` again.") from error
    if any(row.get("role") != CHOSEN_ON for row in rows):
        raise UserError(
            f"{path} is of an earlier version, which accepted formats on the calibration role, where thresholds are "
            "tested. Run `python -m tangodistill export` again."
        )
    return rows
