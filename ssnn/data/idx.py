"""The IDX file format of MNIST: a big-endian header (magic number, dimensions), then uint8 values.

Described at the end of the page that first published MNIST. Files are taken gzipped (`.gz`) or plain.
"""

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from ssnn.errors import DataError

IMAGES_MAGIC = 0x00000803  # uint8 values (08) in 3 dimensions (03)
LABELS_MAGIC = 0x00000801
GZIP_MAGIC = b"\x1f\x8b"


def read_images(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image file.

    Returns
    -------
    uint8 array (count, rows, columns), read-only

    Raises
    ------
    DataError
        If the file cannot be read or is not a whole IDX image file.
    """
    return _read(path, IMAGES_MAGIC, dimensions=3)


def read_labels(path: Path) -> npt.NDArray[np.uint8]:
    """Read a label file.

    Returns
    -------
    uint8 array (count,), read-only, of values 0 … 9

    Raises
    ------
    DataError
        If the file cannot be read, is not a whole IDX label file, or holds a label above 9.
    """
    labels = _read(path, LABELS_MAGIC, dimensions=1)
    wrong = np.flatnonzero(labels > 9)
    if wrong.size:
        raise DataError(f"{path}: label {wrong[0]} is {labels[wrong[0]]}, but a digit is at most 9")
    return labels


def is_idx(path: Path) -> bool:
    """Whether a file that can be read looks like one of this format, gzipped or plain, images or labels."""
    try:
        with _open(path) as stream:
            return stream.read(3) == IMAGES_MAGIC.to_bytes(4, "big")[:3]
    except (OSError, EOFError, zlib.error):
        return False


def image_blocks(path: Path, length: int, side: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Read an image file block by block, so that no more than one is in memory.

    Yields
    ------
    uint8 array (count, side, side), read-only
        `length` images, at the end perhaps fewer.

    Raises
    ------
    DataError
        As `read_images` does, for what comes late in the file, late; and if the images have another size.
    """
    with _one_line_errors(path), _open(path) as stream:
        header = struct.Struct(">4I")
        count, *shape = _shape(path, stream.read(header.size), header, IMAGES_MAGIC)
        if shape != [side, side]:
            raise DataError(f"{path}: images of {shape[0]}x{shape[1]} pixels, where {side}x{side} are known")
        for start in range(0, count, length):
            wanted = min(length, count - start) * prod(shape)
            content = stream.read(wanted)
            if len(content) < wanted:
                missing = (count - start) * prod(shape) - len(content)
                raise _truncated(path, missing, [count, *shape])
            yield np.frombuffer(content, np.uint8).reshape(-1, *shape)
        if stream.read(1):
            raise DataError(f"{path}: trailing bytes after the {count * prod(shape)} that its header promises")


def _read(path: Path, magic: int, dimensions: int) -> npt.NDArray[np.uint8]:
    with _one_line_errors(path):
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    header = struct.Struct(f">{1 + dimensions}I")
    shape = _shape(path, content, header, magic)
    missing = header.size + prod(shape) - len(content)
    if missing > 0:
        raise _truncated(path, missing, shape)
    if missing < 0:
        raise DataError(f"{path}: {-missing} trailing bytes after the {prod(shape)} that its header promises")
    return np.frombuffer(content, np.uint8, offset=header.size).reshape(shape)


def _shape(path: Path, content: bytes, header: struct.Struct, magic: int) -> list[int]:
    """The dimensions that the header at the beginning of a content gives."""
    if len(content) < header.size:
        raise DataError(f"{path}: truncated: {len(content)} bytes, but the header alone takes {header.size}")
    found, *shape = header.unpack_from(content)
    if found != magic:
        raise DataError(f"{path}: magic number 0x{found:08x} where 0x{magic:08x} is expected: not such an IDX file")
    if 0 in shape:
        raise DataError(f"{path}: empty: its header gives the dimensions {' x '.join(map(str, shape))}")
    return shape


def _truncated(path: Path, missing: int, shape: list[int]) -> DataError:
    return DataError(f"{path}: truncated: {missing} bytes missing of the {prod(shape)} that its header promises")


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: missing") from None
    except EOFError:
        raise DataError(f"{path}: truncated: the compressed data ends too early") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        with path.open("rb") as file:
            is_gzip = file.read(2) == GZIP_MAGIC
        raise DataError(f"{path}: " + (f"damaged ({error})" if is_gzip else "not a gzip file")) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
