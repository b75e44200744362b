"""What the benchmarks share: digits, references, limits, and the machine that stands in every result file."""

import os
from contextlib import suppress
from functools import cache

import pytest

from benchmarks.limits import Limits, best, measure_limits
from ssnn import backends, data
from ssnn.backends import Backend
from ssnn.errors import BackendError, UsageError
from ssnn.network import Network
from ssnn.settings import Settings
from ssnn.system import machine
from ssnn.timing.trial import iterations_per_call, reference


def pytest_benchmark_update_machine_info(machine_info):
    """Leave the name of the machine out, and say what it is."""
    machine_info.clear()
    machine_info["ssnn"] = machine.describe()


@pytest.fixture(scope="session")
def digits() -> data.Digits:
    return data.load_data("auto", os.environ.get("SSNN_DATA_DIR") or None)


@pytest.fixture(scope="session")
def settings_for(digits):
    """The settings of a run of one hidden layer, with as many iterations as are timed at once."""

    def settings_for(hidden: int, samples: int = len(digits.train)) -> Settings:
        return Settings(hidden=(hidden,), iterations=iterations_per_call(samples, digits.train.pixels.shape[1], hidden))

    return settings_for


@pytest.fixture(scope="session")
def reference_for(digits, settings_for):
    """The network after the iterations of one call in NumPy float64, by the size of its hidden layer."""

    @cache
    def reference_for(hidden: int) -> Network:
        return reference(digits, settings_for(hidden))

    return reference_for


@pytest.fixture(scope="session")
def limits_of():
    """What a device can do at its best, found once per session with each backend that runs there."""

    @cache
    def limits_of(device: str, dtype: str) -> Limits:
        found = []
        for name in [name for name in backends.BUILT_IN if name != "strict"]:  # which is NumPy
            with suppress(BackendError, UsageError):  # absent, or never on this device
                found.append(measure_limits(backends.open_backend(name, device=device, dtype=dtype)))
        return best(found)

    return limits_of


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
