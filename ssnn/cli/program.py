"""What all commands share: a parser, and one-line errors with their exit codes.

Exit codes: 0 done · 1 failed while running · 2 wrong usage · 3 backend not usable here · 4 backends disagree ·
5 data not usable · 6 model not usable · 129 hung up (its terminal closed) · 130 interrupted · 143 terminated.
"""

import _thread
import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, Protocol

from ssnn.cli.streams import Output, OutputError, drop_unwritten, standard_streams
from ssnn.errors import SsnnError, UsageError
from ssnn.printable import printable
from ssnn.system.signals import ENDINGS, SIGNALLED, remove_temporary_files, signals_raise
from ssnn.system.threads import FEWER

NO_THREAD = "can't start new thread"  # what Python says of it


class Main(Protocol):
    """A program: its arguments, by default those of the process, to its exit code."""

    def __call__(self, arguments: Sequence[str] | None = None) -> int:
        """Run."""


class Finished(SystemExit):
    """The parser has done all there is to do, for instance shown the help."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, reported like all others."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments in one line."""
        raise UsageError(f"{message}; see {self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End with what the parser has printed."""
        raise Finished(status)


def command(name: str) -> Callable[[Callable[[Sequence[str]], int | None]], Main]:
    """Make a function of the arguments a program that returns its exit code.

    The function may return an exit code of its own. Predictable mistakes are reported in one line; anything else is
    a bug, and its traceback is shown. A program that could not print everything fails, whatever else it did.
    """

    def decorate(function: Callable[[Sequence[str]], int | None]) -> Main:
        def main(arguments: Sequence[str] | None = None) -> int:
            with standard_streams() as (stdout, stderr):
                exit_code = _run(name, function, sys.argv[1:] if arguments is None else arguments)
                could_not_print = _could_not_print(name, stdout, stderr)
                return exit_code or could_not_print

        main.__doc__ = function.__doc__
        return main

    return decorate


def exit_process(exit_code: int) -> NoReturn:
    """End the process.

    After a signal at once: a library may still compute in threads that must not outlive the interpreter.
    """
    drop_unwritten()
    if exit_code > SIGNALLED:
        remove_temporary_files()
        os._exit(exit_code)
    sys.exit(exit_code)


def _run(name: str, function: Callable[[Sequence[str]], int | None], arguments: Sequence[str]) -> int:
    """The exit code, once every error has been told."""
    try:
        with signals_raise(), _no_lost_interrupt():
            return function(arguments) or 0
    except SsnnError as error:
        return _fail(name, f"error: {error}", error.exit_code)
    except MemoryError as error:
        return _fail(name, f"error: not enough memory: {error}; try fewer neurons or samples", 1)
    except KeyboardInterrupt as error:
        number = getattr(error, "number", signal.SIGINT)
        print(file=sys.stderr)  # beside the ^C of a terminal, or a progress bar
        return _fail(name, ENDINGS[number], SIGNALLED + number)
    except Finished:
        return 0
    except SystemExit as error:
        return _fail(name, f"error: a library has ended the program: sys.exit({error.code!r})", 1)
    except OutputError:
        return 1  # reported where the output is
    except OSError as error:
        where = "" if error.filename is None else f": {error.filename}"
        return _fail(name, f"error: the system refuses: {error.strerror or error}{where}", 1)
    except RuntimeError as error:
        if NO_THREAD not in str(error):
            raise
        return _fail(name, f"error: the system lets this process start no more threads; what would help: {FEWER}", 1)


def _could_not_print(name: str, stdout: Output, stderr: Output) -> int:
    """1 where something could not be written, which is reported if it can be; else 0.

    That a reader has had enough needs no message, but where the command went on without it.
    """
    with suppress(OutputError):
        stdout.flush()
    if stdout.error is not None and not (stdout.is_essential and isinstance(stdout.error, BrokenPipeError)):
        _fail(name, f"error: output cannot be written ({stdout.error.strerror})", 1)
    return int(stdout.error is not None or stderr.error is not None)


@contextmanager
def _no_lost_interrupt() -> Iterator[None]:
    """Raise a signal once more where it falls into a callback of the garbage collector, which would swallow it."""
    report = sys.unraisablehook

    def again(unraisable: "sys.UnraisableHookArgs") -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            number = getattr(unraisable.exc_value, "number", signal.SIGINT)
            threading.Timer(0.05, _thread.interrupt_main, [number]).start()
        else:
            report(unraisable)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = report


def _fail(name: str, message: str, exit_code: int) -> int:
    print(f"{name}: {printable(message)}", file=sys.stderr, flush=True)
    return exit_code
