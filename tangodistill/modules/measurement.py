"""Timing both tiers of a cascade on this machine, from raw text to label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tangodistill.cascade.speedup import Timing, timing_of
from tangodistill.data.length_batches import tokens_per_text
from tangodistill.latency.batch_size import BatchTime, find_batch_sizes, time_batch_sizes
from tangodistill.latency.timer import Passes, time_each
from tangodistill.modules.role_answers import RoleAnswers
from tangodistill.progress import Progress
from tangodistill.runtime.engines import Engine

Engines = tuple[Engine, Engine]
Runs = Mapping[str, Callable[[int], object]]
"""By name, calls that take an example's index."""
TIERS = ("tier 1", "tier 2")
WARMUP = 10  # examples before each engine's first timed pass


def batch1_times(
    engines: Engines,
    role: RoleAnswers,
    repeats: int,
    padded: bool,
    title: str,
    beside: Runs | None = None,
) -> Passes:
    """Seconds (repeats, n) of each tier on every example, one at a time, in interleaved passes; and of what is beside.

    The tiers' names are "tier 1" and "tier 2".

    Args: `beside`: by name, calls that take an example's index and get passes of their own, interleaved likewise.
    """

    def answer(engine: Engine, i: int) -> None:
        engine.outputs([role.texts[i]], [role.pairs[i]] if role.pairs else None, pad_to_max=padded)

    tiers = {name: lambda i, e=engine: answer(e, i) for name, engine in zip(TIERS, engines, strict=True)}
    runs = {**tiers, **(beside or {})}
    with Progress(f"time {title}, batch 1", repeats * len(runs) * len(role), timed=True) as progress:
        return time_each(runs, len(role), repeats, WARMUP, between=progress.advance)


def batch_times(
    engines: Engines,
    role: RoleAnswers,
    repeats: int,
    padded: bool,
    batch1_s: list[np.ndarray],
    sizes: Sequence[int] | None = None,
) -> tuple[list[int], pd.DataFrame]:
    """Each tier's best batch size, and the rows of batch_times.parquet.

    The rows of batch size 1 are the passes of `batch1_times` (repeats, n) over the same examples.

    Args: `sizes` the best batch size of each tier, where it is known already: then only those are timed.
    """
    runs = {
        f"tier{tier}": lambda rows, size, e=engine: e.outputs(*role.part(rows), batch_size=size, pad_to_max=padded)
        for tier, engine in enumerate(engines, 1)
    }
    with Progress("time batch sizes", timed=True) as progress:
        if sizes is None:
            lengths = {f"tier{tier}": engine.lengths(role.texts, role.pairs) for tier, engine in enumerate(engines, 1)}
            best, found = find_batch_sizes(runs, lengths, repeats, between=progress.advance)
        else:
            best = dict(zip(runs, sizes, strict=True))
            found = time_batch_sizes(runs, best, len(role), repeats, progress.advance)
    single = [
        BatchTime(f"tier{tier}", 1, repeat, len(role), float(seconds))
        for tier, passes in enumerate(batch1_s, 1)
        for repeat, seconds in enumerate(passes.sum(axis=1))
    ]
    frame = pd.DataFrame([*single, *(time for time in found if time.batch_size > 1)])
    frame["tier"] = frame["tier"].str.removeprefix("tier").astype(int)
    return [best["tier1"], best["tier2"]], frame


@dataclass
class TierTimes:
    """What both tiers took on the examples of each role."""

    frames: dict[str, pd.DataFrame]
    """By role, the rows of predictions.parquet."""
    batches: pd.DataFrame
    """The rows of batch_times.parquet, on the report role."""
    best: list[int]
    """Each tier's best batch size."""
    beside_s: dict[str, np.ndarray]
    """By name, seconds (n,) of the report examples through what ran beside the tiers, one at a time."""
    under_load: list[str]
    """Timings that other work disturbed."""

    def timing(self, role: str) -> Timing:
        return timing_of(self.frames[role], self.batches, self.best)


def time_tiers(
    engines: Engines,
    roles: Mapping[str, RoleAnswers],
    repeats: int,
    padded: bool,
    sizes: Sequence[int] | None,
    beside: Runs,
) -> TierTimes:
    """Time both tiers one example at a time on every role, and in batches on the report role.

    Args: `sizes` as in `batch_times`; `beside` as in `batch1_times`, on the report role.
    """
    passes = {
        role: batch1_times(engines, answers, repeats, padded, role, beside if role == "report" else None)
        for role, answers in roles.items()
    }
    seconds = passes["report"].seconds
    best, batches = batch_times(engines, roles["report"], repeats, padded, [seconds[name] for name in TIERS], sizes)
    frames = {
        role: answers.frame(tuple(passes[role].seconds[name].mean(axis=0) for name in TIERS))
        for role, answers in roles.items()
    }
    loaded = [f"{name}, {role}, one at a time" for role in roles for name in sorted(passes[role].under_load)]
    loaded += [
        f"tier {tier}, report, batches of {size}"
        for tier, size in batches[batches["under_load"]].groupby(["tier", "batch_size"]).groups
    ]
    return TierTimes(frames, batches, best, {name: seconds[name].mean(axis=0) for name in beside}, loaded)


def tokens_run(engine: Engine, role: RoleAnswers, deferred: np.ndarray, batch_size: int) -> dict[str, float] | None:
    """Tokens per text, padding included, that a tier runs over all n texts and over the `deferred` (n,) ones."""
    if not deferred.any():
        return None
    lengths = engine.lengths(role.texts, role.pairs)
    parts = {"all": lengths, "deferred": lengths[deferred]}
    return {name: tokens_per_text(part, batch_size, engine.facts.exact_length) for name, part in parts.items()}
