"""Wall-clock times of several runs, in interleaved passes so that drift of the machine hits all alike.

A pass that other work disturbed is taken once more, after all others, and the better of the two is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from tangodistill.latency.load import Load, LoadWatch

Between = Callable[[], object]
"""Called after each run, outside its time (for a progress bar)."""


def nothing() -> None:
    """Between two runs."""


@dataclass(frozen=True)
class Passes:
    """Times of several runs by name, and whether they can be trusted."""

    seconds: dict[str, np.ndarray]
    """(repeats,) of each run, or (repeats, n) of a run's examples."""
    under_load: frozenset[str]
    """Runs that other work disturbed, the second time too."""


def time_interleaved(
    runs: Mapping[str, Callable[[], object]], repeats: int = 5, warmup: int = 1, between: Between = nothing
) -> Passes:
    """Seconds (repeats,) of each run, in the order a, b, ..., a, b, ...; `warmup` untimed passes come first."""
    for _ in range(warmup):
        for run in runs.values():
            run()
            between()
    calls = {name: lambda _, run=run: run() for name, run in runs.items()}
    passes = time_each(calls, 1, repeats, 0, between)
    return Passes({name: seconds[:, 0] for name, seconds in passes.seconds.items()}, passes.under_load)


def time_each(
    runs: Mapping[str, Callable[[int], object]],
    n: int,
    repeats: int = 5,
    warmup: int = 10,
    between: Between = nothing,
) -> Passes:
    """Seconds (repeats, n) of each run on each of n examples, one at a time.

    A pass takes one run through all examples; passes are interleaved over the runs, and each is warmed up before.

    Args:
        runs: by name, a call that takes an example's index and works from its raw text to its label.
        warmup: examples run untimed before each run's first pass.
    """
    for run in runs.values():
        for i in range(min(warmup, n)):
            run(i)
    jobs = [(repeat, name) for repeat in range(repeats) for name in runs]
    passes = {job: _Pass.of(runs[job[1]], n, between) for job in jobs}
    for job in [job for job in jobs if passes[job].load.busy]:
        passes[job] = min(passes[job], _Pass.of(runs[job[1]], n, between), key=lambda taken: taken.disturbance)
    by_name = {name: [passes[repeat, name] for repeat in range(repeats)] for name in runs}
    return Passes(
        {name: np.stack([taken.seconds for taken in own]) for name, own in by_name.items()},
        frozenset(name for name, own in by_name.items() if is_under_load([taken.load for taken in own])),
    )


@dataclass(frozen=True)
class _Pass:
    seconds: np.ndarray
    """(n,)"""
    load: Load

    @classmethod
    def of(cls, run: Callable[[int], object], n: int, between: Between) -> "_Pass":
        seconds = np.empty(n)
        with LoadWatch() as watch:
            for i in range(n):
                started = perf_counter()
                run(i)
                seconds[i] = perf_counter() - started
                between()
        return cls(seconds, watch.load)

    @property
    def disturbance(self) -> tuple[bool, float]:
        """Least of what is to be kept: an undisturbed pass, or of two disturbed ones the faster."""
        return self.load.busy, float(self.seconds.sum())


def is_under_load(loads: list[Load]) -> bool:
    """Whether other work disturbed one of several passes, or all together where each is too short to tell."""
    return any(load.busy for load in loads) or sum(loads, Load()).busy


def is_unsteady(seconds: np.ndarray, limit: float = 0.1) -> bool:
    """Whether repeats (repeats,) of the same work spread too far: standard deviation over `limit` of the mean.

    >>> is_unsteady(np.array([1.0, 1.01, 0.99])), is_unsteady(np.array([1.0, 1.6, 1.0]))
    (False, True)
    """
    return bool(np.std(seconds) > limit * np.mean(seconds))
