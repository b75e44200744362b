"""Training images on disk, memory-mapped by other processes."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.data.dataset import Dataset, Samples


def save_memmap(dataset: Dataset, folder: Path) -> None:
    """Write the training images to an empty folder."""
    np.save(folder / "pixels.npy", dataset.train.pixels)
    np.save(folder / "labels.npy", dataset.train.labels)


def load_memmap(folder: Path, name: str, samples: int | None = None) -> Dataset:
    """The first `samples` of the saved images, or all, as a data set of this name that has no test images."""
    pixels, labels = (np.load(folder / f"{part}.npy", mmap_mode="r")[:samples] for part in ("pixels", "labels"))
    train = Samples(pixels, labels)
    return Dataset(name, "memory-mapped", (0, 1), train, Samples(pixels[:0], labels[:0]), seconds=0.0)


def release(rows: npt.NDArray[Any]) -> None:
    """Give back the memory of rows of a file mapped for reading only; they can be read again. Other rows stay.

    Pages that could have been written to are never given back: in some kinds of mapping their content would be lost.
    """
    base: Any = rows
    is_read_only = False
    while isinstance(base, np.ndarray):
        is_read_only = isinstance(base, np.memmap) and base.mode == "r"
        base = base.base
    if is_read_only and isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
