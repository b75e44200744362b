"""What the hardware allows: no iteration can take less time than its arithmetic and its data need.

An iteration multiplies every weight with every sample twice, to get Z and dW (and once more for dZ of the hidden
layers), and reads X at least once. Both are divided by what the device has been seen to do at its best.
"""

import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from array_api_compat import array_namespace

from ssnn.backends import Backend
from ssnn.typing import Array

SIDE = 3072  # of the square matrices: large enough for the peak, small enough to be quick
READ_BYTES = 512 * 2**20  # more than any cache holds
ROUNDS = 5


@dataclass(frozen=True)
class Limits:
    """The best seen of a device in one dtype, and the library that reached it.

    Attributes
    ----------
    flops : float
        Additions and multiplications per second, in a product of large matrices.
    bandwidth : float
        Bytes read from memory per second.
    """

    flops: float
    bandwidth: float
    flops_library: str
    bandwidth_library: str

    def least_seconds(self, sizes: Sequence[int], samples: int, itemsize: int) -> float:
        """The least that one iteration of a network of these layers can take."""
        weights = [n_in * n_out for n_in, n_out in pairwise(sizes)]
        operations = 2 * samples * (2 * sum(weights) + sum(weights[1:]))
        read = samples * sizes[0] * itemsize
        return max(operations / self.flops, read / self.bandwidth)


def measure_limits(backend: Backend) -> Limits:
    """What this backend reaches on its device."""
    factor = backend.asarray(np.ones((SIDE, SIDE), backend.dtype))
    multiply = _fastest(backend, operator.matmul, factor, factor)
    values = backend.asarray(np.ones(READ_BYTES // np.dtype(backend.dtype).itemsize, backend.dtype))
    read = _fastest(backend, largest, values)
    return Limits(2 * SIDE**3 / multiply, READ_BYTES / read, backend.name, backend.name)


def best(found: Sequence[Limits]) -> Limits:
    """The highest figures of several libraries."""
    flops, bandwidth = max(found, key=lambda f: f.flops), max(found, key=lambda f: f.bandwidth)
    return Limits(flops.flops, bandwidth.bandwidth, flops.flops_library, bandwidth.bandwidth_library)


def largest(values: Array) -> Array:
    """Reads every value and does next to nothing else."""
    return array_namespace(values).max(values)


def _fastest(backend: Backend, function: Callable[..., Array], *arguments: Array) -> float:
    """Seconds of the fastest call: of a limit, the noise of the machine is no part."""
    program = backend.compile(function)
    seconds = []
    for _ in range(1 + ROUNDS):
        started = time.perf_counter()
        backend.synchronize(program(*arguments))
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])
