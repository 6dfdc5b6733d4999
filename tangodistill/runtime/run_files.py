"""The measured files of a cascade folder."""

import json
from pathlib import Path

import pandas as pd

from tangodistill.user_error import UserError


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


def read_metric(folder: Path) -> str:
    """The metric that the cascade was measured by.

    Raises:
        UserError: summary.json is missing or damaged.
    """
    try:
        return json.loads((folder / "summary.json").read_text(encoding="utf-8"))["metric"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"Cannot read {folder / 'summary.json'} ({error}). Run the cascade stage again.") from error
