"""A function in a process of its own, so that what libraries do to their process stays there."""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from ssnn.errors import SsnnError


def in_a_process(function: Callable[..., Iterator[Any]], *arguments: Any) -> Iterator[Any]:
    """Yield what `function(*arguments)` yields, computed in a new process that starts from nothing.

    Each value is computed only when it is asked for; until then the process sleeps. Function, arguments and what is
    yielded must be picklable. What the function prints goes to standard error. The process is gone when this
    generator is, and soon after this process is, however that ended.

    Raises
    ------
    SsnnError, MemoryError
        As the function does; an SsnnError too where the function fails in any other way, the process dies, or the
        system starts none.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs,), daemon=True)
    try:
        with _no_interrupt():
            process.start()
    except OSError as error:
        ours.close()
        raise SsnnError(f"the system starts no other process ({error.strerror})") from error
    finally:
        theirs.close()
    try:
        ours.send((function, arguments))
        while True:
            ours.send(None)
            kind, value = ours.recv()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    except (EOFError, ConnectionError):
        process.join()
        raise SsnnError(f"its process {_ending(process.exitcode)}") from None
    finally:
        process.kill()
        process.join()
        ours.close()


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Start a process that never hears Ctrl-C: the one that started it does, and ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker  # which only systems with signals have

    resource_tracker.ensure_running()  # else the first process starts it, which lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where no signal could be blocked before this process started
    sys.stdout = sys.stderr  # standard output is for the results that the parent process reads
    try:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        function, arguments = connection.recv()
        connection.recv()  # the first value is asked for
        for value in function(*arguments):
            connection.send(("value", value))
            connection.recv()
        connection.send(("end", None))
    except BaseException as error:  # a library may raise anything, and call sys.exit
        with suppress(OSError):  # where no reader is left
            connection.send(("error", _as_told(error)))


def _as_told(error: BaseException) -> Exception:
    if isinstance(error, (SsnnError, MemoryError)):
        return error
    told = SsnnError(f"{type(error).__name__}: {error}")
    told.add_note("".join(traceback.format_exception(error)))
    return told


def _end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, even if it was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _ending(exit_code: int | None) -> str:
    if exit_code == -9:  # SIGKILL
        return "was killed, as systems do that run out of memory"
    return f"ended early, with exit code {exit_code}"
