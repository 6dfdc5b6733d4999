"""Whether other work is noticed, from what the system tells while something is timed."""

import doctest
from types import SimpleNamespace

import pytest

from tangodistill.latency import load as module
from tangodistill.latency import timer
from tangodistill.latency.load import Load, LoadWatch
from tangodistill.latency.timer import time_interleaved

STAT = "cpu  {all} 0 0 9 0 0 0 0 0 0\ncpu0 {a} 0 0 9 0 0 0 {stolen} 0 0\ncpu1 {b} 0 0 9 0 0 0 0 0 0\nintr 1\n"


class System:
    """A machine of two cores whose clocks stand still until `work` is done; it replaces what the system tells."""

    def __init__(self, patch, has_proc=True):
        self.wall = self.own = self.others = self.stolen = self.waited = 0.0
        self.has_proc = has_proc
        patch.setattr(module, "perf_counter", lambda: self.wall)
        patch.setattr(timer, "perf_counter", lambda: self.wall)
        patch.setattr(module, "process_time", lambda: self.own)
        patch.setattr(module, "_read", self._read)
        patch.setattr(
            module, "os",
            SimpleNamespace(sched_getaffinity=lambda _: {0, 1}, times=lambda: [0.0] * 5, sysconf=lambda _: 100),
        )  # fmt: skip

    def _read(self, path):
        if not self.has_proc:
            return ""
        if path == "/proc/thread-self/schedstat":
            return f"{int(self.own * 1e9)} {int(self.waited * 1e9)} 3"
        return STAT.format(
            all=7, a=100 + round(self.own * 100), b=round(self.others * 100), stolen=round(self.stolen * 100)
        )

    def work(self, seconds, others=0.0, stolen=0.0, kept_from=0.0):
        """That many seconds of CPU time; in shares of the wall time, what others do meanwhile."""
        wall = seconds / (1 - kept_from)
        self.wall, self.own, self.waited = self.wall + wall, self.own + seconds, self.waited + kept_from * wall
        self.others, self.stolen = self.others + others * wall, self.stolen + stolen * wall


@pytest.fixture
def system(monkeypatch):
    return System(monkeypatch)


@pytest.mark.parametrize(
    ("others", "busy"),
    [
        ({}, False),
        ({"others": 0.3}, False),  # 15 % of both cores
        ({"others": 0.5}, True),
        ({"stolen": 0.05}, False),
        ({"stolen": 0.3}, True),
        ({"kept_from": 0.05}, False),
        ({"kept_from": 0.2}, True),
    ],
)
def test_other_work_is_noticed_while_something_is_timed(system, others, busy):
    with LoadWatch() as watch:
        system.work(1.0, **others)
    assert watch.load.busy == busy
    assert watch.load.others_cpu_share == pytest.approx(others.get("others", 0) / 2, abs=0.01)


@pytest.mark.parametrize(("kept_from", "busy"), [(0.05, False), (0.5, True)])
def test_where_the_system_tells_nothing_cpu_time_against_wall_time_does(monkeypatch, kept_from, busy):
    system = System(monkeypatch, has_proc=False)
    with LoadWatch() as watch:
        system.work(1.0, others=1.0, kept_from=kept_from)
    record = watch.load.record()
    assert record == {
        "busy": busy, "others_cpu_share": None, "steal_share": None, "waiting_share": None,
        "cpu_per_wall": 1 - kept_from,
    }  # fmt: skip


@pytest.mark.parametrize("zeros", ["cpu0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0\n", "cpu0 1 0 0 0 0 0 0 0\n"])
def test_a_sandbox_that_tells_zeros_or_half_the_cores_tells_nothing(system, monkeypatch, zeros):
    monkeypatch.setattr(module, "_read", lambda path: zeros)
    with LoadWatch() as watch:
        system.work(1.0)
    assert watch.load.record()["others_cpu_share"] is None and not watch.load.busy


def test_own_threads_that_fill_all_cores_are_no_other_work(system):
    with LoadWatch() as watch:
        system.work(1.0)
        system.own, system.waited = 2.0, 0.5  # two threads of this process, and a third that waits for them
    assert not watch.load.busy


def test_what_is_too_short_is_not_judged_alone_but_added_up(system):
    watch = LoadWatch()
    for _ in range(4):
        with watch:
            system.work(0.1, others=1.0)
        system.work(1.0)  # between the spans
    assert watch.load.busy and watch.load.wall_s == pytest.approx(0.4)
    with LoadWatch() as watch:
        system.work(0.1, others=1.0)
    assert not watch.load.busy


def test_a_disturbed_pass_is_taken_once_more_and_then_marked(system):
    calls = []

    def run(name, disturbed):
        calls.append(name)
        system.work(0.5, kept_from=0.5 if len(calls) in disturbed else 0.0)

    runs = {"a": lambda: run("a", {3}), "b": lambda: run("b", set())}
    passes = time_interleaved(runs, repeats=2, warmup=0)
    assert calls == ["a", "b", "a", "b", "a"]  # the third, after all others
    assert passes.under_load == frozenset() and passes.seconds["a"].tolist() == pytest.approx([0.5, 0.5])

    calls.clear()
    passes = time_interleaved({"a": lambda: run("a", {1, 2, 3}), "b": lambda: run("b", {2})}, 1, warmup=0)
    assert calls == ["a", "b", "a", "b"]
    assert passes.under_load == {"a"} and passes.seconds["b"].tolist() == pytest.approx([0.5])


def test_many_short_passes_are_judged_together(system):
    passes = time_interleaved({"a": lambda: system.work(0.08, others=1.0)}, repeats=5)
    assert passes.under_load == {"a"}


@pytest.mark.parametrize("part", [module, timer])
def test_doctests(part):
    assert doctest.testmod(part).failed == 0


def test_loads_add_up():
    one = Load(1, 2, 3, 4, 5, 6)
    assert one + one - one == one
