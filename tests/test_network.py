import doctest
from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np
import pytest
from support import BACKENDS, import_or_skip, open_or_skip, step

from ssnn import network as network_module
from ssnn.agreement import disagreement, tolerance
from ssnn.network import Layer, cost, cross_entropy, forward, gradients, logistic, residual, update

SHAPES = [(5, 1), (5, 4, 1), (5, 4, 3, 1)]  # zero, one and two hidden layers
M = 20


def random_network(random, sizes, stack=()):
    return tuple(
        Layer(random.standard_normal((*stack, n_out, n_in)), random.standard_normal((*stack, n_out, 1)))
        for n_in, n_out in pairwise(sizes)
    )


@pytest.fixture
def samples(random):
    return random.standard_normal((5, M)), random.integers(0, 2, (1, M)).astype(np.float64)


def article_step(network, X, Y, learning_rate):
    """The article's formulas for one hidden layer, letter by letter."""
    (W1, b1), (W2, b2) = network
    m = X.shape[1]
    Z1 = W1 @ X + b1
    A1 = np.maximum(0, Z1)
    Z2 = W2 @ A1 + b2
    A2 = 1 / (1 + np.exp(-Z2))
    J = -np.sum(Y * np.log(A2) + (1 - Y) * np.log(1 - A2)) / m
    dZ2 = (A2 - Y) / m
    dW2, db2 = dZ2 @ A1.T, dZ2.sum(axis=1, keepdims=True)
    dZ1 = (W2.T @ dZ2) * (Z1 > 0)
    dW1, db1 = dZ1 @ X.T, dZ1.sum(axis=1, keepdims=True)
    return (
        Layer(W1 - learning_rate * dW1, b1 - learning_rate * db1),
        Layer(W2 - learning_rate * dW2, b2 - learning_rate * db2),
    ), J


def test_the_example_in_its_docstring_runs():
    failed, attempted = doctest.testmod(network_module)
    assert attempted > 5
    assert failed == 0


def test_step_is_the_article_s(random, samples):
    network = random_network(random, (5, 4, 1))
    expected, expected_cost = article_step(network, *samples, 0.5)
    actual, actual_cost = step(network, *samples, 1 / M, 0.5)
    assert disagreement(actual, expected) < tolerance("float64", 1)
    assert actual_cost == pytest.approx(expected_cost, rel=tolerance("float64", 1))


@pytest.mark.parametrize("sizes", SHAPES)
def test_gradients_against_central_differences(random, samples, sizes):
    X, Y = samples
    network = random_network(random, sizes)
    h = 1e-6

    def cost_with(k, name, index, change):
        """The cost when one number of layer k is moved."""
        moved = getattr(network[k], name).copy()
        moved[index] += change
        changed = (*network[:k], network[k]._replace(**{name: moved}), *network[k + 1 :])
        return cost(forward(changed, X)[1], Y, 1 / M)

    gradient, _ = gradients(network, X, Y, 1 / M)
    for k, layer in enumerate(gradient):
        for name, derivative in layer._asdict().items():
            for index in np.ndindex(derivative.shape):
                slope = (cost_with(k, name, index, h) - cost_with(k, name, index, -h)) / (2 * h)
                assert derivative[index] == pytest.approx(slope, abs=1e-8)


@pytest.mark.jax
@pytest.mark.parametrize("sizes", SHAPES)
def test_gradients_against_jax_grad(random, samples, sizes):
    jax = import_or_skip("jax")
    X, Y = samples
    network = random_network(random, sizes)

    def independent_cost(network):
        A = X
        for W, b in network[:-1]:
            A = jax.nn.relu(W @ A + b)
        P = jax.nn.sigmoid(network[-1].W @ A + network[-1].b)
        return -jax.numpy.mean(jax.numpy.where(Y == 1, jax.numpy.log(P), jax.numpy.log(1 - P)))

    with jax.enable_x64(True):
        expected_cost, expected = jax.value_and_grad(independent_cost)(network)
        expected = tuple(Layer(*(np.asarray(p) for p in layer)) for layer in expected)
        assert expected[0].W.dtype == np.float64
    gradient, J = gradients(network, X, Y, 1 / M)
    assert disagreement(gradient, expected) < tolerance("float64", 10)
    assert float(J) == pytest.approx(float(expected_cost), rel=tolerance("float64", 10))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("sizes", SHAPES)
def test_step_is_the_same_on_every_backend(random, samples, name, sizes):
    backend = open_or_skip(name, dtype="float64")
    network = random_network(random, sizes)
    expected, expected_cost = step(network, *samples, 1 / M, 0.5)
    on_device = backend.to_device(network)
    actual, actual_cost = backend.program(step)(on_device, *backend.to_device(samples), 1 / M, 0.5)
    assert disagreement(backend.to_host(actual), expected) < tolerance("float64", 1)
    assert float(actual_cost) == pytest.approx(expected_cost, rel=tolerance("float64", 1))


def test_sample_weight_0_leaves_samples_out(random, samples):
    X, Y = samples
    network = random_network(random, (5, 4, 1))
    weight = np.where(np.arange(M) < 13, 1 / 13, 0.0)[None, :]
    expected = step(network, X[:, :13], Y[:, :13], 1 / 13, 0.5)
    actual = step(network, X, Y, weight, 0.5)
    assert disagreement(actual[0], expected[0]) < tolerance("float64", 1)
    assert actual[1] == pytest.approx(expected[1], rel=tolerance("float64", 1))


def test_networks_of_a_stack_may_weight_the_samples_each_in_its_own_way(random, samples):
    stack = random_network(random, (5, 4, 1), stack=(3,))
    sample_weight = random.random((3, 1, M))
    gradient, costs = gradients(stack, *samples, sample_weight)
    for i in range(3):
        expected, expected_cost = gradients(tuple(Layer(W[i], b[i]) for W, b in stack), *samples, sample_weight[i])
        assert disagreement(tuple(Layer(W[i], b[i]) for W, b in gradient), expected) < tolerance("float64", 1)
        assert costs[i] == pytest.approx(expected_cost, rel=tolerance("float64", 1))


@pytest.mark.parametrize("stack", [(), (3,)])
def test_microbatches_add_up_to_the_batch(random, samples, stack):
    """Pieces that come at once, as leading axes, and beside those of a stack of networks."""
    network = random_network(random, (5, 4, 3, 1), stack)
    expected, expected_cost = gradients(network, *samples, 1 / M)
    pieces = [np.stack(np.split(a, 4, axis=-1)).reshape(4, *(1 for _ in stack), -1, M // 4) for a in samples]
    parts, costs = gradients(network, *pieces, 1 / M)
    whole = tuple(Layer(*(p.sum(axis=0) for p in layer)) for layer in parts)
    assert costs.shape == (4, *stack)
    np.testing.assert_allclose(costs.sum(axis=0), expected_cost, rtol=tolerance("float64", 1))
    assert disagreement(whole, expected) < tolerance("float64", 1)


def exact(Z, Y):
    """σ(Z), σ(Z) - Y and the cost of one sample, as their definitions have it."""
    with localcontext(prec=350):  # 1 - σ(700) begins with 304 zeros
        probability = 1 / (1 + (-Decimal(float(Z))).exp())
        return float(probability), float(probability - Y), -float((probability if Y else 1 - probability).ln())


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("dtype", "largest"), [("float32", 80.0), ("float64", 700.0)])
@pytest.mark.parametrize("Y", [0, 1])
def test_probability_residual_and_cost_are_exact_to_rounding(random, name, dtype, largest, Y):
    """Relative to each, however small it is: Adam divides by the size of the gradient."""
    backend = open_or_skip(name, dtype=dtype)
    sizes = np.concatenate([[0], largest * 10 ** -np.linspace(0, 20, 40), random.uniform(0, largest, 40)])
    Z = np.concatenate([-sizes, sizes]).astype(dtype)
    expected = np.array([exact(z, Y) for z in Z])
    on_device, classes = backend.to_device((Z[:, None, None], np.full((len(Z), 1, 1), float(Y))))
    found = (
        backend.program(logistic)(on_device),
        backend.program(lambda Z, Y: residual(cross_entropy(Z, Y), Y))(on_device, classes),
        backend.program(lambda Z, Y: cost(Z, Y, 1.0))(on_device, classes),
    )
    for values, wanted in zip(backend.to_host(found), expected.T, strict=True):
        np.testing.assert_allclose(values.ravel(), wanted, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_logit_overflows(dtype):
    Z = np.array([[-3e8, -1000, 0, 1000, 3e8]], dtype)
    Y = np.array([[1, 0, 1, 1, 0]], dtype)
    assert cost(Z, Y, 1.0) == pytest.approx(3e8 + 0 + np.log(2) + 0 + 3e8, rel=1e-6)
    np.testing.assert_array_equal(logistic(Z), [[0, 0, 0.5, 1, 1]])
    np.testing.assert_array_equal(residual(cross_entropy(Z, Y), Y), [[-1, 0, -0.5, 0, 1]])


@pytest.mark.parametrize(
    ("change", "shapes"),
    [
        ({"X": (6, M)}, ["(4, 5)", "(6, 20)"]),
        ({"X": (5,)}, ["(1, 20)", "(5,)"]),
        ({"X": (3, 5, M)}, ["(1, 20)", "(3, 5, 20)"]),
        ({"X": (3, 5, M), "Y": (3, 1, M), "sample_weight": (3, 1, M)}, ["(3, 4, 5)", "(4, 5)"]),
        ({"Y": (M,)}, ["(20,)", "(1, 20)"]),
        ({"Y": (1, M + 1)}, ["(1, 21)", "(1, 20)"]),
        ({"sample_weight": (M,)}, ["(20,)", "(1, 20)"]),
        ({"sample_weight": (3, 1, M)}, ["(3, 1, 20)", "(1, 20)"]),
        ({"learning_rate": (3, 1, 1)}, ["(3, 1, 1)", "(1, 1)"]),
        ({"W1": (3, 4, 5), "b1": (3, 4, 1)}, ["(1, 4)", "(3, 4, 5)"]),
        ({"W2": (3, 1, 4), "b2": (3, 1, 1)}, ["(3, 1, 4)", "(4, 5)"]),
        ({"W1": (4,)}, ["(4,)", "(5, 20)"]),
        ({"b1": (4,)}, ["(4,)", "(4, 5)", "b must be (4, 1)"]),
        ({"b1": (1, 1)}, ["(1, 1)", "(4, 5)", "b must be (4, 1)"]),
        ({"W2": (1, 3)}, ["(1, 3)", "(4, 20)"]),
        ({"W2": (2, 4), "b2": (2, 1)}, ["(1, 20)", "(2, 20)"]),
    ],
)
def test_shapes_that_do_not_fit_are_refused_by_name(change, shapes):
    shape = {"X": (5, M), "Y": (1, M), "sample_weight": (1, M), "learning_rate": ()}
    shape |= {"W1": (4, 5), "b1": (4, 1), "W2": (1, 4), "b2": (1, 1)} | change
    value = {name: np.ones(s) for name, s in shape.items()}
    network = (Layer(value["W1"], value["b1"]), Layer(value["W2"], value["b2"]))
    with pytest.raises(ValueError, match="not fit") as error:
        step(network, value["X"], value["Y"], value["sample_weight"], value["learning_rate"])
    assert all(s in str(error.value) for s in shapes), error.value


def test_a_network_needs_a_layer():
    with pytest.raises(ValueError, match="at least one layer"):
        forward((), np.ones((5, M)))


@pytest.mark.parametrize(
    ("gradient", "shapes"),
    [
        ((Layer(np.ones((4, 5)), np.ones((1, 5))), Layer(np.ones((1, 4)), np.ones((1, 1)))), "(1, 5)"),
        ((Layer(np.ones((4, 5)), np.ones((4, 1))),), "[[(4, 5), (4, 1)]]"),
        ((Layer(np.ones((4, 6)), np.ones((4, 1))), Layer(np.ones((1, 4)), np.ones((1, 1)))), "(4, 6)"),
    ],
)
def test_a_gradient_that_does_not_fit_is_refused_by_its_shapes(random, gradient, shapes):
    with pytest.raises(ValueError, match=r"a gradient of shapes .* does not fit a network of shapes") as error:
        update(random_network(random, (5, 4, 1)), gradient, 0.5)
    assert shapes in str(error.value)


def test_a_network_without_layers_cannot_be_updated():
    with pytest.raises(ValueError, match="does not fit a network of shapes"):
        update((), (), 1.0)
