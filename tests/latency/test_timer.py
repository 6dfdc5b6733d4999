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


def test_unsteady():
    assert not timer.is_unsteady(np.array([1.0, 1.05, 0.97]))
    assert timer.is_unsteady(np.array([1.0, 1.0, 2.0]))
