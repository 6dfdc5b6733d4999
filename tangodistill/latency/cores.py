"""How many cores this process may keep busy: what containers, schedulers and the user allow, not all there are."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
OPENMP = "OMP_NUM_THREADS"
ASKED_FOR = os.environ.get(OPENMP, "")  # when the process began: Lightning sets it where it starts others beside it


def available_cores() -> int:
    """The least of the machine's cores, the process' affinity, its CPU quota (rounded up) and OMP_NUM_THREADS."""
    return max(1, math.ceil(min(_affinity(), cpu_quota(), _asked_for())))


def tell_openmp() -> None:
    """Before PyTorch is loaded: OpenMP sees the process' affinity by itself, and no quota."""
    if cpu_quota() < _affinity():
        os.environ.setdefault(OPENMP, str(available_cores()))


def thread_counts(cores: int) -> list[int]:
    """Threads of a forward pass that are worth trying: the powers of two up to all cores, and all of them.

    >>> thread_counts(1), thread_counts(6), thread_counts(8)
    ([1], [1, 2, 4, 6], [1, 2, 4, 8])
    """
    return sorted({2**power for power in range(cores.bit_length())} | {cores})


def cpu_quota(root: Path = ROOT) -> float:
    """CPUs' worth of time that the process' control groups and all above them leave it; infinite without a limit.

    Args: `root` of the file system that holds /proc and the groups' files.
    """
    return min((quota for folder in _groups(root) for quota in _quotas(folder)), default=math.inf)


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _asked_for() -> float:
    """By OMP_NUM_THREADS: its first number, where it holds one for each level of nesting."""
    first = ASKED_FOR.partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else math.inf


def _groups(root: Path) -> Iterator[Path]:
    """Folders of the process' own control groups that may limit its CPUs, and of those above up to each mount point."""
    paths = {}
    for line in _lines(root / "proc/self/cgroup"):  # "4:cpu,cpuacct:/docker/x", or of version 2 "0::/docker/x"
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            paths["cgroup" if controllers else "cgroup2"] = path
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, system = line.partition(" - ")
        (shown, point), (kind, _, options) = mount.split()[3:5], system.split()[:3]
        if kind in paths and (kind == "cgroup2" or "cpu" in options.split(",")):
            top = root / point.lstrip("/")
            folder = top / _below(paths[kind], shown)
            yield from (each for each in (folder, *folder.parents) if each.is_relative_to(top))


def _below(path: str, shown: str) -> str:
    """A group's path below a mount point, which may show a part of the tree only: in a container, its own group.

    >>> _below("/docker/x/job", "/docker/x"), _below("/job", "/"), _below("/", "/../..")
    ('job', 'job', '')
    """
    parent = shown.rstrip("/")
    return path[len(parent) :].strip("/") if f"{path}/".startswith(f"{parent}/") else ""


def _quotas(folder: Path) -> Iterator[float]:
    """Of one group, by version 2 ("200000 100000", or "max 100000") or version 1 (-1: no limit)."""
    limits = [line.split() for line in _lines(folder / "cpu.max")]
    limits.append([*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us")])
    for limit in limits:
        if len(limit) == 2 and all(number.isdecimal() for number in limit):
            yield int(limit[0]) / int(limit[1])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):
        return []
