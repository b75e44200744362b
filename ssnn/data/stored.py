"""Training images on the disk, for other processes to read as they need them."""

from pathlib import Path

import numpy as np

from ssnn.data import Digits, Samples


def store(digits: Digits, folder: Path) -> None:
    """Write the training images to an empty folder."""
    np.save(folder / "pixels.npy", digits.train.pixels)
    np.save(folder / "labels.npy", digits.train.labels)


def stored(folder: Path, name: str, samples: int | None = None) -> Digits:
    """The stored images as digits of this name, the first so many or all; there are no others to test on."""
    pixels, labels = (np.load(folder / f"{part}.npy", mmap_mode="r")[:samples] for part in ("pixels", "labels"))
    train = Samples(pixels, labels)
    return Digits(name, str(folder), (0, 1), train, Samples(pixels[:0], labels[:0]), seconds=0.0)
