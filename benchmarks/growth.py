"""One point of a growth curve, in a process of its own: its peak memory is that of this run alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssnn import backends, data, machine
from ssnn.measure import Measurement, Trial, reference
from ssnn.network import Network
from ssnn.records import Settings


@dataclass(frozen=True)
class Drawn:
    """Synthetic digits on the disk, of which a process reads only as many as it needs."""

    folder: Path

    def store(self, samples: int) -> None:
        """Draw and write them."""
        train = data.with_samples(data.load("synthetic"), samples).train
        np.save(self.folder / "pixels.npy", train.pixels)
        np.save(self.folder / "labels.npy", train.labels)

    def first(self, samples: int) -> data.Digits:
        """So many of them, still on the disk."""
        pixels, labels = (
            np.load(self.folder / f"{name}.npy", mmap_mode="r")[:samples] for name in ("pixels", "labels")
        )
        train = data.Samples(pixels, labels)
        return data.Digits("synthetic", "drawn by the program", (0, 1), train, train, seconds=0.0)


def point(
    drawn: Drawn, samples: int, settings: Settings, name: str, expected: Network
) -> Iterator[tuple[Measurement, int]]:
    """The measurement on so many samples in float32, and the peak memory of this process in bytes."""
    backend = backends.open_backend(name)
    yield Trial(backend, drawn.first(samples), settings).measure(expected, rounds=3), machine.peak_memory()


def expected(drawn: Drawn, samples: int, settings: Settings) -> Iterator[Network]:
    """What every backend has to agree with."""
    yield reference(drawn.first(samples), settings)
