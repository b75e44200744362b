"""The programs of the suite, our backends and the peers: prepared, verified, and timed in alternating rounds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from benchmarks.peers import PEERS, Peer, make_problem, open_peer, verify
from ssnn.agreement import tolerance
from ssnn.backends import BUILT_IN, DTYPES, open_backend
from ssnn.data import Dataset
from ssnn.network import Network
from ssnn.presets.series import DOLPHIN
from ssnn.settings import Settings
from ssnn.timing.trial import Trial, call_seconds, shuffled_rounds
from ssnn.training.loop import Costs

ROUNDS = 9
EPOCH = replace(DOLPHIN, constant_features="drop")  # one pass in mini-batches with Adam
PAUSE = 0.1  # seconds before each timed call: threads of BLAS and OpenMP spin for a while after a call


@dataclass(frozen=True)
class Work:
    """What all programs of a group do, and the network and the costs that NumPy float64 arrives at."""

    digits: Dataset
    settings: Settings
    dtype: str
    network: Network
    costs: Costs


@dataclass(frozen=True)
class Prepared:
    """A program that has been verified.

    Attributes
    ----------
    row : dict
        What a result file says of it.
    run : callable
        Does all iterations and waits for the device.
    reset : callable
        Goes back to the initial parameters, if `run` does not.
    """

    row: dict[str, Any]
    run: Callable[[], object]
    reset: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Timed:
    """The row of a program, and the seconds of its calls."""

    row: dict[str, Any]
    seconds: tuple[float, ...]


Prepare = Callable[[Work], Prepared]


def prepare_backend(name: str, work: Work) -> Prepared:
    """Open a backend of ours and verify its network."""
    trial = Trial(open_backend(name, dtype=work.dtype), work.digits, work.settings)
    measurement = trial.verify(work.network)
    row = asdict(measurement.backend) | {
        **descent(work, "iteration", "epoch"),
        "data": measurement.data,
        "samples": measurement.samples,
        "features": measurement.features,
        "hidden": list(measurement.hidden),
        "iterations": measurement.iterations,
        "transfer_seconds": measurement.transfer,
        "compile_seconds": measurement.compile,
        "first_call_seconds": measurement.first_call,
        "disagreement": measurement.disagreement,
        "tolerance": measurement.tolerance,
    }
    return Prepared(row, trial.run)


def prepare_peer(peer_class: type[Peer], constant_features: str, work: Work) -> Prepared:
    """Open a peer and verify its costs and its network."""
    k = work.settings.iterations
    problem = make_problem(work.digits, work.settings, work.dtype, constant_features)
    peer, bound = open_peer(peer_class, problem), tolerance(work.dtype, len(work.costs))
    difference = verify(peer, k, work.costs, work.network, bound)
    row = {
        **descent(work, "peer", "peer epoch"),
        "name": peer.name,
        "library": peer.library,
        "version": peer.version,
        "device": peer.device,
        "dtype": peer.dtype,
        "precision": "highest",
        "threads": peer.threads,
        "data": work.digits.name,
        "samples": problem.X.shape[0],
        "features": problem.X.shape[1],
        "hidden": list(work.settings.hidden),
        "iterations": k,
        "transfer_seconds": None,
        "compile_seconds": None,
        "first_call_seconds": peer.first_call_seconds,
        "disagreement": difference,
        "tolerance": bound,
    }
    return Prepared(row, partial(peer.run, k), peer.reset)


def descent(work: Work, kind: str, kind_of_epoch: str) -> dict[str, Any]:
    """The part of a row that says how the network is trained."""
    settings = work.settings
    return {
        "kind": kind if settings.batch_size is None else kind_of_epoch,
        "optimizer": settings.optimizer,
        "batch_size": settings.batch_size,
        "updates": settings.updates_per_iteration(len(work.digits.train)),
    }


def programs(dtype: str) -> dict[str, Prepare]:
    """The programs of a dtype by name: the backends, and each peer with each of its inputs."""
    found: dict[str, Prepare] = {name: partial(prepare_backend, name) for name in BUILT_IN}
    for peer_class in PEERS:
        if dtype in peer_class.dtypes:
            for constant_features in peer_class.constant_features:
                name = f"{peer_class.__name__}-{constant_features}"
                found[name] = partial(prepare_peer, peer_class, constant_features)
    return found


PROGRAMS = {dtype: programs(dtype) for dtype in DTYPES}


def time_programs(
    prepare: Mapping[str, Prepare], work: Work, show_progress: Callable[[str], object], rounds: int = ROUNDS
) -> dict[str, Timed | Exception]:
    """Prepare and verify all programs, then time their calls in alternating rounds.

    Returns
    -------
    dict
        By name: the timed program, or the exception by which preparing it ended.
    """
    outcomes: dict[str, Timed | Exception] = {}
    prepared: dict[str, Prepared] = {}
    for name in prepare:
        show_progress(f"{name}: prepare")
        try:
            prepared[name] = prepare[name](work)
        except Exception as error:  # of one program; the others are not affected
            outcomes[name] = error
    show_progress(f"{rounds} rounds of {len(prepared)} programs")
    seconds: dict[str, list[float]] = {name: [] for name in prepared}
    for name in shuffled_rounds(list(prepared), rounds):
        prepared[name].reset()
        time.sleep(PAUSE)
        seconds[name].append(call_seconds(prepared[name].run))
    return outcomes | {name: Timed(program.row, tuple(seconds[name])) for name, program in prepared.items()}
