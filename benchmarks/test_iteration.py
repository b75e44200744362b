"""How long one full-batch iteration of the default network takes on each backend.

What is timed is the loop that training runs, compiled and run once before, with one synchronisation at its
end; and what it computes must agree with NumPy float64 before its time counts.
"""

import os

import pytest

from ssnn import backends, data
from ssnn.agreement import disagreement, tolerance
from ssnn.backends import Backend
from ssnn.initial import initial_network
from ssnn.network import Network, step
from ssnn.records import Settings
from ssnn.standardize import fit
from ssnn.stopwatch import Stopwatch
from ssnn.transfer import inputs, to_device, to_host

ITERATIONS = 25
SETTINGS = Settings()


@pytest.fixture(scope="module")
def digits() -> data.Digits:
    return data.load("auto", os.environ.get("SSNN_DATA_DIR") or None)


def prepare(backend: Backend, digits: data.Digits):
    """The timed program, its arguments, and what it took to get there."""
    watch = Stopwatch()
    standardization = fit(digits.train.pixels, SETTINGS.constant_features)
    sizes = (digits.train.pixels.shape[1], *SETTINGS.hidden, 1)
    network = to_device(backend, initial_network(sizes, SETTINGS.seed, standardization.features))
    X, Y = inputs(backend, standardization, digits.train, watch)
    loop, arguments = backend.loop(step, ITERATIONS), (network, X, Y, 1 / len(digits.train), SETTINGS.learning_rate)
    with watch.measure("compile"):
        loop.prepare(*arguments)
    return loop, arguments, watch.seconds


@pytest.fixture(scope="module")
def reference(digits) -> Network:
    backend = backends.open_backend("numpy", dtype="float64")
    loop, arguments, _ = prepare(backend, digits)
    network, _ = loop(*arguments)
    return to_host(backend, network)


@pytest.mark.parametrize("dtype", backends.DTYPES)
@pytest.mark.parametrize("name", backends.BUILT_IN)
def test_iteration(benchmark, digits, reference, name, dtype):
    try:
        backend = backends.open_backend(name, dtype=dtype)
    except backends.BackendError as error:
        pytest.skip(str(error))
    loop, arguments, seconds = prepare(backend, digits)
    network, _ = loop(*arguments)  # the warm-up, and what the verdict is about
    apart = disagreement(to_host(backend, network), reference)
    if not apart <= tolerance(dtype, ITERATIONS):
        pytest.fail(f"{name} {dtype} is {apart:.1e} from NumPy float64 after {ITERATIONS} iterations")

    def iterate():
        backend.synchronize(loop(*arguments))

    benchmark.group = f"{ITERATIONS} iterations, {digits.name}, {dtype}"
    benchmark.pedantic(iterate, rounds=5)
    benchmark.extra_info |= {f"{what}_seconds": spent for what, spent in seconds.items()}
    benchmark.extra_info["ms_per_iteration"] = 1e3 * benchmark.stats.stats.median / ITERATIONS
    benchmark.extra_info["disagreement"] = apart
