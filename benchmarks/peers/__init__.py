"""Other libraries on the same work: the same network, data, initial parameters and descent.

Each peer is written as a competent user of its library would write it. A library is imported only when one of its
peers is opened. `verify` compares a peer with NumPy float64: other work is not timed.
"""

import time
from collections.abc import Sequence

import numpy as np

from benchmarks.peers.jax import KerasPeer, OptaxPeer
from benchmarks.peers.numpy import ArticlePeer
from benchmarks.peers.peer import Peer, Problem, make_problem, unusable
from benchmarks.peers.sklearn import SklearnPeer
from benchmarks.peers.torch import CompiledTorchPeer, TorchPeer
from ssnn.errors import BackendError, DisagreementError

__all__ = [
    "PEERS",
    "ArticlePeer",
    "CompiledTorchPeer",
    "KerasPeer",
    "OptaxPeer",
    "Peer",
    "Problem",
    "SklearnPeer",
    "TorchPeer",
    "make_problem",
    "open_peer",
    "verify",
]

PEERS: tuple[type[Peer], ...] = (ArticlePeer, SklearnPeer, TorchPeer, CompiledTorchPeer, KerasPeer, OptaxPeer)


def open_peer(peer_class: type[Peer], problem: Problem) -> Peer:
    """A peer at its initial parameters, compiled if its library compiles.

    Raises
    ------
    BackendError
        If its library is absent or cannot be used here.
    """
    try:
        peer_class.load()
    except BackendError:
        raise
    except Exception as error:  # third-party code, which may fail in any way
        raise unusable(peer_class, " ".join(str(error).split()) or type(error).__name__) from error
    peer = peer_class(problem)
    started = time.perf_counter()
    peer.run(1)
    peer.first_call_seconds = time.perf_counter() - started
    peer.reset()
    return peer


def verify(peer: Peer, k: int, expected_costs: Sequence[float], tolerance: float) -> float:
    """Compare the costs of k iterations from the initial parameters with those of NumPy float64.

    Parameters
    ----------
    peer : Peer
    k : int
    expected_costs : sequence of k floats
    tolerance : float
        The largest difference in any iteration, relative to the expected cost; see `ssnn.agreement.tolerance`.

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
        raise DisagreementError(f"{peer.name} returned {len(costs)} costs for {k} iterations")
    expected = np.asarray(expected_costs, np.float64)
    difference = np.abs(costs - expected) / np.abs(expected)
    worst = int(np.argmax(difference))  # the first NaN, if there is one
    if not difference[worst] <= tolerance:
        raise DisagreementError(
            f"{peer.name}: the cost of iteration {worst + 1} is {costs[worst]:.9g}, in NumPy float64 "
            f"{expected[worst]:.9g}; they differ by {difference[worst]:.1e}, and the tolerance is {tolerance:.1e}"
        )
    return float(difference[worst])
