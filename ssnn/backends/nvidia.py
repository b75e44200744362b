"""What the NVIDIA driver of this machine can run, asked of the driver itself: no library needs to be installed."""

import ctypes
import sys

NO_DEVICE = "no CUDA device is visible"
NEEDS_DEVICE = "an NVIDIA GPU with its driver (`nvidia-smi` must list it, CUDA_VISIBLE_DEVICES must not hide it)"


def cuda_packages() -> int:
    """The major version of CUDA whose packages (…-cuda12x, …[cuda13]) suit the driver; the newest without one."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 13
    version = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    return 12 if version.value < 13_000 else 13
