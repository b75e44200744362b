"""The IDX file format of MNIST: a big-endian header (magic number, dimensions), then the values.

Described at the end of the page that first published MNIST. Files are taken gzipped or plain, whatever their names say.
"""

import gzip
import hashlib
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.data.reading import content_file
from ssnn.errors import DataError
from ssnn.system.machine import free_memory

IMAGES_MAGIC = 0x00000803  # uint8 values (08) in 3 dimensions (03)
LABELS_MAGIC = 0x00000801
QMNIST_LABELS_MAGIC = 0x00000C02  # int32 values: the class, and seven more that say who wrote the digit
QMNIST_COLUMNS = 8
KINDS = {IMAGES_MAGIC: "images", LABELS_MAGIC: "labels", QMNIST_LABELS_MAGIC: "labels"}
TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x0C: np.dtype(">i4"),
}  # by the third byte of the magic number
GZIP_MAGIC = b"\x1f\x8b"

Stream = BufferedReader | BytesIO | gzip.GzipFile


def read_images(path: Path, content: bytes | None = None) -> npt.NDArray[np.uint8]:
    """Read an image file.

    Parameters
    ----------
    path : Path
    content : bytes, optional
        Of the file, where it is in memory already; the path is then only its name.

    Returns
    -------
    uint8 array (count, rows, columns), read-only

    Raises
    ------
    DataError
        If the file cannot be read, is not a whole IDX image file, or promises more than fits into memory.
    """
    return _read(path, content, IMAGES_MAGIC)


def read_labels(path: Path, content: bytes | None = None) -> npt.NDArray[Any]:
    """Read a label file, MNIST's or QMNIST's; the parameters are those of `read_images`.

    Returns
    -------
    uint8 or int32 array (count,), read-only

    Raises
    ------
    DataError
        As `read_images` does.
    """
    labels = _read(path, content, LABELS_MAGIC, QMNIST_LABELS_MAGIC)
    if labels.ndim == 1:
        return labels
    if labels.shape[1] != QMNIST_COLUMNS:
        raise DataError(f"{path}: labels of {labels.shape[1]} columns, where QMNIST has {QMNIST_COLUMNS}")
    return labels[:, 0]


def sha256(values: npt.NDArray[np.uint8]) -> str:
    """The checksum, in hexadecimal digits, of the plain file that holds these images or labels."""
    magic = {1: LABELS_MAGIC, 3: IMAGES_MAGIC}[values.ndim]
    checksum = hashlib.sha256(struct.pack(f">{1 + values.ndim}I", magic, *values.shape))
    checksum.update(np.ascontiguousarray(values).data)
    return checksum.hexdigest()


def kind_of(path: Path, content: bytes | None = None) -> str | None:
    """What a file that can be read holds by its magic number: "images", "labels", or None."""
    try:
        with _unpacked(path, content) as stream:
            return KINDS.get(int.from_bytes(stream.read(4), "big"))
    except DataError:
        return None


def image_blocks(path: Path, length: int, side: int, content: bytes | None = None) -> Iterator[npt.NDArray[np.uint8]]:
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
    with _unpacked(path, content) as stream:
        _, (count, *shape) = _header(path, stream, IMAGES_MAGIC)
        if shape != [side, side]:
            raise DataError(f"{path}: images of {shape[0]}x{shape[1]} pixels, where {side}x{side} are known")
        for start in range(0, count, length):
            wanted = min(length, count - start) * prod(shape)
            block = stream.read(wanted)
            if len(block) < wanted:
                raise _truncated(path, (count - start) * prod(shape) - len(block), count * prod(shape))
            yield np.frombuffer(block, np.uint8).reshape(-1, *shape)
        _check_end(path, stream, count * prod(shape))


def _read(path: Path, content: bytes | None, *magics: int) -> npt.NDArray[Any]:
    with _unpacked(path, content) as stream:
        dtype, shape = _header(path, stream, *magics)
        promised, free = prod(shape) * dtype.itemsize, free_memory()
        if promised > free:
            raise DataError(f"{path}: its header promises {promised:,} bytes, but {free:,} are all the memory there is")
        values = stream.read(promised)
        if len(values) < promised:
            raise _truncated(path, promised - len(values), promised)
        _check_end(path, stream, promised)
    return np.frombuffer(values, dtype).reshape(shape)


def _header(path: Path, stream: Stream, *magics: int) -> tuple[np.dtype[Any], list[int]]:
    """The dtype and the dimensions that the header gives, where its magic number is one of these."""
    magic = stream.read(4)
    found = int.from_bytes(magic, "big")
    if len(magic) == 4 and found not in magics:
        raise DataError(f"{path}: magic number 0x{found:08x} where 0x{magics[0]:08x} is expected: not such an IDX file")
    dimensions = (found if found in magics else magics[0]) & 0xFF
    rest = stream.read(4 * dimensions)
    if len(magic + rest) < 4 + 4 * dimensions:
        length = len(magic + rest)
        raise DataError(f"{path}: truncated: {length} bytes, but the header alone takes {4 + 4 * dimensions}")
    shape = list(struct.unpack(f">{dimensions}I", rest))
    if 0 in shape:
        raise DataError(f"{path}: empty: its header gives the dimensions {' x '.join(map(str, shape))}")
    return TYPES[found >> 8], shape


def _truncated(path: Path, missing: int, promised: int) -> DataError:
    return DataError(f"{path}: truncated: {missing} bytes missing of the {promised} that its header promises")


def _check_end(path: Path, stream: Stream, promised: int) -> None:
    """Refuse trailing bytes, without unpacking them all to count them."""
    if stream.read(1):
        raise DataError(f"{path}: trailing bytes after the {promised} that its header promises")


@contextmanager
def _unpacked(path: Path, content: bytes | None = None) -> Iterator[Stream]:
    """The content of a file, of a gzipped one unpacked as it is read; errors are one line."""
    with content_file(path, content) as file:
        is_gzipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        if not is_gzipped:
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as stream:
                yield stream
        except EOFError:
            raise DataError(f"{path}: truncated: the compressed data ends too early") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: damaged ({error})") from None
