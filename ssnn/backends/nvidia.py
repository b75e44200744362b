"""What the NVIDIA driver of this machine can run, asked of the driver itself: no library needs to be installed."""

import ctypes
import sys

NO_DEVICE = "no CUDA device is visible"
NEEDS_DEVICE = "an NVIDIA GPU with its driver (`nvidia-smi` must list it, CUDA_VISIBLE_DEVICES must not hide it)"
NEWEST = 13


def cuda_version() -> int:
    """The CUDA major version (12 or 13) whose packages suit the installed driver; 0 without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    version = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    return 12 if version.value < 13_000 else NEWEST


def remedy(command: str) -> str:
    """What brings a GPU to a library: this command, {cuda} being the version of its packages, and the GPU itself."""
    version = cuda_version()
    command = command.format(cuda=version or NEWEST)
    return command if version else f"{command} on a machine with {NEEDS_DEVICE}"
