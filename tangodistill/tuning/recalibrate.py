"""The calibration role's answers and times by the engines that a cascade runs on now, after `tune` changed them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from tangodistill.cascade.columns import gate_columns
from tangodistill.cascade.timing import REFERENCE
from tangodistill.engines.engine import Engine
from tangodistill.engines.engine_key import split_key
from tangodistill.engines.loading import recorded_engine
from tangodistill.latency.sample import timed_texts
from tangodistill.latency.timer import time_each
from tangodistill.predictor.answers import Readout, check_finite, readout_of
from tangodistill.predictor.cascade_folder import CascadeRecord
from tangodistill.predictor.served import ServedTimes, one_at_a_time
from tangodistill.predictor.setup import Setup
from tangodistill.progress import Progress, track
from tangodistill.tuning.measured_files import read_table, write_table
from tangodistill.tuning.tuned import Timing, fastest_alone_here, refuse_others, tuned_for_this_cpu
from tangodistill.user_error import UserError


def recalibrate(folder: Path, record: CascadeRecord, setup: Setup) -> None:
    """Rewrite calibration_predictions.parquet: each text through all tiers, and a sample of them timed one at a time.

    Args: `setup` of the record here.

    Raises:
        UserError: the file holds no texts, or an engine can't be loaded.
    """
    rows = read_table(folder, "calibration_predictions")
    if "text" not in rows:
        raise UserError(f"{folder}/calibration_predictions.parquet holds no texts. Run the cascade stage again.")
    texts, pairs = rows["text"].tolist(), rows["text_pair"].tolist() if "text_pair" in rows else None
    readout = readout_of(record.label_names, record.score)
    engines, confidences = [], []
    for number, tier in enumerate(track(record.tiers, "answer the calibration role"), 1):
        engine, columns = readout.of(recorded_engine(folder, tier))
        outputs = engine.outputs(texts, pairs, tier.batch_size)[:, columns]
        check_finite(outputs, number)
        rows = rows.assign(**readout.columns(number, outputs, pairs, rows.get("gold")))
        if number < len(record.tiers):
            confidences.append(readout.confidence(outputs))
        engines.append(engine)
    reference = readout.of(_reference(folder, record, fastest_alone_here(folder)["batch1"]))[0]
    rows = rows.assign(**gate_columns("confidence", np.stack(confidences, axis=1)))
    rows = rows.assign(**_served_times(engines, reference, readout, texts, pairs))
    write_table(folder, "calibration_predictions", rows, setup)


def tuned_batch_times(folder: Path, setup: Setup) -> pd.DataFrame:
    """The rows of batch_times.parquet that `tune` measured for a setup: batch size 1 and the best one of each tier.

    Raises:
        UserError: nothing was tuned on this CPU, or something else.
    """
    choices = tuned_for_this_cpu(folder)
    refuse_others(folder, choices, setup)
    fastest = fastest_alone_here(folder)["best_batch"]
    rows = [row for choice in choices for row in choice.batch_rows]
    return pd.DataFrame([*rows, {**fastest.batch_rows[-1], "tier": REFERENCE}])


def _served_times(
    engines: Sequence[Engine], reference: Engine, readout: Readout, texts: list[str], pairs: list[str] | None
) -> dict[str, np.ndarray]:
    """Columns (n,) of times, from one pass over a sample of the texts."""
    sample = timed_texts(texts, pairs)
    rows = sample.rows
    timed_pairs = None if pairs is None else [pairs[i] for i in rows]
    runs = one_at_a_time(engines, reference, readout, [texts[i] for i in rows], timed_pairs)
    with Progress("time the tiers", len(runs) * len(rows), timed=True) as progress:
        passes = time_each(runs, len(rows), repeats=1, between=progress.advance)
    if passes.under_load:
        print("Warning: other work took part of this machine, so the times are not to be trusted.")
    served = ServedTimes.of(passes.seconds, len(engines))
    times = {name: sample.spread(column) for name, column in served.columns.items()}
    return {**times, "timed": sample.timed}


def _reference(folder: Path, record: CascadeRecord, choice: Timing) -> Engine:
    """The last tier's fastest engine one at a time."""
    engine, precision, lengths = split_key(choice.key)
    tier = replace(record.tiers[-1], engine=engine, precision=precision, threads=choice.threads)
    return recorded_engine(folder, replace(tier, length_configuration=lengths and list(lengths)))
