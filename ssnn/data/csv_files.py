"""Data sets in CSV files with the label first and 784 pixels, as Kaggle has MNIST: train.csv and test.csv."""

import os
import warnings
from collections.abc import Iterable
from functools import partial
from io import TextIOWrapper
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssnn.data.dataset import SIDE
from ssnn.data.parts import FileSet, Part, half_of, make_part
from ssnn.data.reading import open_file
from ssnn.errors import DataError
from ssnn.system.machine import free_memory

COLUMNS = 1 + SIDE**2  # without the labels there is one less
MAX_LINE = 1 << 14  # bytes of a first line
HELD_OUT = 7  # every seventh training image is for testing where no others have labels: MNIST's own share


def find(folder: Path, paths: Iterable[Path]) -> list[FileSet]:
    """The data sets, whole or not, in these files of a folder; of several of one role, that with the shortest name."""
    sets: dict[str, dict[str, Path]] = {}
    for path in sorted(paths, key=lambda path: (len(path.name), path.name)):
        half = half_of(path.name)
        if half is None:
            continue
        columns = _columns(_first_line(path))
        if columns == COLUMNS:
            sets.setdefault(half[0], {}).setdefault(half[1], path)
        elif columns == COLUMNS - 1 and half[1] == "test":
            sets.setdefault(half[0], {}).setdefault("unlabelled", path)
    return [file_set(folder, name, **roles) for name, roles in sets.items()]


def file_set(
    folder: Path, name: str, train: Path | None = None, test: Path | None = None, unlabelled: Path | None = None
) -> FileSet:
    """The data set in one or two CSV files.

    Parameters
    ----------
    folder : Path
    name : str
        What the names of its files begin with, as in "mnist".
    train, test, unlabelled : Path, optional
        The files with labels, and a test file without them.
    """
    paths = tuple(path for path in (train, test, unlabelled) if path is not None)
    if train is None:
        return FileSet("CSV files", paths, partial(_refuse, folder, paths), is_complete=False)
    if test is not None:
        return FileSet(f"{train.name} and {test.name}", paths, partial(_read, name, train, test))
    why = "there is no test file" if unlabelled is None else f"{unlabelled.name} has no labels"
    origin = f"{train.name}, every seventh image of it for testing because {why}"
    return FileSet(origin, paths, partial(_read_and_split, name, train), is_split=True)


def is_text(path: Path) -> bool:
    """Whether the first line of a file that can be read is text with commas."""
    return _columns(_first_line(path)) > 1


def _first_line(path: Path) -> str:
    """The first line of a file, empty if it is no text or cannot be read."""
    try:
        with open_file(path) as file:
            return file.readline(MAX_LINE).decode("utf-8-sig")
    except (DataError, UnicodeDecodeError):
        return ""


def _columns(line: str) -> int:
    return line.count(",") + 1


def _refuse(folder: Path, paths: tuple[Path, ...]) -> tuple[Part, Part]:
    there = ", ".join(path.name for path in paths)
    raise DataError(f"{folder}: a CSV file of training images is missing; there is only {there}")


def _read(name: str, train: Path, test: Path) -> tuple[Part, Part]:
    return _part(name, _values(train), train), _part(name, _values(test), test)


def _read_and_split(name: str, path: Path) -> tuple[Part, Part]:
    values = _values(path)
    if len(values) < HELD_OUT:
        raise DataError(f"{path}: {len(values)} images are too few to leave some of them for testing")
    is_held_out = np.arange(1, len(values) + 1) % HELD_OUT == 0
    return _part(name, values[~is_held_out], path), _part(name, values[is_held_out], path)


def _part(name: str, values: npt.NDArray[np.uint8], path: Path) -> Part:
    return make_part(name, values[:, 1:], np.ascontiguousarray(values[:, 0]), path, path)


def _values(path: Path) -> npt.NDArray[np.uint8]:
    """The labels and pixels (m, 785) of a file, which may begin with a line of names."""
    line = _first_line(path)
    if _columns(line) != COLUMNS:
        raise DataError(f"{path}: {_columns(line)} columns where {COLUMNS} are expected: the label, then the pixels")
    has_names = not line.partition(",")[0].strip().isdecimal()
    with open_file(path) as file, TextIOWrapper(file, "utf-8-sig") as text:
        size, free = os.fstat(file.fileno()).st_size, free_memory()
        if size > free:
            raise DataError(f"{path}: {size:,} bytes, but {free:,} are all the memory there is")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of a file without values, or numbers with a decimal point
                return np.loadtxt(text, np.uint8, comments=None, delimiter=",", skiprows=int(has_names), ndmin=2)
        except (ValueError, Warning) as error:
            raise DataError(f"{path}: not whole numbers 0 … 255 in {COLUMNS} columns throughout ({error})") from None
