"""Reads a finished run from its folder, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from tangodistill.cascade.examples import Examples, examples_of
from tangodistill.cascade.intervals import Interval, summary_intervals
from tangodistill.cascade.outcomes import Outcomes
from tangodistill.user_error import UserError


@dataclass(frozen=True)
class Measured:
    """What the cascade stage wrote into one folder."""

    summary: dict
    points: pd.DataFrame
    """operating_points.parquet"""
    predictions: pd.DataFrame
    calibration: pd.DataFrame
    batch_times: pd.DataFrame
    early_exit: pd.DataFrame | None = None
    """early_exit_points.parquet, where a DeeBERT model was measured too"""
    dynamic: pd.DataFrame | None = None
    """dynamic_tinybert.parquet, where a Dynamic-TinyBERT was measured by itself too"""
    examples_beside: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Of `deebert` and `dynamic_tinybert`, where measured, early_exit_examples.parquet and its like"""

    @property
    def metric(self) -> str:
        return self.summary["metric"]

    @property
    def cascade(self) -> pd.DataFrame:
        """The cascade's operating points, from no deferral to full."""
        return self.points[self.points["kind"] == "cascade"].sort_values("deferral_rate")

    @property
    def second_only(self) -> pd.Series:
        return self.points[self.points["kind"] == "second_only"].iloc[0]

    @property
    def first_only(self) -> pd.Series:
        return self.cascade.iloc[0]

    def point_at(self, deferral_rate: float) -> pd.Series:
        """The operating point nearest to a deferral rate."""
        return self.cascade.iloc[int((self.cascade["deferral_rate"] - deferral_rate).abs().argmin())]

    def share_of_second(self, value: float) -> float | None:
        """A metric's value as a share of the second tier's; None where that is not above zero."""
        reference = self.second_only[self.metric]
        return value / reference if reference > 0 else None

    @property
    def busy(self) -> bool:
        """Whether other work disturbed the times; of runs before there was `load`, as it was when they began."""
        return bool((self.summary.get("load") or self.summary.get("machine") or {}).get("busy"))

    @property
    def counted(self) -> str:
        """What the intervals are over, in words."""
        groups, n = self.examples.groups, f"{self.summary['n']:,}"
        count = self.summary["n"] if groups is None else len(set(groups.tolist()))
        return f"{n} rows" if count == self.summary["n"] else f"{n} rows in {count:,} groups"

    @property
    def outcomes(self) -> Outcomes:
        """Both tiers' outcomes on the report examples."""
        return self.examples.outcomes

    @cached_property
    def examples(self) -> Examples:
        """The report examples."""
        return examples_of(self.summary, self.predictions, self.batch_times, self.examples_beside)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """By name, 95 % intervals; of a run that was measured before they were written, from its examples."""
        return self.summary.get("intervals") or summary_intervals(self.summary, self.examples)


def read_measured(folder: Path) -> Measured:
    """Read the cascade stage's files.

    Raises:
        UserError: a file is missing or broken; names the command that makes it.
    """
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{folder / missing[0]} not found. The cascade stage writes it: "
            f"`python -m tangodistill run RECIPE --out {folder.parent}`, or `validate --config` with its cascade.yaml."
        )
    try:
        summary = json.loads((folder / _FILES[0]).read_text(encoding="utf-8"))
        absent = [key for key in _KEYS if key not in summary]
        if absent:
            raise ValueError(f"summary.json lacks {', '.join(absent)}")
        tables = (pd.read_parquet(folder / name) for name in _FILES[1:])
        beside = (pd.read_parquet(folder / file) if kind in summary else None for kind, file in _POINTS_BESIDE.items())
        examples = {kind: pd.read_parquet(folder / file) for kind, file in _EXAMPLES_BESIDE.items() if kind in summary}
        return Measured(summary, *tables, *beside, examples)
    except (ValueError, OSError) as error:
        raise UserError(
            f"{folder} holds a broken file ({error}). Write it anew: "
            f"`python -m tangodistill run RECIPE --out {folder.parent} --force cascade`."
        ) from error


_FILES = (
    "summary.json",
    "operating_points.parquet",
    "predictions.parquet",
    "calibration_predictions.parquet",
    "batch_times.parquet",
)

_POINTS_BESIDE = {"deebert": "early_exit_points.parquet", "dynamic_tinybert": "dynamic_tinybert.parquet"}
"""Key in the summary -> file that is there if it is."""

_EXAMPLES_BESIDE = {"deebert": "early_exit_examples.parquet", "dynamic_tinybert": "dynamic_tinybert_examples.parquet"}

_KEYS = (
    *("task", "split", "n", "metric", "label_names", "tiers", "chosen", "machine", "versions"),
    *("speedup_at_99", "speedup_at_98", "random", "oracle"),
)


def read_json_files(run: Path, name: str) -> dict[str, dict]:
    """Folder name -> contents of every ``<run>/<folder>/<name>`` that is a JSON object; the unreadable are left out."""
    found = {}
    for path in sorted(run.glob(f"[!.]*/{name}")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError):
            continue
        if isinstance(content, dict):
            found[path.parent.name] = content
    return found
