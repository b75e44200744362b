"""Mini-batches: which samples each has, and that updates on them are the same wherever they are computed."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import BACKENDS, open_or_skip

from ssnn import backends
from ssnn.agreement import disagreement, tolerance
from ssnn.backends import Accumulation
from ssnn.initialization import initial_network
from ssnn.network import gradients
from ssnn.optimizers import Adam
from ssnn.presets.series import SERIES
from ssnn.settings import Settings
from ssnn.standardize import fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import Rows
from ssnn.training.loop import Loop, make_loop
from ssnn.training.minibatch import Minibatches, Order, minibatches_to_device
from ssnn.training.trainer import fit
from ssnn.tree import tree_map

SIZES = [(1, 1), (5, 1), (7, 3), (9, 3), (300, 84), (300, 299), (5, 9)]


def places_of(order, number, k=1):
    """The samples of a pass in the order in which its mini-batches take them, asked for k mini-batches at a time."""
    first, last = number * order.per_pass, (number + 1) * order.per_pass
    parts = [order.minibatches(done, min(k, last - done)) for done in range(first, last, k)]
    return np.concatenate([places[weights > 0] for places, weights in parts])


@pytest.mark.parametrize(("samples", "size"), SIZES)
@pytest.mark.parametrize("seed", [None, 0, 561])
def test_a_pass_takes_every_sample_once(samples, size, seed):
    order = Order(samples, size, seed)
    for number in range(3):
        assert sorted(places_of(order, number)) == list(range(samples))
        if seed is None:
            np.testing.assert_array_equal(places_of(order, number), np.arange(samples))


@pytest.mark.parametrize("seed", [None, 561])
def test_the_mini_batches_of_the_article_s_digits_are_151_and_the_last_is_short(seed):
    """Of 12,665 images: 150 times 84, and 65 that count 1/65 each."""
    order = Order(12_665, 84, seed)
    assert order.per_pass == Settings(batch_size=84).updates_per_iteration(12_665) == 151
    places, weights = order.minibatches(151, 151)
    assert (places.shape, places.dtype, weights.shape) == ((151, 84), np.int32, (151, 84))
    assert (weights[:150] == 1 / 84).all()
    assert (weights[150, :65] == 1 / 65).all()
    assert (weights[150, 65:] == 0).all()


@pytest.mark.parametrize("seed", [None, 3])
def test_samples_of_other_weights_share_a_mini_batch_in_proportion(random, seed):
    given = random.random(20) + 0.5
    order = Order(20, 6, seed, given)
    places, weights = order.minibatches(4, 4)
    assert weights.sum(axis=1) == pytest.approx([1] * 4, rel=1e-15)
    for number, used in enumerate([6, 6, 6, 2]):
        share = given[places[number, :used]]
        np.testing.assert_allclose(weights[number, :used], share / share.sum(), rtol=1e-15)
        assert (weights[number, used:] == 0).all()


def test_a_pass_is_a_function_of_its_number_and_the_seed():
    order = Order(300, 84, seed=561)
    expected = [places_of(order, number) for number in range(4)]
    assert len({tuple(places) for places in expected}) == 4
    for k in 4, 3, 2:
        for number in 3, 0, 2, 1:
            np.testing.assert_array_equal(places_of(Order(300, 84, seed=561), number, k), expected[number])
    assert not np.array_equal(places_of(Order(300, 84, seed=562), 0), expected[0])
    np.testing.assert_array_equal(places_of(Order(300, 50, seed=561), 2), expected[2])


def test_the_random_order_of_saved_runs_stays():
    """A model file holds the seed alone: with another order a run would go on with other samples."""
    assert places_of(Order(8, 3, seed=561), 0).tolist() == [5, 6, 0, 7, 3, 4, 2, 1]
    assert places_of(Order(8, 3, seed=561), 5).tolist() == [6, 4, 3, 2, 1, 7, 5, 0]


def start_of(samples, *hidden, seed=0):
    return initial_network((784, *hidden, 1), seed, fit_pixels(samples.pixels).features)


def on_device(backend, samples, size, start, seed=0):
    standardization = fit_pixels(samples.pixels)
    return minibatches_to_device(backend, standardization, samples, start, Order(len(samples), size, seed), Stopwatch())


def splitting(backend, **choices):
    """The backend, but for these choices of how samples are kept and a mini-batch is split."""
    whole, minibatch = backend.accumulation, backend.minibatch_accumulation
    if "raw_pixels" in choices:
        raw_pixels = choices.pop("raw_pixels")
        backend.accumulation = lambda *batch: replace(whole(*batch), raw_pixels=raw_pixels)
    backend.minibatch_accumulation = lambda *batch: replace(minibatch(*batch), **choices)
    return backend


@pytest.mark.parametrize("microbatch_size", [1, 32, 41, 42, 84, 100])
def test_a_mini_batch_is_padded_to_whole_microbatches(few_digits, microbatch_size):
    backend = splitting(backends.open_backend("numpy", dtype="float64"), microbatch_size=microbatch_size)
    minibatches = on_device(backend, few_digits.train, 84, start_of(few_digits.train, 10))
    _, _, places, weights = minibatches.arguments(backend, 3, 3)
    count = -(-84 // microbatch_size)
    assert (places.shape, weights.shape) == ((3, count, microbatch_size), (3, count, 1, microbatch_size))
    expected, shares = minibatches.order.minibatches(3, 3)
    for found, wanted in ((places, expected), (weights, shares)):
        found = found.reshape(3, -1)
        np.testing.assert_array_equal(found[:, :84], wanted)
        assert (found[:, 84:] == 0).all()


@pytest.mark.parametrize(("done", "k", "now"), [(0, 1, 1), (0, 9, 3), (1, 9, 2), (2, 9, 1), (3, 9, 3), (4, 1, 1)])
def test_a_call_does_not_go_beyond_a_pass(few_digits, done, k, now):
    start = start_of(few_digits.train, 10)
    minibatches = on_device(backends.open_backend("numpy"), few_digits.train, 84, start)
    assert minibatches.updates_per_call(done, k) == now


def plain_run(digits, settings):
    """The same in a loop of NumPy that has no parts in common with the backends' but the formulas and the order."""
    found = fit_pixels(digits.train.pixels, settings.constant_features)
    X = ((digits.train.pixels[:, found.features] - found.mean) / found.std).T
    Y, m, size = digits.train.labels[None].astype(np.float64), len(digits.train), settings.batch_size
    network = initial_network((784, *settings.hidden, 1), settings.seed, found.features)
    optimizer, costs = settings.make_optimizer(), []
    state = optimizer.init(network)
    for number in range(settings.iterations):
        everyone = np.arange(m)
        if settings.order == "random":
            everyone = np.random.RandomState([settings.seed, number]).permutation(m)
        for chosen in np.split(everyone, range(size, m, size)):
            gradient, cost = gradients(network, X[:, chosen], Y[:, chosen], 1 / len(chosen))
            network, state = optimizer.update(network, gradient, state, settings.learning_rate)
            costs.append(float(cost))
    return network, costs


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "settings",
    [
        Settings(iterations=3, batch_size=84),
        Settings(hidden=(6, 4), iterations=2, batch_size=7, order="file", optimizer="momentum"),
        Settings(hidden=(), iterations=4, batch_size=199, optimizer="adam"),
        Settings(iterations=1, batch_size=1, learning_rate=0.01),
    ],
    ids=lambda settings: f"{settings.batch_size}-{settings.optimizer}",
)
def test_mini_batches_are_those_of_a_plain_loop_on_every_backend(few_digits, name, dtype, settings):
    network, costs = plain_run(few_digits, settings)
    result = fit(few_digits, open_or_skip(name, dtype=dtype), settings)
    bound = tolerance(dtype, len(costs))
    assert disagreement(result.network, network) < bound
    np.testing.assert_allclose(result.costs, costs, rtol=bound, atol=bound)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("preset", ["cat", "dolphin"])
def test_cat_and_dolphin_have_the_costs_and_the_errors_that_their_author_prints(mnist_digits, name, preset):
    lines = (Path(__file__).parent / f"{preset}.txt").read_text()
    result = fit(mnist_digits, open_or_skip(name, dtype="float64"), SERIES[preset])
    assert [f"{cost:f}" for cost in result.costs] == re.findall(r"cost_current:(\S+),cost_last", lines)
    assert len(result.costs) == 151
    assert list(result.run.test.errors) == [int(index) for index in re.findall(r"failed to recognize: (\d+)", lines)]
    assert f"err rate:{result.run.test.error_rate}\n" in lines


@pytest.fixture(scope="module")
def in_float64(mnist_digits):
    backend = backends.open_backend("numpy", dtype="float64")
    return {preset: fit(mnist_digits, backend, SERIES[preset]) for preset in ("cat", "dolphin")}


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("preset", ["cat", "dolphin"])
def test_cat_and_dolphin_in_float32_are_those_of_float64_within_the_tolerance(mnist_digits, in_float64, name, preset):
    result = fit(mnist_digits, open_or_skip(name), SERIES[preset])
    assert disagreement(result.network, in_float64[preset].network) < tolerance("float32", 151)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", [(), (6, 4)])
def test_raw_pixels_and_standardised_ones_go_the_same_way(few_digits, name, dtype, hidden):
    """On NumPy to the bit; JAX, whose arrays cannot be written to, keeps no other than raw ones."""
    settings = Settings(hidden=hidden, iterations=2, batch_size=84, optimizer="adam")
    standardized, raw = (
        fit(few_digits, splitting(open_or_skip(of, dtype=dtype), raw_pixels=raw_pixels), settings)
        for of, raw_pixels in (("numpy" if name == "jax" else name, False), (name, True))
    )
    assert (standardized.run.batch, raw.run.batch) == ("standardised pixels", "raw pixels")
    assert disagreement(raw.network, standardized.network) <= (0 if name == "numpy" else tolerance(dtype, 6))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("microbatch_size", "per_call", "threads"), [(1, 1, 1), (32, 1, 3), (42, 2, 1), (9, 4, 2)])
def test_a_mini_batch_in_microbatches_gives_the_same_update(few_digits, name, microbatch_size, per_call, threads):
    settings = Settings(hidden=(6, 4), iterations=2, batch_size=84, order="file")
    backend = open_or_skip(name, dtype="float64")
    choices = {"microbatch_size": microbatch_size}
    if name in ("numpy", "strict"):  # the others take microbatches one by one, on threads of their library's own
        choices |= {"per_call": per_call, "threads": threads}
    network, costs = plain_run(few_digits, settings)
    result = fit(few_digits, splitting(backend, **choices), settings)
    assert disagreement(result.network, network) < tolerance("float64", 6)
    np.testing.assert_allclose(result.costs, costs, rtol=tolerance("float64", 6))


@pytest.mark.parametrize("batch_size", [200, 201, 2**31 - 1])
@pytest.mark.parametrize("order", ["file", "random"])
def test_a_batch_size_from_the_number_of_images_on_is_the_full_batch(few_digits, batch_size, order):
    full = fit(few_digits, settings=Settings(iterations=20))
    result = fit(few_digits, settings=Settings(iterations=20, batch_size=batch_size, order=order))
    assert result.costs == full.costs
    assert disagreement(result.network, full.network) == 0


@pytest.mark.parametrize("name", BACKENDS)
def test_networks_of_a_stack_learn_as_they_do_alone(few_digits, name):
    backend, rates = open_or_skip(name, dtype="float64"), np.array([0.1, 0.5, 2.0])
    starts = [start_of(few_digits.train, 5, seed=seed) for seed in range(3)]
    stack = tree_map(lambda *parameters: np.stack(parameters), *starts)

    def run(start, learning_rate, backend):
        samples = on_device(backend, few_digits.train, 84, start)
        loop = Loop(backend, samples, learning_rate, Stopwatch(), Adam(0.9, 0.99, 1e-3))
        state, costs = loop.run(loop.begin(backend.to_device(start)), 6)
        return backend.to_host(state.network), costs

    networks, costs = run(stack, backend.to_device(0.01 * rates[:, None, None]), backend)
    for i in range(3):
        network, alone = run(starts[i], 0.01 * float(rates[i]), backends.open_backend("numpy", dtype="float64"))
        assert disagreement(tree_map(lambda p, i=i: p[i], networks), network) < tolerance("float64", 6)
        np.testing.assert_allclose(costs[:, i], alone, rtol=tolerance("float64", 6))


def test_a_weight_counts_as_repeated_samples_in_its_mini_batch(few_digits, random):
    """Each mini-batch is a full batch of repeated samples, one after the other."""
    train, weights, backend = (
        few_digits.train,
        random.integers(1, 4, 200),
        backends.open_backend("numpy", dtype="float64"),
    )
    found, settings = fit_pixels(train.pixels), Settings(hidden=(5,), batch_size=80, order="file")
    network = start_of(train, 5)
    loop = make_loop(backend, found, train, network, settings, Stopwatch(), 2.5 * weights)
    (result, _), costs = loop.run(loop.begin(backend.to_device(network)), 3)
    expected = []
    for part in slice(0, 80), slice(80, 160), slice(160, 200):
        repeated = Rows(train.pixels[part].repeat(weights[part], axis=0), train.labels[part].repeat(weights[part]))
        alone = make_loop(backend, found, repeated, network, Settings(hidden=(5,)), Stopwatch())
        (network, _), cost = alone.run(alone.begin(network), 1)
        expected += cost.tolist()
    assert disagreement(result, network) < tolerance("float64", 3)
    np.testing.assert_allclose(costs, expected, rtol=tolerance("float64", 3))


@pytest.mark.parametrize("name", BACKENDS)
def test_the_host_is_asked_once_in_a_pass(few_digits, monkeypatch, name):
    backend, asked = open_or_skip(name), []
    to_numpy = backend.to_numpy
    start = start_of(few_digits.train, 5)
    samples = on_device(backend, few_digits.train, 7, start)
    loop = Loop(backend, samples, 0.1, Stopwatch())
    state = loop.begin(backend.to_device(start))
    monkeypatch.setattr(backend, "to_numpy", lambda array: asked.append(array.shape) or to_numpy(array))
    loop.run(state, 2 * 29)
    assert asked == [(29,)] * 2


@pytest.mark.jax
@pytest.mark.parametrize(("microbatch_size", "scans"), [(84, 1), (42, 2)])
def test_a_pass_is_one_compiled_scan_of_jax_that_asks_the_host_for_nothing(few_digits, microbatch_size, scans):
    """However many mini-batches it has; with microbatches, their sum is a scan within it."""
    backend = splitting(open_or_skip("jax"), microbatch_size=microbatch_size)
    start = start_of(few_digits.train, 5)
    lengths = set()
    for size in 84, 50:  # three and four mini-batches
        samples = on_device(backend, few_digits.train, size, start)
        loop = Loop(backend, samples, 0.1, Stopwatch(), Adam(0.9, 0.99, 1e-3))
        state = loop.begin(backend.to_device(start))
        k = samples.order.per_pass
        program = loop.compile(state, k)
        with backend.library_config():
            text = program.function.lower(state, *samples.arguments(backend, 0, k), 0.1).as_text()
        whiles = len(re.findall(r"stablehlo\.while", text))
        lengths.add(len(text.splitlines()))
        assert not re.search(r"callback|infeed|outfeed|custom_call", text)
    assert len(lengths) == 1
    assert whiles == scans


def test_a_call_does_not_gather_more_samples_than_it_may(monkeypatch):
    order = Order(1000, 100, seed=None)
    minibatches = Minibatches(np.empty((1000, 7)), None, Accumulation(100), None, order)
    assert minibatches.updates_per_call(2, 100) == 8
    monkeypatch.setattr("ssnn.training.minibatch.MAX_GATHERED", 3 * 100 * 7)
    assert minibatches.updates_per_call(2, 100) == 3
    monkeypatch.setattr("ssnn.training.minibatch.MAX_GATHERED", 1)
    assert minibatches.updates_per_call(2, 100) == 1
