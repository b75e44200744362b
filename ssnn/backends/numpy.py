"""NumPy on the CPU: the reference that every other backend is held against."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from ssnn.backends.contract import Array, Backend, Options
from ssnn.errors import BackendError


class NumpyBackend(Backend):
    """NumPy, with as many BLAS threads as asked for."""

    name = "numpy"
    library = "numpy"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._blas = ThreadpoolController().select(user_api="blas")
        if self.threads is not None and not self._blas.info():
            raise BackendError("the BLAS of this NumPy does not let its threads be set")

    @classmethod
    def install(cls) -> str:
        return "python -m pip install numpy"

    def asarray(self, array: npt.NDArray[Any]) -> Array:
        return array

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        return np.asarray(array)

    def synchronize(self, values: Any) -> None:
        """Nothing to wait for: NumPy returns once it has computed."""

    def thread_count(self) -> int | None:
        return self.threads or max((pool["num_threads"] for pool in self._blas.info()), default=None)

    @contextmanager
    def scope(self) -> Iterator[None]:
        # A run that diverges is told by its cost, on every backend alike, and not by NumPy's warnings.
        with self._blas.limit(limits=self.threads), np.errstate(over="ignore", invalid="ignore"):
            yield
