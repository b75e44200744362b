import os
import signal

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


def test_a_process_yields_what_the_function_yields():
    *numbers, pid = in_a_process(count_then_pid, 3)
    assert numbers == [0, 1, 2]
    assert pid != os.getpid()


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (fail, BackendError, "no such device"),
        (be_killed, SsnnError, "its process was killed, as systems do that run out"),
    ],
)
def test_what_fails_in_a_process_fails_here(function, error, message):
    values = in_a_process(function)
    assert next(values) == 1
    with pytest.raises(error, match=message):
        next(values)
