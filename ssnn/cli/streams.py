"""Standard output and standard error while a command runs: closed, full or without a reader, none loses its work."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

LOSSY = ("strict", "surrogateescape")  # of what an encoding lacks, these make an error, or bytes that are no text


class OutputError(Exception):
    """What a command prints cannot be written, and it has nothing else to do.

    It is no OSError, which the code that prints might take for one of its own.
    """


class Output:
    """A standard stream that is silent once it could not be written; `error` says why.

    Where `is_essential`, an OutputError is raised too.
    """

    def __init__(self, stream: TextIO, is_essential: bool) -> None:
        self.stream = stream
        self.is_essential = is_essential
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Print."""
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Print what has been kept back."""
        self._try(self.stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _try(self, function: Callable[[], object]) -> None:
        if self.error is not None:
            return
        try:
            function()
        except OSError as error:
            self.error = error
            if self.is_essential:
                raise OutputError from error


@contextmanager
def standard_streams() -> Iterator[tuple[Output, Output]]:
    """Print through two of `Output`: standard output, which is essential, and standard error, which is not.

    A stream that is closed goes nowhere: it was closed on purpose.
    """
    before = sys.stdout, sys.stderr
    _open_closed_descriptors()
    with open(os.devnull, "w") as nowhere:
        stdout, stderr = (stream or nowhere for stream in before)
        outputs = Output(stdout, is_essential=True), Output(stderr, is_essential=False)
        with _any_text(stdout), _any_text(stderr):
            sys.stdout, sys.stderr = cast(tuple[TextIO, TextIO], outputs)
            try:
                yield outputs
            finally:
                sys.stdout, sys.stderr = before


def keep_going() -> None:
    """From now on, a standard output that cannot be written does not end the command: it has files to write too."""
    if isinstance(sys.stdout, Output):
        sys.stdout.is_essential = False


def drop_unwritten() -> None:
    """Give up what is kept back for streams that cannot be written, before Python complains of it at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_closed_descriptors() -> None:
    """Lead closed standard streams nowhere: else the next file to be opened is what libraries print into."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


@contextmanager
def _any_text(stream: TextIO) -> Iterator[None]:
    """Print "?" for what the encoding of a stream lacks, which is no reason to lose the rest."""
    if not (isinstance(stream, io.TextIOWrapper) and stream.errors in LOSSY):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        with suppress(OSError, ValueError):  # of what could not be written, or of a stream that was closed
            stream.reconfigure(errors=before)
