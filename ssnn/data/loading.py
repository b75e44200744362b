"""The one door to MNIST, to files like MNIST's, and to the digits that the program draws itself."""

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssnn.data import folder, mnist, synthetic
from ssnn.data.dataset import Dataset, Samples, samples_of, two_digits
from ssnn.data.parts import Part
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
        "mnist" is MNIST and nothing else, in whatever format: its checksums are known. "idx" takes what the folder
        holds as it is. "synthetic" draws digits. "auto" takes what the folder holds, MNIST or not; where no folder is
        named, MNIST from the per-user cache, from where Keras or torchvision keeps it, or from a mirror, else synthetic
        digits, with a warning.
    directory : path, optional
        A folder, or a file of the data set in it: four IDX files as MNIST, QMNIST and EMNIST have them, gzipped or
        plain, also in `raw` or `MNIST/raw`; an archive like Keras's mnist.npz; or CSV files with the label first, such
        as train.csv and test.csv. By default the one that the environment variable SSNN_DATA_DIR names, if it is set.
        `~` is expanded.
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
        If "auto" did not find MNIST, the per-user cache cannot be used, or images of a training file are for testing
        because no others have labels.
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
        loaded, notices = _from_files(source, directory, classes, progressbar)
    return replace(loaded, seconds=time.perf_counter() - started), [printable(notice) for notice in notices]


def data_directory(directory: str | Path | None = None) -> Path | None:
    """The folder or file of data that was named, `~` expanded: this one, else that of SSNN_DATA_DIR, else none.

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
    """The files of data in the folder that was named, and those of MNIST's own names, be they there or not."""
    path = data_directory(directory)
    if path is None:
        return []
    return [
        *folder.data_files(path),
        *(path / file for name in mnist.FILES for file in (name.removesuffix(".gz"), name)),
    ]


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


def _from_files(
    source: str, directory: str | Path | None, digits: tuple[int, int], progressbar: bool
) -> tuple[Dataset, list[str]]:
    path = data_directory(directory)
    if path is None:
        return _unnamed(source, digits, progressbar)
    try:
        return _named(source, path, digits)
    except DataError as error:
        if directory is None:
            raise DataError(f"{error} (the folder is the one that {FOLDER_VARIABLE} names)") from None
        raise


def _unnamed(source: str, digits: tuple[int, int], progressbar: bool) -> tuple[Dataset, list[str]]:
    """MNIST, or where it cannot be had, drawn images."""
    if source == "idx":
        raise DataError(f"the data idx need the folder that they are in; name it by {FOLDER_VARIABLE} or --data-dir")
    try:
        found = mnist.load(progressbar)
    except mnist.UnavailableError as error:
        if source != "auto":
            raise
        drawn = _synthetic(digits, "drawn by the program, because MNIST cannot be had")
        return drawn, [f"synthetic digits: drawn by the program, because {error}"]
    notices = []
    if found.obstacle is not None:
        notices.append(f"MNIST was downloaded and cannot be kept: {found.obstacle}")
    return _dataset("mnist", found.origin, digits, found.train, found.test), notices


def _named(source: str, path: Path, digits: tuple[int, int]) -> tuple[Dataset, list[str]]:
    """What the folder or the file holds."""
    files = folder.choose(path)
    train, test = files.read()
    strangers = [] if source == "idx" else mnist.strangers(train, test)
    if source == "mnist" and strangers:
        raise DataError(
            f"{strangers[0]}: not MNIST's own: the SHA-256 of its content is another; --data idx takes it as it is"
        )
    name = "idx" if source == "idx" or strangers else "mnist"
    origin, notices = files.origin, []
    if strangers:
        origin += f" (unverified: not MNIST's checksum: {', '.join(stranger.name for stranger in strangers)})"
    if strangers or files.is_split:
        notices.append(f"{name} digits: {path}: {origin}")
    return _dataset(name, origin, digits, train, test), notices


def _dataset(name: str, origin: str, digits: tuple[int, int], train: Part, test: Part) -> Dataset:
    train_samples, test_samples = (
        samples_of(part.pixels, part.labels, digits, str(part.labels_path)) for part in (train, test)
    )
    return Dataset(name, origin, digits, train_samples, test_samples, 0.0)


def _synthetic(digits: tuple[int, int], origin: str) -> Dataset:
    if set(digits) != {0, 1}:
        raise DataError(f"synthetic digits are 0 and 1 only, not {digits[0]} and {digits[1]} ({origin})")
    train, test = (_draw(digits, *MNIST_COUNTS[part], SYNTHETIC_SEEDS[part]) for part in ("train", "test"))
    return Dataset("synthetic", origin, digits, train, test, 0.0)


def _draw(digits: tuple[int, int], zeros: int, ones: int, seed: int) -> Samples:
    pixels, drawn = synthetic.draw(zeros, ones, seed)
    return Samples(pixels, (drawn == digits[1]).astype(np.uint8))
