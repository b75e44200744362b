"""Data sets in files, with all their digits: a training and a test half, whatever the format."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.data.dataset import SIDE, image_rows
from ssnn.errors import DataError, UsageError

TRANSPOSED = "emnist"  # begins the names of files whose images are stored column by column
HALF = re.compile(r"(.*?[^a-z]|)(train|t10k|test)")


@dataclass(frozen=True)
class Part:
    """The training or the test half of the images, in the files' order.

    Attributes
    ----------
    pixels : uint8 array (m, 784)
    labels : uint8 array (m,), 0 … 9
    images_path, labels_path : Path
        The files that hold them; it may be one.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    images_path: Path
    labels_path: Path

    def images(self) -> npt.NDArray[np.uint8]:
        """The pixels as images, (m, 28, 28)."""
        return self.pixels.reshape(-1, SIDE, SIDE)


@dataclass(frozen=True)
class FileSet:
    """The files of one data set, found and not read yet.

    Attributes
    ----------
    origin : str
        What it is, for people to read, without the folder it is in.
    paths : tuple of Path
        Its files.
    read : function of no arguments
        Reads the training and the test half; raises DataError if a file is missing or wrong.
    is_complete : bool
        Whether it has the files that it needs.
    is_split : bool
        Whether its test images are taken from those for training.
    """

    origin: str
    paths: tuple[Path, ...]
    read: Callable[[], tuple[Part, Part]]
    is_complete: bool = True
    is_split: bool = False


def half_of(name: str) -> tuple[str, str] | None:
    """Which half of which data set a file of this name holds: ("emnist-digits", "train"), ("", "test"), or None."""
    found = HALF.match(name.lower())
    return None if found is None else (found[1].rstrip("-_. "), "train" if found[2] == "train" else "test")


def make_part(data_set: str, images: Any, labels: Any, images_path: Path, labels_path: Path) -> Part:
    """Check that images and labels fit together, and turn images that are stored column by column.

    Parameters
    ----------
    data_set : str
        What the names of its files begin with: EMNIST's images are transposed.
    images : array (m, 28, 28) or (m, 784)
    labels : array (m,) of whole numbers
    images_path, labels_path : Path

    Raises
    ------
    DataError
        If the images have another shape or dtype, there is not one label per image, or one is no digit.
    """
    if images.shape[1:] not in ((SIDE, SIDE), (SIDE**2,)):
        size = "x".join(map(str, images.shape[1:]))
        raise DataError(f"{images_path}: images of {size} pixels where {SIDE}x{SIDE} are expected")
    try:
        pixels = image_rows(images)
    except UsageError as error:
        raise DataError(f"{images_path}: {error}") from None
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{labels_path}: labels {labels.shape} of {labels.dtype}: a whole number per image is needed")
    if len(pixels) != len(labels):
        raise DataError(f"{images_path}: {len(pixels)} images, but {labels_path} holds {len(labels)} labels")
    wrong = np.flatnonzero((labels < 0) | (labels > 9))
    if wrong.size:
        raise DataError(f"{labels_path}: label {wrong[0]} is {labels[wrong[0]]}, but a digit is 0 … 9")
    if data_set.startswith(TRANSPOSED):
        pixels = np.ascontiguousarray(pixels.reshape(-1, SIDE, SIDE).transpose(0, 2, 1)).reshape(-1, SIDE**2)
    return Part(pixels, labels.astype(np.uint8, copy=False), images_path, labels_path)
