"""The one door to MNIST, to files like MNIST's, and to the digits that the program draws itself."""

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssnn.data import mnist, synthetic
from ssnn.data.dataset import Dataset, Samples, two_digits
from ssnn.errors import DataError, UsageError
from ssnn.printable import printable

SOURCES = ("auto", "mnist", "idx", "synthetic")
FOLDER_VARIABLE = "SSNN_DATA_DIR"
MNIST_COUNTS = {"train": (5923, 6742), "test": (980, 1135)}  # zeros and ones
SYNTHETIC_SEEDS = {"train": 0, "test": 1}


def load_data(
    source: str = "auto",
    directory: str | Path | None = None,
    digits: Sequence[int] = (0, 1),
    progressbar: bool = False,
) -> Dataset:
    """Load the images of two digits.

    Parameters
    ----------
    source : {"auto", "mnist", "idx", "synthetic"}
        "mnist" is MNIST and nothing else: its checksums are known. "idx" takes a folder of files that have MNIST's
        names and format as it is. "synthetic" draws digits. "auto" takes what the folder holds, MNIST or not; where
        no folder is named, MNIST from the per-user cache or a mirror, else synthetic digits, with a warning.
    directory : path, optional
        A folder with four files of MNIST's names, gzipped or plain; by default the one that the environment variable
        SSNN_DATA_DIR names, if it is set. `~` is expanded.
    digits : (int, int)
        Which digits are class 0 and class 1. Synthetic ones are drawn as 0 and 1 only.
    progressbar : bool
        Whether a download draws a bar on standard error.

    Raises
    ------
    UsageError
        If the source is unknown, the digits are not two different ones of 0 … 9, or a folder is given for synthetic
        digits.
    DataError
        If what was named (a folder, "mnist", or a mirror by SSNN_MNIST_URL) cannot be used, if a file is there but
        wrong, or if the digits asked for cannot be had.

    Warns
    -----
    UserWarning
        If "auto" did not find MNIST, or the per-user cache cannot be used.
    """
    dataset, notices = load_with_notices(source, directory, digits, progressbar)
    for notice in notices:
        warnings.warn(notice, stacklevel=2)
    return dataset


def load_with_notices(
    source: str = "auto",
    directory: str | Path | None = None,
    digits: Sequence[int] = (0, 1),
    progressbar: bool = False,
) -> tuple[Dataset, list[str]]:
    """Load as `load_data` does, and return what it warns of, each in one printable line."""
    if source not in SOURCES:
        raise UsageError(f"unknown data {source!r}; choose one of {', '.join(SOURCES)}")
    classes = two_digits(digits)
    if source == "synthetic" and directory is not None:
        raise UsageError(
            f"synthetic digits are drawn and not read from {directory}: "
            f"leave the folder out, or choose the data {', '.join(SOURCES[:-1])}"
        )
    started = time.perf_counter()
    notices: list[str] = []
    if source == "synthetic":
        loaded = _synthetic(classes, "drawn by the program")
    else:
        loaded, notices = _found(source, directory, classes, progressbar)
    return replace(loaded, seconds=time.perf_counter() - started), [printable(notice) for notice in notices]


def data_directory(directory: str | Path | None = None) -> Path | None:
    """The folder of the data that was named, `~` expanded: this one, else that of SSNN_DATA_DIR, else none.

    Raises
    ------
    UsageError
        If the name is empty.
    DataError
        If there is no such home folder.
    """
    named = os.environ.get(FOLDER_VARIABLE) or None if directory is None else directory
    if named is None:
        return None
    if not str(named):
        raise UsageError("the name of the data's folder is empty; name one, or leave it out")
    try:
        return Path(named).expanduser()
    except RuntimeError:
        raise DataError(f"{named}: there is no such home folder; give the folder's whole path") from None


def data_files(directory: str | Path | None = None) -> list[Path]:
    """The files that are looked for in the folder that was named, whether they are there or not."""
    folder = data_directory(directory)
    return [] if folder is None else mnist.files_of(folder)


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


def _found(
    source: str, directory: str | Path | None, digits: tuple[int, int], progressbar: bool
) -> tuple[Dataset, list[str]]:
    """Images from files; where nothing was named and MNIST cannot be had, drawn ones."""
    try:
        files = _files(source, directory, progressbar)
    except mnist.UnavailableError as error:
        if source != "auto":
            raise
        drawn = _synthetic(digits, f"drawn by the program, because {error}")
        return drawn, [f"synthetic digits: {drawn.origin}"]
    notices = []
    if files.obstacle is not None:
        notices.append(f"MNIST was downloaded and cannot be kept: {files.obstacle}")
    name, origin = "idx" if source == "idx" or files.strangers else "mnist", files.origin
    if source == "auto" and files.strangers:
        origin += f" (unverified: not MNIST's checksum: {', '.join(path.name for path in files.strangers)})"
        notices.append(f"idx digits: {origin}")
    return Dataset(name, origin, digits, _select(files.train, digits), _select(files.test, digits), 0.0), notices


def _files(source: str, directory: str | Path | None, progressbar: bool) -> mnist.Mnist:
    folder = data_directory(directory)
    if folder is None:
        if source == "idx":
            raise DataError(
                f"the data idx need the folder that they are in; name it by {FOLDER_VARIABLE} or --data-dir"
            )
        return mnist.load(progressbar=progressbar)
    try:
        files = mnist.load(folder)
        if source == "mnist" and files.strangers:
            raise DataError(
                f"{files.strangers[0]}: not MNIST's own: its SHA-256 is another; --data idx takes the folder as it is"
            )
    except DataError as error:
        if directory is None:
            raise DataError(f"{error} (the folder is the one that {FOLDER_VARIABLE} names)") from None
        raise
    return files


def _select(part: mnist.Part, digits: tuple[int, int]) -> Samples:
    for digit in digits:
        if digit not in part.labels:
            raise DataError(f"{part.labels_path}: no image of a {digit}")
    chosen = np.isin(part.labels, digits)
    return Samples(part.pixels[chosen], (part.labels[chosen] == digits[1]).astype(np.uint8))


def _synthetic(digits: tuple[int, int], origin: str) -> Dataset:
    if set(digits) != {0, 1}:
        raise DataError(f"synthetic digits are 0 and 1 only, not {digits[0]} and {digits[1]} ({origin})")
    train, test = (_draw(digits, *MNIST_COUNTS[part], SYNTHETIC_SEEDS[part]) for part in ("train", "test"))
    return Dataset("synthetic", origin, digits, train, test, 0.0)


def _draw(digits: tuple[int, int], zeros: int, ones: int, seed: int) -> Samples:
    pixels, drawn = synthetic.draw(zeros, ones, seed)
    return Samples(pixels, (drawn == digits[1]).astype(np.uint8))
