"""NumPy on the CPU: the reference that every other backend is held against."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.backends.accumulation import MAX_FLOAT_BATCH, Accumulation, even_size
from ssnn.backends.base import Backend, Program, plain
from ssnn.backends.options import Description, Options
from ssnn.errors import BackendError
from ssnn.system.blas import blas_threads, limit_blas
from ssnn.typing import Array, Gradients, Tree, Update

# OpenBLAS spends most of a product with few rows on packing its factors, unless the product is small: then its
# kernels take them as they lie.
MAX_UNPACKED = 600_000  # multiplications in such a product
MIN_UNPACKED_SAMPLES = 64  # samples in a microbatch for which that is worth it
MAX_UNPACKED_SAMPLES = 1056  # samples in such microbatches per call: fewer cost more calls, more leave the cache
MAX_MICROBATCH = 1024  # samples in a microbatch for packed products: what is computed from it stays in the cache


class NumpyBackend(Backend):
    """NumPy, whose microbatches are shared out to as many threads as BLAS would use; each has one BLAS thread."""

    name = "numpy"
    library = "numpy"
    thread_variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        found = blas_threads()
        if self.threads is not None and found is None:
            raise BackendError("the BLAS of this NumPy does not let its threads be set")
        self._threads = self.threads or found

    @classmethod
    def install_command(cls) -> str:
        return "python -m pip install numpy"

    def asarray(self, array: npt.NDArray[Any]) -> Array:
        return plain(array)

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        return np.asarray(array)

    def synchronize(self, tree: Tree) -> None:
        """Nothing to wait for: NumPy returns once it has computed."""

    def describe(self) -> Description:
        return replace(super().describe(), threads=self._threads)

    def library_config(self) -> AbstractContextManager[None]:
        return _config(self.threads)

    def accumulation(self, samples: int, features: int, weights: int, is_stack: bool = False) -> Accumulation:
        threads = self._threads or 1
        unpacked = MAX_UNPACKED // weights // 16 * 16
        if unpacked < MIN_UNPACKED_SAMPLES:
            size = even_size(samples, MAX_MICROBATCH, threads)
        else:
            size = min(unpacked, MAX_MICROBATCH, samples)
        count = -(-samples // size)
        per_call = 1 if is_stack else even_size(count, max(1, MAX_UNPACKED_SAMPLES // size), threads)
        raw_pixels = self._float_bytes(samples, features) > MAX_FLOAT_BATCH
        return Accumulation(size, per_call, threads, _quiet, raw_pixels)

    def loop(self, gradients: Gradients, update: Update, k: int, accumulation: Accumulation) -> Program:
        iterations = super().loop(gradients, update, k, accumulation).function
        return Program(iterations, partial(_config, 1))

    def minibatch_loop(self, gradients: Gradients, update: Update, accumulation: Accumulation) -> Program:
        updates = super().minibatch_loop(gradients, update, accumulation).function
        return Program(updates, partial(_config, 1))


@contextmanager
def _config(threads: int | None) -> Iterator[None]:
    with limit_blas(threads), _quiet():
        yield


def _quiet() -> AbstractContextManager[None]:
    """A run that diverges is reported by its cost, on every backend alike, and not by NumPy's warnings."""
    return np.errstate(over="ignore", invalid="ignore")
