"""The same work in the libraries that people would otherwise use, each as its competent user would write it.

Same data (all 784 pixels), same initial weights, same learning rate, same descent: a peer must land on the cost curve
of NumPy float64 before its time counts.
"""

from functools import cache

import numpy as np
import pytest

from benchmarks.peers import PEERS, inputs, open_peer, verify
from benchmarks.test_iteration import HIDDEN, ROUNDS
from ssnn import backends
from ssnn.agreement import tolerance
from ssnn.errors import BackendError
from ssnn.initialization import initial_network
from ssnn.timing.trial import Trial


@pytest.fixture(scope="module")
def costs_for(digits, settings_for):
    """The cost curve of NumPy float64, by the size of the hidden layer."""
    numpy = backends.open_backend("numpy", dtype="float64")
    return cache(lambda hidden: Trial(numpy, digits, settings_for(hidden)).run()[1])


@pytest.mark.filterwarnings("default")  # what other libraries warn of is no failure of theirs
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("kind", PEERS, ids=lambda kind: kind.name)
def test_peer(kind, hidden, benchmark, digits, settings_for, costs_for, limits_of):
    settings, (samples, pixels) = settings_for(hidden), digits.train.pixels.shape
    X, network = inputs(digits.train.pixels, kind.dtype), initial_network((pixels, hidden, 1), settings.seed)
    try:
        peer = open_peer(kind, X, digits.train.labels, network, settings.learning_rate)
    except BackendError as error:
        pytest.skip(str(error))
    allowed = tolerance(kind.dtype, settings.iterations)
    apart = verify(peer, settings.iterations, costs_for(hidden), allowed)
    device, _, _ = peer.device.partition(" ")
    least = limits_of(device, kind.dtype).least_seconds((pixels, hidden, 1), samples, np.dtype(kind.dtype).itemsize)
    benchmark.group = f"hidden {hidden}, {kind.dtype}, {samples} {digits.name} digits, {device}"
    benchmark.pedantic(peer.run, args=(settings.iterations,), rounds=ROUNDS)
    benchmark.extra_info |= {
        "kind": "peer",
        "name": peer.name,
        "library": peer.library,
        "version": peer.version,
        "device": peer.device,
        "dtype": peer.dtype,
        "precision": "highest",
        "threads": peer.threads,
        "data": digits.name,
        "samples": samples,
        "features": pixels,
        "hidden": [hidden],
        "iterations": settings.iterations,
        "ms_per_iteration": 1e3 * benchmark.stats.stats.median / settings.iterations,
        "limit_ms": 1e3 * least,
        "transfer_seconds": None,
        "compile_seconds": None,
        "first_call_seconds": peer.first_call_seconds,
        "disagreement": apart,
        "tolerance": allowed,
    }
