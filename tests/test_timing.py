import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from ssnn.agreement import tolerance
from ssnn.backends import Options, Program
from ssnn.backends.numpy import NumpyBackend
from ssnn.errors import DisagreementError
from ssnn.settings import Settings
from ssnn.system import machine
from ssnn.timing.trial import Trial, reference

SETTINGS = Settings(hidden=(4,), iterations=3)
DELAY = 0.05


class Asynchronous(NumpyBackend):
    """Answers at once and has computed only later, as a GPU does."""

    ready = 0.0

    def loop(self, gradients, update, k):
        program = super().loop(gradients, update, k)

        def answer(*arguments):
            outcome = program(*arguments)
            self.ready = time.perf_counter() + DELAY
            return outcome

        return Program(answer, nullcontext)

    def synchronize(self, values):
        self.waited_for = values
        time.sleep(max(0.0, self.ready - time.perf_counter()))


class Broken(NumpyBackend):
    """Computes something else."""

    broken = 1e-3

    def repeat(self, gradients, update, k):
        def other(network, gradient, learning_rate):
            return update(network, gradient, learning_rate + self.broken)

        return super().repeat(gradients, other, k)


def test_the_clock_waits_for_what_is_computed_later(few_digits):
    measurement = Trial(Asynchronous(Options()), few_digits, SETTINGS).measure(
        reference(few_digits, SETTINGS), rounds=3
    )
    assert len(measurement.calls) == 3
    assert min(*measurement.calls, measurement.first_call) >= DELAY


def test_the_clock_waits_for_every_output(few_digits):
    backend = Asynchronous(Options())
    network, costs = Trial(backend, few_digits, SETTINGS).run()
    assert backend.waited_for == (network, costs)
    assert costs.shape == (3,)


@pytest.mark.parametrize("broken", [1e-3, np.nan])
def test_the_time_of_something_else_does_not_count(few_digits, broken):
    backend = Broken(Options())
    backend.broken = broken
    with pytest.raises(DisagreementError, match=r"numpy float32 is \S+ from NumPy float64 after 3 iterations, where 5"):
        Trial(backend, few_digits, SETTINGS).measure(reference(few_digits, SETTINGS))


def test_a_measurement_says_what_was_measured(few_digits):
    backend = NumpyBackend(Options(dtype="float64"))
    measurement = Trial(backend, few_digits, SETTINGS).measure(reference(few_digits, SETTINGS), rounds=5)
    assert measurement.backend == backend.describe()
    assert (measurement.data, measurement.samples, measurement.hidden) == ("synthetic", 200, (4,))
    assert measurement.ms_per_iteration == 1e3 * sorted(measurement.calls)[2] / 3
    assert measurement.disagreement <= measurement.tolerance == tolerance("float64", 3)


def test_a_benchmark_of_something_else_fails(tmp_path):
    """The suite itself, with a NumPy backend that is broken by a plugin."""
    (tmp_path / "breaks.py").write_text(
        "from ssnn.backends.numpy import NumpyBackend\n"
        "from ssnn.data import mnist\n"
        "mnist.MIRRORS = ()\n"
        "repeat = NumpyBackend.repeat\n"
        "def broken(self, gradients, update, k):\n"
        "    return repeat(self, gradients, update, k + (self.dtype == 'float32'))\n"
        "NumpyBackend.repeat = broken\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "breaks", "--benchmark-only", "-q", "--no-header"]
    process = subprocess.run(
        [*command, "benchmarks/test_iteration.py", "-k", "numpy-10-float32"],
        cwd=Path(__file__).parents[1],
        env={"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert "DisagreementError: numpy float32 is" in process.stdout


def test_the_machine_is_described():
    here = machine.describe()
    assert here["cores"] >= 1
    assert here["memory_bytes"] > machine.free_memory() > 0
    assert here["libraries"]["numpy"] == np.__version__
    assert "/" not in here["cpu"]


def test_peak_memory_is_what_was_held():
    before = machine.peak_memory()
    held = np.ones(before + 10**8, np.uint8)
    assert held.nbytes <= machine.peak_memory() <= held.nbytes + before + 10**8
