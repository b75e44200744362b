"""What the benchmarks share: digits, references, limits, and the machine that stands in every result file."""

from contextlib import suppress
from functools import cache
from statistics import median

import numpy as np
import pytest

from benchmarks.limits import Limits, best_of, measure_limits
from benchmarks.programs import Timed
from ssnn import backends, data
from ssnn.backends import Backend
from ssnn.backends.jax import PREALLOCATION_VARIABLE
from ssnn.errors import BackendError, UsageError
from ssnn.settings import Settings
from ssnn.system import machine
from ssnn.timing.trial import iterations_per_call, reference


def pytest_benchmark_update_machine_info(machine_info):
    """Replace the plugin's description, which has the host's name, by ours."""
    machine_info.clear()
    machine_info["ssnn"] = machine.describe()


@pytest.fixture(scope="session", autouse=True)
def shared_gpu():
    """Keep JAX from taking most of a GPU's memory: other libraries and processes need it too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PREALLOCATION_VARIABLE, "false")
        yield


@pytest.fixture(scope="session")
def show_progress(pytestconfig):
    """Write a line to the terminal, past pytest's capture."""
    reporter, capture = map(pytestconfig.pluginmanager.get_plugin, ("terminalreporter", "capturemanager"))

    def show_progress(text: str) -> None:
        if pytestconfig.get_verbosity() >= 0:
            with capture.global_and_fixture_disabled():
                reporter.ensure_newline()
                reporter.write_line(text)

    return show_progress


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load_with_notices()[0]


@pytest.fixture(scope="session")
def settings_for(digits):
    """The settings of a run with one hidden layer, of the number of iterations that one call does."""

    def settings_for(hidden: int, samples: int = len(digits.train)) -> Settings:
        return Settings(hidden=(hidden,), iterations=iterations_per_call(samples, digits.train.pixels.shape[1], hidden))

    return settings_for


@pytest.fixture(scope="session")
def reference_for(digits, settings_for):
    """Network and costs in NumPy float64 after the iterations of one call, by the size of the hidden layer."""
    return cache(lambda hidden: reference(digits, settings_for(hidden)))


@pytest.fixture(scope="session")
def limits_of():
    """The best rates of a device in a dtype, measured once per session with each backend that runs there."""

    @cache
    def limits_of(device: str, dtype: str) -> Limits:
        found = []
        for name in [name for name in backends.BUILT_IN if name != "strict"]:  # which is NumPy
            with suppress(BackendError, UsageError):  # not usable here, or never on this device
                found.append(measure_limits(backends.open_backend(name, device=device, dtype=dtype)))
        return best_of(found)

    return limits_of


@pytest.fixture
def report_timed(benchmark, limits_of):
    """A function that hands a program of `time_programs` to pytest-benchmark: skips or fails where it could not run."""

    def report_timed(outcome: Timed | Exception, what: str) -> None:
        if isinstance(outcome, BackendError):
            pytest.skip(str(outcome))
        if isinstance(outcome, Exception):
            raise outcome
        row = outcome.row
        device, _, _ = row["device"].partition(" ")
        sizes = row["features"], *row["hidden"], 1
        limits = limits_of(device, row["dtype"])
        min_seconds = limits.min_seconds(sizes, row["samples"], np.dtype(row["dtype"]).itemsize)
        benchmark.group = f"{what}, {row['dtype']}, {row['samples']} {row['data']} digits, {device}"
        benchmark._mode = "alternating rounds"  # pytest-benchmark has no public function for calls timed elsewhere
        stats = benchmark._make_stats(iterations=1)
        for each in outcome.seconds:
            stats.update(each)
        benchmark.extra_info |= row | {
            "ms_per_iteration": 1e3 * median(outcome.seconds) / row["iterations"],
            "limit_ms": 1e3 * min_seconds,
        }

    return report_timed


@pytest.fixture(scope="session")
def open_or_skip():
    """The backend of this name, or a visible skip with the reason."""

    @cache
    def open_or_skip(name: str, dtype: str) -> Backend:
        try:
            return backends.open_backend(name, dtype=dtype)
        except BackendError as error:
            pytest.skip(str(error))

    return open_or_skip
