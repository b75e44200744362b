"""What each device is capable of: the figures that stand behind "time ÷ limit" of every other row."""

import operator

import numpy as np
import pytest

from benchmarks.limits import SIDE
from ssnn import backends


@pytest.mark.parametrize("dtype", backends.DTYPES)
@pytest.mark.parametrize("name", [name for name in backends.BUILT_IN if name != "strict"])  # which is NumPy
def test_limits(name, dtype, benchmark, limits_of, open_or_skip):
    """Timed here is a product of large matrices; what counts is the best library on the device."""
    backend = open_or_skip(name, dtype)
    limits = limits_of(backend.device, dtype)
    factor = backend.asarray(np.ones((SIDE, SIDE), dtype))
    multiply = backend.compile(operator.matmul)
    benchmark.group = f"product of {SIDE} x {SIDE} matrices, {dtype}, {backend.device}"
    benchmark.pedantic(lambda: backend.synchronize(multiply(factor, factor)), rounds=5, warmup_rounds=1)
    benchmark.extra_info |= {
        "kind": "limit",
        "name": name,
        "device": backend.device_name(),
        "dtype": dtype,
        "library": f"{limits.flops_library}, {limits.bandwidth_library}",
        "matmul_gflops": limits.flops / 1e9,
        "bandwidth_gbs": limits.bandwidth / 1e9,
    }
