import os
import signal
import subprocess
import sys
import time
from multiprocessing import util

import psutil
import pytest

from ssnn.errors import BackendError, SsnnError
from ssnn.system.processes import in_a_process


def count_then_pid(n):
    yield from range(n)
    yield os.getpid()


def fail():
    yield 1
    raise BackendError("no such device")


def be_killed():
    yield 1
    os.kill(os.getpid(), signal.SIGKILL)


def fail_oddly():
    print("on the way")
    yield 1
    raise ZeroDivisionError("never\nexpected")


def exit_early():
    yield 1
    sys.exit("enough")


def yield_what_cannot_be_sent():
    yield 1
    yield lambda: None


def test_a_process_yields_what_the_function_yields():
    *numbers, pid = in_a_process(count_then_pid, 3)
    assert numbers == [0, 1, 2]
    assert pid != os.getpid()


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (fail, BackendError, "no such device"),
        (be_killed, SsnnError, "its process was killed, as systems do that run out"),
        (fail_oddly, SsnnError, "(?m)^ZeroDivisionError: never\N{REPLACEMENT CHARACTER}expected$"),
        (exit_early, SsnnError, "(?m)^SystemExit: enough$"),
        (yield_what_cannot_be_sent, SsnnError, "(?i)pickle"),
    ],
)
def test_what_fails_in_a_process_fails_here_without_a_word_from_there(function, error, message, capfd):
    values = in_a_process(function)
    assert next(values) == 1
    with pytest.raises(error, match=message):
        next(values)
    out, err = capfd.readouterr()
    assert out == ""
    assert err in ("", "on the way\n")  # what it prints is no result


def test_a_bug_in_a_process_keeps_its_traceback():
    values = in_a_process(fail_oddly)
    next(values)
    with pytest.raises(SsnnError) as error:
        next(values)
    assert "in fail_oddly" in error.value.__notes__[0]


def test_a_system_that_starts_no_process_is_told(monkeypatch):
    def refuse(*_):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(util, "spawnv_passfds", refuse)
    with pytest.raises(SsnnError, match=r"the system starts no other process \(Resource temporarily unavailable\)"):
        next(in_a_process(count_then_pid, 1))


def busy_steps(seconds):
    while True:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        yield os.getpid()


def test_a_process_computes_only_what_it_is_asked_for():
    workers = [in_a_process(busy_steps, 0.2) for _ in range(2)]
    first, second = (psutil.Process(next(worker)) for worker in workers)
    before = sum(second.cpu_times()[:2])
    next(workers[0])
    assert sum(second.cpu_times()[:2]) - before < 0.05
    for worker in workers:
        worker.close()
    assert not psutil.wait_procs([first, second], timeout=10)[1]


def wait_and_compute():
    yield os.getpid()
    print("computing", flush=True)
    while True:
        pass


PARENT = """
from ssnn.system.processes import in_a_process
from test_processes import wait_and_compute
if __name__ == "__main__":
    waiting, computing = in_a_process(wait_and_compute), in_a_process(wait_and_compute)
    print(next(waiting), next(computing), flush=True)
    next(computing)
"""


def test_no_process_outlives_one_that_is_killed(tmp_path):
    """Not one that waits, and none that computes; and they have nothing to say to it."""
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, program], **pipes, text=True, env=environment) as process:
        children = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
        assert process.stderr.readline() == "computing\n"
        process.kill()
        _, err = process.communicate(timeout=60)  # ends once no process holds the other ends of the pipes
    assert (len(children), err) == (2, "")
    assert not psutil.wait_procs(children, timeout=10)[1]
