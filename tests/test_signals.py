"""Ctrl-C, SIGTERM and SIGHUP, at any moment of a program."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from ssnn.system import signals
from ssnn.system.signals import ENDINGS, Signalled, defer_first_signal, signals_raise


@pytest.fixture(autouse=True)
def hearing():
    """All signals are heard, even where these tests run in the background and are not meant to hear them."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDINGS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(signals, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.mark.parametrize("number", ENDINGS)
def test_each_signal_raises_and_is_handled_as_before_in_the_end(number):
    with pytest.raises(Signalled) as raised, signals_raise():
        signal.raise_signal(number)
    assert raised.value.number == number
    assert isinstance(raised.value, KeyboardInterrupt)
    assert signal.getsignal(number) == signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_so():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals_raise(), defer_first_signal("stopping") as number:
        signal.raise_signal(signal.SIGHUP)
        assert number() is None


def test_in_another_thread_nothing_is_handled_and_nothing_fails():
    found = []

    def work():
        with signals_raise(), defer_first_signal("stopping") as number:
            found.extend([number(), signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None, signal.SIG_DFL]


@pytest.mark.parametrize("second", ENDINGS)
@pytest.mark.parametrize(("later", "ends"), [(0.0, False), (1.0, False), (1.1, True), (60.0, True)])
def test_a_second_signal_counts_where_it_is_not_the_first_one_again(clock, second, later, ends):
    with signals_raise(), defer_first_signal("stopping") as number:
        signal.raise_signal(signal.SIGINT)
        clock.now += later
        with pytest.raises(Signalled) if ends else contextlib.nullcontext() as raised:
            signal.raise_signal(second)
        assert number() == signal.SIGINT
    assert not ends or raised.value.number == second


class Notebook(io.TextIOBase):
    """A stream as notebooks have it: what is written is shown there, and its descriptor is the server's."""

    def __init__(self, descriptor):
        self.shown, self.descriptor = "", descriptor

    def write(self, text):
        self.shown += text
        return len(text)

    def fileno(self):
        return self.descriptor


def test_the_notice_goes_to_the_notebook_and_not_to_its_server(monkeypatch):
    server, descriptor = os.pipe()
    os.set_blocking(server, False)
    notebook = Notebook(descriptor)
    monkeypatch.setattr(sys, "stderr", notebook)
    with defer_first_signal("stopping soon"):
        signal.raise_signal(signal.SIGINT)
    monkeypatch.undo()
    assert notebook.shown == "\nstopping soon\n"
    with pytest.raises(BlockingIOError):
        os.read(server, 1)
    os.close(server)
    os.close(descriptor)


def test_the_notice_goes_past_the_buffers_of_a_file(monkeypatch, tmp_path):
    with open(tmp_path / "log", "w") as log:
        monkeypatch.setattr(sys, "stderr", log)
        with defer_first_signal("stopping soon"):
            signal.raise_signal(signal.SIGINT)
            assert (tmp_path / "log").read_text() == "\nstopping soon\n"
        monkeypatch.undo()


def test_a_notice_that_cannot_be_written_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with defer_first_signal("stopping soon") as number:
        signal.raise_signal(signal.SIGTERM)
    assert number() == signal.SIGTERM


LIBRARY = """
import os, signal
try:
    os.kill(os.getpid(), signal.{name})
    signal.sigtimedwait([], 60)
except BaseException as error:
    raise ImportError("this installation is broken" + 30 * chr(10)) from error
"""


@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_while_a_library_is_imported_is_told_in_one_line(tmp_path, number):
    """NumPy, and many others, make an ImportError of whatever happens in the midst of their import."""
    (tmp_path / "numpy.py").write_text(LIBRARY.format(name=number.name))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-m", "ssnn", "backends"], capture_output=True, text=True, env=environment, check=False
    )
    assert (process.returncode, process.stdout) == (128 + number, "")
    assert process.stderr == f"\nssnn: {ENDINGS[number]}\n"


def test_where_the_process_is_another_s_an_import_is_interrupted_as_always(tmp_path, monkeypatch):
    """`main` may have been called in a notebook, which must not end."""
    (tmp_path / "interrupted_library.py").write_text("import signal\nsignal.raise_signal(signal.SIGTERM)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Signalled), signals_raise():
        import interrupted_library  # noqa: F401


START = "print('started', flush=True); import runpy; runpy.run_module({!r}, run_name='__main__', alter_sys=True)"


@pytest.mark.slow
@pytest.mark.parametrize("number", ENDINGS)
@pytest.mark.parametrize(("module", "arguments"), [("ssnn", ["train"]), ("ssnn.train", [])])
def test_a_signal_at_any_moment_ends_quietly(number, module, arguments):
    moments = [0.02 * moment for moment in range(50)]  # till after the end of the run
    arguments = [*arguments, "--data", "synthetic", "--iterations", "20", "--quiet"]
    command = [sys.executable, "-c", START.format(module), *arguments]
    codes = []
    for moment in moments:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, **pipes, text=True) as process:
            assert process.stdout.readline() == "started\n"  # before that, Python itself starts
            time.sleep(moment)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        codes.append(process.returncode)
        assert process.returncode in (128 + number, 0, -number), err
        if process.returncode >= 0:  # else it came before our first line, or after our last
            assert "Traceback" not in err
            assert len(err.splitlines()) <= 2
    assert codes.count(128 + number) > len(moments) / 4
