"""Search for each tier's fastest batch size: powers of two, in interleaved repeats on a sample of the texts."""

import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import psutil

from tangodistill.latency.timer import Between, Passes, nothing, time_interleaved

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
    under_load: bool = False
    """Other work disturbed it, the second time too."""


def find_batch_sizes(
    runs: Mapping[str, Run],
    lengths: Mapping[str, np.ndarray],
    repeats: int = 5,
    budget_s: float = 60.0,
    between: Between = nothing,
) -> tuple[dict[str, int], list[BatchTime]]:
    """Each tier's best batch size, and every time that was taken.

    Sizes 1, 2, 4, ... up to the best one (and until throughput fell twice in a row) are measured on as many examples as
    the budget allows, judging by the size before; the best one finally on all examples, where it was not, and those
    times stand in place of its sample's. So each size has times of one n, and one batch of size b takes
    seconds · b / n.

    Args:
        runs: by tier, a call that answers the examples of the given rows, from raw text, in batches of the given size.
        lengths: by tier, (n,) tokens of the examples.
        budget_s: seconds for the whole search on the samples, shared equally by the tiers: it sets the samples' size,
            and no larger batch is tried once a tier's share is spent. The run over all examples comes on top.
        between: called after each timed run, outside its time (for a progress bar).
    """
    searches = [_Search(tier, run, lengths[tier], budget_s / len(runs), repeats) for tier, run in runs.items()]
    batch_size = 1
    while searching := [search for search in searches if search.wants(batch_size)]:
        for search in searching:
            search.warm_up(batch_size)
        _time(searching, {search.tier: batch_size for search in searching}, repeats, between)
        batch_size *= 2
    best = {search.tier: search.best() for search in searches}
    sampled = [search for search in searches if search.times[best[search.tier]][0].n < len(search.lengths)]
    for search in sampled:
        search.widen(best[search.tier])
    _time(sampled, best, repeats, between)
    return best, [time for search in searches for times in search.times.values() for time in times]


def time_batch_sizes(
    runs: Mapping[str, Run], sizes: Mapping[str, int], n: int, repeats: int, between: Between = nothing
) -> list[BatchTime]:
    """Times of each tier on all n examples at the batch size given for it, in interleaved repeats after a warm-up."""
    rows = np.arange(n)
    calls = {tier: lambda run=run, size=sizes[tier]: run(rows, size) for tier, run in runs.items()}
    passes = time_interleaved(calls, repeats, between=between)
    return [time for tier, size in sizes.items() for time in _batch_times(passes, tier, size, n)]


def _time(searches: Sequence["_Search"], sizes: Mapping[str, int], repeats: int, between: Between) -> None:
    """Let each search know the times of its sample at the batch size given for it, in interleaved repeats."""
    calls = {each.tier: lambda each=each: each.run_sample(sizes[each.tier]) for each in searches}
    passes = time_interleaved(calls, repeats, 0, between)
    for search in searches:
        size = sizes[search.tier]
        search.record(size, _batch_times(passes, search.tier, size, len(search.sample(size))))


def _batch_times(passes: Passes, tier: str, batch_size: int, n: int) -> list[BatchTime]:
    under_load = tier in passes.under_load
    return [
        BatchTime(tier, batch_size, repeat, n, float(seconds), under_load)
        for repeat, seconds in enumerate(passes.seconds[tier])
    ]


def sample_rows(lengths: np.ndarray, batch_size: int, count: int) -> np.ndarray:
    """About `count` rows: whole batches of the order of length, spread evenly over it.

    A run over all examples pads next to nothing, since its batches hold neighbours in length. A sample drawn row by
    row would pad more the larger the batch, and make large batches look slow.

    >>> sample_rows(np.array([5, 1, 4, 2, 3, 6, 8, 7]), batch_size=2, count=4).tolist()
    [4, 2, 7, 6]
    """
    order = np.argsort(lengths, kind="stable")
    batches = np.split(order, range(batch_size, len(order), batch_size))
    wanted = min(-(-count // batch_size), len(batches))
    picked = ((np.arange(wanted) + 0.5) * len(batches) / wanted).astype(int)
    return np.concatenate([batches[i] for i in picked])


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
        self.run_s = budget_s / (repeats * sizes)  # that one timed run may take
        self.per_example_s = self._pilot_s()  # by the latest size
        self.samples: dict[int, np.ndarray] = {}

    def _pilot_s(self) -> float:
        """Seconds per example at batch 1, from a few, warmed up."""
        rows = sample_rows(self.lengths, batch_size=1, count=10)
        self.run(rows, 1)
        started = perf_counter()
        self.run(rows, 1)
        return max((perf_counter() - started) / len(rows), 1e-6)

    def sample(self, batch_size: int) -> np.ndarray:
        """Rows to measure a batch size on: four batches at the least, all examples where the time allows."""
        if batch_size not in self.samples:
            count = max(4 * batch_size, int(self.run_s / self.per_example_s) + 1)
            self.samples[batch_size] = sample_rows(self.lengths, batch_size, count)
        return self.samples[batch_size]

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
        rates = [self.tokens_per_s(size) for size in self.times]
        return len(rates) >= 3 and max(rates[-2:]) < max(rates[:-2])

    def tokens_per_s(self, batch_size: int) -> float:
        """By the median repeat. Tokens, because the samples of two sizes differ a little in length."""
        tokens = self.lengths[self.sample(batch_size)].sum()
        return float(tokens / median(time.seconds for time in self.times[batch_size]))

    def best(self) -> int:
        rates = {size: self.tokens_per_s(size) for size in self.times}
        return min(size for size, rate in rates.items() if rate >= NEARLY * max(rates.values()))

    def warm_up(self, batch_size: int) -> None:
        """One untimed batch of the longest texts of the sample, which also tells how much memory such a batch adds."""
        before = _peak_memory_bytes()
        self.run(self.sample(batch_size)[-batch_size:], batch_size)
        self.growth_bytes = _peak_memory_bytes() - before

    def run_sample(self, batch_size: int) -> None:
        self.run(self.sample(batch_size), batch_size)

    def record(self, batch_size: int, times: list[BatchTime]) -> None:
        self.times[batch_size] = times
        self.per_example_s = max(median(time.seconds for time in times) / times[0].n, 1e-9)

    def widen(self, batch_size: int) -> None:
        """From now on this size's sample is all examples."""
        self.samples[batch_size] = np.arange(len(self.lengths))


def _peak_memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
