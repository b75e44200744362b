import os
import sys

import numpy as np
import psutil
import pytest
from support import run_python

from ssnn.system import machine

GIB = 2**30


def test_the_machine_is_described():
    here = machine.describe()
    assert here["cores"] >= 1
    assert here["memory_bytes"] > machine.free_memory() > 0
    assert here["libraries"]["numpy"] == np.__version__
    assert "/" not in here["cpu"]


def test_peak_memory_counts_an_array_that_was_held():
    before = machine.peak_memory()
    array = np.ones(before + 10**8, np.uint8)
    assert array.nbytes <= machine.peak_memory() <= array.nbytes + before + 10**8


@pytest.fixture
def system(tmp_path):
    """A function that writes files of a system; they are given by their names, with __ for /."""

    def write(groups, **files):
        files = {"proc__self__cgroup": groups, **files}
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content + "\n")
        return tmp_path

    return write


def version_2(group, most, used, statistics="anon 5\ninactive_file 0"):
    folder = f"sys__fs__cgroup{group}"
    return {
        f"{folder}__memory.max": most,
        f"{folder}__memory.current": used,
        f"{folder}__memory.stat": statistics,
    }


def version_1(group, most, used, statistics="inactive_file 7\ntotal_inactive_file 0"):
    folder = f"sys__fs__cgroup__memory{group}"
    return {
        f"{folder}__memory.limit_in_bytes": most,
        f"{folder}__memory.usage_in_bytes": used,
        f"{folder}__memory.stat": statistics,
    }


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/", {}, GIB),
        ("0::/a/b", version_2("__a__b", "max", "50"), GIB),
        ("0::/a/b", version_2("__a__b", "300", "100"), 200),
        ("0::/a/b", version_2("__a__b", "300", "100", "anon 10\ninactive_file 70\nfile 80"), 270),
        ("0::/a/b", version_2("__a__b", "max", "100") | version_2("__a", "250", "150"), 100),
        ("0::/a/b", version_2("__a__b", "300", "100") | version_2("__a", "250", "150"), 100),
        ("0::/a/b", version_2("__a__b", "300", "100") | version_2("__c", "10", "0"), 200),
        ("0::/a", version_2("__a", "300", "400"), 0),
        ("0::/of/the/host", version_2("", "300", "100"), 200),
        ("5:memory:/a", version_1("__a", "300", "100"), 200),
        ("5:memory:/a", version_1("__a", "300", "100", "inactive_file 7\ntotal_inactive_file 50"), 250),
        ("5:memory:/a", version_1("__a", "9223372036854771712", "100"), GIB),
        ("5:memory:/a/b", version_1("__a__b", "300", "100") | version_1("__a", "150", "100"), 50),
        ("6:cpu,cpuacct:/b\n5:memory:/a\n0::/", version_1("__a", "300", "100"), 200),
        ("6:cpu,cpuacct:/a\n0::/", version_1("__a", "300", "100"), GIB),
    ],
)
def test_free_memory_is_the_least_of_the_machine_s_and_each_control_group_s(
    monkeypatch, system, groups, files, expected
):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": GIB}))
    assert machine.free_memory(system(groups, **files)) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this limit does not hold, or is none")
def test_free_memory_ends_at_the_limit_of_the_address_space():
    code = """
import numpy, resource, psutil
from ssnn.system import machine
limit = psutil.Process().memory_info().vms + 300 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
free = machine.free_memory()
bytearray(free - 10 * 2**20)
try:
    bytearray(free + 10 * 2**20)
except MemoryError:
    print("no more")
"""
    assert run_python(code) == "no more"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinity")
@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/", {}, 6),
        ("0::/a", {"sys__fs__cgroup__a__cpu.max": "max 100000"}, 6),
        ("0::/a", {"sys__fs__cgroup__a__cpu.max": "800000 100000"}, 6),
        ("0::/a", {"sys__fs__cgroup__a__cpu.max": "150000 100000"}, 2),
        ("0::/a", {"sys__fs__cgroup__a__cpu.max": "10000 100000"}, 1),
        ("0::/a/b", {"sys__fs__cgroup__a__cpu.max": "300000 100000"}, 3),
        ("4:cpu,cpuacct:/", {"sys__fs__cgroup__cpu__cpu.cfs_quota_us": "-1"}, 6),
        (
            "4:cpu,cpuacct:/",
            {"sys__fs__cgroup__cpu__cpu.cfs_quota_us": "200000", "sys__fs__cgroup__cpu__cpu.cfs_period_us": "100000"},
            2,
        ),
    ],
)
def test_cores_are_those_that_the_process_may_use(monkeypatch, system, groups, files, expected):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)))
    assert machine.cores(system(groups, **files)) == expected
