"""The article's network: forward pass, cost, gradients and one step of gradient descent.

Every function is pure and uses the Python Array API standard alone, so that the same lines run on NumPy,
CuPy, JAX, PyTorch and whatever else speaks the standard. The notation is the article's:

    X  (n0, m)            m samples of n0 features, one sample per column
    Y  (1, m)             the class of each sample, 0 or 1
    W  (..., n_out, n_in) weights of a layer         Z = W @ A + b   what a layer computes
    b  (..., n_out, 1)    biases of a layer          A = relu(Z)     what it hands to the next one

The last layer is one logistic neuron whose Z is the logit: positive where the network says 1. A network is
a tuple of layers; with a single layer it is logistic regression. Leading axes ("...") hold a stack of
networks of one shape, trained side by side on the same samples.
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


def logistic(Z: Array) -> Array:
    """Logistic function σ(Z), the probability of class 1 for a logit Z."""
    xp = array_namespace(Z)
    return (1 + xp.tanh(Z / 2)) / 2  # equal to 1 / (1 + exp(-Z)), and cannot overflow


def forward(network: Network, X: Array) -> tuple[list[Array], Array]:
    """Forward pass.

    Parameters
    ----------
    network : tuple of Layer
    X : array (n0, m)

    Returns
    -------
    A : list of arrays
        What enters each layer: A[0] is X, A[k] the activations (..., n_k, m) of hidden layer k.
    Z : array (..., 1, m)
        The logit of each sample.

    Raises
    ------
    ValueError
        If there is no layer, or shapes do not fit; the message names both.
    """
    if not network:
        raise ValueError("a network needs at least one layer, got ()")
    *hidden, output = network
    A = [X]
    for layer in hidden:
        A.append(relu(_affine(layer, A[-1])))
    return A, _affine(output, A[-1])


def cost(Z: Array, Y: Array, weight: Array) -> Array:
    """Cross-entropy of the logits, J = -Σ weight [Y log σ(Z) + (1 - Y) log(1 - σ(Z))].

    Parameters
    ----------
    Z : array (..., 1, m)
        Logits.
    Y : array (1, m)
        Classes, 0 or 1, in the dtype of Z.
    weight : float or array (1, m)
        What a sample counts for: 1/m makes J the mean; 0 leaves a sample out.

    Returns
    -------
    J : array (...)
        One cost per network, in nats.

    Raises
    ------
    ValueError
        If shapes do not fit; the message names both.
    """
    if Z.ndim < 2 or tuple(Y.shape) != tuple(Z.shape[-2:]):
        raise ValueError(f"classes Y {tuple(Y.shape)} do not fit logits Z {tuple(Z.shape)}: both need (1, m)")
    if _shape(weight) not in ((), tuple(Y.shape)):
        raise ValueError(f"weight {_shape(weight)} does not fit Y {tuple(Y.shape)}: a number, or one per sample")
    xp = array_namespace(Z)
    # The formula above with log σ(Z) = -log(1 + e^-Z) put in: nothing in it can overflow or take log(0).
    return xp.sum(weight * (xp.logaddexp(0, Z) - Y * Z), axis=(-2, -1))


def gradients(network: Network, X: Array, Y: Array, weight: Array) -> tuple[Network, Array]:
    """Back-propagation: the derivative of the cost by every parameter.

    Parameters
    ----------
    network, X, Y, weight
        As in `forward` and `cost`.

    Returns
    -------
    gradient : tuple of Layer
        dW and db in the place of W and b.
    J : array (...)
        The cost itself.
    """
    A, Z = forward(network, X)
    J = cost(Z, Y, weight)
    xp = array_namespace(Z)
    dZ = weight * (logistic(Z) - Y)
    gradient = [_layer_gradient(dZ, A[-1])]
    for k in range(len(network) - 1, 0, -1):
        dZ = xp.where(A[k] > 0, network[k].W.mT @ dZ, 0)
        gradient.append(_layer_gradient(dZ, A[k - 1]))
    return tuple(reversed(gradient)), J


def misclassified(network: Network, X: Array, Y: Array) -> Array:
    """Which samples the network gets wrong, bool (..., 1, m): it says 1 where the logit is positive, σ(Z) > ½."""
    _, Z = forward(network, X)
    return (Z > 0) != (Y > 0)


def is_finite(network: Network) -> bool:
    """Whether every parameter is a finite number."""
    xp = array_namespace(*network[0])
    return all(bool(xp.all(xp.isfinite(parameters))) for layer in network for parameters in layer)


def step(network: Network, X: Array, Y: Array, weight: Array, learning_rate: Array) -> tuple[Network, Array]:
    """One iteration of gradient descent, p ← p - learning_rate · dp for every parameter p.

    Parameters
    ----------
    network, X, Y, weight
        As in `forward` and `cost`.
    learning_rate : float or array (..., 1, 1)
        With leading axes, one for each network of a stack.

    Returns
    -------
    network : tuple of Layer
        The parameters after the step.
    J : array (...)
        The cost before the step.

    Raises
    ------
    ValueError
        If shapes do not fit; the message names both.
    """
    gradient, J = gradients(network, X, Y, weight)
    if _shape(learning_rate) not in ((), (*J.shape, 1, 1)):
        raise ValueError(
            f"learning_rate {_shape(learning_rate)} does not fit a stack {tuple(J.shape)} of networks: "
            f"a number, or an array {(*J.shape, 1, 1)}"
        )
    updated = (
        Layer(W - learning_rate * dW, b - learning_rate * db)
        for (W, b), (dW, db) in zip(network, gradient, strict=True)
    )
    return tuple(updated), J


def _affine(layer: Layer, A: Array) -> Array:
    W, b = layer
    if W.ndim < 2 or A.ndim < 2 or W.shape[-1] != A.shape[-2]:
        raise ValueError(f"weights W {tuple(W.shape)} do not fit inputs {tuple(A.shape)}: W @ A needs n_in rows")
    if tuple(b.shape) != (*W.shape[:-1], 1):
        raise ValueError(f"biases b {tuple(b.shape)} do not fit weights W {tuple(W.shape)}: b needs (..., n_out, 1)")
    return W @ A + b


def _layer_gradient(dZ: Array, A: Array) -> Layer:
    xp = array_namespace(dZ)
    return Layer(dZ @ A.mT, xp.sum(dZ, axis=-1, keepdims=True))


def _shape(value: Array) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))
