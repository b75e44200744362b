import doctest
import math

import numpy as np
import pytest
from support import BACKENDS, import_or_skip, open_or_skip

from ssnn import optimizers
from ssnn.agreement import disagreement, tolerance
from ssnn.initialization import initial_network
from ssnn.network import Layer, gradients
from ssnn.optimizers import Adam, GradientDescent, Momentum
from ssnn.tree import leaves, tree_map

OPTIMIZERS = {  # with learning rates at which the costs below fall to a tenth
    "gd": (GradientDescent(), 0.5),
    "momentum": (Momentum(0.9), 0.05),
    "adam": (Adam(beta_1=0.9, beta_2=0.998, epsilon=1e-10), 0.01),
}
UPDATES = 200
M = 20


@pytest.fixture
def start():
    """Weights twenty times as large as usual, so that every layer learns from the first update."""
    return tree_map(lambda p: 20 * p, initial_network((5, 4, 1), seed=0))


@pytest.fixture
def gradient_of(random):
    X = random.standard_normal((5, M))
    Y = (X[:1] > 0).astype(np.float64)
    return lambda network: gradients(network, X, Y, 1 / M)[0]


def random_like(random, network):
    return tree_map(lambda p: random.standard_normal(p.shape), network)


def train(optimizer, network, gradient_of, learning_rate, updates=UPDATES):
    state = optimizer.init(network)
    for _ in range(updates):
        network, state = optimizer.update(network, gradient_of(network), state, learning_rate)
    return network


def follow(optimizer, network, path, learning_rate):
    """Train along gradients that are given."""
    gradients = iter(path)
    return train(optimizer, network, lambda _: next(gradients), learning_rate, len(path))


def train_optax(name, network, gradient_of, learning_rate):
    optax, jax = import_or_skip("optax"), import_or_skip("jax")
    peer = {
        "gd": lambda: optax.sgd(learning_rate),
        "momentum": lambda: optax.sgd(learning_rate, momentum=0.9),
        "adam": lambda: optax.adam(learning_rate, b1=0.9, b2=0.998, eps=1e-10),
    }[name]()
    with jax.enable_x64(True):
        state = peer.init(network)
        for _ in range(UPDATES):
            updates, state = peer.update(gradient_of(network), state, network)
            network = tree_map(np.asarray, optax.apply_updates(network, updates))
    return network


def train_torch(name, network, gradient_of, learning_rate):
    torch = import_or_skip("torch")
    parameters = [torch.tensor(p) for p in leaves(network)]
    peer = {
        "gd": lambda: torch.optim.SGD(parameters, learning_rate),
        "momentum": lambda: torch.optim.SGD(parameters, learning_rate, momentum=0.9),
        "adam": lambda: torch.optim.Adam(parameters, learning_rate, betas=(0.9, 0.998), eps=1e-10),
    }[name]()
    for _ in range(UPDATES):
        W1, b1, W2, b2 = (p.numpy() for p in parameters)
        network = Layer(W1, b1), Layer(W2, b2)
        for p, g in zip(parameters, leaves(gradient_of(network)), strict=True):
            p.grad = torch.tensor(g)
        peer.step()
    return network  # which shares its memory with the parameters


def test_the_example_in_its_docstring_runs():
    failed, attempted = doctest.testmod(optimizers)
    assert attempted > 5
    assert failed == 0


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    "train_peer",
    [pytest.param(train_optax, marks=pytest.mark.jax), pytest.param(train_torch, marks=pytest.mark.torch)],
)
def test_updates_are_those_of_other_libraries(start, gradient_of, name, train_peer):
    optimizer, learning_rate = OPTIMIZERS[name]
    found = train(optimizer, start, gradient_of, learning_rate)
    expected = train_peer(name, start, gradient_of, learning_rate)
    assert all(p.dtype == np.float64 for p in leaves(expected))
    assert disagreement(found, expected) < 1e-12
    assert disagreement(found, start) > 0.1


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("backend_name", BACKENDS, indirect=True)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_updates_are_the_same_on_every_backend(start, gradient_of, name, backend_name, dtype):
    """Of a path of gradients that is given, so that no rounding of theirs adds up."""
    backend = open_or_skip(backend_name, dtype=dtype)
    optimizer, learning_rate = OPTIMIZERS[name]
    network, state = start, optimizer.init(start)
    on_device = backend.to_device(start)
    state_on_device = backend.program(optimizer.init)(on_device)
    update = backend.program(optimizer.update)
    for _ in range(20):
        gradient = gradient_of(network)
        network, state = optimizer.update(network, gradient, state, learning_rate)
        arguments = backend.to_device(gradient), state_on_device, learning_rate
        on_device, state_on_device = update(on_device, *arguments)
    assert disagreement(backend.to_host(on_device), network) < tolerance(dtype, 20)
    assert {str(leaf.dtype) for leaf in leaves(backend.to_host(state_on_device))} <= {dtype}


@pytest.mark.parametrize("optimizer", [optimizer for optimizer, _ in OPTIMIZERS.values()], ids=OPTIMIZERS)
def test_a_stack_with_a_rate_for_each_is_its_networks_alone(random, optimizer):
    rates = np.array([0.001, 0.1, 3.0])
    starts = [initial_network((5, 4, 1), seed) for seed in range(3)]
    path = [[random_like(random, start) for start in starts] for _ in range(10)]
    stack = tree_map(lambda *p: np.stack(p), *starts)
    state = optimizer.init(stack)
    for step in path:
        gradient = tree_map(lambda *p: np.stack(p), *step)
        stack, state = optimizer.update(stack, gradient, state, rates[:, None, None])
    for i, alone in enumerate(starts):
        expected = follow(optimizer, alone, [step[i] for step in path], rates[i])
        assert disagreement(tree_map(lambda p, i=i: p[i], stack), expected) == 0


def test_without_memory_momentum_is_gradient_descent_and_adam_goes_by_the_sign(random, start):
    path = [random_like(random, start) for _ in range(3)]
    plain = follow(GradientDescent(), start, path, 0.1)
    assert disagreement(follow(Momentum(0.0), start, path, 0.1), plain) == 0
    signs = (tree_map(np.sign, gradient) for gradient in path)
    expected = tree_map(lambda p, *signs: p - 0.1 * sum(signs), start, *signs)
    assert disagreement(follow(Adam(0.0, 0.0, 0.0), start, path, 0.1), expected) < tolerance("float64", 1)


@pytest.mark.parametrize(("beta_1", "beta_2"), [(0.9, 0.999), (0.999, 0.999999), (0.0, 0.9999999), (0.5, 0.0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_step_along_a_constant_gradient_has_the_size_of_the_rate(dtype, beta_1, beta_2):
    """Both averages are corrected for the zero that they began with: 1 - βᵗ, which cancels as it stands."""
    learning_rate, network = 2.0**-7, (Layer(np.zeros((2, 2), dtype), np.zeros((2, 1), dtype)),)
    gradient = (Layer(np.array([[1e-3, -5], [0.3, 1e4]], dtype), np.array([[-1], [2e-6]], dtype)),)
    adam = Adam(beta_1, beta_2, epsilon=0.0)
    state = adam.init(network)
    for t in range(1, 51):
        moved, state = adam.update(network, gradient, state, learning_rate)
        for p, g in zip(leaves(moved), leaves(gradient), strict=True):
            np.testing.assert_allclose(-p, learning_rate * np.sign(g), rtol=(4 + t) * np.finfo(dtype).eps)
    assert state.updates == 50


def test_epsilon_stands_beside_the_root():
    """So a gradient as large as epsilon moves a parameter by half of the rate."""
    network = (Layer(np.zeros((1, 1)), np.zeros((1, 1))),)
    gradient = (Layer(np.full((1, 1), 1e-8), np.full((1, 1), -3e-8)),)
    adam = Adam(0.9, 0.999, epsilon=1e-8)
    (layer,), _ = adam.update(network, gradient, adam.init(network), 1.0)
    assert (layer.W.item(), layer.b.item()) == (pytest.approx(-1 / 2, rel=1e-12), pytest.approx(3 / 4, rel=1e-12))


def test_momentum_adds_up_all_gradients_with_falling_weights():
    network = (Layer(np.zeros((1, 1)), np.zeros((1, 1))),)
    one = tree_map(np.ones_like, network)
    (layer,) = follow(Momentum(0.5), network, [one] * 30, 1.0)
    expected = -math.fsum(2 - 2.0 ** (1 - t) for t in range(1, 31))  # the velocity at t is 1 + 1/2 + … + 1/2ᵗ⁻¹
    assert layer.W.item() == layer.b.item() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("optimizer", [optimizer for optimizer, _ in OPTIMIZERS.values()], ids=OPTIMIZERS)
def test_what_an_update_is_given_stays_as_it_is(random, start, optimizer):
    state = optimizer.init(start)
    _, state = optimizer.update(start, random_like(random, start), state, 0.1)
    given = start, random_like(random, start), state
    before = [leaf.copy() for leaf in leaves(given)]
    optimizer.update(*given, 0.1)
    assert all(np.array_equal(leaf, old) for leaf, old in zip(leaves(given), before, strict=True))


@pytest.mark.parametrize("optimizer", [optimizer for optimizer, _ in OPTIMIZERS.values()], ids=OPTIMIZERS)
@pytest.mark.parametrize(
    ("sizes", "rate_shape", "message"),
    [
        ((5, 1, 1), (), "a gradient of shapes .* does not fit a network of shapes"),  # which would broadcast
        ((5, 4, 3, 1), (), "a gradient of shapes .* does not fit a network of shapes"),
        ((5, 1), (), "a gradient of shapes .* does not fit a network of shapes"),
        ((5, 4, 1), (3, 1, 1), r"learning_rate \(3, 1, 1\) does not fit: a number or an array \(1, 1\)"),
        ((5, 4, 1), (1,), r"learning_rate \(1,\) does not fit"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_by_name(start, optimizer, sizes, rate_shape, message):
    learning_rate = np.ones(rate_shape) if rate_shape else 1.0
    with pytest.raises(ValueError, match=message):
        optimizer.update(start, initial_network(sizes, 0), optimizer.init(start), learning_rate)
