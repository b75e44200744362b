"""What people would otherwise use for the same work: the same network, data, start and descent in other libraries.

Each peer is written as a competent user of its library would write it. A library is imported only when one of its
peers is opened. `verify` holds a peer against NumPy float64: what does other work than ours has no time worth a word.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers.jax import KerasPeer, OptaxPeer
from benchmarks.peers.numpy import ArticlePeer
from benchmarks.peers.peer import Peer, unusable
from benchmarks.peers.sklearn import SklearnPeer
from benchmarks.peers.torch import CompiledTorchPeer, TorchPeer
from ssnn.errors import BackendError, DisagreementError
from ssnn.network import Network
from ssnn.standardize import fit, standardize

__all__ = [
    "PEERS",
    "ArticlePeer",
    "CompiledTorchPeer",
    "KerasPeer",
    "OptaxPeer",
    "Peer",
    "SklearnPeer",
    "TorchPeer",
    "inputs",
    "open_peer",
    "verify",
]

PEERS: tuple[type[Peer], ...] = (ArticlePeer, SklearnPeer, TorchPeer, CompiledTorchPeer, KerasPeer, OptaxPeer)


def inputs(pixels: npt.NDArray[np.uint8], dtype: str) -> npt.NDArray[Any]:
    """All pixels (m, 784), standardised in float64 and rounded once; those that never vary are 0."""
    standardization = fit(pixels)
    X = np.zeros(pixels.shape, dtype)
    features = standardization.features
    X[:, features] = standardize(pixels, features, standardization.mean, standardization.std).T
    return X


def open_peer(
    peer_class: type[Peer],
    X: npt.NDArray[Any],
    y: npt.NDArray[np.uint8],
    network: Network,
    learning_rate: float,
) -> Peer:
    """A peer at its initial weights that has compiled whatever it compiles.

    Raises
    ------
    BackendError
        If its library is absent or cannot be used here.
    """
    try:
        peer_class.load()
    except BackendError:
        raise
    except Exception as error:  # somebody else's code, which may fail in any way
        raise unusable(peer_class, " ".join(str(error).split()) or type(error).__name__) from error
    peer = peer_class(X, y, network, learning_rate)
    started = time.perf_counter()
    peer.run(1)
    peer.first_call_seconds = time.perf_counter() - started
    peer.reset()
    return peer


def verify(peer: Peer, k: int, expected_costs: Sequence[float], tolerance: float) -> float:
    """Hold the costs of k iterations from the initial weights against those of NumPy float64.

    Parameters
    ----------
    peer : Peer
    k : int
    expected_costs : sequence of k floats
    tolerance : float
        Of the difference in any iteration, relative to the expected cost; see `ssnn.agreement.tolerance`.

    Returns
    -------
    float
        The largest relative difference.

    Raises
    ------
    DisagreementError
        If it exceeds the tolerance, or the peer has not done k iterations.
    """
    peer.reset()
    costs = np.asarray(peer.run(k), np.float64)
    if len(costs) != k:
        raise DisagreementError(f"{peer.name}: {len(costs)} costs, where {k} iterations were asked for")
    expected = np.asarray(expected_costs, np.float64)
    apart = np.abs(costs - expected) / np.abs(expected)
    worst = int(np.argmax(apart))  # the first NaN, if there is one
    if not apart[worst] <= tolerance:
        raise DisagreementError(
            f"{peer.name}: the cost of iteration {worst + 1} is {costs[worst]:.9g} and should be {expected[worst]:.9g}"
            f", {apart[worst]:.1e} apart, where {tolerance:.1e} is allowed"
        )
    return float(apart[worst])
