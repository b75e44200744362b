"""A function in a process of its own, so that what libraries do to their process stays there."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
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


def _run(connection: Connection, function: Callable[..., Iterator[Any]], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one hears Ctrl-C, and ends it
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
