"""Files that people name, opened for reading: errors of reading are one line."""

import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import BufferedReader, BytesIO
from pathlib import Path

from ssnn.errors import DataError
from ssnn.system.files import reason


class MissingError(DataError):
    """There is no such file."""


def content_file(path: Path, content: bytes | None) -> AbstractContextManager[BufferedReader | BytesIO]:
    """A file opened as `open_file` does, or this content of it."""
    return open_file(path) if content is None else nullcontext(BytesIO(content))


@contextmanager
def open_file(path: Path) -> Iterator[BufferedReader]:
    """Open an ordinary file; errors of reading it in the block are reported as those of opening it are.

    Raises
    ------
    MissingError
        If there is no such file.
    DataError
        If it is no ordinary file (a pipe would be waited for), or cannot be read.
    """
    try:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise DataError(f"{path}: a folder, pipe or device, where a file is expected")
            file = path.open("rb")
        except ValueError as error:
            raise DataError(f"{path}: cannot be read ({reason(error)})") from None
        with file:
            yield file
    except FileNotFoundError:
        raise MissingError(f"{path}: missing") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from None
