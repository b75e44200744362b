"""All backends on the same work: each in a process of its own, and each verified against NumPy float64."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ssnn import backends
from ssnn.backends import Availability
from ssnn.data import MNIST_COUNTS, Dataset
from ssnn.data.memmap import load_memmap, save_memmap
from ssnn.errors import DisagreementError, SsnnError
from ssnn.network import Network
from ssnn.settings import Settings
from ssnn.system import machine
from ssnn.system.processes import in_a_process
from ssnn.timing.trial import Measurement, Trial, iterations_per_call, reference

LEARNING_RATE_WIDTH = 100  # hidden neurons times learning rate above which a very wide network oscillates
ACTIVATIONS = 2048  # samples whose activations a backend holds at once, at most


@dataclass(frozen=True)
class Failure:
    """Why there is no time for a backend and a size of the hidden layer."""

    backend: str
    hidden: int
    reason: str
    disagrees: bool


Outcome = Measurement | Failure


class Progress(Protocol):
    """What is called when a measurement is done."""

    def __call__(self, what: str, done: int, /) -> object:
        """Report what is measured next, and how many measurements have been done since the last call."""


def check_memory(samples: int | None, hidden: int) -> None:
    """Refuse work that cannot fit into memory.

    Counted are the raw pixels here and in another process, and there in float64 the inputs, weights and activations.

    Raises
    ------
    MemoryError
        If that is more than is free.
    """
    m, pixels = samples or sum(MNIST_COUNTS["train"]), 28 * 28
    needed = m * pixels * (2 + 8) + 8 * hidden * (6 * pixels + 8 * min(m, ACTIVATIONS))
    free = machine.free_memory()
    if needed > free:
        sizes = f"{m:,} samples and {hidden:,} hidden neurons"
        raise MemoryError(f"{sizes} need {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free")


def offered() -> list[Availability]:
    """What every backend offers, asked in another process: asking imports every library."""
    return list(in_a_process(_offered))


def compare(
    digits: Dataset, names: Sequence[str], hidden: Sequence[int], iterations: int, dtype: str, report: Progress
) -> list[Outcome]:
    """Measure every backend with every size of the hidden layer, one after the other.

    Parameters
    ----------
    names : sequence of str
        Of backends.
    iterations : int
        At most as many are done in one call.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_memmap(digits, Path(folder))
        settings = [_settings(digits, size, iterations) for size in hidden]
        references = []
        report("reference", 0)
        for network in in_a_process(_references, folder, digits.name, settings):
            references.append(network)
            report("reference", 1)
        outcomes: list[Outcome] = []
        for name in names:
            report(name, 0)
            outcomes += _measure(name, dtype, references, folder, digits.name, settings, report)
    return outcomes


def _settings(digits: Dataset, hidden: int, iterations: int) -> Settings:
    samples, pixels = digits.train.pixels.shape
    return Settings(
        hidden=(hidden,),
        iterations=min(iterations, iterations_per_call(samples, pixels, hidden)),
        # With that of training a very wide network oscillates, and its rounding grows; time does not depend on it.
        learning_rate=min(Settings().learning_rate, LEARNING_RATE_WIDTH / hidden),
    )


def _measure(
    name: str,
    dtype: str,
    references: Sequence[Network],
    folder: str,
    data: str,
    settings: Sequence[Settings],
    report: Progress,
) -> list[Outcome]:
    """One backend with every size, in a process of its own."""
    outcomes: list[Outcome] = []
    try:
        for outcome in in_a_process(_outcomes, name, dtype, references, folder, data, settings):
            outcomes.append(outcome)
            report(name, 1)
    except (SsnnError, MemoryError) as error:
        unmeasured = settings[len(outcomes) :]
        outcomes += [Failure(name, each.hidden[0], str(error), disagrees=False) for each in unmeasured]
        report(name, len(unmeasured))
    return outcomes


def _offered() -> Iterator[Availability]:
    yield from backends.available_backends()


def _references(folder: str, data: str, settings: Sequence[Settings]) -> Iterator[Network]:
    digits = load_memmap(Path(folder), data)
    for each in settings:
        yield reference(digits, each)


def _outcomes(
    name: str, dtype: str, references: Sequence[Network], folder: str, data: str, settings: Sequence[Settings]
) -> Iterator[Outcome]:
    started = time.perf_counter()
    backend = backends.open_backend(name, dtype=dtype)
    opening = time.perf_counter() - started
    digits = load_memmap(Path(folder), data)
    for each, network in zip(settings, references, strict=True):
        hidden = each.hidden[0]
        try:
            yield replace(Trial(backend, digits, each).measure(network), opening=opening)
        except DisagreementError as error:
            yield Failure(name, hidden, f"{error} (hidden {hidden})", disagrees=True)
        except MemoryError as error:
            yield Failure(name, hidden, f"not enough memory: {error}", disagrees=False)
