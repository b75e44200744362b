"""Data sets in one NumPy archive with the arrays x_train, y_train, x_test and y_test, as Keras keeps MNIST."""

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from ssnn.data.parts import FileSet, Part, make_part
from ssnn.data.reading import open_file
from ssnn.errors import DataError
from ssnn.system.machine import free_memory

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
ZIP_MAGIC = b"PK\x03\x04"


def find(folder: Path, paths: Iterable[Path]) -> list[FileSet]:
    """The data sets in the archives among these files of a folder; not text, which is pickled under the same names."""
    return [found for path in sorted(paths) if (found := _found(path)) is not None]


def archive_of(path: Path) -> FileSet:
    """The data set that one archive holds."""
    return FileSet(path.name, (path,), partial(_read, path))


def is_archive(path: Path) -> bool:
    """Whether a file that can be read is a zip archive by its first bytes."""
    try:
        with open_file(path) as file:
            return file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    except DataError:
        return False


def _found(path: Path) -> FileSet | None:
    """The data set in a file, if it is an archive of these arrays; one that is damaged is not whole, and says so."""
    if not is_archive(path):
        return None
    try:
        with _opened(path) as archive:
            if not {f"{name}.npy" for name in ARRAYS} <= set(archive.namelist()):
                return None
            dtypes = [_header(stream)[2] for name in ARRAYS for stream in [_member(path, archive, name)]]
    except DataError:
        return replace(archive_of(path), is_complete=False)
    return None if any(dtype.hasobject for dtype in dtypes) else archive_of(path)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with open_file(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except DataError:
            raise
        except Exception as error:  # damaged archives make the library stumble in many ways
            raise DataError(f"{path}: cannot be read ({str(error) or type(error).__name__})") from None


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        return archive.open(f"{name}.npy")
    except KeyError:
        raise DataError(f"{path}: no {name} in it; {', '.join(ARRAYS)} are needed, as in Keras's mnist.npz") from None


def _read(path: Path) -> tuple[Part, Part]:
    with _opened(path) as archive:
        x_train, y_train, x_test, y_test = (_read_array(path, archive, name) for name in ARRAYS)
    return make_part("", x_train, y_train, path, path), make_part("", x_test, y_test, path, path)


def _read_array(path: Path, archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    with _member(path, archive, name) as stream:
        shape, order, dtype = _header(stream)
        if dtype.kind not in "uib":
            raise DataError(f"{path}: {name} is of {dtype}: whole numbers are needed")
        promised, free = prod(shape) * dtype.itemsize, free_memory()
        if promised > free:
            raise DataError(f"{path}: {name} promises {promised:,} bytes, but {free:,} are all the memory there is")
        values = stream.read(promised)
        if len(values) != promised or stream.read(1):  # at its end the archive's checksum is compared
            raise DataError(f"{path}: {name} has not the {promised} bytes that its header promises")
    return np.frombuffer(values, dtype).reshape(shape, order=order)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any]]:
    """The shape, the order and the dtype of the values that follow."""
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, is_fortran, dtype = read(stream)
    if min(shape, default=0) < 0:
        raise ValueError(f"an array of the shape {shape}")
    return shape, "F" if is_fortran else "C", dtype
