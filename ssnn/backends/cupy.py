"""CuPy on an NVIDIA GPU: kernels are queued one after the other, and nothing waits for them."""

import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ssnn.backends import nvidia
from ssnn.backends.contract import Backend, Options
from ssnn.backends.pieces import Array
from ssnn.errors import BackendError


class CupyBackend(Backend):
    """CuPy, which runs on CUDA devices only."""

    name = "cupy"
    library = "cupy"
    device_kinds = ("cuda",)

    _process_precision: ClassVar[str | None] = None

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._index = int(self.device.removeprefix("cuda:"))
        self._pin_precision()
        self._check_cublas()

    @classmethod
    def install(cls) -> str:
        return nvidia.remedy('python -m pip install "cupy-cuda{cuda}x[ctk]"')

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

    def allocate(self, pieces: int, features: int, samples: int) -> Array:
        import cupy

        with self.scope():
            return cupy.empty((pieces, samples, features), self.dtype).mT

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        import cupy

        host: npt.NDArray[Any] = cupy.asnumpy(array)
        return host

    def device_name(self) -> str:
        import cupy

        return f"{self.device} ({cupy.cuda.runtime.getDeviceProperties(self._index)['name'].decode()})"

    def synchronize(self, values: Any) -> None:
        import cupy

        cupy.cuda.Device(self._index).synchronize()

    def _pin_precision(self) -> None:
        """CuPy reads this variable at the first matrix product of the process, and has no other public switch."""
        if CupyBackend._process_precision not in (None, self.precision):
            raise BackendError(f"cupy runs in {CupyBackend._process_precision} precision here: use a new process")
        CupyBackend._process_precision = self.precision
        os.environ["CUPY_TF32"] = "1" if self.precision == "tf32" else "0"

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
