"""What a measurement was taken on, and what this process may use of it: processor, memory, BLAS, GPU, libraries."""

import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from threadpoolctl import threadpool_info

LIBRARIES = (
    "ssnn",
    "numpy",
    "array-api-compat",
    "array-api-strict",
    "jax",
    "jaxlib",
    "torch",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "keras",
    "optax",
    "scikit-learn",
)


def describe() -> dict[str, Any]:
    """The machine and its libraries, as plain values; BLAS as this process has loaded it."""
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "blas": [
            {
                "name": pool["internal_api"],
                "version": pool["version"],
                "threads": pool["num_threads"],
                "architecture": pool.get("architecture"),
            }
            for pool in threadpool_info()
            if pool["user_api"] == "blas"
        ],
        **_gpu(),
        "libraries": _versions(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def cores(root: Path = Path("/")) -> int:
    """The cores that this process may use: those that it may run on, as far as its control group gives their time."""
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    for group in _control_groups(root, "cpu"):
        quota, _, period = _text(group / "cpu.max").partition(" ")
        quota, period = quota or _text(group / "cpu.cfs_quota_us"), period or _text(group / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal():  # and not "max", or -1
            count = min(count, math.ceil(int(quota) / int(period)))
    return max(1, count)


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that this process can still take without swapping: of the machine's, its control group's and its own limit.

    Parameters
    ----------
    root : Path
        Where proc and sys are mounted.
    """
    free = [psutil.virtual_memory().available, *_free_in_control_groups(root)]
    with suppress(ImportError, OSError):  # Windows has no such limit
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            free.append(limit - psutil.Process().memory_info().vms)
    return max(0, min(free))


def _free_in_control_groups(root: Path) -> Iterator[int]:
    """What is left in each of the control groups that this process is in, as far as they have a limit."""
    for group in _control_groups(root, "memory"):
        for limit, usage, reclaimable in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most, used = _text(group / limit), _text(group / usage)
            if most.isdecimal() and used.isdecimal():  # and not "max"
                statistics = dict(line.split(maxsplit=1) for line in _text(group / "memory.stat").splitlines())
                yield int(most) - int(used) + int(statistics.get(reclaimable, 0))


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the control groups that this process is in, from its own up to the outermost that can be seen.

    Both versions are looked at, since a system may use both. Within a container the path that the process sees is
    often one of the host, of which only the end is there, or nothing: the outermost is what counts then.
    """
    mount = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, names_and_path = line.partition(":")
        names, _, path = names_and_path.partition(":")
        if names and controller not in names.split(","):
            continue
        top = mount / controller if names else mount
        own = top / path.lstrip("/")
        yield from (group for group in (own, *own.parents) if group.is_relative_to(top))


def _text(file: Path) -> str:
    """What a file of the system holds; nothing where there is none."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def peak_memory() -> int:
    """The most bytes that this process has held so far, libraries and mapped files included."""
    with suppress(OSError):  # where there is no /proc; what getrusage says may be the peak of the parent process
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    import resource  # which Windows does not have

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _cpu() -> str:
    """The name of the processor, with family and model where the name alone says little."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = found.get("model name", platform.machine())
    return f"{name} (family {found['cpu family']}, model {found['model']})" if "cpu family" in found else name


def _gpu() -> dict[str, Any]:
    """Names of the NVIDIA GPUs and the version of their driver."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return {"gpu": [], "driver": None}
    gpus = [line.rsplit(", ", 1) for line in answer.splitlines()]
    return {"gpu": [name for name, _ in gpus], "driver": gpus[0][1] if gpus else None}


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
