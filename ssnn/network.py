"""The article's network: forward pass, cost, gradients and the update of gradient descent.

Every function is pure and uses the Python Array API standard alone, so that the same lines run on NumPy,
CuPy, JAX, PyTorch and whatever else speaks the standard. The notation is the article's:

    X  (n0, m)            m samples of n0 features, one sample per column
    Y  (1, m)             the class of each sample, 0 or 1, in the dtype of X
    W  (..., n_out, n_in) weights of a layer         Z = W @ A + b   what a layer computes
    b  (..., n_out, 1)    biases of a layer          A = relu(Z)     what it hands to the next one
    weight                what a sample counts for, a number or an array (1, m): 1/m for a mean, 0 to leave it out

The last layer is one logistic neuron whose Z is the logit: positive where the network says 1. A network is
a tuple of layers; with a single layer it is logistic regression. Leading axes ("...", the same in every layer)
hold a stack of networks of one shape, trained side by side on the same samples.

An iteration is `gradients`, then `update`. Cost and gradients are sums over the samples, so the samples may be
cut into pieces: what the pieces give adds up to what the whole gives. Pieces of one length may come at once, as
leading axes of X, Y and weight, which cost and gradients then have too; they broadcast against those of a stack.

Shapes that do not fit raise a ValueError that names both.
"""

from typing import Any, NamedTuple

from array_api_compat import array_namespace

Array = Any  # an array of whichever library the caller uses; the standard defines no common type


class Layer(NamedTuple):
    """Parameters of one layer: weights W (..., n_out, n_in) and biases b (..., n_out, 1)."""

    W: Array
    b: Array


Network = tuple[Layer, ...]


def relu(Z: Array) -> Array:
    """Rectified linear unit, max(Z, 0)."""
    xp = array_namespace(Z)
    return xp.maximum(Z, 0)


def relu_derivative(A: Array) -> Array:
    """relu'(Z) from A = relu(Z): 1 where Z > 0, which is where A > 0, else 0."""
    xp = array_namespace(A)
    return xp.astype(A > 0, A.dtype)


def logistic(Z: Array) -> Array:
    """Logistic function σ(Z), the probability of class 1 for a logit Z."""
    xp = array_namespace(Z)
    return (1 + xp.tanh(Z / 2)) / 2  # equal to 1 / (1 + exp(-Z)), and cannot overflow


def forward(network: Network, X: Array) -> tuple[list[Array], Array]:
    """Forward pass.

    Returns
    -------
    A : list of arrays
        What enters each layer: A[0] is X, A[k] the activations (..., n_k, m) of hidden layer k.
    Z : array (..., 1, m)
        The logit of each sample.
    """
    if not network:
        raise ValueError("a network needs at least one layer, got ()")
    if X.ndim < 2:
        raise ValueError(f"inputs X {tuple(X.shape)} do not fit weights W {tuple(network[0].W.shape)}: X is (n0, m)")
    A = [X]
    for layer in network[:-1]:
        A.append(relu(_affine(layer, A[-1], network[0])))
    return A, _affine(network[-1], A[-1], network[0])


def cost(Z: Array, Y: Array, weight: float | Array) -> Array:
    """Cross-entropy J (...) of the logits, in nats: -Σ weight [Y log σ(Z) + (1 - Y) log(1 - σ(Z))]."""
    if Y.ndim > Z.ndim or Y.shape[-2:] != Z.shape[-2:]:
        raise ValueError(f"classes Y {tuple(Y.shape)} do not fit logits Z {tuple(Z.shape)}: both end in (1, m)")
    _check_shape("weight", weight, Y.shape)
    xp = array_namespace(Z)
    # The same with -log σ(Z) = log(1 + exp(-Z)) put in: nothing in it can overflow or take log(0).
    return xp.sum(weight * (xp.logaddexp(0, Z) - Y * Z), axis=(-2, -1))


def gradients(network: Network, X: Array, Y: Array, weight: float | Array) -> tuple[Network, Array]:
    """Back-propagation: the derivative of the cost with respect to every parameter.

    Returns
    -------
    gradient : tuple of Layer
        dW and db in the place of W and b.
    J : array (...)
        The cost itself.
    """
    _check_classes(Y, X)
    A, Z = forward(network, X)
    J = cost(Z, Y, weight)
    xp = array_namespace(Z)
    dZ = weight * (logistic(Z) - Y)
    gradient = []
    for k in reversed(range(len(network))):
        gradient.append(Layer(dZ @ A[k].mT, xp.sum(dZ, axis=-1, keepdims=True)))
        if k > 0:
            dZ = (network[k].W.mT @ dZ) * relu_derivative(A[k])
    return tuple(reversed(gradient)), J


def update(network: Network, gradient: Network, learning_rate: float | Array) -> Network:
    """Gradient descent, p ← p - learning_rate · dp for every parameter p.

    `learning_rate` is a number or an array (..., 1, 1), one for each network of a stack.
    """
    for layer, derivative in zip(network, gradient, strict=True):
        if layer.W.shape != derivative.W.shape:
            raise ValueError(f"gradient dW {tuple(derivative.W.shape)} does not fit weights W {tuple(layer.W.shape)}")
    _check_shape("learning_rate", learning_rate, (*network[0].W.shape[:-2], 1, 1))
    return tuple(
        Layer(W - learning_rate * dW, b - learning_rate * db)
        for (W, b), (dW, db) in zip(network, gradient, strict=True)
    )


def _affine(layer: Layer, A: Array, first: Layer) -> Array:
    W, b = layer
    if W.ndim < 2 or W.shape[-1] != A.shape[-2]:
        raise ValueError(f"weights W {tuple(W.shape)} do not fit inputs A {tuple(A.shape)}: W @ A needs n_in rows")
    if tuple(b.shape) != (*W.shape[:-1], 1):
        raise ValueError(f"biases b {tuple(b.shape)} do not fit weights W {tuple(W.shape)}: b is (..., n_out, 1)")
    if W.shape[:-2] != first.W.shape[:-2]:
        raise ValueError(f"weights W {tuple(W.shape)} do not fit those of the first layer {tuple(first.W.shape)}")
    return W @ A + b


def _check_classes(Y: Array, X: Array) -> None:
    wanted = (*X.shape[:-2], 1, *X.shape[-1:])
    if tuple(Y.shape) != wanted:
        raise ValueError(f"classes Y {tuple(Y.shape)} do not fit inputs X {tuple(X.shape)}: Y is {wanted}")


def _check_shape(name: str, value: float | Array, wanted: tuple[int, ...]) -> None:
    shape = tuple(getattr(value, "shape", ()))
    if shape not in ((), tuple(wanted)):
        raise ValueError(f"{name} {shape} does not fit: a number, or an array {tuple(wanted)}")
