"""Checks for a backend: what ours are held to, for the author of another one to run.

    >>> from ssnn.testing import check_backend
    >>> check_backend(MyBackend)

In a test suite, `pytest.mark.parametrize("check", ssnn.testing.CHECKS)` shows each check by its name.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.agreement import disagreement, tolerance
from ssnn.backends import DTYPES, Backend, Description, Options
from ssnn.errors import TrainingError
from ssnn.initialization import initial_network
from ssnn.network import Layer, Network, gradients, update
from ssnn.optimizers import Adam
from ssnn.standardize import Standardization, fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import Rows, batch_to_device
from ssnn.training.loop import Loop
from ssnn.training.minibatch import Order, minibatches_to_device
from ssnn.tree import leaves, tree_map
from ssnn.typing import Array, Tree

PIXELS = 20
# Numbers of samples below and above the microbatch sizes of our own backends, with zero, one and two hidden layers.
SIZES: tuple[tuple[int, tuple[int, ...]], ...] = ((1, ()), (97, (10,)), (2501, (4, 3)), (3000, (70,)), (3301, ()))
ITERATIONS = 20
LEARNING_RATE = 0.3  # which float32 cannot hold as float64 does
ADAM, ADAM_RATE = Adam(beta_1=0.9, beta_2=0.99, epsilon=1e-3), 0.01


def check_backend(backend: type[Backend], device: str | None = None, dtypes: Sequence[str] = DTYPES) -> None:
    """Check that a backend keeps the contract and computes what NumPy computes in float64.

    Parameters
    ----------
    backend : subclass of Backend
    device : str, optional
        Where to run, as `ssnn.open_backend` takes it.
    dtypes : sequence of {"float32", "float64"}

    Raises
    ------
    AssertionError
        If a check fails; it names the check, the dtype and what is wrong.
    BackendError
        If the backend is not usable here.
    """
    for dtype in dtypes:
        opened = backend(Options(device=device, dtype=dtype))
        for check in CHECKS:
            try:
                check(opened)
            except Exception as error:  # a wrong backend may fail in any way
                reason = error if isinstance(error, AssertionError) else repr(error)
                raise AssertionError(f"{check.__name__}, {dtype}: {reason}") from error


def check_description(backend: Backend) -> None:
    """Name, library, version, device, dtype, precision and threads are known, as plain values."""
    found = backend.describe()
    _require(isinstance(found, Description), f"describe() returned {found!r}")
    _require(found.name == backend.name, f"it is called {backend.name!r} and describes itself as {found.name!r}")
    _require(found.dtype == backend.dtype, f"opened in {backend.dtype}, it describes itself as {found.dtype}")
    texts = (found.library, found.version, found.device, found.precision)
    _require(all(isinstance(text, str) and text for text in texts), f"a text is missing in {found}")
    _require(found.threads is None or found.threads >= 1, f"{found.threads} threads")


def check_arrays(backend: Backend) -> None:
    """Arrays come back from the device as they went in; trees keep their structure; floats take the dtype."""
    random = np.random.default_rng(0)
    for dtype in ("uint8", "int64", backend.dtype):
        array = random.integers(0, 256, (3, 5)).astype(dtype)
        array.flags.writeable = False
        back = backend.to_numpy(backend.asarray(array))
        _require(isinstance(back, np.ndarray), f"to_numpy returned {type(back).__name__}")
        # An int64 may become an int32, which is all that JAX has.
        kept = back.dtype == dtype or (dtype == "int64" and back.dtype == "int32")
        _require(kept, f"{dtype} came back as {back.dtype}")
        _require(np.array_equal(back, array), f"{dtype} numbers did not come back as they went in")
        for form, other in _forms(array):
            for bring in (backend.asarray, backend.to_device):
                back = backend.to_numpy(bring(other))
                _require(back.shape == other.shape, f"{form} array of {other.shape} came back as {back.shape}")
                _require(np.array_equal(back, other), f"{form} array did not come back as it went in")
    network = _network((PIXELS, 3, 1))
    on_device = backend.to_device(network)
    backend.synchronize(on_device)
    back = backend.to_host(on_device)
    _require(all(isinstance(layer, Layer) for layer in back), "named tuples came back as other tuples")
    for went, came in zip(leaves(network), leaves(back), strict=True):
        _require(came.dtype == backend.dtype, f"to_device made {came.dtype} of float64, not {backend.dtype}")
        _require(np.array_equal(came, went.astype(backend.dtype)), "a network did not come back as it went in")


def check_program(backend: Backend) -> None:
    """A program computes its function, with and without being compiled first."""

    def function(one: Array, other: Array) -> tuple[Array, Array]:
        return one @ other, one + other

    A = np.arange(9.0).reshape(3, 3)
    on_device = backend.to_device((A, A + 1))
    for compiled in (False, True):
        program = backend.program(function)
        if compiled:
            program.compile(*on_device)
        product, total = backend.to_host(program(*on_device))
        _require(np.array_equal(product, A @ (A + 1)), f"a product of small whole numbers came out as {product}")
        _require(np.array_equal(total, 2 * A + 1), f"a sum of small whole numbers came out as {total}")


def check_iterations(backend: Backend) -> None:
    """A loop of k iterations does k of them, each over every microbatch once.

    The functions count instead of training, so that one iteration or one microbatch too many shows.
    """

    def count(network: Tree, X: Array, Y: Array, sample_weight: Array) -> tuple[Tree, Array]:
        xp = array_namespace(X)
        weighted = xp.sum(X * sample_weight, axis=(-2, -1), keepdims=True)
        return ((weighted,),), xp.sum(X, axis=(-2, -1)) + xp.sum(sample_weight, axis=(-2, -1)) * network[0][0][0, 0]

    def add(network: Tree, gradient: Tree, learning_rate: float | Array) -> Tree:
        return ((network[0][0] + gradient[0][0] * learning_rate,),)

    accumulation = replace(backend.accumulation(24, 2, 2), microbatch_size=8)
    number = np.arange(float(accumulation.count(24)))[:, None, None]
    X = number * (number < 3) * np.ones((2, 8))  # three microbatches of 2 features, 8 samples; the others are padding
    sample_weight = (number < 3) * np.full((1, 8), 1 / 8)
    network = backend.to_device(((np.ones((1, 1)),),))
    batch = backend.shard(len(X), lambda start, stop: tuple(a[start:stop] for a in (X, X[:, :1], sample_weight)))
    loop = backend.loop(count, add, 4, accumulation)
    for _ in range(2):  # the second call finds its arguments as the first one did
        ((end,),), costs = backend.to_host(loop(network, *batch, 10.0))
        _require(end.tolist() == [[1 + 4 * 10 * 6]], f"4 iterations over 3 microbatches counted {end.tolist()}")
        _require(costs.tolist() == [51, 231, 411, 591], f"the costs of 4 iterations are {costs.tolist()}")


def check_accumulation(backend: Backend) -> None:
    """Three iterations over microbatches, padding included, are three over the whole batch, within the tolerance."""
    standardization = Standardization(np.arange(2, PIXELS), np.full(18, 100.0), np.full(18, 70.0), n_constant=0)
    for samples, hidden in SIZES:
        data, start = _samples(samples), _network((18, *hidden, 1))
        trained, costs = _train(backend, standardization, data, start, 3)
        expected, expected_costs = _reference(standardization, data, start, 3)
        _require_agreement(backend, 3, trained, costs, expected, expected_costs, f"{samples} samples, {hidden}")


def check_stack(backend: Backend) -> None:
    """Networks in a stack, each with a learning rate of its own, train like networks on their own."""
    data, rates = _samples(3000), np.array([0.1, 0.5, 2.0])
    standardization = fit_pixels(data.pixels)
    n0 = len(standardization.features)
    starts = [_network((n0, 70, 1), seed) for seed in range(len(rates))]
    stack = tree_map(lambda *parameters: np.stack(parameters), *starts)
    learning_rate = backend.to_device(rates[:, None, None])
    trained, costs = _train(backend, standardization, data, stack, ITERATIONS, learning_rate)
    _require(costs.shape == (ITERATIONS, len(rates)), f"the costs of a stack have the shape {costs.shape}")
    for i, (start, rate) in enumerate(zip(starts, rates.tolist(), strict=True)):
        expected, expected_costs = _reference(standardization, data, start, ITERATIONS, rate)
        alone = tree_map(lambda parameters, i=i: parameters[i], trained)
        _require_agreement(backend, ITERATIONS, alone, costs[:, i], expected, expected_costs, f"network {i} of a stack")


def check_minibatches(backend: Backend) -> None:
    """Two passes over mini-batches with Adam, each in an order of its own, are those of a plain loop."""
    for samples, size, hidden in ((300, 84, (10,)), (5000, 1700, (300,)), (300, 299, ())):
        data, order = _samples(samples), Order(samples, size, seed=0)
        standardization = fit_pixels(data.pixels)
        start = _network((len(standardization.features), *hidden, 1))
        trained, costs = _train_minibatches(backend, standardization, data, start, order, ADAM_RATE)
        expected, expected_costs = _minibatches_reference(standardization, data, start, order, ADAM_RATE)
        what = f"mini-batches of {size}, {hidden}"
        _require_agreement(backend, len(expected_costs), trained, costs, expected, expected_costs, what)


def check_minibatch_stack(backend: Backend) -> None:
    """Networks in a stack, each with a learning rate of its own, learn from mini-batches like networks on their own."""
    data, order, rates = _samples(300), Order(300, 84, seed=0), np.array([0.01, 0.03, 0.001])
    standardization = fit_pixels(data.pixels)
    starts = [_network((len(standardization.features), 10, 1), seed) for seed in range(len(rates))]
    stack = tree_map(lambda *parameters: np.stack(parameters), *starts)
    learning_rate = backend.to_device(rates[:, None, None])
    trained, costs = _train_minibatches(backend, standardization, data, stack, order, learning_rate)
    for i, (start, rate) in enumerate(zip(starts, rates.tolist(), strict=True)):
        expected, expected_costs = _minibatches_reference(standardization, data, start, order, rate)
        alone, what = tree_map(lambda parameters, i=i: parameters[i], trained), f"mini-batches, network {i} of a stack"
        _require_agreement(backend, len(expected_costs), alone, costs[:, i], expected, expected_costs, what)


def check_divergence(backend: Backend) -> None:
    """A run that diverges ends with a TrainingError that names the iteration, and with no other error or warning."""
    data = _samples(97)
    standardization = fit_pixels(data.pixels)
    start = _network((len(standardization.features), 10, 1))
    batch = batch_to_device(backend, standardization, data, start, Stopwatch())
    loop = Loop(backend, batch, 1e30, Stopwatch())
    try:
        with warnings.catch_warnings(action="error"):
            for _ in loop.iterate(loop.begin(backend.to_device(start)), range(0, 101, 5)):
                pass
    except TrainingError as error:
        _require("iteration" in str(error), f"the error does not name the iteration: {error}")
    else:
        _fail("100 iterations with a learning rate of 1e30 passed as finite")


CHECKS: tuple[Callable[[Backend], None], ...] = (
    check_description,
    check_arrays,
    check_program,
    check_iterations,
    check_accumulation,
    check_stack,
    check_minibatches,
    check_minibatch_stack,
    check_divergence,
)


def _samples(samples: int) -> Rows:
    """Random pixels, the brightness of whose upper half tells the class."""
    random = np.random.default_rng(samples)
    pixels = random.integers(0, 256, (samples, PIXELS), np.uint8)
    return Rows(pixels, (pixels[:, : PIXELS // 2].mean(axis=1) > 127).astype(np.uint8))


def _forms(array: npt.NDArray[Any]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The forms in which an array (m, n) may reach a backend."""
    yield "a reversed", array[::-1, ::-1]
    yield "a strided", array[:, ::2]
    yield "a transposed", array.T
    yield "an empty", array[:0]
    yield "a zero-dimensional", array[0, 0, ...]
    yield "a repeated", np.broadcast_to(array[:1], array.shape)
    yield "a big-endian", array.astype(array.dtype.newbyteorder(">"))


def _network(sizes: tuple[int, ...], seed: int = 0) -> Network:
    """A start with larger weights than `initial_network` draws, so that every layer learns from the first iteration."""
    network: Network = tree_map(lambda parameters: 20 * parameters, initial_network(sizes, seed))
    return network


def _train(
    backend: Backend,
    standardization: Standardization,
    data: Rows,
    start: Network,
    iterations: int,
    learning_rate: float | Array = LEARNING_RATE,
) -> tuple[Network, npt.NDArray[Any]]:
    batch = batch_to_device(backend, standardization, data, start, Stopwatch())
    return _run(Loop(backend, batch, learning_rate, Stopwatch()), backend.to_device(start), iterations)


def _run(loop: Loop, start: Network, updates: int) -> tuple[Network, npt.NDArray[Any]]:
    state, costs = loop.run(loop.begin(start), updates)
    return loop.to_host_finite(state, updates).network, costs


def _reference(
    standardization: Standardization,
    data: Rows,
    network: Network,
    iterations: int,
    learning_rate: float = LEARNING_RATE,
) -> tuple[Network, list[float]]:
    """The whole batch at once, in NumPy float64."""
    features, mean, std = standardization.arrays
    X, Y = ((data.pixels[:, features] - mean) / std).T, data.labels[None].astype(np.float64)
    costs = []
    for _ in range(iterations):
        gradient, J = gradients(network, X, Y, 1 / len(data))
        network = update(network, gradient, learning_rate)
        costs.append(float(J))
    return network, costs


def _train_minibatches(
    backend: Backend,
    standardization: Standardization,
    data: Rows,
    start: Network,
    order: Order,
    learning_rate: float | Array,
) -> tuple[Network, npt.NDArray[Any]]:
    """Two passes with Adam."""
    minibatches = minibatches_to_device(backend, standardization, data, start, order, Stopwatch())
    loop = Loop(backend, minibatches, learning_rate, Stopwatch(), ADAM)
    return _run(loop, backend.to_device(start), 2 * order.per_pass)


def _minibatches_reference(
    standardization: Standardization, data: Rows, network: Network, order: Order, learning_rate: float
) -> tuple[Network, list[float]]:
    """The same in a plain loop, in NumPy float64."""
    features, mean, std = standardization.arrays
    X, Y = ((data.pixels[:, features] - mean) / std).T, data.labels[None].astype(np.float64)
    state, costs = ADAM.init(network), []
    for done in range(2 * order.per_pass):
        (places,), (weights,) = order.minibatches(done, 1)
        chosen = places[weights > 0]
        gradient, J = gradients(network, X[:, chosen], Y[:, chosen], 1 / len(chosen))
        network, state = ADAM.update(network, gradient, state, learning_rate)
        costs.append(float(J))
    return network, costs


def _require_agreement(
    backend: Backend,
    iterations: int,
    network: Network,
    costs: npt.NDArray[Any],
    expected: Network,
    expected_costs: Sequence[float],
    what: str,
) -> None:
    bound = tolerance(backend.dtype, iterations)
    found = disagreement(network, expected)
    _require(found <= bound, f"{what}: the network is {found:.1e} from NumPy float64, where {bound:.1e} is allowed")
    close = np.allclose(costs, expected_costs, rtol=bound, atol=bound)
    _require(close, f"{what}: the costs {costs.tolist()} are not {expected_costs}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        _fail(message)


def _fail(message: str) -> NoReturn:
    raise AssertionError(message)  # no assert statement: `python -O` would leave it out
