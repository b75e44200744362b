"""Ctrl-C, SIGTERM and a terminal that closes: all end a program alike, and a program may finish its step first."""

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

ENDINGS = {  # the signals that this system has, and what they do to a program
    getattr(signal, name): ending
    for name, ending in (("SIGINT", "interrupted"), ("SIGTERM", "terminated"), ("SIGHUP", "hung up"))
    if hasattr(signal, name)
}
SIGNALLED = 128  # what shells add to the number of the signal that ended a program
REPEAT_SECONDS = 1.0  # within which one Ctrl-C may arrive twice, from the shell and from its process group
IMPORTING = "<frozen importlib._bootstrap>"  # the code that each import runs in
temporary_files: set[str] = set()  # of this process: entered before they are made, taken out when they are gone

Handler = Callable[[int, FrameType | None], object]


class Signalled(KeyboardInterrupt):
    """A signal of `ENDINGS` was received; each ends a program as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def end_on_signals() -> None:
    """Let each signal of `ENDINGS` end this process at once, with one line; for programs, before they import much."""
    for number in ENDINGS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)


@contextmanager
def signals_raise() -> Iterator[None]:
    """Raise `Signalled` on each signal of `ENDINGS`, so that what cleans up after Ctrl-C does so after all of them.

    During an import, `end_on_signals` stays in force: of an exception in the midst of their import, libraries make
    errors of their own.
    """

    def handle(number: int, frame: FrameType | None) -> NoReturn:
        if before[number] is _end and _is_importing(frame):
            _end(number, frame)
        raise Signalled(number)

    with _handled(handle) as before:
        yield


@contextmanager
def defer_first_signal(message: str) -> Iterator[Callable[[], int | None]]:
    """Defer the first signal of `ENDINGS` and print the message on standard error; a later one has its usual effect.

    Yields
    ------
    callable
        Returns the number of the deferred signal, or None.
    """
    noted: list[int] = []
    since = 0.0

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal since
        if noted:
            if time.monotonic() - since > REPEAT_SECONDS:
                signal.signal(number, before[number])
                signal.raise_signal(number)
            return
        noted.append(number)
        since = time.monotonic()
        _tell(f"\n{message}\n")

    with _handled(note) as before:
        yield lambda: noted[0] if noted else None


@contextmanager
def _handled(handler: Handler) -> Iterator[dict[int, Any]]:
    """Handle the signals of `ENDINGS` within the block, except those that the process ignores; yield who did before."""
    before = {number: signal.getsignal(number) for number in ENDINGS}
    before = {number: was for number, was in before.items() if was not in (signal.SIG_IGN, None)}
    if threading.current_thread() is not threading.main_thread():
        before = {}  # only there can they be handled
    try:
        for number in before:
            signal.signal(number, handler)
        yield before
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def remove_temporary_files() -> None:
    """Remove what is left of this process, which ends without the ends of its blocks, or was signalled in one."""
    for path in tuple(temporary_files):
        with suppress(OSError):
            os.unlink(path)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    remove_temporary_files()
    _tell(f"\nssnn: {ENDINGS[number]}\n")
    os._exit(SIGNALLED + number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False


def _tell(text: str) -> None:
    """Print on standard error: past Python's buffers, which the signal may have interrupted.

    What a notebook shows is no file, and the descriptor that it may name is the terminal of its server.
    """
    with suppress(OSError, ValueError, RuntimeError):  # the last where the signal came while it was written to
        if isinstance(getattr(getattr(sys.stderr, "buffer", None), "raw", None), io.FileIO):
            os.write(sys.stderr.fileno(), text.encode(errors="replace"))
        elif sys.stderr is not None:
            sys.stderr.write(text)
            sys.stderr.flush()
