"""All backends on the same work, each in a process of its own and verified against NumPy float64.

Their timed calls alternate, so that a slow spell of the machine affects all alike. Only one process computes at a time;
the others wait to be asked for their next step.
"""

import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from ssnn.backends import Availability, Backend, available_backends, open_backend
from ssnn.backends.jax import allocate_on_demand
from ssnn.data import MNIST_COUNTS, Dataset
from ssnn.data.dataset import SIDE
from ssnn.data.memmap import load_memmap, save_memmap
from ssnn.errors import DisagreementError, SsnnError
from ssnn.network import Network
from ssnn.printable import printable
from ssnn.settings import Settings
from ssnn.system import machine
from ssnn.system.files import reason
from ssnn.system.processes import in_a_process
from ssnn.timing.trial import (
    ROUNDS,
    Measurement,
    Trial,
    call_seconds,
    iterations_per_call,
    reference,
    shuffled_rounds,
)
from ssnn.training.memory import network_memory

MAX_NEURONS_TIMES_RATE = 100  # of hidden neurons times learning rate: above it a wide network oscillates
PIXELS = SIDE**2
MAX_ACTIVATIONS = 2048  # samples whose activations a backend holds at once


@dataclass(frozen=True)
class Failure:
    """Why there is no time for a backend and a size of the hidden layer."""

    backend: str
    hidden: int
    reason: str
    disagrees: bool


@dataclass(frozen=True)
class Comparison:
    """What all backends came to, in order of the sizes of the hidden layer."""

    measurements: list[Measurement]
    failures: list[Failure]


Step = Measurement | Exception  # of one backend and size: verified, then with one timed call more each time; or why not


class ComparisonCallback(Protocol):
    """Called before each step."""

    def __call__(self, what: str, done: int, total: int, /) -> object:
        """Report the backend that is measured next, and the number of steps done and in all."""


def check_memory(samples: int | None, hidden: int) -> None:
    """Refuse work that cannot fit into memory, even with one backend at a time.

    Raises
    ------
    MemoryError
        If more is needed than is free.
    """
    samples = samples or sum(MNIST_COUNTS["train"])
    needed, free = samples * PIXELS + _process_memory(samples, hidden), machine.free_memory()
    if needed > free:
        sizes = f"{samples:,} samples and {hidden:,} hidden neurons"
        raise MemoryError(f"{sizes} need {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free")


def probe_backends() -> list[Availability]:
    """What every backend offers here, found in another process: it imports every library."""
    return list(in_a_process(_probe))


def compare(
    dataset: Dataset,
    names: Sequence[str],
    hidden: Sequence[int],
    iterations: int,
    dtype: str,
    report: ComparisonCallback,
) -> Comparison:
    """Measure every backend with every size of the hidden layer.

    Backends are measured together, in alternating rounds, as far as their data fit into memory.

    Parameters
    ----------
    dataset : Dataset
    names : sequence of str
        Of backends.
    hidden : sequence of int
        Sizes of the only hidden layer.
    iterations : int
        The most to do in one call.
    dtype : str
    report : callable

    Raises
    ------
    SsnnError
        If there is no room for the images on the disk, or the system starts no process.
    """
    done, total = count(), 1 + len(hidden) * len(names) * (1 + ROUNDS)

    def advance(what: str) -> None:
        report(what, next(done), total)

    samples = len(dataset.train)
    settings = [_settings(samples, size, iterations) for size in hidden]
    at_once = max(1, machine.free_memory() // _process_memory(samples, max(hidden)))
    outcomes: list[Measurement | Failure] = []
    with _shared(dataset) as folder:
        advance("reference")
        references = list(in_a_process(_reference_networks, folder, dataset.name, settings))
        work = dtype, folder, dataset.name, settings, references
        for start in range(0, len(names), at_once):
            outcomes += _measure(names[start : start + at_once], work, hidden, advance)
    return Comparison(
        [outcome for outcome in outcomes if isinstance(outcome, Measurement)],
        [outcome for outcome in outcomes if isinstance(outcome, Failure)],
    )


@contextmanager
def _shared(dataset: Dataset) -> Iterator[str]:
    """The folder of the training images, where other processes find them."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            save_memmap(dataset, Path(folder))
        except OSError as error:
            size = dataset.train.pixels.nbytes / 1e6
            raise SsnnError(
                f"the training images, {size:,.0f} MB, cannot be written to a temporary folder ({reason(error)}); "
                "let TMPDIR name a folder with more room"
            ) from error
        yield folder


def _process_memory(samples: int, hidden: int) -> int:
    """Bytes that one backend needs: raw pixels, and in float64 the inputs, weights and activations."""
    activations = 8 * hidden * min(samples, MAX_ACTIVATIONS)
    return samples * PIXELS * (1 + 8) + network_memory((PIXELS, hidden, 1), itemsize=8) + 8 * activations


def _settings(samples: int, hidden: int, iterations: int) -> Settings:
    return Settings(
        hidden=(hidden,),
        iterations=min(iterations, iterations_per_call(samples, PIXELS, hidden)),
        # The time does not depend on it, and the rounding of a network that oscillates grows.
        learning_rate=min(Settings().learning_rate, MAX_NEURONS_TIMES_RATE / hidden),
    )


def _measure(
    names: Sequence[str], work: tuple[Any, ...], hidden: Sequence[int], advance: Callable[[str], None]
) -> list[Measurement | Failure]:
    """These backends with every size, their processes open at the same time."""
    with ExitStack() as stack:
        workers = {name: stack.enter_context(closing(_worker(name, *work))) for name in names}
        return [outcome for size in hidden for outcome in _alternate(workers, size, advance)]


def _alternate(
    workers: Mapping[str, Iterator[Step]], hidden: int, advance: Callable[[str], None]
) -> Iterator[Measurement | Failure]:
    """All backends with one size: each is prepared and verified, then their timed calls alternate."""

    def step(name: str) -> Step:
        advance(name)
        return next(workers[name])

    latest = {name: step(name) for name in workers}
    verified = [name for name, outcome in latest.items() if isinstance(outcome, Measurement)]
    for name in shuffled_rounds(verified, ROUNDS):
        latest[name] = step(name)
    for name, outcome in latest.items():
        yield outcome if isinstance(outcome, Measurement) else _failure(name, hidden, outcome)


def _failure(name: str, hidden: int, error: Exception) -> Failure:
    why = f"not enough memory: {error}" if isinstance(error, MemoryError) else str(error)
    return Failure(name, hidden, printable(why), disagrees=isinstance(error, DisagreementError))


def _worker(name: str, *work: Any) -> Generator[Step, None, None]:
    """The steps of one backend, computed in its process; once that has failed, its error at every further step."""
    try:
        yield from in_a_process(_steps, name, *work)
    except (SsnnError, MemoryError) as error:
        while True:
            yield error


def _probe() -> Iterator[Availability]:
    yield from available_backends()


def _reference_networks(folder: str, data: str, settings: Sequence[Settings]) -> Iterator[Network]:
    dataset = load_memmap(Path(folder), data)
    for each in settings:
        network, _ = reference(dataset, each)
        yield network


def _steps(
    name: str, dtype: str, folder: str, data: str, settings: Sequence[Settings], references: Sequence[Network]
) -> Iterator[Step]:
    """One backend with every size: prepared and verified, then called a number of times."""
    allocate_on_demand()  # JAX must leave the others room on a GPU
    started = time.perf_counter()
    backend = open_backend(name, dtype=dtype)
    opening = time.perf_counter() - started
    dataset = load_memmap(Path(folder), data)
    for each, network in zip(settings, references, strict=True):
        yield from _steps_of_size(backend, dataset, each, network, opening)


def _steps_of_size(
    backend: Backend, dataset: Dataset, settings: Settings, reference: Network, opening: float
) -> Iterator[Step]:
    try:
        trial = Trial(backend, dataset, settings)
        measured = replace(trial.verify(reference), opening=opening)
    except (DisagreementError, MemoryError) as error:
        yield error
        return
    yield measured
    for _ in range(ROUNDS):
        measured = replace(measured, calls=(*measured.calls, call_seconds(trial.run)))
        yield measured
