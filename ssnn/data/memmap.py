"""Training images on disk, memory-mapped by other processes."""

from pathlib import Path

import numpy as np

from ssnn.data.dataset import Dataset, Samples


def save_memmap(digits: Dataset, folder: Path) -> None:
    """Write the training images to an empty folder."""
    np.save(folder / "pixels.npy", digits.train.pixels)
    np.save(folder / "labels.npy", digits.train.labels)


def load_memmap(folder: Path, name: str, samples: int | None = None) -> Dataset:
    """The first `samples` of the saved images, or all, as a data set of this name that has no test images."""
    pixels, labels = (np.load(folder / f"{part}.npy", mmap_mode="r")[:samples] for part in ("pixels", "labels"))
    train = Samples(pixels, labels)
    return Dataset(name, str(folder), (0, 1), train, Samples(pixels[:0], labels[:0]), seconds=0.0)
