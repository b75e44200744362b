"""The rates of each device, which the hardware limit of every other row is computed from."""

import operator

import numpy as np
import pytest

from benchmarks.limits import MATRIX_SIZE
from ssnn import backends


@pytest.mark.parametrize("dtype", backends.DTYPES)
@pytest.mark.parametrize("name", [name for name in backends.BUILT_IN if name != "strict"])  # which is NumPy
def test_limits(name, dtype, benchmark, limits_of, open_or_skip):
    """The row's time is that of a product of large matrices; its rates are those of the best library on the device."""
    backend = open_or_skip(name, dtype)
    limits = limits_of(backend.device, dtype)
    matrix = backend.asarray(np.ones((MATRIX_SIZE, MATRIX_SIZE), dtype))
    multiply = backend.program(operator.matmul)
    benchmark.group = f"product of {MATRIX_SIZE} x {MATRIX_SIZE} matrices, {dtype}, {backend.device}"
    benchmark.pedantic(lambda: backend.synchronize(multiply(matrix, matrix)), rounds=5, warmup_rounds=1)
    benchmark.extra_info |= {
        "kind": "limit",
        "name": name,
        "device": backend.describe().device,
        "dtype": dtype,
        "library": f"{limits.flops_library}, {limits.bandwidth_library}",
        "matmul_gflops": limits.flops / 1e9,
        "bandwidth_gbs": limits.bandwidth / 1e9,
    }
