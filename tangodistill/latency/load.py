"""How much of the machine other work had while something was timed.

Whatever is timed here computes all the while: one thread or another of this process runs, unless it is kept from it. So
CPU time short of wall time tells of other work on any system. Linux tells more: what all processes used of the cores,
what a hypervisor took of them (steal), and how long the timing thread stood in the run queue.
"""

from __future__ import annotations

import math
import os
from dataclasses import astuple, dataclass
from pathlib import Path
from time import perf_counter, process_time

SHORTEST_S = 0.3  # that is judged: the system counts in hundredths of a second, of each core and kind of work
MOST_OTHERS = 0.2  # of the cores
MOST_STEAL = 0.1
MOST_WAITING = 0.1
LEAST_CPU = 0.9  # seconds per second of wall time
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Load:
    """Seconds summed over timed spans, NaN where the system doesn't tell; loads add up.

    >>> quiet = Load(wall_s=1.0, cores_s=2.0, own_s=1.0, used_s=1.01, stolen_s=0.0, waited_s=0.0)
    >>> crowded = Load(wall_s=1.0, cores_s=2.0, own_s=0.98, used_s=1.98, stolen_s=0.0, waited_s=0.02)
    >>> quiet.busy, crowded.busy, (quiet + crowded).busy
    (False, True, True)
    """

    wall_s: float = 0.0
    cores_s: float = 0.0
    """Of the cores that this process may use."""
    own_s: float = 0.0
    """CPU time of this process and of its children that ended."""
    used_s: float = 0.0
    """CPU time of all processes on these cores."""
    stolen_s: float = 0.0
    """Taken off these cores by a hypervisor."""
    waited_s: float = 0.0
    """That the timing thread was ready to run and had no core."""

    def __add__(self, other: Load) -> Load:
        return Load(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Load) -> Load:
        return Load(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def cpu_per_wall(self) -> float:
        """Seconds of CPU time that this process had per second."""
        return _share(self.own_s, self.wall_s)

    @property
    def others_cpu_share(self) -> float:
        """Share of the cores that other processes used."""
        return _share(max(self.used_s - self.own_s, 0.0) if self.used_s == self.used_s else UNKNOWN, self.cores_s)

    @property
    def steal_share(self) -> float:
        """Share that a hypervisor took of the time in which the cores had work."""
        return _share(self.stolen_s, self.used_s + self.stolen_s)

    @property
    def waiting_share(self) -> float:
        """Share of the time in which the timing thread stood in the run queue."""
        return _share(self.waited_s, self.wall_s)

    @property
    def busy(self) -> bool:
        """Whether times taken meanwhile are not to be trusted; never of less than `SHORTEST_S`."""
        crowded_out = self.waiting_share > MOST_WAITING and self.cores_s - self.own_s > 0.25 * self.wall_s
        return self.wall_s >= SHORTEST_S and (
            self.cpu_per_wall < LEAST_CPU
            or self.others_cpu_share > MOST_OTHERS
            or self.steal_share > MOST_STEAL
            or crowded_out  # by others: this process' own threads left a core free
        )

    def record(self) -> dict[str, bool | float | None]:
        """For JSON; None for what the system doesn't tell."""
        names = ("others_cpu_share", "steal_share", "waiting_share", "cpu_per_wall")
        shares = {name: getattr(self, name) for name in names}
        return {"busy": self.busy, **{name: _told(value) for name, value in shares.items()}}


class LoadWatch:
    """Watches the machine inside `with`; entered several times, it adds up.

    >>> with LoadWatch() as watch:
    ...     pass
    >>> watch.load.busy
    False
    """

    def __init__(self) -> None:
        self.load = Load()

    def __enter__(self) -> LoadWatch:
        self._before = _so_far()
        return self

    def __exit__(self, *_: object) -> None:
        self.load += _so_far() - self._before


def _so_far() -> Load:
    """Since some point in the past."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    children_s = sum(os.times()[2:4])
    used_s, stolen_s = _cores_s(cores)
    wall_s = perf_counter()
    return Load(wall_s, wall_s * len(cores), process_time() + children_s, used_s, stolen_s, _waited_s())


def _cores_s(cores: set[int] | range) -> tuple[float, float]:
    """CPU time used and stolen on these cores, from /proc/stat."""
    rows = [line.split() for line in _read("/proc/stat").splitlines() if line.startswith("cpu")]
    ticks = [[int(value) for value in row[1:9]] for row in rows if row[0][3:].isdigit() and int(row[0][3:]) in cores]
    if len(ticks) < len(cores) or not any(map(sum, ticks)):  # a sandbox that fills in zeros
        return UNKNOWN, UNKNOWN
    user, nice, system, _, _, irq, softirq, steal = map(sum, zip(*ticks, strict=True))
    per_s = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / per_s, steal / per_s


def _waited_s() -> float:
    """This thread's time in the run queue; the kernel counts nanoseconds."""
    fields = _read("/proc/thread-self/schedstat").split()
    return int(fields[1]) / 1e9 if len(fields) == 3 else UNKNOWN


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else UNKNOWN


def _told(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)
