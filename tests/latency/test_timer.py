import tracemalloc

import numpy as np
import pytest

from tangodistill.latency import timer


class Clock:
    """Time that passes only where work says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timer, "perf_counter", clock)
    return clock


def test_passes_are_interleaved_after_the_warm_up(clock):
    calls = []

    def work(name, seconds):
        calls.append(name)
        clock.now += seconds + len(calls)

    times = timer.time_interleaved({"a": lambda: work("a", 0), "b": lambda: work("b", 100)}, repeats=3).seconds
    assert calls == ["a", "b"] * 4
    assert times["a"].tolist() == [3, 5, 7]
    assert times["b"].tolist() == [104, 106, 108]


def test_each_example_is_timed_in_interleaved_passes(clock):
    calls = []

    def work(name, i, seconds):
        calls.append((name, i))
        clock.now += seconds

    def between():  # the bar is drawn outside the times
        clock.now += 1000
        drawn.append(len(calls))

    drawn = []
    times = timer.time_each(
        {"a": lambda i: work("a", i, i), "b": lambda i: work("b", i, 10 * i)},
        n=3,
        repeats=2,
        warmup=2,
        between=between,
    ).seconds
    warm = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert calls == warm + [(name, i) for name in "abab" for i in range(3)]
    assert drawn == list(range(len(warm) + 1, len(calls) + 1))
    assert times["a"].tolist() == [[0, 1, 2]] * 2
    assert times["b"].tolist() == [[0, 10, 20]] * 2


def test_warm_up_is_no_longer_than_the_examples():
    calls = []
    timer.time_each({"a": calls.append}, n=2, repeats=1, warmup=10)
    assert calls == [0, 1, 0, 1]


def test_interval_holds_the_ratio_and_narrows_with_examples():
    random = np.random.default_rng(0)
    slow, fast = random.gamma(4, 5, 400), random.gamma(4, 1, 400)
    low, high = timer.ratio_interval(slow, fast)
    few_low, few_high = timer.ratio_interval(slow[:25], fast[:25])
    assert low < slow.sum() / fast.sum() < high
    assert high - low < few_high - few_low


def test_interval_of_many_examples_takes_little_memory_and_the_same_draws(monkeypatch):
    random = np.random.default_rng(1)
    times = random.gamma(4, 5, 300), random.gamma(4, 1, 300)
    at_once = timer.ratio_interval(*times)
    monkeypatch.setattr(timer, "DRAWN_AT_ONCE", 1000)  # three draws
    assert timer.ratio_interval(*times) == at_once
    monkeypatch.undo()
    many = random.gamma(4, 5, 100_000), random.gamma(4, 1, 100_000)
    tracemalloc.start()
    timer.ratio_interval(*many, draws=100)
    assert tracemalloc.get_traced_memory()[1] < 2**27  # all at once: 240 MB
    tracemalloc.stop()


def test_interval_is_the_same_every_time():
    random = np.random.default_rng(1)
    times = random.random(50), random.random(50)
    assert timer.ratio_interval(*times) == timer.ratio_interval(*times)


def test_unsteady():
    assert not timer.is_unsteady(np.array([1.0, 1.05, 0.97]))
    assert timer.is_unsteady(np.array([1.0, 1.0, 2.0]))
