"""Whole files: what was there is replaced by all of the new content, or stays."""

import glob
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from ssnn.errors import SsnnError, UsageError


def check_writable(path: str) -> None:
    """Refuse a file that could not be written once its content has been computed.

    Raises
    ------
    UsageError
        If the path is a folder, or its folder is missing or read-only.
    """
    target = Path(path)
    if path == "-":
        return
    if target.is_dir():
        raise UsageError(f"{path} is a folder; name a file")
    if not target.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {target.parent}")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise UsageError(f"{path} cannot be written: permission denied")


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
    with writing(path) as write:
        write(text.encode())


@contextmanager
def writing(path: str | Path) -> Iterator[Callable[[bytes], object]]:
    """Yield what writes to a file, bit by bit, or to standard output for "-".

    The content goes to a temporary file in the same folder, which takes the name once the block has ended and
    the disk has all of it. Devices and pipes are written to directly.

    Raises
    ------
    SsnnError
        If the file cannot be written.
    """
    if str(path) == "-":
        yield lambda content: sys.stdout.write(content.decode())
        return
    with _one_line_errors(path):
        target = Path(path).resolve()
        replaceable = _replaceable(Path(path))
        opened = _temporary(target, os.getpid()) if replaceable else Path(path)
        if replaceable:
            _remove_abandoned(target)
        file = open(opened, "wb")  # noqa: SIM115 - errors of the block are not ours, so it cannot stand in a with

    def write(content: bytes) -> None:
        with _one_line_errors(path):
            file.write(content)

    try:
        yield write
        with _one_line_errors(path):
            file.flush()
            if replaceable:
                os.fsync(file.fileno())
                if target.exists():
                    shutil.copymode(target, opened)
                opened.replace(target)
                _sync_folder(target.parent)
    finally:
        with suppress(OSError):  # of a full disk, which has been told
            file.close()
        if replaceable:
            opened.unlink(missing_ok=True)


@contextmanager
def _one_line_errors(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SsnnError(f"{path} cannot be written ({error.strerror})") from None
    except RuntimeError:  # from resolve, in older versions of Python
        raise SsnnError(f"{path} cannot be written (a loop of links)") from None


def _replaceable(target: Path) -> bool:
    """Whether a new file may take the place of this one: not of a device, a pipe or a file behind a /dev name."""
    special = target.is_relative_to("/dev") or (target.exists() and not target.is_file())
    return not special and os.access(target.resolve().parent, os.W_OK)


def _temporary(target: Path, process: int) -> Path:
    return target.with_name(f".{target.name}.{process}")


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote this one."""
    for path in target.parent.glob(glob.escape(f".{target.name}.") + "*"):
        process = path.name.rpartition(".")[2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Let the new name outlive a power failure, where the system can be asked for that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
