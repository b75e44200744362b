import time
from contextlib import nullcontext

import numpy as np
import pytest

from ssnn.agreement import tolerance
from ssnn.backends import Options, Program
from ssnn.backends.numpy import NumpyBackend
from ssnn.errors import DisagreementError
from ssnn.settings import Settings
from ssnn.timing.trial import Trial, iterations_per_call, reference, shuffled_rounds

SETTINGS = Settings(hidden=(4,), iterations=3)
DELAY = 0.05


class AsynchronousBackend(NumpyBackend):
    """Returns at once and has computed only later, as a GPU does."""

    ready = 0.0

    def loop(self, *arguments):
        program = super().loop(*arguments)

        def start(*arguments):
            outcome = program(*arguments)
            self.ready = time.perf_counter() + DELAY
            return outcome

        return Program(start, nullcontext)

    def to_numpy(self, array):
        self.synchronize(array)
        return super().to_numpy(array)

    def synchronize(self, tree):
        self.waited_for = tree
        time.sleep(max(0.0, self.ready - time.perf_counter()))


class WrongBackend(NumpyBackend):
    """Takes another learning rate."""

    error = 1e-3

    def loop(self, gradients, update, k, accumulation):
        def wrong_update(network, gradient, learning_rate):
            return update(network, gradient, learning_rate + self.error)

        return super().loop(gradients, wrong_update, k, accumulation)


@pytest.fixture(scope="module")
def network(few_digits):
    network, _ = reference(few_digits, SETTINGS)
    return network


def test_the_clock_waits_for_an_asynchronous_device(few_digits, network):
    measurement = Trial(AsynchronousBackend(Options()), few_digits, SETTINGS).measure(network, rounds=3)
    assert len(measurement.calls) == 3
    assert min(*measurement.calls, measurement.first_call) >= DELAY


def test_the_clock_waits_for_every_output(few_digits):
    backend = AsynchronousBackend(Options())
    trained, costs = Trial(backend, few_digits, SETTINGS).run()
    assert backend.waited_for.network is trained
    assert (type(costs), costs.shape) == (np.ndarray, (3,))


@pytest.mark.parametrize("error", [1e-3, np.nan])
def test_a_wrong_result_is_not_timed(few_digits, network, error):
    backend = WrongBackend(Options())
    backend.error = error
    message = r"numpy float32 differs from NumPy float64 by \S+ after 3 updates; the tolerance is 5"
    with pytest.raises(DisagreementError, match=message):
        Trial(backend, few_digits, SETTINGS).measure(network)


def test_a_measurement_says_what_was_measured(few_digits, network):
    backend = NumpyBackend(Options(dtype="float64"))
    measurement = Trial(backend, few_digits, SETTINGS).measure(network, rounds=5)
    assert measurement.backend == backend.describe()
    assert (measurement.data, measurement.samples, measurement.hidden) == ("synthetic", 200, (4,))
    assert measurement.ms_per_iteration == 1e3 * sorted(measurement.calls)[2] / 3
    assert measurement.disagreement <= measurement.tolerance == tolerance("float64", 3)


def test_the_costs_of_the_reference_fall(few_digits):
    _, costs = reference(few_digits, SETTINGS)
    assert costs.dtype == np.float64
    assert costs[0] > costs[1] > costs[2]


def test_every_round_has_every_name_once_and_its_own_order():
    names = list("abcdef")
    order = list(shuffled_rounds(names, 20))
    rounds = [tuple(order[start : start + 6]) for start in range(0, 120, 6)]
    assert all(sorted(each) == names for each in rounds)
    assert len(set(rounds)) > 15
    assert list(shuffled_rounds(names, 20)) == order


@pytest.mark.parametrize(
    ("samples", "hidden", "iterations"), [(12_665, 10, 25), (12_665, 100, 10), (1_000_000, 10, 2), (10, 1, 25)]
)
def test_a_call_does_more_iterations_where_they_are_short(samples, hidden, iterations):
    assert iterations_per_call(samples, 784, hidden) == iterations
