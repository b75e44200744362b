import contextlib
import dataclasses
import json
import math
from itertools import islice, pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from support import BACKENDS, open_or_skip, run_python, step

from ssnn import backends, data
from ssnn.agreement import disagreement, tolerance
from ssnn.backends import Accumulation, Program
from ssnn.backends.numpy import NumpyBackend
from ssnn.errors import TrainingError, UsageError
from ssnn.initialization import initial_network
from ssnn.settings import Settings
from ssnn.training.batch import Batch
from ssnn.training.loop import Loop, TrainingState
from ssnn.training.memory import check_memory, network_memory
from ssnn.training.minibatch import Minibatches, Order
from ssnn.training.progress import Progress, boundaries
from ssnn.training.trainer import fit
from ssnn.tree import leaves


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_every_backend_ends_where_numpy_float64_ends(mnist_digits, mnist_reference, name, dtype):
    backend = open_or_skip(name, dtype=dtype)
    result = fit(mnist_digits, backend)
    bound = tolerance(dtype, 500)
    assert all(parameters.dtype == dtype for layer in result.network for parameters in layer)
    assert disagreement(result.network, mnist_reference.network) < bound
    np.testing.assert_allclose(result.costs, mnist_reference.costs, rtol=bound)
    assert result.run.test.errors == (2031,)
    assert result.run.test.error_rate == 1 / 2115


@pytest.mark.parametrize("name", BACKENDS)
def test_float32_agrees_on_synthetic_digits_too(name):
    """Here NumPy's rounding puts a sample on the other side of a ReLU's kink in the first iteration."""
    digits, settings = data.load_data("synthetic"), Settings(iterations=25)
    reference = fit(digits, backends.open_backend("numpy", dtype="float64"), settings)
    result = fit(digits, open_or_skip(name), settings)
    assert disagreement(result.network, reference.network) < tolerance("float32", 25)


def test_a_learning_rate_of_numpy_s_changes_no_dtype(few_digits):
    result = fit(few_digits, backends.open_backend("numpy"), Settings(learning_rate=np.float64(0.5), iterations=2))
    assert {p.dtype for layer in result.network for p in layer} == {np.dtype("float32")}


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_agrees_on_few_digits(few_digits, name):
    """What the test above says, in short and where MNIST is not to be had; two hidden layers."""
    settings = Settings(hidden=(6, 4), iterations=50)
    reference = fit(few_digits, backends.open_backend("numpy", dtype="float64"), settings)
    result = fit(few_digits, open_or_skip(name, dtype="float64"), settings)
    assert disagreement(result.network, reference.network) < tolerance("float64", 50)
    assert reference.costs[-1] < reference.costs[0] / 2


def test_numpy_repeats_itself_to_the_bit(few_digits):
    first, second = (fit(few_digits, backends.open_backend("numpy"), Settings(iterations=40)) for _ in range(2))
    assert first.costs == second.costs
    assert disagreement(first.network, second.network) == 0


def test_constant_features_change_nothing_but_the_images_that_light_them(mnist_digits, mnist_reference):
    """The article: training is the same to 1e-13, and of the test images only 1749 falls to a constant feature."""
    kept = fit(mnist_digits, backends.open_backend("numpy", dtype="float64"), Settings(constant_features="keep"))
    np.testing.assert_allclose(kept.costs, mnist_reference.costs, rtol=1e-9)
    assert kept.run.train.errors == mnist_reference.run.train.errors
    assert kept.run.test.errors == (1749, 2031)
    assert (mnist_reference.data.features, kept.data.features) == (617, 784)
    assert mnist_reference.data.constant_features == kept.data.constant_features == 167


def test_synthetic_digits_teach_the_real_ones(mnist_digits):
    real = fit(data.load_data("synthetic")).evaluate(mnist_digits.test)
    assert real.samples == 2115
    assert real.error_rate <= 0.01


def test_a_run_without_hidden_layers_is_logistic_regression(few_digits):
    """Newton's method finds the same optimum as gradient descent, given few features and time."""
    columns = few_digits.train.pixels.sum(axis=0).argsort()[-3:]
    pixels = np.zeros_like(few_digits.train.pixels)
    pixels[:, columns] = few_digits.train.pixels[:, columns]
    part = data.Samples(pixels, few_digits.train.labels)
    digits = dataclasses.replace(few_digits, train=part, test=part)
    settings = Settings(hidden=(), iterations=20_000, learning_rate=1.0)
    result = fit(digits, backends.open_backend("numpy", dtype="float64"), settings)
    found = result.standardization
    X = np.vstack([((pixels[:, found.features] - found.mean) / found.std).T, np.ones(len(part))])
    w = np.zeros((1, 4))
    for _ in range(30):
        p = 1 / (1 + np.exp(-w @ X))
        w += np.linalg.solve((p * (1 - p) * X) @ X.T, ((part.labels - p) @ X.T).T).T
    (layer,) = result.network
    np.testing.assert_allclose(np.hstack([layer.W, layer.b]), w, rtol=1e-6)


@pytest.mark.parametrize(("iterations", "steps"), [(1, [1]), (19, [1] * 19), (45, [2] * 22 + [1]), (380, [19] * 20)])
def test_progress_is_told_once_per_step_and_every_cost_is_kept(few_digits, iterations, steps):
    told = []
    result = fit(few_digits, backends.open_backend("numpy"), Settings(iterations=iterations), report=told.append)
    assert [progress.iteration for progress in told] == list(np.cumsum(steps))
    assert len(result.costs) == iterations
    assert all(progress.costs == result.costs[: progress.iteration] for progress in told)
    assert [progress.cost for progress in told] == [result.costs[progress.iteration - 1] for progress in told]


def test_costs_are_taken_before_the_update(few_digits):
    settings = Settings(iterations=3, hidden=(4,))
    result = fit(few_digits, backends.open_backend("numpy", dtype="float64"), settings)
    found = result.standardization
    network = initial_network((784, 4, 1), settings.seed, found.features)
    X = ((few_digits.train.pixels[:, found.features] - found.mean) / found.std).T
    for expected in result.costs:
        network, cost = step(network, X, few_digits.train.labels[None, :].astype(float), 1 / 200, 0.5)
        assert cost == pytest.approx(expected, rel=1e-13)


def test_the_host_is_told_only_once_per_step(few_digits):
    class Counting(NumpyBackend):
        calls = 0

        def to_numpy(self, array):
            self.calls += 1
            return super().to_numpy(array)

    short, long = Counting(backends.Options()), Counting(backends.Options())
    fit(few_digits, short, Settings(iterations=20))
    fit(few_digits, long, Settings(iterations=200))
    assert short.calls == long.calls


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("batch_size", "unit"), [(None, "iteration"), (50, "update")])
def test_a_cost_that_is_no_longer_finite_stops_the_run(few_digits, name, batch_size, unit):
    told, settings = [], Settings(learning_rate=1e30, iterations=100, batch_size=batch_size)
    backend = open_or_skip(name)
    with pytest.raises(TrainingError, match=rf"the cost is (nan|inf) at {unit} \d+; try a learning rate below 1e\+30"):
        fit(few_digits, backend, settings, report=told.append)
    assert len(told) <= 1


def test_parameters_that_are_not_finite_after_the_last_iteration_are_told(few_digits):
    with pytest.raises(TrainingError, match="a parameter is not finite at iteration 1; try a learning rate below"):
        fit(few_digits, backends.open_backend("numpy"), Settings(learning_rate=1e39, iterations=1, hidden=()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", [(), (4,), (4, 3)])
@pytest.mark.parametrize(("optimizer", "iterations"), [("gd", 1), ("gd", 2), ("gd", 3), ("momentum", 2), ("adam", 2)])
def test_what_is_returned_is_finite(few_digits, dtype, hidden, optimizer, iterations):
    """Also where it is the last update that diverges, after which no cost is taken."""
    backend, diverged = backends.open_backend("numpy", dtype=dtype), 0
    for exponent in range(0, 309, 11):
        settings = Settings(hidden, 10.0**exponent, iterations=iterations, optimizer=optimizer)
        try:
            result = fit(few_digits, backend, settings)
        except TrainingError:
            diverged += 1
            continue
        json.dumps(result.to_json(), allow_nan=False)
        assert all(np.isfinite(array).all() for array in leaves((result.network, result.optimizer_state)))
        for part in (few_digits.train, few_digits.test):
            assert np.isfinite(result.logits(part.pixels, backend)).all()
    assert 0 < diverged < 29


@pytest.mark.parametrize(
    ("done", "iterations", "checkpoint_every", "updates", "expected"),
    [
        (0, 45, None, 1, [0, *range(2, 45, 2), 45]),
        (0, 3, None, 5, [0, 5, 10, 15]),
        (7, 3, None, 5, [7, 10, 15]),
        (10, 3, None, 5, [10, 15]),
        (0, 45, 20, 3, [0, *range(6, 61, 6), *range(66, 121, 6), 126, 132, 135]),
        (13, 40, 15, 2, [13, *range(16, 30, 4), 30, *range(34, 60, 4), 60, *range(64, 80, 4), 80]),
    ],
)
def test_steps_end_with_passes_and_are_counted_from_checkpoints(done, iterations, checkpoint_every, updates, expected):
    assert list(boundaries(done, iterations, checkpoint_every, updates)) == expected


def test_progress_on_mini_batches_says_how_fast_images_are_learnt_from():
    progress = Progress(3, 40, (0.7, 0.5, 0.25), 0.0014, 200, "raw pixels")
    assert str(progress) == "cost 0.250000  1.40 ms per iteration, raw pixels"
    progress = dataclasses.replace(progress, iteration=1, samples_per_update=84, seconds_per_update=70e-6)
    assert str(progress) == "cost 0.250000  70 µs per update, 1,200,000 images per second, raw pixels"


class Clock:
    """A backend whose iterations take the time that they are told to, and a stopwatch that sees it."""

    def __init__(self, seconds_each):
        self.seconds_each, self.lengths, self.durations = seconds_each, [], []
        self.seconds = {"iterations": 0.0, "compile": 0.0}

    def measure(self, phase):
        return contextlib.nullcontext()

    def loop(self, gradients, update, k, accumulation):
        return self._program(lambda *_: k)

    def minibatch_loop(self, gradients, update, accumulation):
        return self._program(lambda X, Y, places, *_: len(places))

    def _program(self, count):
        def run(state, *arguments):
            k = count(*arguments)
            self.lengths.append(k)
            self.durations.append(k * self.seconds_each)
            self.seconds["iterations"] += self.durations[-1]
            return state, np.zeros(k)

        return Program(run, contextlib.nullcontext)

    def to_numpy(self, array):
        return array

    def to_device(self, tree):
        return tree

    def synchronize(self, tree):
        pass


def loop_of(clock, samples=1000, hidden=10):
    batch = Batch(np.empty((1, 784, samples), np.uint8), None, None, None, None)
    return Loop(clock, batch, 0.5, clock), TrainingState(initial_network((784, hidden, 1), 0), ())


@pytest.mark.parametrize("seconds_each", [1e-5, 1e-3, 0.02, 0.7, 3.0])
def test_the_loop_comes_back_about_once_a_second(seconds_each):
    clock = Clock(seconds_each)
    loop, state = loop_of(clock)
    steps = range(0, 10**7, 200_003) if seconds_each < 0.1 else range(0, 1000, 103)
    costs = [len(costs) for _, costs in loop.iterate(state, steps)]
    assert costs == clock.lengths
    ends = np.cumsum(costs)
    assert set(steps[1:]) <= set(ends.tolist())
    assert ends[-1] == steps[-1]
    assert all(k == 1 or seconds <= 2 for k, seconds in zip(clock.lengths[1:], clock.durations[1:], strict=True))
    assert len(set(clock.lengths)) <= 6  # each is compiled on its own
    if max(steps) * seconds_each > 100:
        assert np.median(clock.durations) > 0.25


def test_the_loop_keeps_to_a_second_where_the_machine_slows_down():
    clock = Clock(1e-4)
    loop, state = loop_of(clock)
    rounds = loop.iterate(state, [0, 10**6])
    for _ in range(5):
        next(rounds)
    clock.seconds_each = 0.01
    next(rounds)  # which could not know it
    for _ in range(5):
        next(rounds)
        assert 0.25 < clock.durations[-1] <= 1


@pytest.mark.parametrize(
    ("k", "seconds", "next_length"),
    [
        (8, 0.24, 32),  # short: as many as a second takes, in a power of two
        (8, 0.25, 8),
        (8, 2.0, 8),
        (8, 2.1, 2),  # long
        (8, 100.0, 1),
        (4, 0.01, 8),  # a boundary has cut it short, so it tells nothing
        (4, 2.1, 1),
    ],
)
def test_the_length_of_a_call_is_changed_where_it_took_far_from_a_second(k, seconds, next_length):
    loop, _ = loop_of(Clock(0.01))
    loop._length = 8
    loop._adapt_length(k, seconds)
    assert loop._length == next_length


@pytest.mark.parametrize(
    ("samples", "hidden", "length"),
    [
        (12_665, 10, 4 * 10**9 // (12_665 * 7_850)),
        (200, 3, 1000),  # in which an iteration is as long as its calls
        (60_000, 100, 1),  # 4.7e9 samples times weights: more than the first call is to have
    ],
)
def test_the_first_call_is_as_long_as_the_work_of_an_iteration_allows(samples, hidden, length):
    clock = Clock(1.0)
    loop, state = loop_of(clock, samples, hidden)
    next(loop.iterate(state, [0, 10**6]))
    assert clock.lengths == [length]


def test_the_first_cost_that_is_not_finite_is_told_with_its_iteration(monkeypatch):
    loop, state = loop_of(Clock(0.01))
    costs = iter(np.where(np.arange(100) < 37, 1.0, np.inf))
    monkeypatch.setattr(loop, "run", lambda state, k, done: (state, np.array([*islice(costs, k)])))
    with pytest.raises(TrainingError, match=r"the cost is inf at iteration 38; try a learning rate below 0\.5"):
        list(loop.iterate(state, range(0, 101, 25)))


@pytest.mark.parametrize("seconds_each", [1e-4, 0.02, 3.0])
def test_the_loop_comes_back_at_the_end_of_each_pass(seconds_each):
    """Of 151 mini-batches, or within it after about a second."""
    clock = Clock(seconds_each)
    samples = Minibatches(np.empty((12_665, 1)), None, Accumulation(84), None, Order(12_665, 84, None))
    loop = Loop(clock, samples, 0.5, clock)
    state = TrainingState(initial_network((784, 10, 1), 0), ())
    ends = np.cumsum([20, *(len(costs) for _, costs in loop.iterate(state, [20, 1510]))])
    assert set(range(151, 1511, 151)) <= set(ends.tolist())
    assert ends[-1] == 1510
    assert ends.tolist() == np.cumsum([20, *clock.lengths]).tolist()
    if seconds_each == 1e-4:
        assert len(clock.lengths) == 10
    assert all(k == 1 or seconds <= 2 for k, seconds in zip(clock.lengths[1:], clock.durations[1:], strict=True))


@pytest.mark.parametrize(("samples", "hidden"), [(12_665, 10), (200, 3)])
def test_a_short_step_is_one_run_from_the_start(samples, hidden):
    """The article's 25 iterations of some milliseconds, and fewer samples: nothing is compiled but the step."""
    clock = Clock(0.005)
    loop, state = loop_of(clock, samples, hidden)
    for _ in loop.iterate(state, range(0, 501, 25)):
        pass
    assert clock.lengths == [25] * 20


def test_a_run_that_cannot_fit_into_the_memory_is_refused_before_it_is_made(few_digits, monkeypatch):
    monkeypatch.setattr("ssnn.training.trainer.initial_network", None)
    monkeypatch.setattr("ssnn.system.machine.free_memory", lambda: 10**9)
    with pytest.raises(MemoryError, match=r"^100,000 and 100,000 hidden neurons need \S+ GB, and 1\.0 GB are free$"):
        fit(few_digits, settings=Settings(hidden=(100_000, 100_000)))


@pytest.mark.parametrize(
    ("device", "hidden", "features", "samples", "devices", "needed"),
    [  # parameters: 8 bytes where they are drawn, 6 times 4 where they are trained; activations: twice 4 bytes
        ("cpu", (10,), 600, 1000, 1, 24 * 6010 + 8 * 600 * 10),
        ("cpu", (10,), 600, 1000, 2, 24 * 6010 + 8 * 1000 * 10),  # no more samples than there are
        ("cpu", (10, 5), 600, 1000, 1, 24 * 6055 + 8 * 600 * 15),
        ("cpu", (10,), 200, 30, 1, 8 * 7850),
        ("cpu", (), 600, 1000, 1, 24 * 600),
        ("cpu", (10,), 0, 0, 1, 8 * 7850),
        ("cpu", (10,), 784, 0, 1, 24 * 7850),
        ("cuda:0", (10,), 784, 1000, 1, 8 * 7850),
    ],
)
def test_the_memory_of_a_run_is_counted_to_the_byte(monkeypatch, device, hidden, features, samples, devices, needed):
    """Of microbatches of 100 samples, two in a call, on three threads."""

    def accumulation(*batch):
        assert batch == (samples, features, max(a * b for a, b in pairwise((features, *hidden, 1))))
        return Accumulation(100, per_call=2, threads=3, devices=devices)

    backend = SimpleNamespace(device=device, dtype="float32", accumulation=accumulation)
    monkeypatch.setattr("ssnn.system.machine.free_memory", lambda: needed)
    check_memory(backend, Settings(hidden=hidden), 784, features, samples)
    monkeypatch.setattr("ssnn.system.machine.free_memory", lambda: needed - 1)
    with pytest.raises(MemoryError, match=f"{' and '.join(map(str, hidden)) or 'no'} hidden neurons need 0.0 GB"):
        check_memory(backend, Settings(hidden=hidden), 784, features, samples)


def test_the_memory_of_a_network_is_in_proportion_to_its_weights():
    assert network_memory((784, 10, 1), 4) * 2 == network_memory((784, 20, 1), 4) == network_memory((784, 10, 1), 8)


PEAK = """
import ssnn
from ssnn.data import Dataset, Samples, synthetic
from ssnn.system.machine import peak_memory
from ssnn.training.memory import network_memory
samples = Samples(*synthetic.draw(10, 10, seed=0))
digits = Dataset("synthetic", "a test", (0, 1), samples, samples, 0.0)
def peak(hidden):
    chosen = ssnn.Settings(hidden=(hidden,), iterations=3, constant_features="keep", optimizer=OPTIMIZER)
    ssnn.fit(digits, settings=chosen)
    return peak_memory()
before = peak(1)
print((peak(30_000) - before) / network_memory((784, 30_000, 1), itemsize=4, optimizer=OPTIMIZER))
"""


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["gd", "momentum", "adam"])
def test_a_run_takes_the_memory_that_it_is_said_to_take(optimizer):
    assert float(run_python(f"OPTIMIZER = '{optimizer}'\n{PEAK}")) == pytest.approx(1, abs=0.25)


def test_activations_of_a_mini_batch_are_counted_and_no_more(monkeypatch):
    asked = []

    def accumulation(samples, features, weights):
        asked.append(samples)
        return Accumulation(samples)

    backend = SimpleNamespace(device="cpu", dtype="float32", accumulation=accumulation)
    for size in (84, 20_000, None):
        check_memory(backend, Settings(batch_size=size), 784, 617, 12_665)
    assert asked == [84, 12_665, 12_665]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": (10, 0)}, r"hidden layers \(10, 0\): each needs at least 1 neuron"),
        ({"hidden": 10}, "hidden layers 10: a tuple of neurons per layer is needed"),
        ({"hidden": (-1,)}, "each needs at least 1 neuron"),
        ({"learning_rate": 0.0}, "learning rate 0.0: a positive, finite number"),
        ({"learning_rate": math.inf}, "learning rate inf: a positive, finite number"),
        ({"learning_rate": math.nan}, "learning rate nan"),
        ({"learning_rate": "high"}, "learning rate 'high': a positive, finite number"),
        ({"iterations": 0}, "0 iterations: at least 1"),
        ({"iterations": 2e1}, "iterations 20.0: a whole number"),
        ({"hidden": (10.0,)}, r"hidden \(10.0,\): whole numbers"),
        ({"seed": 1.5}, "seed 1.5: a whole number"),
        ({"seed": -1}, "seed -1: it must lie in"),
        ({"seed": 2**32}, "seed 4294967296: it must lie in"),
        ({"constant_features": "maybe"}, "constant features 'maybe': choose drop or keep"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        Settings(**change)


def test_a_result_becomes_json_and_back(few_digits):
    result = fit(few_digits, backends.open_backend("numpy", threads=1), Settings(iterations=5))
    answer = json.loads(json.dumps(result.to_json()))
    assert list(answer) == ["schema", "backend", "data", "settings", "costs", "batch", "train", "test", "seconds"]
    assert answer["schema"] == "ssnn.train/1"
    assert answer["backend"] == {
        "name": "numpy",
        "library": "numpy",
        "version": np.__version__,
        "device": "cpu",
        "dtype": "float32",
        "precision": "highest",
        "threads": 1,
    }
    assert answer["data"] == {
        "name": "synthetic",
        "origin": "a test",
        "digits": [0, 1],
        "train": 200,
        "test": 100,
        "features": result.data.features,
        "constant_features": 784 - result.data.features,
        "sha256": few_digits.train.sha256(),
    }
    assert Settings(**answer["settings"] | {"hidden": tuple(answer["settings"]["hidden"])}) == result.settings
    assert answer["costs"] == list(result.costs)
    assert list(answer["seconds"]) == ["load", "transfer", "compile", "iterations", "total"]
    assert answer["seconds"]["total"] >= answer["seconds"]["iterations"] > 0


@pytest.mark.parametrize("done", [0, 4])
def test_a_bar_shows_every_step_and_the_caller_s_report_is_called_too(few_digits, capsys, done):
    resume = fit(few_digits, settings=Settings(iterations=done)) if done else None
    reported = []
    settings = Settings(iterations=40)
    silent = fit(few_digits, settings=settings, resume=resume)
    assert capsys.readouterr() == ("", "")
    loud = fit(few_digits, settings=settings, resume=resume, report=reported.append, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    last = err.split("\r")[-1]
    assert f"40/40 iterations, cost {loud.costs[-1]:.6f}" in last
    assert loud.costs == silent.costs
    assert reported[-1].iteration == 40


def test_the_speed_of_mini_batches_counts_every_image_once(few_digits):
    reports = []
    fit(few_digits, settings=Settings(batch_size=199, iterations=2), report=reports.append)
    assert [report.samples_per_update for report in reports] == [100, 100]  # 199 and 1


def test_where_adam_divides_by_nothing_the_remedy_names_epsilon(few_digits):
    settings = Settings(optimizer="adam", epsilon=0, constant_features="keep", iterations=3)
    with pytest.raises(TrainingError, match=r"at iteration 2; try a learning rate below 0\.01, or a larger epsilon"):
        fit(few_digits, settings=settings)
