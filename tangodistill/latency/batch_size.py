"""Search for each tier's fastest batch size: powers of two, in interleaved repeats on a sample of the texts."""

import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import psutil

LARGEST = 256
NEARLY = 0.98  # of the best throughput: the smallest batch that reaches it wins, since it queues for a shorter time

Run = Callable[[np.ndarray, int], object]  # (rows of the examples, batch size)


@dataclass(frozen=True)
class BatchTime:
    """One timed run over n examples, a row of batch_times.parquet."""

    tier: str
    batch_size: int
    repeat: int
    n: int
    seconds: float


def find_batch_sizes(
    runs: Mapping[str, Run], lengths: Sequence[int], repeats: int = 5, budget_s: float = 60.0
) -> tuple[dict[str, int], list[BatchTime]]:
    """Each tier's best batch size, and every time that was taken.

    Sizes 1, 2, 4, ... up to the best one (and until throughput fell twice in a row) are measured on a sample; the best
    one finally on all examples, and those times stand in place of its sample's. So each size has times of one n, and
    one batch of size b takes seconds · b / n.

    Args:
        runs: by tier, a call that answers the examples of the given rows, from raw text, in batches of the given size.
        lengths: (n,) of the texts, in any unit; samples take every length in its share.
        budget_s: seconds for the whole search on the samples, shared equally by the tiers: it sets the samples' size,
            and no larger batch is tried once a tier's share is spent. The run over all examples comes on top.
    """
    lengths = np.asarray(lengths)
    searches = {tier: _Search(tier, run, lengths, budget_s / len(runs), repeats) for tier, run in runs.items()}
    batch_size = 1
    while searching := [search for search in searches.values() if search.wants(batch_size)]:
        _time_interleaved(searching, batch_size, repeats)
        batch_size *= 2
    best = {tier: search.best() for tier, search in searches.items()}
    on_samples = [search for tier, search in searches.items() if search.times[best[tier]][0].n < len(lengths)]
    for repeat in range(repeats):
        for search in on_samples:
            search.time(best[search.tier], repeat, np.arange(len(lengths)))
    return best, [time for search in searches.values() for times in search.times.values() for time in times]


def _time_interleaved(searches: Sequence["_Search"], batch_size: int, repeats: int) -> None:
    for search in searches:
        search.warm_up(batch_size)
    for repeat in range(repeats):
        for search in searches:
            search.time(batch_size, repeat, search.sample(batch_size))


def sample_rows(lengths: np.ndarray, count: int) -> np.ndarray:
    """Rows (count,) spread evenly over the order of length, so that a sample is as long on average as the whole.

    >>> sample_rows(np.array([5, 1, 4, 2, 3, 6]), 3).tolist()
    [3, 2, 5]
    """
    order = np.argsort(lengths, kind="stable")
    return order[((np.arange(count) + 0.5) * len(order) / count).astype(int)]


class _Search:
    """One tier's search: what was measured so far, and whether a larger batch is worth trying."""

    def __init__(self, tier: str, run: Run, lengths: np.ndarray, budget_s: float, repeats: int):
        self.tier = tier
        self.run = run
        self.lengths = lengths
        self.times: dict[int, list[BatchTime]] = {}
        self.budget_s = budget_s
        self.growth_bytes = 0  # of the process' peak memory, by the last size
        sizes = LARGEST.bit_length()
        self.sample_size = int(budget_s / (repeats * sizes) / self._pilot_s()) + 1

    def _pilot_s(self) -> float:
        """Seconds per example at batch 1, from a few, warmed up."""
        rows = sample_rows(self.lengths, min(10, len(self.lengths)))
        self.run(rows, 1)
        started = perf_counter()
        self.run(rows, 1)
        return max((perf_counter() - started) / len(rows), 1e-6)

    def sample(self, batch_size: int) -> np.ndarray:
        """Two batches at the least, more where the time allows."""
        return sample_rows(self.lengths, min(max(2 * batch_size, self.sample_size), len(self.lengths)))

    def wants(self, batch_size: int) -> bool:
        if batch_size > max(min(LARGEST, len(self.lengths)), 1):
            return False
        if batch_size > 1 and batch_size // 2 not in self.times:  # stopped before
            return False
        if sum(time.seconds for times in self.times.values() for time in times) > self.budget_s:
            return False
        if 4 * self.growth_bytes > psutil.virtual_memory().available:  # twice the batch, with as much left over
            return False
        return not self._fell_twice()

    def _fell_twice(self) -> bool:
        rates = [self.per_s(size) for size in self.times]
        return len(rates) >= 3 and max(rates[-2:]) < max(rates[:-2])

    def per_s(self, batch_size: int) -> float:
        """Examples per second, by the median repeat."""
        return self.times[batch_size][0].n / median(time.seconds for time in self.times[batch_size])

    def best(self) -> int:
        rates = {size: self.per_s(size) for size in self.times}
        return min(size for size, rate in rates.items() if rate >= NEARLY * max(rates.values()))

    def warm_up(self, batch_size: int) -> None:
        """One untimed batch of the longest texts of the sample, which also tells how much memory such a batch adds."""
        before = _peak_memory_bytes()
        self.run(self.sample(batch_size)[-batch_size:], batch_size)
        self.growth_bytes = _peak_memory_bytes() - before

    def time(self, batch_size: int, repeat: int, rows: np.ndarray) -> None:
        started = perf_counter()
        self.run(rows, batch_size)
        seconds = perf_counter() - started
        if repeat == 0:
            self.times[batch_size] = []
        self.times[batch_size].append(BatchTime(self.tier, batch_size, repeat, len(rows), seconds))


def _peak_memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
