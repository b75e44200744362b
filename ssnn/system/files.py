"""Whole files: what was there is replaced by all of the new content, or stays.

What a file is, its type says and never its path: devices and pipes are written to as they are, and so is an open
file that has a name such as /dev/stdout.
"""

import errno
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

from ssnn.errors import SsnnError, UsageError
from ssnn.system.signals import temporary_files

TEMPORARY = ".ssnn-part-"
STREAMS = {1: "standard output", 2: "standard error"}  # by descriptor


def check_writable(path: str) -> None:
    """Refuse a file that could not be written once its content has been computed.

    A pipe is not opened, for that would wait until somebody reads from it; so does writing to it, as in a shell.

    Raises
    ------
    UsageError
        If the path is a folder, or its folder is missing or does not take a file, or the file that is there must not
        be written.
    """
    if path == "-":
        return
    try:
        if _is_written_in_place(path, _existing(path)):
            return
        temporary, file = _open_temporary(Path(os.path.realpath(path)), 0o600)
        file.close()
        _remove(temporary)
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder; name a file" if path else "an output without a name") from None
    except (OSError, ValueError) as error:
        why = reason(error)
        raise UsageError(f"{path} cannot be written: {why[0].lower()}{why[1:]}") from None


def check_outputs(written: Iterable[str | None], read: Iterable[str | Path | None] = ()) -> None:
    """Refuse to write two things to one file, by whatever names, or over what is read.

    Parameters
    ----------
    written : iterable of str or None
        Names of outputs; "-" is standard output, and None stands for no output.
    read : iterable of str, Path or None
        Names of inputs.

    Raises
    ------
    UsageError
        If that is asked for.
    """
    named: dict[object, str] = {}
    for path in (str(path) for path in read if path is not None):
        named |= dict.fromkeys(_identities(path), path)
    streams: dict[object, str] = {}
    for descriptor, name in STREAMS.items():  # a shell may have led them into a file
        with suppress(OSError):
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                streams |= dict.fromkeys(_identities(descriptor), name)
    for path in (path for path in written if path is not None):
        stream = 1 if path == "-" else _descriptor(path)
        identities = _identities(path if stream is None else stream)
        taken = streams | named if stream is None else named
        for other in (taken[identity] for identity in identities if identity in taken):
            also = "" if other == path else f", also as {other}"
            raise UsageError(f"{path} is named twice{also}: what is written there would take the place of the other")
        named |= dict.fromkeys(identities, path)


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
        write(text.encode(errors="replace"))  # what UTF-8 cannot say is no reason to lose the rest


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Callable[[bytes | memoryview], None]]:
    """Write a file atomically: yield a function that writes bytes to it.

    The content goes to a temporary file in the same folder, which takes the name once the block has ended and
    the disk has all of it. Devices and pipes are written to directly; a pipe waits for its reader.

    Of a file that was there, mode, owner and group are kept as far as the user may, and a symbolic link goes on
    pointing to it. Its other hard links keep the old content, as a snapshot made of links is meant to. Only over a
    file that is mounted by itself, whose place no other file can take, the content is copied in the end.

    Raises
    ------
    SsnnError
        If the file cannot be written.
    """
    target: Path | None = None
    with _one_line_errors(path):
        existing = _existing(path)
        if _is_written_in_place(path, existing):
            file = _open_in_place(path)
        else:
            target = Path(os.path.realpath(path))
            _remove_abandoned(target.parent)
            temporary, file = _open_temporary(target, 0o666 if existing is None else 0o600)

    def write(content: bytes | memoryview) -> None:
        with _one_line_errors(path):
            file.write(content)

    try:
        yield write
        with _one_line_errors(path):
            file.flush()
            if target is not None:
                os.fsync(file.fileno())
                if existing is not None:
                    _take_over(existing, temporary)
                _take_place(temporary, target)
    finally:
        if target is not None:
            with suppress(OSError):
                _remove(temporary)
        with suppress(OSError):  # of a full disk, which has been reported
            file.close()


def reason(error: OSError | ValueError) -> str:
    """Why a file cannot be opened, read or written, for people; without its name."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "no file can have such a name"  # with a NUL, or with what the system's encoding lacks


@contextmanager
def _one_line_errors(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise SsnnError(f"{path} cannot be written ({reason(error)})") from None


def _existing(path: str | Path) -> os.stat_result | None:
    """What there is at a path, or None.

    Raises
    ------
    OSError
        If it must not be written, or is nothing to be written.
    """
    if os.path.basename(path) in ("", os.curdir, os.pardir):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    folder = Path(os.path.realpath(path)).parent
    try:
        existing = os.stat(path)
    except FileNotFoundError:
        if folder.exists():
            return None
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {folder}") from None
    if stat.S_ISDIR(existing.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISBLK(existing.st_mode) or stat.S_ISSOCK(existing.st_mode):
        raise OSError(errno.EINVAL, "A disk or a socket; name a file")
    if not os.access(path, os.W_OK):  # another file could take its place, against the will of its owner
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    of_folder = folder.stat()
    if of_folder.st_mode & stat.S_ISVTX and os.geteuid() not in (0, of_folder.st_uid, existing.st_uid):
        raise PermissionError(errno.EPERM, "The folder keeps files of other users from being replaced")
    return existing


def _is_written_in_place(path: str | Path, existing: os.stat_result | None) -> bool:
    """Whether this is a device, a pipe or an open file, whose place no other file may take."""
    return existing is not None and (not stat.S_ISREG(existing.st_mode) or _descriptor(path) is not None)


def _descriptor(path: str | Path) -> int | None:
    """The number of the open file that a name such as /dev/stdout or /dev/fd/3 stands for, if it does."""
    with suppress(OSError, ValueError):
        name, descriptors = str(path), os.path.realpath("/dev/fd")
        for _ in range(40):  # links to links; more are an error on any system
            parent, base = os.path.split(name)
            parent = os.path.realpath(parent)
            if parent == descriptors and base.isdecimal():
                return int(base)
            name = os.path.join(parent, os.readlink(os.path.join(parent, base)))
    return None


def _identities(file: str | int) -> set[object]:
    """What all names of one file have in common: its path behind links, and device and inode where it exists.

    A device such as /dev/null or a terminal has none: what is written there takes no place. An open file, given by its
    descriptor, always has one.
    """
    found: set[object] = {file}
    with suppress(OSError, ValueError):
        if isinstance(file, str):
            found = {os.path.realpath(file)}
        status = os.stat(file)
        if not stat.S_ISCHR(status.st_mode):
            found.add((status.st_dev, status.st_ino))
        elif isinstance(file, str):
            found.clear()
    return found


def _open_in_place(path: str | Path) -> BinaryIO:
    """Open a device or a pipe; of an open file a second descriptor, which goes on where the other one is."""
    descriptor = _descriptor(path)
    if descriptor is None:
        return os.fdopen(os.open(path, os.O_WRONLY), "wb")
    with suppress(AttributeError, OSError, ValueError):  # of a stream that is closed
        sys.stdout.flush()  # what was printed before comes before
    return os.fdopen(os.dup(descriptor), "wb")


def _open_temporary(target: Path, mode: int) -> tuple[Path, BinaryIO]:
    """A new file in the same folder, locked for as long as it is open: by that others see that it is in use."""
    while True:
        temporary = _temporary(target)
        temporary_files.add(str(temporary))
        file = os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb")
        with suppress(OSError):  # a file system without locks: there nothing is taken for abandoned
            _lock(file.fileno(), wait=True)
        with suppress(FileNotFoundError):  # taken for abandoned before it was locked
            if os.path.samestat(os.fstat(file.fileno()), os.stat(temporary)):
                return temporary, file
        file.close()
        temporary_files.discard(str(temporary))


def _remove(temporary: Path) -> None:
    """Remove a temporary file, if it has not taken its place."""
    temporary.unlink(missing_ok=True)
    temporary_files.discard(str(temporary))


def _temporary(target: Path) -> Path:
    """An unused name in the same folder."""
    return target.with_name(f"{TEMPORARY}{token_hex(8)}")


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of programs that were killed while they wrote: the system has unlocked them."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError):  # it is locked, or another program was faster
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            try:
                _lock(descriptor, wait=False)
                path.unlink()
            finally:
                os.close(descriptor)


def _lock(descriptor: int, wait: bool) -> None:
    """Lock an open file until it is closed, or its process has ended however it did.

    Raises
    ------
    OSError
        If another program holds it and we do not wait, or its file system has no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows, which removes no file that is open
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _take_over(existing: os.stat_result, new: Path) -> None:
    """Give a new file the group, owner and mode of the one whose place it takes, as far as this user may."""
    if hasattr(os, "chown"):
        for owner, group in ((-1, existing.st_gid), (existing.st_uid, -1)):
            with suppress(OSError):
                os.chown(new, owner, group)
    with suppress(OSError):
        os.chmod(new, stat.S_IMODE(existing.st_mode))


def _take_place(temporary: Path, target: Path) -> None:
    """Put a whole file in the place of another one, or its content into one that is mounted by itself."""
    try:
        temporary.replace(target)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        shutil.copyfile(temporary, target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Let the new name outlive a power failure, where the system can be asked for that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
