"""The IDX file format of MNIST: a big-endian header (magic number, dimensions), then uint8 values.

Described at the end of the page that first published MNIST. Files are taken gzipped (`.gz`) or plain.
"""

import gzip
import hashlib
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import BufferedReader, BytesIO
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssnn.data.reading import open_file
from ssnn.errors import DataError
from ssnn.system.machine import free_memory

IMAGES_MAGIC = 0x00000803  # uint8 values (08) in 3 dimensions (03)
LABELS_MAGIC = 0x00000801
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
    return _read(path, content, IMAGES_MAGIC, dimensions=3)


def read_labels(path: Path, content: bytes | None = None) -> npt.NDArray[np.uint8]:
    """Read a label file; the parameters are those of `read_images`.

    Returns
    -------
    uint8 array (count,), read-only, of values 0 … 9

    Raises
    ------
    DataError
        As `read_images` does, or if a label is above 9.
    """
    labels = _read(path, content, LABELS_MAGIC, dimensions=1)
    wrong = np.flatnonzero(labels > 9)
    if wrong.size:
        raise DataError(f"{path}: label {wrong[0]} is {labels[wrong[0]]}, but a digit is at most 9")
    return labels


def sha256(values: npt.NDArray[np.uint8]) -> str:
    """The checksum, in hexadecimal digits, of the plain file that holds these images or labels."""
    magic = {1: LABELS_MAGIC, 3: IMAGES_MAGIC}[values.ndim]
    checksum = hashlib.sha256(struct.pack(f">{1 + values.ndim}I", magic, *values.shape))
    checksum.update(np.ascontiguousarray(values).data)
    return checksum.hexdigest()


def is_idx(path: Path) -> bool:
    """Whether a file that can be read looks like one of this format, gzipped or plain, images or labels."""
    try:
        with _unpacked(path) as stream:
            return stream.read(3) == IMAGES_MAGIC.to_bytes(4, "big")[:3]
    except DataError:
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
    with _unpacked(path) as stream:
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
        _check_end(path, stream, count * prod(shape))


def _read(path: Path, content: bytes | None, magic: int, dimensions: int) -> npt.NDArray[np.uint8]:
    with _unpacked(path, content) as stream:
        header = struct.Struct(f">{1 + dimensions}I")
        shape = _shape(path, stream.read(header.size), header, magic)
        promised, free = prod(shape), free_memory()
        if promised > free:
            raise DataError(f"{path}: its header promises {promised:,} bytes, but {free:,} are all the memory there is")
        values = stream.read(promised)
        if len(values) < promised:
            raise _truncated(path, promised - len(values), shape)
        _check_end(path, stream, promised)
    return np.frombuffer(values, np.uint8).reshape(shape)


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


def _check_end(path: Path, stream: Stream, promised: int) -> None:
    """Refuse trailing bytes, without unpacking them all to count them."""
    if stream.read(1):
        raise DataError(f"{path}: trailing bytes after the {promised} that its header promises")


@contextmanager
def _unpacked(path: Path, content: bytes | None = None) -> Iterator[Stream]:
    """The content of a file, of a gzipped one unpacked as it is read; errors are one line."""
    with open_file(path) if content is None else nullcontext(BytesIO(content)) as file:
        if path.suffix != ".gz":
            yield file
            return
        beginning = file.read(len(GZIP_MAGIC))
        file.seek(0)
        if beginning not in (GZIP_MAGIC, b""):
            raise DataError(f"{path}: not a gzip file")
        try:
            with gzip.GzipFile(fileobj=file) as stream:
                yield stream
        except EOFError:
            raise DataError(f"{path}: truncated: the compressed data ends too early") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: damaged ({error})") from None
