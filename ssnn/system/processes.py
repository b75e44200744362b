"""A function in a process of its own, so that what libraries do to their process stays there."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from ssnn.errors import SsnnError


def in_a_process(function: Callable[..., Iterator[Any]], *arguments: Any) -> Iterator[Any]:
    """Yield what `function(*arguments)` yields, computed in a new process that starts from nothing.

    Function, arguments and what is yielded must be picklable. The process is gone when this generator is.

    Raises
    ------
    SsnnError, MemoryError
        As the function does; an SsnnError too where the process dies.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(theirs, function, arguments), daemon=True)
    with _no_interrupt():
        process.start()
    theirs.close()
    try:
        while True:
            kind, value = ours.recv()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    except EOFError:
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


def _run(connection: Connection, function: Callable[..., Iterator[Any]], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where no signal could be blocked before this process started
    try:
        for value in function(*arguments):
            connection.send(("value", value))
        connection.send(("end", None))
    except (SsnnError, MemoryError) as error:
        connection.send(("error", error))


def _ending(exit_code: int | None) -> str:
    if exit_code == -9:  # SIGKILL
        return "was killed, as systems do that run out of memory"
    return f"ended early, with exit code {exit_code}"
