"""The calibration role's answers and times, as far as they hold for what would serve here; where not, made anew."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tangodistill.cascade.timing import Timing, timing_of
from tangodistill.predictor.cascade_folder import CascadeRecord
from tangodistill.predictor.setup import Setup
from tangodistill.tuning.measured_files import read_table, setup_of
from tangodistill.tuning.recalibrate import recalibrate, tuned_batch_times
from tangodistill.user_error import UserError

TUNE = "Run `python -m tangodistill tune` on the folder here, then choose again."


@dataclass(frozen=True)
class Calibration:
    """Examples, each tier's answers to them, and times."""

    rows: pd.DataFrame
    timing: Timing
    elsewhere: str | None
    """How the times were measured, where that is not how the cascade would serve here; None: they hold."""


def read_calibration(folder: Path, record: CascadeRecord, now: Setup, needs_times: bool) -> Calibration:
    """What is stored, or, where `tune` has run here since, all of it made anew.

    Args:
        now: setup of the record here.
        needs_times: whether they must hold here.

    Raises:
        UserError: answers, or times that are needed, are of something else, and nothing was tuned here.
    """
    rows, batches = read_table(folder, "calibration_predictions"), read_table(folder, "batch_times")
    then = setup_of(folder, rows)
    elsewhere = now.other_times(then)
    if elsewhere and _is_tuned(folder, now):
        recalibrate(folder, record, now)
        rows, then, elsewhere = read_table(folder, "calibration_predictions"), now, None
    if answered := now.other_answers(then):
        raise UserError(f"{folder}: its calibration role was answered {answered}. {TUNE}")
    if elsewhere and needs_times:
        raise UserError(f"{folder}: its times were measured {elsewhere}, so they say nothing of --max-ms here. {TUNE}")
    if not elsewhere and now.other_times(setup_of(folder, batches)):  # only the examples one at a time were made anew
        batches = tuned_batch_times(folder, now)
    sizes = [_best_size(batches, number, tier.batch_size) for number, tier in enumerate(then.tiers, 1)]
    return Calibration(rows, timing_of(rows, batches, sizes), elsewhere)


def _is_tuned(folder: Path, now: Setup) -> bool:
    try:
        tuned_batch_times(folder, now)
    except UserError:
        return False
    return True


def _best_size(batches: pd.DataFrame, tier: int, recorded: int) -> int:
    """The best batch size as recorded; where that is not known, the fastest of those that were measured."""
    own = batches[batches["tier"] == tier]
    if recorded in own["batch_size"].to_numpy():
        return recorded
    per_example_s = own["seconds"] / own["n"]
    return int(own["batch_size"].to_numpy()[np.argmin(per_example_s)])
