"""What a measurement was taken on: processor, memory, BLAS, GPU and the versions of the libraries."""

import platform
import subprocess
import sys
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
        "cores": psutil.cpu_count(),
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


def free_memory() -> int:
    """Bytes that a program can still take without swapping."""
    available: int = psutil.virtual_memory().available
    return available


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
