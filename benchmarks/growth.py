"""One point of a growth curve, in a process of its own: its peak memory is that of this run alone."""

from collections.abc import Iterator
from pathlib import Path

from ssnn import backends
from ssnn.data.memmap import load_memmap
from ssnn.network import Network
from ssnn.settings import Settings
from ssnn.system import machine
from ssnn.timing.trial import Measurement, Trial, reference


def point(
    folder: Path, samples: int, settings: Settings, name: str, expected: Network
) -> Iterator[tuple[Measurement, int]]:
    """The measurement on so many samples in float32, and the peak memory of this process in bytes."""
    backend = backends.open_backend(name)
    digits = load_memmap(folder, "synthetic", samples)
    yield Trial(backend, digits, settings).measure(expected, rounds=3), machine.peak_memory()


def expected(folder: Path, samples: int, settings: Settings) -> Iterator[Network]:
    """What every backend has to agree with."""
    yield reference(load_memmap(folder, "synthetic", samples), settings)
