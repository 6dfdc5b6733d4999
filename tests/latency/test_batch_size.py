from types import SimpleNamespace

import numpy as np
import pytest

from tangodistill.latency import batch_size as module
from tangodistill.latency import timer
from tangodistill.latency.batch_size import find_batch_sizes, sample_rows

MIB = 2**20


class FakeTier:
    """Takes the seconds that its table gives for one batch, on a clock of its own; remembers what it ran."""

    def __init__(self, clock, batch_s, name="tier"):
        self.clock, self.batch_s, self.name = clock, batch_s, name
        self.ran = []

    def __call__(self, rows, batch_size):
        self.ran.append((batch_size, len(rows)))
        self.clock.log.append((self.name, batch_size))
        self.clock.now += len(rows) / batch_size * self.batch_s(batch_size)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0, log=[])
    for part in (module, timer):
        monkeypatch.setattr(part, "perf_counter", lambda: clock.now)
    return clock


def search(tiers, n=600, **options):
    return find_batch_sizes(tiers, {tier: np.full(n, 20) for tier in tiers}, **options)


def sizes_of(times, tier):
    return sorted({time.batch_size for time in times if time.tier == tier})


def test_stops_after_two_drops_and_keeps_the_best(clock):
    per_s = {1: 10, 2: 18, 4: 30, 8: 40, 16: 39, 32: 35}
    best, times = search({"a": FakeTier(clock, lambda size: size / per_s[size])}, budget_s=1e9)
    assert best == {"a": 8}
    assert sizes_of(times, "a") == [1, 2, 4, 8, 16, 32]


def test_one_drop_is_not_enough_to_stop(clock):
    per_s = {1: 10, 2: 20, 4: 15, 8: 40, 16: 30, 32: 20}
    best, times = search({"a": FakeTier(clock, lambda size: size / per_s[size])}, budget_s=1e9)
    assert best == {"a": 8}
    assert sizes_of(times, "a") == [1, 2, 4, 8, 16, 32]


def test_never_goes_beyond_the_largest_or_the_examples(clock):
    faster_and_faster = lambda size: 1.0  # noqa: E731
    best, _ = search({"a": FakeTier(clock, faster_and_faster)}, n=5000, budget_s=1e9)
    assert best == {"a": module.LARGEST}
    best, times = search({"a": FakeTier(clock, faster_and_faster)}, n=40, budget_s=1e9)
    assert best == {"a": 32} and sizes_of(times, "a") == [1, 2, 4, 8, 16, 32]
    assert search({"a": FakeTier(clock, faster_and_faster)}, n=1)[0] == {"a": 1}


def test_a_smaller_batch_wins_where_a_larger_is_hardly_faster(clock):
    per_s = {1: 10, 2: 20, 4: 39.5, 8: 40, 16: 39, 32: 38}
    assert search({"a": FakeTier(clock, lambda size: size / per_s[size])}, budget_s=1e9)[0] == {"a": 4}


def test_repeats_are_interleaved_over_the_tiers(clock):
    tiers = {name: FakeTier(clock, lambda size: size / min(size, 2), name) for name in "ab"}
    search(tiers, n=100, repeats=3, budget_s=1e9)
    at_4 = [name for name, size in clock.log if size == 4]
    assert at_4 == ["a", "b"] + ["a", "b"] * 3  # warm-up, then the passes


def test_a_slow_tier_is_sampled_and_its_best_size_measured_on_all(clock):
    slow = FakeTier(clock, lambda size: 0.1 * size / min(size, 4) + 0.001 * size)
    best, times = search({"slow": slow}, n=600, repeats=5, budget_s=60)
    n_of = {size: {time.n for time in times if time.batch_size == size} for size in sizes_of(times, "slow")}
    assert n_of.pop(best["slow"]) == {600}
    assert all(len(ns) == 1 and 4 * size <= max(ns) < 600 for size, ns in n_of.items())
    assert all(sorted(time.repeat for time in times if time.batch_size == size) == [0, 1, 2, 3, 4] for size in n_of)
    on_samples = sum(time.seconds for time in times if time.n < 600)
    assert on_samples < 90


def test_a_fast_tier_is_measured_on_all_from_the_start(clock):
    fast = FakeTier(clock, lambda size: 1e-5 * size / min(size, 4))
    _, times = search({"fast": fast}, n=600, budget_s=60)
    assert {time.n for time in times} == {600}


def test_the_search_ends_when_its_time_is_spent(clock):
    per_s = lambda size: 1 + size / 1000  # noqa: E731
    tier = FakeTier(clock, lambda size: size / per_s(size))
    best, times = search({"a": tier}, n=600, repeats=5, budget_s=60)
    assert sizes_of(times, "a")[-1] <= 16
    assert best["a"] in sizes_of(times, "a")


def test_the_search_ends_before_memory_does(clock, monkeypatch):
    tier = FakeTier(clock, lambda size: 1.0)
    monkeypatch.setattr(module, "_peak_memory_bytes", lambda: 10 * MIB * max((size for size, _ in tier.ran), default=0))
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: SimpleNamespace(available=500 * MIB))
    _, times = search({"a": tier}, budget_s=1e9)
    # from 16 to 32 the peak grows by 160 MiB: the next step may want 320, and would leave less than that
    assert sizes_of(times, "a") == [1, 2, 4, 8, 16, 32]


@pytest.mark.parametrize("batch_size", [1, 8, 32])
def test_a_sample_is_as_long_as_the_whole_and_pads_as_little(batch_size):
    lengths = np.random.default_rng(0).gamma(4, 5, 1000).astype(int) + 1
    rows = sample_rows(lengths, batch_size, 250)
    assert len(set(rows.tolist())) == len(rows) and 250 <= len(rows) < 250 + batch_size
    assert lengths[rows].mean() == pytest.approx(lengths.mean(), rel=0.1)
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded <= 1.1 * lengths[rows].sum()


def test_a_large_sample_is_everything():
    lengths = np.array([3, 1, 2, 5, 4])
    assert sample_rows(lengths, 2, 100).tolist() == [1, 2, 0, 4, 3]


def test_longer_samples_do_not_make_a_size_look_slow(clock):
    lengths = np.random.default_rng(1).gamma(2, 10, 400).astype(int) + 1

    def run(rows, batch_size):  # every token costs the same in batches of 2 and more
        clock.now += lengths[rows].sum() * (1.0 if batch_size > 1 else 2.0)

    best, _ = find_batch_sizes({"a": run}, {"a": lengths}, budget_s=1e9)
    assert best == {"a": 2}
