"""CuPy on an NVIDIA GPU: kernels are queued one after the other, and nothing waits for them."""

import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.backends import nvidia
from ssnn.backends.contract import Array, Backend
from ssnn.errors import BackendError


class CupyBackend(Backend):
    """CuPy, which runs on CUDA devices only."""

    name = "cupy"
    library = "cupy"
    kinds = ("cuda",)

    def __init__(
        self, device: str | None = None, dtype: str = "float32", precision: str = "highest", threads: int | None = None
    ) -> None:
        super().__init__(device, dtype, precision, threads)
        self._index = int(self.device.removeprefix("cuda:"))
        # CuPy reads this once, at the first matrix product of the process, and has no other public switch.
        os.environ["CUPY_TF32"] = "1" if precision == "tf32" else "0"
        self._check_cublas()

    @classmethod
    def install(cls) -> str:
        return f'python -m pip install "cupy-cuda{nvidia.cuda_packages()}x[ctk]"'

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        import cupy

        if not cupy.cuda.is_available():
            return ()
        return tuple(f"cuda:{index}" for index in range(cupy.cuda.runtime.getDeviceCount()))

    @classmethod
    def lacks(cls) -> tuple[str, str] | None:
        return None if cls.devices() else (nvidia.NO_DEVICE, nvidia.NEEDS_DEVICE)

    def asarray(self, array: npt.NDArray[Any]) -> Array:
        import cupy

        with self.scope():
            return cupy.asarray(array)

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        import cupy

        host: npt.NDArray[Any] = cupy.asnumpy(array)
        return host

    def running_on(self) -> tuple[str, int | None]:
        import cupy

        model = cupy.cuda.runtime.getDeviceProperties(self._index)["name"].decode()
        return f"{self.device} ({model})", None

    def synchronize(self, values: Any) -> None:
        import cupy

        cupy.cuda.Device(self._index).synchronize()

    def _check_cublas(self) -> None:
        """CuPy imports, and finds its devices, without the CUDA libraries that its first matrix product needs."""
        one = self.asarray(np.ones((1, 1), np.float32))
        try:
            self.compile(operator.matmul)(one, one)
        except (ImportError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise BackendError(
                f"cupy cannot multiply matrices here: {reason}; what would help: {self.install()}"
            ) from None

    @contextmanager
    def scope(self) -> Iterator[None]:
        import cupy

        with cupy.cuda.Device(self._index):
            yield
