"""Ctrl-C and SIGTERM: both end a program alike, and a program may finish its step first."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
REPEAT_SECONDS = 1.0  # within which one Ctrl-C may arrive twice, from the shell and from its process group


class Terminated(KeyboardInterrupt):
    """SIGTERM was received, which ends a program as Ctrl-C does."""


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, so that what cleans up after Ctrl-C does so here too."""

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    with _handled(terminate, signal.SIGTERM):
        yield


@contextmanager
def defer_first_signal(message: str) -> Iterator[Callable[[], int | None]]:
    """Defer the first Ctrl-C, SIGTERM or SIGHUP and print the message; a later one has its usual effect.

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
                signal.signal(number, before[signal.Signals(number)])
                signal.raise_signal(number)
            return
        noted.append(number)
        since = time.monotonic()
        # Past Python's buffers, which the signal may have interrupted.
        with suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), f"\n{message}\n".encode())

    with _handled(note, *ENDING) as before:
        yield lambda: noted[0] if noted else None


@contextmanager
def _handled(
    handler: Callable[[int, FrameType | None], None], *numbers: signal.Signals
) -> Iterator[dict[signal.Signals, Any]]:
    """Handle these signals within the block, except those that the process ignores."""
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: was for number, was in before.items() if was not in (signal.SIG_IGN, None)}
    if threading.current_thread() is not threading.main_thread():
        before = {}  # only there can they be handled
    for number in before:
        signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, was in before.items():
            signal.signal(number, was)
