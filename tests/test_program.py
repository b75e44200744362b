"""What every command does with errors, signals and streams."""

import gc
import io
import os
import signal
import sys
import time

import pytest

from ssnn.cli.program import Parser, command
from ssnn.cli.streams import keep_going
from ssnn.system.threads import FEWER


def program(function):
    """A function without arguments as a command."""
    return lambda: command("test")(lambda _: function())([])


def raising(error):
    def fail():
        raise error

    return program(fail)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            BlockingIOError(11, "Resource temporarily unavailable"),
            "the system refuses: Resource temporarily unavailable",
        ),
        (OSError(28, "No space left on device", "/tmp/x"), "the system refuses: No space left on device: /tmp/x"),
        (OSError("odd\x1b[31m"), "the system refuses: odd\N{REPLACEMENT CHARACTER}[31m"),
        (BrokenPipeError(32, "Broken pipe"), "the system refuses: Broken pipe"),  # of some pipe, but not of the output
        (
            RuntimeError("can't start new thread"),
            f"the system lets this process start no more threads; what would help: {FEWER}",
        ),
        (SystemExit("bye"), "a library has ended the program: sys.exit('bye')"),
        (SystemExit(0), "a library has ended the program: sys.exit(0)"),
        (MemoryError("5 GB\n"), "not enough memory: 5 GB\N{REPLACEMENT CHARACTER}; try fewer neurons or samples"),
    ],
)
def test_what_the_system_or_a_library_refuses_is_one_line(capsys, error, told):
    assert raising(error)() == 1
    assert capsys.readouterr() == ("", f"test: error: {told}\n")


def test_a_bug_is_shown():
    with pytest.raises(RuntimeError, match="a bug"):
        raising(RuntimeError("a bug"))()


def test_help_ends_with_0_in_the_process_of_another():
    assert program(lambda: Parser(prog="test").parse_args(["--help"]))() == 0


class Failing(io.StringIO):
    """A stream that fails once a number of its writes are done."""

    def __init__(self, writes, error):
        super().__init__()
        self.left, self.error = writes, error

    def write(self, text):
        if not self.left:
            raise self.error
        self.left -= 1
        return super().write(text)


FULL, GONE = OSError(28, "No space left on device"), BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize(
    ("error", "goes_on", "told"),
    [
        (FULL, False, "test: error: output cannot be written (No space left on device)\n"),
        (GONE, False, ""),
        (FULL, True, "test: error: output cannot be written (No space left on device)\n"),
        (GONE, True, "test: error: output cannot be written (Broken pipe)\n"),
    ],
)
def test_output_that_cannot_be_written_ends_only_what_has_nothing_else_to_do(capsys, monkeypatch, error, goes_on, told):
    done = []

    def work():
        if goes_on:
            keep_going()
        for step in range(3):
            print(f"line {step}", flush=True)
            done.append(step)

    stream = Failing(2, error)  # a line and its end
    monkeypatch.setattr(sys, "stdout", stream)
    assert program(work)() == 1
    assert done == ([0, 1, 2] if goes_on else [0])
    assert stream.getvalue() == "line 0\n"
    assert sys.stdout is stream
    assert capsys.readouterr().err == told


def test_messages_that_cannot_be_written_end_nothing_and_keep_the_exit_code(capsys, monkeypatch):
    def work(exit_code):
        print("working", file=sys.stderr)
        print("done")
        return exit_code

    monkeypatch.setattr(sys, "stderr", Failing(0, FULL))
    assert [program(lambda code=code: work(code))() for code in (0, 4, 130)] == [1, 4, 130]
    assert capsys.readouterr().out == "done\n" * 3


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_what_an_encoding_lacks_becomes_a_question_mark(monkeypatch, errors):
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii", errors=errors)
    monkeypatch.setattr(sys, "stdout", stream)
    assert program(lambda: print("b\udcff … é"))() == 0
    assert written.getvalue() == b"b? ? ?\n"
    assert stream.errors == errors  # it is left as it was found


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_is_closed_goes_nowhere(monkeypatch, stream):
    monkeypatch.setattr(sys, stream, None)
    assert program(lambda: print("x", file=getattr(sys, stream), flush=True))() == 0
    assert getattr(sys, stream) is None


def test_signals_have_their_exit_codes(capsys):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    endings = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
    for number, ending in endings.items():
        assert program(lambda number=number: signal.raise_signal(number))() == 128 + number
        assert capsys.readouterr().err == f"\ntest: {ending}\n"
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_falls_into_the_garbage_collector_is_not_lost(number):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def collect():
        def callback(*_):
            gc.callbacks.remove(callback)
            os.kill(os.getpid(), number)

        gc.callbacks.append(callback)
        gc.collect()
        for _ in range(600):
            time.sleep(0.1)

    assert program(collect)() == 128 + number
    signal.signal(signal.SIGINT, before)
