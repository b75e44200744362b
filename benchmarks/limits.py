"""The hardware limit of an iteration, after the roofline model: the time of its arithmetic or of its memory traffic.

An iteration multiplies every weight with every sample twice, to get Z and dW (and once more for dZ of the hidden
layers), and reads X at least once. Both are divided by the best rates that were measured on the device.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from array_api_compat import array_namespace

from ssnn.backends import Backend
from ssnn.timing.trial import call_seconds
from ssnn.typing import Array

MATRIX_SIZE = 3072  # rows and columns: large enough for the peak, small enough to be quick
READ_BYTES = 512 * 2**20  # more than any cache holds
ROUNDS = 5


@dataclass(frozen=True)
class Limits:
    """The best rates measured on a device in one dtype, and the backends that reached them.

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

    def min_seconds(self, sizes: Sequence[int], samples: int, itemsize: int) -> float:
        """The time below which no iteration of a network with these layer sizes can get.

        Parameters
        ----------
        sizes : sequence of int
            Neurons per layer from the input on.
        samples : int
        itemsize : int
            Bytes of one value of X.
        """
        weights = [n_in * n_out for n_in, n_out in pairwise(sizes)]
        operations = 2 * samples * (2 * sum(weights) + sum(weights[1:]))
        bytes_read = samples * sizes[0] * itemsize
        return max(operations / self.flops, bytes_read / self.bandwidth)


def measure_limits(backend: Backend) -> Limits:
    """The rates that this backend reaches on its device."""
    matrix = backend.asarray(np.ones((MATRIX_SIZE, MATRIX_SIZE), backend.dtype))
    multiply = _min_seconds(backend, operator.matmul, matrix, matrix)
    values = backend.asarray(np.ones(READ_BYTES // np.dtype(backend.dtype).itemsize, backend.dtype))
    read = _min_seconds(backend, maximum, values)
    return Limits(2 * MATRIX_SIZE**3 / multiply, READ_BYTES / read, backend.name, backend.name)


def best_of(limits: Sequence[Limits]) -> Limits:
    """The highest rates of several backends."""
    flops, bandwidth = max(limits, key=lambda each: each.flops), max(limits, key=lambda each: each.bandwidth)
    return Limits(flops.flops, bandwidth.bandwidth, flops.flops_library, bandwidth.bandwidth_library)


def maximum(values: Array) -> Array:
    """Read every value, with next to no arithmetic."""
    return array_namespace(values).max(values)


def _min_seconds(backend: Backend, function: Callable[..., Array], *arguments: Array) -> float:
    """Seconds of the fastest call after a warm-up: noise of the machine does not belong to a limit."""
    program = backend.program(function)
    seconds = [call_seconds(lambda: backend.synchronize(program(*arguments))) for _ in range(1 + ROUNDS)]
    return min(seconds[1:])
