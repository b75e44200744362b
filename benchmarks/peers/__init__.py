"""Other libraries on the same work: the same network, data, initial parameters, batches and optimizer.

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
from ssnn.agreement import disagreement
from ssnn.errors import BackendError, DisagreementError
from ssnn.network import Network

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


def verify(peer: Peer, k: int, costs: Sequence[float], network: Network, tolerance: float) -> float:
    """Compare the costs and the network of k iterations from the initial parameters with those of NumPy float64.

    Parameters
    ----------
    peer : Peer
    k : int
    costs : sequence of floats
        The expected cost of every update. A peer that gives the mean cost of a pass is held to the mean.
    network : tuple of Layer
        The expected network, without the inputs that never vary.
    tolerance : float
        The largest difference, of the costs relative to the largest of them; see `ssnn.agreement`.

    Returns
    -------
    float
        The largest difference of costs and network.

    Raises
    ------
    DisagreementError
        If it exceeds the tolerance, or the peer has not done k iterations.
    """
    peer.reset()
    found = np.asarray(peer.run(k), np.float64)
    expected = np.asarray(costs, np.float64)
    if peer.cost_per_pass:
        starts = range(0, len(peer.X), peer.batch_size)
        samples = [min(peer.batch_size, len(peer.X) - start) for start in starts]
        expected = np.average(expected.reshape(k, -1), axis=1, weights=samples)
    if len(found) != len(expected):
        raise DisagreementError(f"{peer.name} returned {len(found)} costs instead of {len(expected)}")
    differences = np.abs(found - expected) / np.max(expected)
    worst = int(np.argmax(differences))  # the first NaN, if there is one
    if not differences[worst] <= tolerance:
        raise DisagreementError(
            f"{peer.name}: cost {worst + 1} of {len(expected)} is {found[worst]:.9g}, in NumPy float64 "
            f"{expected[worst]:.9g}; relative to the largest they differ by {differences[worst]:.1e}, and the "
            f"tolerance is {tolerance:.1e}"
        )
    difference = disagreement(peer.network(), network)
    if not difference <= tolerance:
        raise DisagreementError(
            f"{peer.name}: its network differs from that of NumPy float64 by {difference:.1e}, and the tolerance is "
            f"{tolerance:.1e}"
        )
    return max(float(differences[worst]), difference)
