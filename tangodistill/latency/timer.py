"""Wall-clock times of several runs, in interleaved passes so that drift of the machine hits all alike."""

from collections.abc import Callable, Mapping
from time import perf_counter

import numpy as np


def time_interleaved(
    runs: Mapping[str, Callable[[], object]],
    repeats: int = 5,
    warmup: int = 1,
    between: Callable[[], object] = lambda: None,
) -> dict[str, np.ndarray]:
    """Seconds (repeats,) of each run, in the order a, b, ..., a, b, ...; `warmup` untimed passes come first.

    Args: `between`: called after each run, outside its time (for a progress bar).
    """
    seconds = {name: np.empty(repeats) for name in runs}
    for repeat in range(-warmup, repeats):
        for name, run in runs.items():
            started = perf_counter()
            run()
            if repeat >= 0:
                seconds[name][repeat] = perf_counter() - started
            between()
    return seconds


def time_each(
    runs: Mapping[str, Callable[[int], object]],
    n: int,
    repeats: int = 5,
    warmup: int = 10,
    between: Callable[[], object] = lambda: None,
) -> dict[str, np.ndarray]:
    """Seconds (repeats, n) of each run on each of n examples, one at a time.

    A pass takes one run through all examples; passes are interleaved over the runs, and each is warmed up before.

    Args:
        runs: by name, a call that takes an example's index and works from its raw text to its label.
        warmup: examples run untimed before each run's first pass.
        between: called after each timed example, outside its time (for a progress bar).
    """
    seconds = {name: np.empty((repeats, n)) for name in runs}
    for run in runs.values():
        for i in range(min(warmup, n)):
            run(i)
    for repeat in range(repeats):
        for name, run in runs.items():
            times = seconds[name][repeat]
            for i in range(n):
                started = perf_counter()
                run(i)
                times[i] = perf_counter() - started
                between()
    return seconds


def ratio_interval(
    numerator: np.ndarray, denominator: np.ndarray, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval, over examples, of sum(numerator) / sum(denominator); both (n,), drawn together.

    >>> ratio_interval(np.full(4, 6.0), np.full(4, 2.0))
    (3.0, 3.0)
    """
    rows = np.random.default_rng(seed).integers(len(numerator), size=(draws, len(numerator)))
    ratios = numerator[rows].sum(axis=1) / denominator[rows].sum(axis=1)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def is_unsteady(seconds: np.ndarray, limit: float = 0.1) -> bool:
    """Whether repeats (repeats,) of the same work spread too far: standard deviation over `limit` of the mean.

    >>> is_unsteady(np.array([1.0, 1.01, 0.99])), is_unsteady(np.array([1.0, 1.6, 1.0]))
    (False, True)
    """
    return bool(np.std(seconds) > limit * np.mean(seconds))
