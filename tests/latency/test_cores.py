"""Cores at hand, from made-up trees of /proc and /sys as containers and schedulers leave them."""

import doctest
import math
import os

import pytest

from tangodistill.latency import cores
from tangodistill.latency.cores import available_cores, cpu_quota

V2 = "30 23 0:26 {shown} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "33 31 0:30 {shown} /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct"
SET = "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset"


@pytest.fixture
def tree(tmp_path):
    """Writes /proc/self/cgroup, /proc/self/mountinfo and the groups' files, and gives the root of it all."""

    def write(groups, mounts, files):
        own = {"proc/self/cgroup": "\n".join(groups), "proc/self/mountinfo": "\n".join(mounts)}
        for name, content in {**own, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        ({"": "max 100000"}, math.inf),
        ({"pods/one": "200000 100000"}, 2),
        ({"pods": "300000 100000", "pods/one": "max 100000"}, 3),  # one of the groups above
        ({"pods": "150000 100000", "pods/one": "400000 100000"}, 1.5),
        ({"other": "100000 100000"}, math.inf),  # not this process' group
        ({"pods/one": "garbage"}, math.inf),
    ],
)
def test_version_2_takes_the_least_along_the_path(tree, limits, quota):
    files = {f"sys/fs/cgroup/{group}/cpu.max": limit for group, limit in limits.items()}
    assert cpu_quota(tree(["0::/pods/one"], [V2.format(shown="/")], files)) == quota


@pytest.mark.parametrize(("quota_us", "quota"), [("-1", math.inf), ("50000", 0.5), ("250000", 2.5)])
def test_version_1(tree, quota_us, quota):
    group = "sys/fs/cgroup/cpu,cpuacct/docker/x"
    files = {f"{group}/cpu.cfs_quota_us": quota_us, f"{group}/cpu.cfs_period_us": "100000"}
    found = ["5:cpuset:/docker/x", "4:cpu,cpuacct:/docker/x", "0::/init.scope"]
    assert cpu_quota(tree(found, [SET, V1.format(shown="/")], files)) == quota


@pytest.mark.parametrize("shown", ["/docker/x", "/", "/../.."])
def test_a_container_sees_its_own_group_at_the_mount_point(tree, shown):
    """By the whole path and the part of it that is mounted, or by a name space of its own."""
    path = "/docker/x" if shown == "/docker/x" else "/"
    v1, v2 = {"cpu.cfs_quota_us": "300000", "cpu.cfs_period_us": "100000"}, {"cpu.max": "300000 100000"}
    for groups, mount, folder, files in (
        ([f"4:cpu,cpuacct:{path}"], V1, "sys/fs/cgroup/cpu,cpuacct", v1),
        ([f"0::{path}"], V2, "sys/fs/cgroup", v2),
    ):
        given = {f"{folder}/{name}": content for name, content in files.items()}
        assert cpu_quota(tree(groups, [mount.format(shown=shown)], given)) == 3


def test_of_both_versions_side_by_side_the_lower_counts(tree):
    files = {
        "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "400000",
        "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/unified/b/cpu.max": "200000 100000",
    }
    unified = V2.format(shown="/").replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    assert cpu_quota(tree(["4:cpu,cpuacct:/a", "0::/b"], [V1.format(shown="/"), unified], files)) == 2


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert cpu_quota(tmp_path) == math.inf


@pytest.mark.parametrize(
    ("affinity", "quota", "asked_for", "expected"),
    [
        (64, math.inf, "", 64),
        (64, 2.0, "", 2),
        (64, 2.5, "", 3),
        (64, 0.1, "", 1),
        (3, 8.0, "", 3),
        (64, 16.0, "4", 4),
        (4, math.inf, "16", 4),
        (8, math.inf, "2,4", 2),  # by level of nesting
        (8, math.inf, "0", 8),
        (8, math.inf, "many", 8),
    ],
)
def test_the_least_of_affinity_quota_and_what_is_asked_for(monkeypatch, affinity, quota, asked_for, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)), raising=False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    monkeypatch.setattr(cores, "ASKED_FOR", asked_for)
    assert available_cores() == expected


def test_openmp_is_told_of_a_quota_alone(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(cores, "ASKED_FOR", "")
    for quota, given, expected in ((2.0, None, "2"), (math.inf, None, None), (2.0, "7", "7")):
        monkeypatch.setattr(cores, "cpu_quota", lambda quota=quota: quota)
        environment = {} if given is None else {"OMP_NUM_THREADS": given}
        monkeypatch.setattr(os, "environ", environment)
        cores.tell_openmp()
        assert environment.get("OMP_NUM_THREADS") == expected


def test_where_the_system_knows_no_affinity_all_cores_count(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cores, "ASKED_FOR", "")
    monkeypatch.setattr(cores, "cpu_quota", lambda: math.inf)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert available_cores() == 12


def test_doctests():
    assert doctest.testmod(cores).failed == 0
