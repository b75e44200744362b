"""Handwritten digits as uint8 pixels on the host: the one door to MNIST and to the built-in synthetic digits."""

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssnn.data import mnist, strokes
from ssnn.errors import DataError, UsageError

SOURCES = ("auto", "mnist", "synthetic")
MNIST_COUNTS = {"train": (5923, 6742), "test": (980, 1135)}  # zeros and ones
SYNTHETIC_SEEDS = {"train": 0, "test": 1}


@dataclass(frozen=True)
class Samples:
    """Images of two classes.

    Attributes
    ----------
    pixels : uint8 array (m, 784)
        One image of 28x28 grey values per row, row-major, 0 (black) … 255 (ink).
    labels : uint8 array (m,)
        The class of each image, 0 or 1.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def sha256(self) -> str:
        """The checksum of all pixels and labels, in hexadecimal digits."""
        checksum = hashlib.sha256()
        for part in (self.pixels, self.labels):
            checksum.update(np.ascontiguousarray(part).data)
        return checksum.hexdigest()


@dataclass(frozen=True)
class Digits:
    """Training and test images of two digits.

    Attributes
    ----------
    name : {"mnist", "synthetic"}
    origin : str
        Where the images came from, and why not from MNIST if they did not, for people to read.
    digits : (int, int)
        The digits that are class 0 and class 1.
    train, test : Samples
    seconds : float
        How long it took to get them.
    """

    name: str
    origin: str
    digits: tuple[int, int]
    train: Samples
    test: Samples
    seconds: float


def load(
    source: str = "auto",
    directory: str | Path | None = None,
    digits: tuple[int, int] = (0, 1),
    progressbar: bool = False,
) -> Digits:
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
    return Digits(name, origin, digits, train, test, seconds=time.perf_counter() - started)


def with_samples(digits: Digits, samples: int) -> Digits:
    """The same digits with so many training images: the first ones, or drawn ones where there are not as many.

    Raises
    ------
    DataError
        If more are asked for than there are, and the digits are not 0 and 1.
    """
    if samples <= len(digits.train):
        train = Samples(digits.train.pixels[:samples], digits.train.labels[:samples])
        return replace(digits, train=train)
    if set(digits.digits) != {0, 1}:
        raise DataError(f"there are {len(digits.train)} images, and only of 0 and 1 can {samples} be drawn")
    zeros, ones = MNIST_COUNTS["train"]
    drawn = round(samples * zeros / (zeros + ones))
    train = _draw(digits.digits, drawn, samples - drawn, SYNTHETIC_SEEDS["train"])
    return replace(digits, name="synthetic", origin=f"drawn by the program, {samples} of them", train=train)


def _mnist(directory: Path | None, digits: tuple[int, int], progressbar: bool) -> tuple[str, str, Samples, Samples]:
    files = mnist.load(directory, progressbar)
    return "mnist", str(files.folder), _select(files.train, digits), _select(files.test, digits)


def _select(part: mnist.Part, digits: tuple[int, int]) -> Samples:
    for digit in digits:
        if digit not in part.labels:
            raise DataError(f"{part.labels_path}: no image of a {digit}")
    wanted = np.isin(part.labels, digits)
    return Samples(part.pixels[wanted], (part.labels[wanted] == digits[1]).astype(np.uint8))


def _synthetic(digits: tuple[int, int], origin: str) -> tuple[str, str, Samples, Samples]:
    if set(digits) != {0, 1}:
        raise DataError(f"synthetic digits are 0 and 1 only, not {digits[0]} and {digits[1]} ({origin})")
    train, test = (_draw(digits, *MNIST_COUNTS[part], SYNTHETIC_SEEDS[part]) for part in ("train", "test"))
    return "synthetic", origin, train, test


def _draw(digits: tuple[int, int], zeros: int, ones: int, seed: int) -> Samples:
    pixels, drawn = strokes.draw(zeros, ones, seed)
    return Samples(pixels, (drawn == digits[1]).astype(np.uint8))
