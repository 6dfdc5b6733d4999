"""The fastest way to run each tier on this machine, found by measuring."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tangodistill.data.sources import DatasetConfig
from tangodistill.exporting import accepted, by_lengths
from tangodistill.latency.batch_size import BatchTime, find_batch_sizes
from tangodistill.latency.cores import available_cores, thread_counts
from tangodistill.latency.machine import cpu_model, describe_machine
from tangodistill.lengths.choice import cheapest_first_tier
from tangodistill.progress import Progress
from tangodistill.runtime.cascade_folder import read_cascade, write_record
from tangodistill.runtime.engine_key import Lengths, split_key
from tangodistill.runtime.measured_files import CHOSEN_ON
from tangodistill.runtime.tuned import RECORD, Timing
from tangodistill.tier_pair import TierPair
from tangodistill.user_error import UserError

TEXTS = 1024  # selection examples at most that an engine is timed on
PILOT_TEXTS = 16  # that tell how many of them a slow one has time for
REPEATS = 3


def tune(
    cascade: str | None = None,
    exported: str | None = None,
    first_tier: str | None = None,
    second_tier: str | None = None,
    dataset: DatasetConfig | None = None,
    output: str | None = None,
    seconds: float = 8.0,
    target_keep: float = 0.99,
) -> Path:
    """Measure every exported engine of both tiers on this machine, and keep the fastest.

    Give a finished cascade folder; or, as recipes do, both tiers, what `export` wrote, the data and an output folder.
    Engines run selection texts of your own lengths, from raw text to label, one at a time and in batches, on one core
    and on more; the one with the highest geometric mean of both throughputs is kept. Where the first tier was exported
    in several length configurations, the one whose cascade is cheapest is kept, with its fastest engine. In a cascade
    folder all this serves after `choose` has found its own threshold.

    Args:
        cascade: a cascade folder, for instance runs/demo/cascade.
        exported: what `export` wrote.
        first_tier: folder of the student.
        second_tier: folder of the teacher.
        dataset: the labelled data.
        output: where tune.json goes, instead of the cascade folder.
        seconds: for each engine and number of threads.
        target_keep: share of the second tier's metric at which cascades of several length configurations are compared.

    Raises:
        UserError: neither form is given in full, or a tier or its formats can't be read.
    """
    if not 0 < target_keep <= 1:
        raise UserError(
            f"target_keep is a share of the second tier's metric, above 0 and at most 1; got {target_keep}."
        )
    pair, source, folder = _work(cascade, exported, first_tier, second_tier, dataset, output)
    texts = pair.part(TEXTS)
    jobs = [
        (tier, key, threads)
        for tier in (1, 2)
        for key in accepted(source, tier)
        if tier == 1 or split_key(key)[2] is None  # what the cascade is held to is the second tier in full
        for threads in thread_counts(available_cores())
    ]
    rows = []
    with Progress("tune", len(jobs), timed=True) as progress:
        for tier, key, threads in jobs:
            rows.append(_time(texts, tier, key, threads, seconds, progress.beat))
            progress.advance(note=f"tier {tier}, {key}")
    _choose(pair, rows, target_keep)
    _write(folder, rows, texts)
    if cascade is not None:
        _use(folder, rows)
    _show(rows)
    return folder


def _work(cascade, exported, first_tier, second_tier, dataset, output) -> tuple[TierPair, Path, Path]:
    stage = (exported, first_tier, second_tier, dataset, output)
    if cascade is not None and not any(value is not None for value in stage):
        return TierPair.of_cascade(cascade), Path(cascade), Path(cascade)
    if cascade is None and all(value is not None for value in stage):
        source = Path(exported)
        pair = TierPair.of_stage(first_tier, second_tier, (source / "tier1", source / "tier2"), dataset)
        return pair, source, Path(output)
    raise UserError(
        "Give a cascade folder, or all of --first_tier, --second_tier, --exported, --dataset and --output: "
        "python -m tangodistill tune runs/demo/cascade"
    )


def _time(texts: TierPair, tier: int, key: str, threads: int, seconds: float, between: Callable[[], object]) -> Timing:
    engine = texts.engine(tier, key, threads)
    pilot = texts.part(PILOT_TEXTS)
    engine.outputs(pilot.texts, pilot.pairs)
    started = perf_counter()
    engine.outputs(pilot.texts, pilot.pairs)
    per_text_s = (perf_counter() - started) / len(pilot.texts)
    pair = texts.part(max(int(seconds / REPEATS / per_text_s), PILOT_TEXTS))

    def run(rows: np.ndarray, batch_size: int) -> None:
        pairs = [pair.pairs[i] for i in rows] if pair.pairs else None
        engine.outputs([pair.texts[i] for i in rows], pairs, batch_size)

    best, times = find_batch_sizes(
        {"engine": run}, {"engine": engine.lengths(pair.texts, pair.pairs)}, REPEATS, seconds, between
    )
    size = best["engine"]
    return Timing(tier, key, threads, size, _per_s(times, 1), _per_s(times, size))


def _choose(pair: TierPair, rows: list[Timing], target_keep: float) -> None:
    """Of the engines that run one length configuration the fastest; of these the one whose cascade is cheapest."""
    fastest: dict[tuple[int, Lengths | None], Timing] = {}
    for row in sorted(rows, key=lambda row: row.merit):
        fastest[row.tier, split_key(row.key)[2]] = row
    first, (second,) = ([row for row in fastest.values() if row.tier == tier] for tier in (1, 2))
    best = first[0] if len(first) == 1 else cheapest_first_tier(pair, first, second, target_keep)
    best.chosen = second.chosen = True


def _per_s(times: list[BatchTime], batch_size: int) -> float:
    return 1 / mean(time.seconds / time.n for time in times if time.batch_size == batch_size)


def _write(folder: Path, rows: list[Timing], texts: TierPair) -> None:
    """Adds this CPU's record to those of others."""
    path = folder / RECORD
    try:
        cpus = json.loads(path.read_text(encoding="utf-8"))["cpus"]
    except (OSError, ValueError, KeyError):
        cpus = {}
    mine: dict[str, Any] = {"rows": [asdict(row) for row in rows], "role": CHOSEN_ON, "texts": len(texts.texts)}
    cpus[cpu_model()] = {**mine, "repeats": REPEATS, "machine": describe_machine()}
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{RECORD}"
    partial.write_text(json.dumps({"cpus": cpus}, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _use(folder: Path, rows: list[Timing]) -> None:
    """From now on the cascade folder runs by these engines; each needs a threshold of its own."""
    record = read_cascade(folder)
    for tier, row in zip(record.tiers, (row for row in rows if row.chosen), strict=True):
        tier.engine, tier.precision, lengths = split_key(row.key)
        tier.length_configuration = None if lengths is None else list(lengths)
        tier.threads, tier.batch_size = row.threads, row.batch_size
    record.cpu = cpu_model()
    write_record(folder, record)


def _show(rows: list[Timing]) -> None:
    console = Console()
    console.print("From raw text to label, on this machine:")
    for title, group in by_lengths(sorted(rows, key=lambda row: (row.tier, -row.merit))).items():
        table = Table(title=title, caption=_cascade_of(group))
        for heading in ("engine", "threads", "batch 1", "best batch", "size", "chosen"):
            table.add_column(heading, no_wrap=True)
        for row in group:
            speeds = f"{row.throughput_batch1_per_s:,.0f}/s", f"{row.throughput_best_batch_per_s:,.0f}/s"
            batch, mark = str(row.batch_size), "yes" if row.chosen else ""
            table.add_row(row.key.partition("@")[0], str(row.threads), *speeds, batch, mark)
        console.print(table)


def _cascade_of(rows: list[Timing]) -> str | None:
    """What the cascade with the fastest of these engines comes to, where that was asked."""
    for row in rows:
        if row.deferral_rate is not None:
            times = f"{row.cascade_ms:.3g} ms per text, {row.cascade_best_batch_ms:.3g} in batches"
            return f"its cascade defers {row.deferral_rate:.1%}: {times}"
    return None
