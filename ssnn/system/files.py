"""Whole files: what was there is replaced by all of the new content, or stays."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from ssnn.errors import SsnnError, UsageError

TEMPORARY = ".ssnn-part-"
ABANDONED_SECONDS = 3600  # after which a temporary file is taken for the remains of a killed program


def check_writable(path: str) -> None:
    """Refuse a file that could not be written once its content has been computed.

    Raises
    ------
    UsageError
        If the path is a folder, or its folder is missing or does not take a file.
    """
    if path == "-" or _is_special(Path(path)):
        return
    try:
        target = Path(path).resolve()
        if target.is_dir():
            raise UsageError(f"{path} is a folder; name a file")
        if not target.parent.is_dir():
            raise UsageError(f"{path} cannot be written: there is no folder {target.parent}")
        target.exists()  # which a name that is too long makes fail
        temporary = _temporary(target)
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None
    except RuntimeError:  # from resolve, in older versions of Python
        raise UsageError(f"{path} cannot be written: a loop of links") from None


def check_outputs(written: Iterable[str | None], read: Iterable[str | None] = ()) -> None:
    """Refuse to write two things to one file, or over what is read.

    Raises
    ------
    UsageError
        If that is asked for.
    """
    seen = {Path(path).absolute() for path in read if path is not None}
    for path in written:
        if path is not None and path != "-" and not _is_special(Path(path)):
            if Path(path).absolute() in seen:
                raise UsageError(f"{path} is named twice: what is written there would take the place of the other")
            seen.add(Path(path).absolute())


def write_json(path: str, content: dict[str, Any]) -> None:
    """Write one JSON object to a file, or to standard output for "-".

    Raises
    ------
    SsnnError
        If the file cannot be written.
    """
    write_text(path, json.dumps(content, allow_nan=False, indent=2) + "\n")


def write_text(path: str, text: str) -> None:
    """Write a file of UTF-8 with the line ends that the text has, or standard output for "-".

    Raises
    ------
    SsnnError
        If the file cannot be written.
    """
    if path == "-":
        sys.stdout.write(text)
        return
    with atomic_write(path) as write:
        write(text.encode())


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Callable[[bytes], None]]:
    """Write a file atomically: yield a function that writes bytes to it.

    The content goes to a temporary file in the same folder, which takes the name once the block has ended and
    the disk has all of it. Devices and pipes are written to directly.

    Raises
    ------
    SsnnError
        If the file cannot be written.
    """
    with _one_line_errors(path):
        special = _is_special(Path(path))
        target = Path(path) if special else Path(path).resolve()
        opened = target if special else _temporary(target)
        if not special:
            _remove_abandoned(target.parent)
        file = open(opened, "wb" if special else "xb")  # noqa: SIM115 - errors of the block are not ours to report

    def write(content: bytes) -> None:
        with _one_line_errors(path):
            file.write(content)

    try:
        yield write
        with _one_line_errors(path):
            file.flush()
            if not special:
                os.fsync(file.fileno())
                if target.exists():
                    shutil.copymode(target, opened)
                opened.replace(target)
                _sync_folder(target.parent)
    finally:
        with suppress(OSError):  # of a full disk, which has been reported
            file.close()
        if not special:
            opened.unlink(missing_ok=True)


@contextmanager
def _one_line_errors(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SsnnError(f"{path} cannot be written ({error.strerror})") from None
    except RuntimeError:  # from resolve, in older versions of Python
        raise SsnnError(f"{path} cannot be written (a loop of links)") from None


def _is_special(target: Path) -> bool:
    """Whether this is a device, a pipe or a file behind a /dev name, whose place no other file may take."""
    return target.is_relative_to("/dev") or (target.exists() and not target.is_file() and not target.is_dir())


def _temporary(target: Path) -> Path:
    """An unused name in the same folder."""
    return target.with_name(f"{TEMPORARY}{token_hex(8)}")


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of programs that were killed while they wrote."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError):  # another program may be faster
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


def _sync_folder(folder: Path) -> None:
    """Let the new name outlive a power failure, where the system can be asked for that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
