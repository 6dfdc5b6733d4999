"""Timing the tiers of a cascade as they are served on this machine, from raw text to answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Self

import numpy as np
import pandas as pd

from tangodistill.cascade.timing import REFERENCE as REFERENCE_TIER
from tangodistill.cascade.timing import Timing, timing_of
from tangodistill.data.length_batches import tokens_per_text
from tangodistill.engines.engine import Engine
from tangodistill.latency.batch_size import BatchTime, Run, find_batch_sizes, time_batch_sizes
from tangodistill.latency.sample import TimedSample, timed_texts
from tangodistill.latency.timer import Passes, time_each
from tangodistill.measure.role_answers import RoleAnswers
from tangodistill.predictor.answers import Readout
from tangodistill.predictor.served import ServedTimes, alone, is_turn, one_at_a_time, rows_of
from tangodistill.progress import Progress

Runs = Mapping[str, Callable[[int], object]]
"""By name, calls that take the place of an example among the timed ones."""
WARMUP = 10  # examples before each engine's first timed pass


@dataclass(frozen=True)
class TimedEngines:
    """The cascade's engines, and the last tier's fastest ones without a cascade."""

    tiers: tuple[Engine, ...]
    """Cheapest first."""
    single: Engine
    """Of the last tier, the fastest for one example at a time."""
    batched: Engine
    """And for batches."""
    readout: Readout
    sizes: Mapping[int, int] | None
    """Best batch size of each tier and, as `REFERENCE_TIER`, of `batched`; None: they are searched."""

    def padding(self) -> Self:
        """The same with each example padded; padded texts are fastest in batches of another size."""
        padded = {engine: engine.padding() for engine in (*self.tiers, self.single, self.batched)}
        tiers = tuple(padded[engine] for engine in self.tiers)
        return replace(self, tiers=tiers, single=padded[self.single], batched=padded[self.batched], sizes=None)

    @property
    def in_batches(self) -> dict[int, Engine]:
        """Tier -> engine; the reference where it isn't the last tier just as it runs in the cascade."""
        engines = dict(enumerate(self.tiers, 1))
        last = len(engines)
        same = self.batched is engines[last] and (self.sizes is None or self.sizes[REFERENCE_TIER] == self.sizes[last])
        return engines if same else {**engines, REFERENCE_TIER: self.batched}


@dataclass
class TierTimes:
    """What the tiers took on the examples of each role."""

    frames: dict[str, pd.DataFrame]
    """By role, the rows of predictions.parquet."""
    samples: dict[str, TimedSample]
    """By role, which examples were timed."""
    batches: pd.DataFrame
    """The rows of batch_times.parquet, on the report role."""
    sizes: dict[int, int]
    """Best batch size of each tier, and of the reference."""
    beside_s: dict[str, np.ndarray]
    """By name, seconds (n,) of the report examples through what ran beside the tiers, one at a time."""
    under_load: list[str]
    """Timings that other work disturbed."""

    @property
    def best(self) -> list[int]:
        """Each tier's best batch size."""
        return [size for tier, size in sorted(self.sizes.items()) if tier != REFERENCE_TIER]

    def timing(self, role: str) -> Timing:
        return timing_of(self.frames[role], self.batches, self.best)


def time_tiers(engines: TimedEngines, roles: Mapping[str, RoleAnswers], repeats: int, beside: Runs) -> TierTimes:
    """Time the tiers one example at a time on a sample of every role, and in batches on that of the report role.

    Args: `beside`: by name, calls that get passes of their own over the report role's sample, interleaved likewise.
    """
    samples = {role: timed_texts(answers.texts, answers.pairs) for role, answers in roles.items()}
    timed = {role: answers.select(samples[role].rows) for role, answers in roles.items()}
    passes = {
        role: _batch1_passes(engines, timed[role], repeats, role, beside if role == "report" else {}) for role in roles
    }
    sizes, batches = _batch_times(engines, timed["report"], repeats, passes["report"])
    return TierTimes(
        {role: _frame(answers, passes[role], samples[role]) for role, answers in roles.items()},
        samples,
        batches,
        sizes,
        {name: samples["report"].spread(passes["report"].seconds[name].mean(axis=0)) for name in beside},
        [f"{name}, {role}, one at a time" for role in roles for name in sorted(passes[role].under_load)]
        + [f"tier {tier}, report, batches of {size}" for tier, size in sorted(_loaded(batches))],
    )


def _batch1_passes(engines: TimedEngines, timed: RoleAnswers, repeats: int, title: str, beside: Runs) -> Passes:
    served = one_at_a_time(engines.tiers, engines.single, engines.readout, timed.texts, timed.pairs)
    runs = {**served, **beside}
    with Progress(f"time {title}, batch 1", repeats * len(runs) * len(timed), timed=True) as progress:
        return time_each(runs, len(timed), repeats, WARMUP, between=progress.advance)


def _frame(answers: RoleAnswers, passes: Passes, sample: TimedSample) -> pd.DataFrame:
    """The rows of predictions.parquet: an example that isn't `timed` has the times of one that stands for it."""
    served = ServedTimes.of(passes.seconds, len(answers.outputs))
    times = {name: sample.spread(column) for name, column in served.columns.items()}
    return answers.frame({**times, "timed": sample.timed})


def _batch_times(
    engines: TimedEngines, timed: RoleAnswers, repeats: int, passes: Passes
) -> tuple[dict[int, int], pd.DataFrame]:
    """Best batch sizes, and the rows of batch_times.parquet; those of batch size 1 are passes one at a time."""
    served = {str(tier): _in_batches(engine, engines.readout, timed) for tier, engine in engines.in_batches.items()}
    with Progress("time batch sizes", timed=True) as progress:
        if engines.sizes is None:
            lengths = {
                str(tier): engine.lengths(timed.texts, timed.pairs) for tier, engine in engines.in_batches.items()
            }
            found, times = find_batch_sizes(served, lengths, repeats, between=progress.advance)
            best = {int(tier): size for tier, size in found.items()}
        else:
            best = dict(engines.sizes)
            sizes = {tier: best[int(tier)] for tier in served}
            times = time_batch_sizes(served, sizes, len(timed), repeats, progress.advance)
    best.setdefault(REFERENCE_TIER, best[len(engines.tiers)])
    one_by_one, loaded = ServedTimes.of(passes.seconds, len(engines.tiers)), any(map(is_turn, passes.under_load))
    single = [
        BatchTime(str(tier), 1, repeat, len(timed), float(seconds), loaded)
        for tier, added in enumerate(one_by_one.added, 1)
        for repeat, seconds in enumerate(added.sum(axis=1))
    ]
    frame = pd.DataFrame([*single, *(time for time in times if time.batch_size > 1 or time.tier == "0")])
    return best, frame.astype({"tier": int})


def _in_batches(engine: Engine, readout: Readout, timed: RoleAnswers) -> Run:
    rows, paired = rows_of(timed.texts, timed.pairs), timed.pairs is not None
    served = cache(lambda size: alone(engine, readout, paired, size))
    return lambda chosen, size: served(size).predict([rows[i] for i in chosen])


def _loaded(batches: pd.DataFrame) -> set[tuple[int, int]]:
    """Tier and batch size."""
    rows = batches[batches["under_load"] & (batches["batch_size"] > 1)]
    return set(zip(rows["tier"], rows["batch_size"], strict=True))


def tokens_run(engine: Engine, role: RoleAnswers, deferred: np.ndarray, batch_size: int) -> dict[str, float] | None:
    """Tokens per text, padding included, that a tier runs over all n texts and over the `deferred` (n,) ones."""
    if not deferred.any():
        return None
    lengths = engine.lengths(role.texts, role.pairs)
    parts = {"all": lengths, "deferred": lengths[deferred]}
    return {name: tokens_per_text(part, batch_size, engine.facts.exact_length) for name, part in parts.items()}
