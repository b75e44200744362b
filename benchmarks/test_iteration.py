"""How long one full-batch iteration of the default network takes on each backend.

What is timed is the loop that training runs, compiled and run once before, with one synchronisation at its
end; and what it computes must agree with NumPy float64 before its time counts.
"""

import os

import pytest

from ssnn import backends, data
from ssnn.agreement import disagreement, tolerance
from ssnn.errors import BackendError
from ssnn.network import Network, step
from ssnn.records import Settings
from ssnn.stopwatch import Stopwatch
from ssnn.trainer import prepare
from ssnn.transfer import network_to_host

ITERATIONS = 25
SETTINGS = Settings()


def timed_program(backend: backends.Backend, digits: data.Digits):
    """The loop of training, compiled, its arguments, and the seconds that it took to get there."""
    watch = Stopwatch()
    _, network, X, Y = prepare(digits, backend, SETTINGS, watch)
    loop, arguments = backend.loop(step, ITERATIONS), (network, X, Y, 1 / len(digits.train), SETTINGS.learning_rate)
    with watch.measure("compile"):
        loop.prepare(*arguments)
    return loop, arguments, watch.seconds


@pytest.fixture(scope="module")
def digits() -> data.Digits:
    return data.load("auto", os.environ.get("SSNN_DATA_DIR") or None)


@pytest.fixture(scope="module")
def reference(digits) -> Network:
    backend = backends.open_backend("numpy", dtype="float64")
    loop, arguments, _ = timed_program(backend, digits)
    network, _ = loop(*arguments)
    return network_to_host(backend, network)


@pytest.fixture(params=backends.BUILT_IN)
def name(request) -> str:
    return request.param


@pytest.fixture(params=backends.DTYPES)
def backend(request, name) -> backends.Backend:
    try:
        return backends.open_backend(name, dtype=request.param)
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def verified(backend, digits, reference):
    """The timed program, once it has run and agreed with the reference."""
    loop, arguments, seconds = timed_program(backend, digits)
    network, _ = loop(*arguments)
    apart = disagreement(network_to_host(backend, network), reference)
    if not apart <= tolerance(backend.dtype, ITERATIONS):
        pytest.fail(f"{backend.name} {backend.dtype} is {apart:.1e} from NumPy float64 after {ITERATIONS} iterations")
    return loop, arguments, {f"{what}_seconds": spent for what, spent in seconds.items()} | {"disagreement": apart}


def test_iteration(verified, benchmark, backend, digits):
    loop, arguments, found = verified
    benchmark.group = f"{ITERATIONS} iterations, {digits.name}, {backend.dtype}"
    benchmark.pedantic(lambda: backend.synchronize(loop(*arguments)), rounds=5)
    benchmark.extra_info |= found | {"ms_per_iteration": 1e3 * benchmark.stats.stats.median / ITERATIONS}
