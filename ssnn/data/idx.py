"""The IDX file format of MNIST: a big-endian header (magic number, dimensions), then uint8 values.

Described at the end of the page that first published MNIST. Files are taken gzipped (`.gz`) or plain.
"""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

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


def _read(path: Path, magic: int, dimensions: int) -> npt.NDArray[np.uint8]:
    content = _content(path)
    header = struct.Struct(f">{1 + dimensions}I")
    if len(content) < header.size:
        raise DataError(f"{path}: truncated: {len(content)} bytes, but the header alone takes {header.size}")
    found, *shape = header.unpack_from(content)
    if found != magic:
        raise DataError(f"{path}: magic number 0x{found:08x} where 0x{magic:08x} is expected: not such an IDX file")
    if 0 in shape:
        raise DataError(f"{path}: empty: its header gives the dimensions {' x '.join(map(str, shape))}")
    missing = header.size + prod(shape) - len(content)
    if missing > 0:
        raise DataError(f"{path}: truncated: {missing} bytes missing of the {prod(shape)} that its header promises")
    if missing < 0:
        raise DataError(f"{path}: {-missing} trailing bytes after the {prod(shape)} that its header promises")
    return np.frombuffer(content, np.uint8, offset=header.size).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except FileNotFoundError:
        raise DataError(f"{path}: missing") from None
    except EOFError:
        raise DataError(f"{path}: truncated: the compressed data ends too early") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        is_gzip = content.startswith(GZIP_MAGIC)
        raise DataError(f"{path}: " + (f"damaged ({error})" if is_gzip else "not a gzip file")) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
