"""NumPy on the CPU: the reference that every other backend is held against."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from ssnn.backends.contract import Backend, Options, Program, Update
from ssnn.backends.pieces import Array, Gradients, Piece, cut, even
from ssnn.errors import BackendError

# OpenBLAS spends most of a product with few rows on packing its factors, unless the product is small: then its
# kernels take them as they lie.
UNPACKED = 600_000  # multiplications in such a product
SHORTEST = 64  # samples in a piece for which that is worth it
AT_ONCE = 1056  # samples in such pieces per call: with fewer there are more calls, more do not stay in the cache
LONGEST = 1024  # samples in a piece for packed products: what is computed from it stays in the cache


class NumpyBackend(Backend):
    """NumPy, whose pieces are shared out to threads: as many as BLAS would use, which here gets one for each."""

    name = "numpy"
    library = "numpy"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._blas = ThreadpoolController().select(user_api="blas")
        if self.threads is not None and not self._blas.info():
            raise BackendError("the BLAS of this NumPy does not let its threads be set")
        self._threads = self.threads or max((pool["num_threads"] for pool in self._blas.info()), default=None)

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
        return self._threads

    def piece_length(self, samples: int, weights: int) -> int:
        unpacked = UNPACKED // weights // 16 * 16
        if unpacked < SHORTEST:
            return even(samples, LONGEST, self.workers())
        return min(unpacked, LONGEST, samples)

    def cut(self, network: Any, *batch: Array) -> list[Piece]:
        pieces, _, samples = batch[0].shape
        is_stack = network[0][0].ndim > 2  # of networks, whose leading axes those of the pieces would meet
        return cut(batch, 1 if is_stack else even(pieces, max(1, AT_ONCE // samples), self.workers()))

    def workers(self) -> int:
        return self._threads or 1

    def scope(self) -> AbstractContextManager[None]:
        return self._blas_threads(self.threads)

    def loop(self, gradients: Gradients, update: Update, k: int) -> Program:
        return Program(self.repeat(gradients, update, k), lambda: self._blas_threads(1))

    @contextmanager
    def _blas_threads(self, count: int | None) -> Iterator[None]:
        with self._blas.limit(limits=count), self.thread_scope():
            yield

    def thread_scope(self) -> AbstractContextManager[None]:
        # A run that diverges is told by its cost, on every backend alike, and not by NumPy's warnings.
        return np.errstate(over="ignore", invalid="ignore")
