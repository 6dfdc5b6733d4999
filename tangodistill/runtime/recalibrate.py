"""The calibration role's answers and times by the engines that a cascade runs on now, after `tune` changed them."""

import os
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from tangodistill.progress import Progress
from tangodistill.runtime.answers import check_finite, readout_of
from tangodistill.runtime.cascade_folder import CascadeRecord
from tangodistill.runtime.engines import Engine, recorded_engine
from tangodistill.runtime.measured_files import read_table
from tangodistill.runtime.tuned import tuned_for_this_cpu
from tangodistill.user_error import UserError

WARMUP = 10  # examples


def recalibrate(folder: Path, record: CascadeRecord) -> None:
    """Rewrite calibration_predictions.parquet: each text through both tiers once, one at a time, and timed.

    Raises:
        UserError: the file holds no texts, or an engine can't be loaded.
    """
    rows = read_table(folder, "calibration_predictions")
    if "text" not in rows:
        raise UserError(f"{folder}/calibration_predictions.parquet holds no texts. Run the cascade stage again.")
    texts, pairs = rows["text"].tolist(), rows["text_pair"].tolist() if "text_pair" in rows else None
    readout = readout_of(record.label_names, record.score)
    for number, tier in enumerate(record.tiers, 1):
        engine, columns = readout.of(recorded_engine(folder, tier))
        outputs, seconds = _one_at_a_time(engine, texts, pairs, f"tier {number}")
        outputs = outputs[:, columns]
        check_finite(outputs, number)
        rows = rows.assign(**readout.columns(number, outputs, pairs, rows.get("gold")))
        rows[f"tier{number}_time_s"] = seconds
        if number == 1:
            rows["confidence"] = readout.confidence(outputs)
    partial = folder / f".calibration.{os.getpid()}.parquet"
    rows.to_parquet(partial, index=False)
    os.replace(partial, folder / "calibration_predictions.parquet")
    record.calibrated_with = record.keys


def tuned_batch_times(folder: Path, record: CascadeRecord) -> pd.DataFrame:
    """The rows of batch_times.parquet that `tune` measured for the engines in use: batch size 1 and the best one.

    Raises:
        UserError: tune.json is missing, or holds other engines than cascade.json.
    """
    rows = []
    for number, (tier, choice) in enumerate(zip(record.tiers, tuned_for_this_cpu(folder), strict=True), 1):
        if (choice.key, choice.batch_size) != (record.keys[number - 1], tier.batch_size):
            raise UserError(f"{folder}: tune.json and cascade.json differ. Run `python -m tangodistill tune` again.")
        rows += choice.batch_rows
    return pd.DataFrame(rows)


def _one_at_a_time(engine: Engine, texts: list[str], pairs: list[str] | None, title: str) -> tuple[np.ndarray, list]:
    """Outputs (n, k) and seconds (n,)."""

    def run(i: int) -> np.ndarray:
        return engine.outputs([texts[i]], None if pairs is None else [pairs[i]])[0]

    for i in range(min(WARMUP, len(texts))):
        run(i)
    outputs, seconds = [], []
    with Progress(title, len(texts), timed=True) as progress:
        for i in range(len(texts)):
            started = perf_counter()
            outputs.append(run(i))
            seconds.append(perf_counter() - started)
            progress.advance()
    return np.stack(outputs), seconds
