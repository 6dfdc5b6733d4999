"""The measured files of a cascade folder."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tangodistill.engines.engine_key import engine_key
from tangodistill.metrics import metric_title, positive_id
from tangodistill.predictor.setup import Setup, TierSetup
from tangodistill.user_error import UserError

CHOSEN_ON = "selection"
"""The role that engines, formats and length configurations are chosen on. Thresholds are tested on another."""
SELECTION = "selection_examples"
"""The table of its examples."""
SETUP = "setup"  # of a table, in its file's metadata


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """One of the folder's parquet files.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / f"{name}.parquet"
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read {path} ({error}). Run the cascade stage again.") from error


def write_table(folder: Path, name: str, table: pd.DataFrame, setup: Setup) -> None:
    """Replace one of the folder's parquet files in one step; what it was measured with goes along with it."""
    table.attrs = {SETUP: asdict(setup)}
    partial = folder / f".{name}.{os.getpid()}.parquet"
    table.to_parquet(partial, index=False)
    os.replace(partial, folder / f"{name}.parquet")


def setup_of(folder: Path, table: pd.DataFrame) -> Setup:
    """What a table was measured with. Of one that an earlier version wrote only the engines are known.

    Raises:
        UserError: summary.json is missing or damaged.
    """
    if SETUP in table.attrs:
        return Setup.of(table.attrs[SETUP])
    return Setup(tuple(map(TierSetup, read_keys(folder))))


@dataclass(frozen=True)
class MeasuredMetric:
    """What a cascade was measured by."""

    name: str
    label_names: tuple[str, ...]
    positive: str | None
    """The class of two that F1 is of; None: the second."""

    @property
    def title(self) -> str:
        """What it is called wherever somebody reads it."""
        return metric_title(self.name, self.label_names, self.positive)

    @property
    def positive_id(self) -> int:
        return positive_id(self.label_names, self.positive)


def read_metric(folder: Path) -> MeasuredMetric:
    """The metric that the cascade was measured by.

    Raises:
        UserError: summary.json is missing or damaged.
    """
    return _summary(
        folder, lambda found: MeasuredMetric(found["metric"], tuple(found["label_names"]), found.get("positive"))
    )


def read_keys(folder: Path) -> list[str]:
    """Of each tier when the cascade was measured, as in cascade.json.

    Raises:
        UserError: summary.json is missing or damaged.
    """
    return _summary(folder, lambda summary: [_key(tier) for tier in summary["tiers"]])


def _key(tier: dict) -> str:
    return engine_key(tier["engine"], tier["precision"], tier.get("length_configuration"))


def _summary(folder: Path, part: Callable[[dict], Any]) -> Any:
    try:
        return part(json.loads((folder / "summary.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"Cannot read {folder / 'summary.json'} ({error}). Run the cascade stage again.") from error
