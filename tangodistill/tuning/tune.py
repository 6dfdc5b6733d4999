"""The fastest way to run each tier on this machine, found by measuring."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tangodistill.data.sources import DatasetConfig
from tangodistill.engines.engine_key import Lengths, split_key
from tangodistill.latency.batch_size import BatchTime, find_batch_sizes
from tangodistill.latency.cores import available_cores, thread_counts
from tangodistill.latency.machine import cpu_identity, describe_machine
from tangodistill.predictor.cascade_folder import read_cascade, write_record
from tangodistill.predictor.served import alone, rows_of
from tangodistill.progress import Progress
from tangodistill.tuning.agreements import accepted, refuse_other_weights
from tangodistill.tuning.export import by_lengths
from tangodistill.tuning.length_choice import cheapest_deferring_tier
from tangodistill.tuning.measured_files import CHOSEN_ON
from tangodistill.tuning.tier_set import TierSet
from tangodistill.tuning.tuned import RECORD, Timing, fastest_alone
from tangodistill.user_error import UserError

TEXTS = 1024  # selection examples at most that an engine is timed on
PILOT_TEXTS = 16  # that tell how many of them a slow one has time for
VISITS = 2  # of each engine at least
REPEATS = 2  # in each visit
SPREAD = 1.25  # of an engine's speed from visit to visit, before it is doubted

Job = tuple[int, str, int]
"""Tier, engine's key, threads."""


def tune(
    cascade: str | None = None,
    exported: str | None = None,
    tiers: list[str] | None = None,
    dataset: DatasetConfig | None = None,
    output: str | None = None,
    seconds: float = 8.0,
    target_keep: float = 0.99,
) -> Path:
    """Measure every exported engine of all tiers on this machine, and keep the fastest of each.

    Give a finished cascade folder; or, as recipes do, the tiers, what `export` wrote, the data and an output folder.
    Engines answer selection texts of your own lengths as they would serve them, one at a time and in batches, on one
    core and on more; the one with the highest geometric mean of both throughputs is kept. All are measured once, then
    all again, and a third time what contradicts itself or was disturbed by other work. Where a tier was
    exported in several length configurations, the one whose cascade is cheapest is kept, with its fastest engine. In a
    cascade folder all this serves after `choose` has found its own threshold.

    Args:
        cascade: a cascade folder, for instance runs/demo/cascade.
        exported: what `export` wrote.
        tiers: folders of the models, cheapest first, the teacher last.
        dataset: the labelled data.
        output: where tune.json goes, instead of the cascade folder.
        seconds: for each engine and number of threads, all its visits together.
        target_keep: share of the last tier's metric at which cascades of several length configurations are compared.

    Raises:
        UserError: neither form is given in full, or a tier or its formats can't be read.
    """
    if not 0 < target_keep <= 1:
        raise UserError(f"target_keep is a share of the last tier's metric, above 0 and at most 1; got {target_keep}.")
    chosen, source, folder = _work(cascade, exported, tiers, dataset, output)
    texts = chosen.part(TEXTS)
    jobs = [
        (tier, key, threads)
        for tier in chosen.numbers
        for key in accepted(source, tier)
        if not chosen.is_last(tier) or split_key(key)[2] is None  # what the cascade is held to is the last tier in full
        for threads in thread_counts(available_cores())
    ]
    refuse_other_weights(source, chosen.tiers)
    rows = _measure(texts, jobs, seconds)
    _choose(chosen, rows, target_keep)
    _write(folder, rows, texts)
    if cascade is not None:
        _use(folder, rows)
    _show(rows)
    _warn_of_slow_tiers([row for row in rows if row.chosen])
    return folder


def _work(cascade, exported, tiers, dataset, output) -> tuple[TierSet, Path, Path]:
    stage = (exported, tiers, dataset, output)
    if cascade is not None and not any(value is not None for value in stage):
        return TierSet.of_cascade(cascade), Path(cascade), Path(cascade)
    if cascade is None and all(value is not None for value in stage):
        return TierSet.of_stage(tiers, Path(exported), dataset), Path(exported), Path(output)
    raise UserError(
        "Give a cascade folder, or all of --tiers, --exported, --dataset and --output: "
        "python -m tangodistill tune runs/demo/cascade"
    )


def _measure(texts: TierSet, jobs: Sequence[Job], seconds: float) -> list[Timing]:
    """Each engine in two rounds over all of them, and once more where its speeds aren't to be believed."""
    visits: dict[Job, list[Timing]] = {job: [] for job in jobs}
    with Progress("tune", VISITS * len(jobs), timed=True) as progress:

        def visit(job: Job) -> None:
            visits[job].append(_time(texts, *job, seconds / VISITS, progress.beat))
            progress.advance(note=f"tier {job[0]}, {job[1]}")

        for _ in range(VISITS):
            for job in jobs:
                visit(job)
        doubted = [job for job in jobs if _contradicts(visits, job) or any(each.under_load for each in visits[job])]
        progress.total += len(doubted)
        for job in doubted:
            visit(job)
    rows = [_combined(visits[job], unsteady=_contradicts(visits, job)) for job in jobs]
    if any(row.under_load or row.unsteady for row in rows):
        print("Warning: other work took part of this machine, so marked speeds are not to be trusted. Tune at rest.")
    return rows


def _contradicts(visits: Mapping[Job, Sequence[Timing]], job: Job) -> bool:
    """Whether an engine's speeds differ from visit to visit, or it loses more than half by being given more threads.

    Of three visits the two that agree most count.
    """
    tier, key, threads = job
    fewer = [_combined(own) for (*other, count), own in visits.items() if other == [tier, key] and count < threads]
    for speed in ("throughput_batch1_per_s", "throughput_best_batch_per_s"):
        speeds = sorted(getattr(each, speed) for each in visits[job])
        if min(b / a for a, b in pairwise(speeds)) > SPREAD:
            return True
        if any(getattr(each, speed) > 2 * speeds[-1] for each in fewer):
            return True
    return False


def _combined(visits: Sequence[Timing], unsteady: bool = False) -> Timing:
    """The median speeds, at the batch size of the visit that was fastest in batches; undisturbed visits alone count."""
    quiet = [each for each in visits if not each.under_load] or visits
    best = max(quiet, key=lambda each: each.throughput_best_batch_per_s)
    return replace(
        best,
        throughput_batch1_per_s=median(each.throughput_batch1_per_s for each in quiet),
        throughput_best_batch_per_s=median(each.throughput_best_batch_per_s for each in quiet),
        under_load=quiet is visits and visits[0].under_load,
        unsteady=unsteady,
    )


def _time(texts: TierSet, tier: int, key: str, threads: int, seconds: float, between: Callable[[], object]) -> Timing:
    """One visit: an engine by itself answers as many texts as the seconds allow."""
    engine, paired = texts.engine(tier, key, threads), texts.pairs is not None
    served = cache(lambda size: alone(engine, texts.readout, paired, size))
    pilot = rows_of(texts.texts, texts.pairs)[:: max(len(texts.texts) // PILOT_TEXTS, 1)]
    served(1).predict(pilot)
    started = perf_counter()
    served(1).predict(pilot)
    per_text_s = (perf_counter() - started) / len(pilot)
    few = texts.part(max(int(seconds / REPEATS / per_text_s), PILOT_TEXTS))
    rows = rows_of(few.texts, few.pairs)
    single = served(1)

    def run(chosen: np.ndarray, batch_size: int) -> None:
        if batch_size == 1:
            for i in chosen:
                single.predict(rows[i])
        else:
            served(batch_size).predict([rows[i] for i in chosen])

    best, times = find_batch_sizes(
        {"engine": run}, {"engine": engine.lengths(few.texts, few.pairs)}, REPEATS, seconds, between
    )
    size = best["engine"]
    disturbed = any(time.under_load for time in times if time.batch_size in (1, size))
    return Timing(tier, key, threads, size, _per_s(times, 1), _per_s(times, size), disturbed)


def _choose(tiers: TierSet, rows: list[Timing], target_keep: float) -> None:
    """Of the engines that run one length configuration the fastest; of these the one whose cascade is cheapest."""
    fastest: dict[tuple[int, Lengths | None], Timing] = {}
    for row in sorted(rows, key=lambda row: row.merit):
        fastest[row.tier, split_key(row.key)[2]] = row
    *deferring, (last,) = ([row for row in fastest.values() if row.tier == tier] for tier in tiers.numbers)
    last.chosen = True
    for own in deferring:
        best = own[0] if len(own) == 1 else cheapest_deferring_tier(tiers, own, last, target_keep)
        best.chosen = True


def _warn_of_slow_tiers(chosen: Sequence[Timing]) -> None:
    """A tier that takes as long as the last one can save nothing."""
    *deferring, last = chosen
    for row in deferring:
        if row.merit <= last.merit:
            print(
                f"Warning: tier {row.tier} takes {1000 / row.throughput_batch1_per_s:.3g} ms a text one at a time and "
                f"{1000 / row.throughput_best_batch_per_s:.3g} ms in batches, the last tier "
                f"{1000 / last.throughput_batch1_per_s:.3g} and {1000 / last.throughput_best_batch_per_s:.3g} ms: it "
                "saves nothing. Leave it out, or take a smaller model."
            )


def _per_s(times: list[BatchTime], batch_size: int) -> float:
    return 1 / mean(time.seconds / time.n for time in times if time.batch_size == batch_size)


def _write(folder: Path, rows: list[Timing], texts: TierSet) -> None:
    """Adds this CPU's record to those of others; each speed says of which files and cores it is."""
    for row in rows:
        row.contents, row.cores = texts.contents(row.tier, row.key), available_cores()
    path = folder / RECORD
    try:
        cpus = json.loads(path.read_text(encoding="utf-8"))["cpus"]
    except (OSError, ValueError, KeyError):
        cpus = {}
    reference = {way: asdict(row) for way, row in fastest_alone(rows).items()}
    mine: dict[str, Any] = {"rows": [asdict(row) for row in rows], "reference": reference}
    mine |= {"role": CHOSEN_ON, "texts": len(texts.texts), "repeats": VISITS * REPEATS}
    cpus[cpu_identity()] = {**mine, "machine": describe_machine()}
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
    record.tuned_on = cpu_identity()
    write_record(folder, record)


def _show(rows: list[Timing]) -> None:
    console = Console()
    console.print("From raw text to label, on this machine:")
    for title, group in by_lengths(sorted(rows, key=lambda row: (row.tier, -row.merit))).items():
        table = Table(title=title, caption=_cascade_of(group))
        for heading in ("engine", "threads", "batch 1", "best batch", "size", "chosen", "doubt"):
            table.add_column(heading, no_wrap=True)
        for row in group:
            speeds = f"{row.throughput_batch1_per_s:,.0f}/s", f"{row.throughput_best_batch_per_s:,.0f}/s"
            batch, mark = str(row.batch_size), "yes" if row.chosen else ""
            doubt = "load" if row.under_load else "unsteady" if row.unsteady else ""
            table.add_row(row.key.partition("@")[0], str(row.threads), *speeds, batch, mark, doubt)
        console.print(table)


def _cascade_of(rows: list[Timing]) -> str | None:
    """What the cascade with the fastest of these engines comes to, where that was asked."""
    for row in rows:
        if row.deferral_rate is not None:
            times = f"{row.cascade_ms:.3g} ms per text, {row.cascade_best_batch_ms:.3g} in batches"
            return f"its cascade defers {row.deferral_rate:.1%}: {times}"
    return None
