"""What all commands share: a parser, and one-line errors with their exit codes.

Exit codes: 0 done · 1 failed while running · 2 wrong usage · 3 backend not usable here · 4 backends disagree ·
5 data not usable · 6 model not usable · 130 interrupted · 143 terminated.
"""

import _thread
import argparse
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, Protocol

from ssnn.errors import SsnnError, UsageError
from ssnn.system.signals import Terminated, sigterm_raises

SIGNALLED = 128  # what shells add to the number of the signal that ended a program


class Main(Protocol):
    """A program: its arguments, by default those of the process, to its exit code."""

    def __call__(self, arguments: Sequence[str] | None = None) -> int:
        """Run."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, reported like all others."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments in one line."""
        raise UsageError(f"{message}; see {self.prog} --help")


def command(name: str) -> Callable[[Callable[[Sequence[str]], int | None]], Main]:
    """Make a function of the arguments a program that returns its exit code.

    The function may return an exit code of its own. Predictable mistakes are reported in one line; anything else is
    a bug, and its traceback is shown.
    """

    def decorate(function: Callable[[Sequence[str]], int | None]) -> Main:
        def main(arguments: Sequence[str] | None = None) -> int:
            try:
                with _streams(), sigterm_raises(), _no_lost_interrupt():
                    exit_code = function(sys.argv[1:] if arguments is None else arguments)
                    sys.stdout.flush()
                return exit_code or 0
            except SsnnError as error:
                return _fail(name, f"error: {error}", error.exit_code)
            except MemoryError as error:
                return _fail(name, f"error: not enough memory: {error}; try fewer neurons or samples", 1)
            except Terminated:
                return _fail(f"\n{name}", "terminated", SIGNALLED + signal.SIGTERM)
            except KeyboardInterrupt:
                return _fail(f"\n{name}", "interrupted", SIGNALLED + signal.SIGINT)
            except OSError as error:  # nothing else is read or written that has no error of its own
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in it is lost
                gone = isinstance(error, BrokenPipeError)  # the reader of our output, which needs no message
                return 1 if gone else _fail(name, f"error: output cannot be written ({error.strerror})", 1)

        main.__doc__ = function.__doc__
        return main

    return decorate


def exit_process(exit_code: int) -> NoReturn:
    """End the process.

    After a signal at once: a library may still compute in threads that must not outlive the interpreter.
    """
    if exit_code > SIGNALLED:
        os._exit(exit_code)
    sys.exit(exit_code)


@contextmanager
def _streams() -> Iterator[None]:
    """Replace standard streams that are closed, so that no print fails."""
    with open(os.devnull, "w") as nowhere:
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
                stream.reconfigure(errors="replace")  # what an encoding lacks is no reason to lose the rest
        yield


@contextmanager
def _no_lost_interrupt() -> Iterator[None]:
    """Raise a signal once more where it falls into a callback of the garbage collector, which would swallow it."""
    report = sys.unraisablehook

    def again(unraisable: "sys.UnraisableHookArgs") -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            number = signal.SIGTERM if unraisable.exc_type is Terminated else signal.SIGINT
            threading.Timer(0.05, _thread.interrupt_main, [number]).start()
        else:
            report(unraisable)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = report


def _fail(name: str, message: str, exit_code: int) -> int:
    with suppress(OSError, ValueError):  # the latter where standard error was closed from the start
        print(f"{name}: {message}", file=sys.stderr, flush=True)
    return exit_code
