"""The one door to MNIST and to the digits that the program draws itself."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssnn.data import mnist, synthetic
from ssnn.data.dataset import Dataset, Samples
from ssnn.errors import DataError, UsageError

SOURCES = ("auto", "mnist", "synthetic")
MNIST_COUNTS = {"train": (5923, 6742), "test": (980, 1135)}  # zeros and ones
SYNTHETIC_SEEDS = {"train": 0, "test": 1}


def load_data(
    source: str = "auto",
    directory: str | Path | None = None,
    digits: tuple[int, int] = (0, 1),
    progressbar: bool = False,
) -> Dataset:
    """Load the images of two digits.

    Parameters
    ----------
    source : {"auto", "mnist", "synthetic"}
        "auto" takes MNIST where it can be had, else synthetic digits.
    directory : path, optional
        A folder with MNIST's four files, looked at before the per-user cache and the mirrors. SSNN_DATA_DIR
        is for the command line, and not read here.
    digits : (int, int)
        Which digits are class 0 and class 1. Synthetic ones are drawn as 0 and 1 only.
    progressbar : bool
        Whether a download draws a bar on standard error.

    Raises
    ------
    UsageError
        If the source is unknown or the digits are not two different ones of 0 … 9.
    DataError
        If a file is there but wrong (in every mode), or the digits asked for cannot be had.
    """
    if source not in SOURCES:
        raise UsageError(f"unknown data {source!r}; choose one of {', '.join(SOURCES)}")
    if len(digits) != 2 or digits[0] == digits[1] or not all(0 <= digit <= 9 for digit in digits):
        raise UsageError(f"digits {', '.join(map(str, digits))}: two different ones of 0 … 9 are needed")
    digits = int(digits[0]), int(digits[1])  # also of a list or an array
    started = time.perf_counter()
    if source == "synthetic":
        name, origin, train, test = _synthetic(digits, "drawn by the program")
    else:
        try:
            name, origin, train, test = _mnist(None if directory is None else Path(directory), digits, progressbar)
        except mnist.UnavailableError as error:
            if source == "mnist":
                raise
            name, origin, train, test = _synthetic(digits, f"drawn by the program, because {error}")
    return Dataset(name, origin, digits, train, test, seconds=time.perf_counter() - started)


def with_samples(dataset: Dataset, samples: int) -> Dataset:
    """The same dataset with this number of training images: the first ones, or drawn ones where there are too few.

    Raises
    ------
    DataError
        If there are too few, and the digits are not 0 and 1.
    """
    if samples <= len(dataset.train):
        train = Samples(dataset.train.pixels[:samples], dataset.train.labels[:samples])
        return replace(dataset, train=train)
    if set(dataset.classes) != {0, 1}:
        raise DataError(f"there are {len(dataset.train)} images, and only of 0 and 1 can {samples} be drawn")
    zeros, ones = MNIST_COUNTS["train"]
    drawn = round(samples * zeros / (zeros + ones))
    train = _draw(dataset.classes, drawn, samples - drawn, SYNTHETIC_SEEDS["train"])
    return replace(dataset, name="synthetic", origin=f"drawn by the program, {samples} of them", train=train)


def _mnist(directory: Path | None, digits: tuple[int, int], progressbar: bool) -> tuple[str, str, Samples, Samples]:
    files = mnist.load(directory, progressbar)
    return "mnist", str(files.folder), _select(files.train, digits), _select(files.test, digits)


def _select(part: mnist.Part, digits: tuple[int, int]) -> Samples:
    for digit in digits:
        if digit not in part.labels:
            raise DataError(f"{part.labels_path}: no image of a {digit}")
    chosen = np.isin(part.labels, digits)
    return Samples(part.pixels[chosen], (part.labels[chosen] == digits[1]).astype(np.uint8))


def _synthetic(digits: tuple[int, int], origin: str) -> tuple[str, str, Samples, Samples]:
    if set(digits) != {0, 1}:
        raise DataError(f"synthetic digits are 0 and 1 only, not {digits[0]} and {digits[1]} ({origin})")
    train, test = (_draw(digits, *MNIST_COUNTS[part], SYNTHETIC_SEEDS[part]) for part in ("train", "test"))
    return "synthetic", origin, train, test


def _draw(digits: tuple[int, int], zeros: int, ones: int, seed: int) -> Samples:
    pixels, drawn = synthetic.draw(zeros, ones, seed)
    return Samples(pixels, (drawn == digits[1]).astype(np.uint8))
