"""One point of a growth curve, in a process of its own: its peak memory is that of this run alone."""

from collections.abc import Iterator
from pathlib import Path

from ssnn.backends import open_backend
from ssnn.data.memmap import load_memmap
from ssnn.network import Network
from ssnn.settings import Settings
from ssnn.system import machine
from ssnn.timing.trial import Measurement, Trial, reference

ROUNDS = 3


def measure_point(
    folder: Path, samples: int, settings: Settings, name: str, expected: Network
) -> Iterator[tuple[Measurement, int]]:
    """The measurement on the first samples in float32, and the peak memory of this process in bytes."""
    backend = open_backend(name)
    digits = load_memmap(folder, "synthetic", samples)
    yield Trial(backend, digits, settings).measure(expected, ROUNDS), machine.peak_memory()


def reference_network(folder: Path, samples: int, settings: Settings) -> Iterator[Network]:
    """What every backend is verified against."""
    network, _ = reference(load_memmap(folder, "synthetic", samples), settings)
    yield network
