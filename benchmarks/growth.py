"""One point of a growth curve, in a process of its own: its peak memory is that of this run alone."""

from collections.abc import Iterator
from pathlib import Path

from ssnn import backends, machine
from ssnn.data.stored import stored
from ssnn.measure import Measurement, Trial, reference
from ssnn.network import Network
from ssnn.records import Settings


def point(
    folder: Path, samples: int, settings: Settings, name: str, expected: Network
) -> Iterator[tuple[Measurement, int]]:
    """The measurement on so many samples in float32, and the peak memory of this process in bytes."""
    backend = backends.open_backend(name)
    digits = stored(folder, "synthetic", samples)
    yield Trial(backend, digits, settings).measure(expected, rounds=3), machine.peak_memory()


def expected(folder: Path, samples: int, settings: Settings) -> Iterator[Network]:
    """What every backend has to agree with."""
    yield reference(stored(folder, "synthetic", samples), settings)
