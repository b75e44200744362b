"""The network: forward pass, cost, gradients by back-propagation, and one step of gradient descent.

Every function is pure and uses only the Python Array API standard, so the same lines run on NumPy, CuPy, JAX and
PyTorch: the arrays that come in decide. The notation is that of "Building an image-recognition neural network from
scratch" (orczhou.com, 2024):

    X  (n_0, m)        m samples of n_0 features, one per column
    Y  (1, m)          their classes, 0 or 1
    W  (n_out, n_in)   the weights of a layer
    b  (n_out, 1)      its biases
    Z = W @ A + b      its output before the activation
    A = relu(Z)        its activations, the input of the next layer

The last layer has one neuron and no ReLU; its Z is the logit, and σ(Z) is the probability of class 1.

    >>> import numpy as np
    >>> from ssnn.network import Layer, forward, gradients, update
    >>> X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    >>> Y = np.array([[0.0, 1.0, 1.0, 0.0]])  # exclusive or
    >>> random = np.random.default_rng(0)
    >>> network = (
    ...     Layer(W=random.standard_normal((8, 2)), b=np.zeros((8, 1))),
    ...     Layer(W=random.standard_normal((1, 8)), b=np.zeros((1, 1))),
    ... )
    >>> for _ in range(500):
    ...     gradient, J = gradients(network, X, Y, sample_weight=1 / 4)
    ...     network = update(network, gradient, learning_rate=0.5)
    >>> _, Z = forward(network, X)
    >>> (Z > 0).astype(int)
    array([[0, 1, 1, 0]])
    >>> bool(J < 0.1)
    True

Notes
-----
Leading axes broadcast as in `matmul`: W (..., n_out, n_in) is a stack of networks, X (..., n_0, m) a stack of
microbatches. Cost and gradients are sums over the samples, weighted by `sample_weight`: 1/m for a mean, 0 for padding.
So the microbatches of a batch add up (`ssnn.backends.accumulation`), and a stack of networks trains in one pass.
Shapes that do not fit raise a ValueError that names them.
"""

from typing import NamedTuple

from array_api_compat import array_namespace

from ssnn.typing import Array


class Layer(NamedTuple):
    """The parameters of one layer: weights W (n_out, n_in) and biases b (n_out, 1)."""

    W: Array
    b: Array


Network = tuple[Layer, ...]


def relu(Z: Array) -> Array:
    """Rectified linear unit, max(Z, 0)."""
    xp = array_namespace(Z)
    return xp.maximum(Z, 0)


def relu_derivative(A: Array) -> Array:
    """relu'(Z) from A = relu(Z): 1 where A > 0, else 0."""
    xp = array_namespace(A)
    return xp.astype(A > 0, A.dtype)


def logistic(Z: Array) -> Array:
    """Logistic function σ(Z): the probability of class 1 for a logit Z."""
    xp = array_namespace(Z)
    return xp.exp(xp.minimum(Z, 0)) / (1 + xp.exp(-xp.abs(Z)))  # = 1 / (1 + exp(-Z)), and cannot overflow


def forward(network: Network, X: Array) -> tuple[list[Array], Array]:
    """Forward pass.

    Returns
    -------
    A : list of arrays
        The input of each layer: A[0] is X, A[k] the activations (n_k, m) of hidden layer k.
    Z : array (1, m)
        The logit of each sample.
    """
    _check_network(network, X)
    A = [X]
    for W, b in network[:-1]:
        A.append(relu(W @ A[-1] + b))
    W, b = network[-1]
    return A, W @ A[-1] + b


def cross_entropy(Z: Array, Y: Array) -> Array:
    """-[Y log σ(Z) + (1 - Y) log(1 - σ(Z))] of each sample, in nats: -log of the probability of the right class."""
    xp = array_namespace(Z)
    # For Y = 1 it is -log σ(Z) = log(1 + exp(-Z)) = logaddexp(0, -Z): that neither overflows nor takes log(0).
    return xp.logaddexp(0, xp.where(Y > 0, -Z, Z))


def residual(loss: Array, Y: Array) -> Array:
    """σ(Z) - Y, from the cross-entropy: 1 - exp(-loss) is the probability of the wrong class, to its last digit."""
    xp = array_namespace(loss)
    minus_wrong = xp.expm1(-loss)
    return xp.where(Y > 0, minus_wrong, -minus_wrong)


def cost(Z: Array, Y: Array, sample_weight: float | Array) -> Array:
    """J = Σ sample_weight · cross-entropy.

    Returns
    -------
    array ()
        One cost; (...) for a stack.
    """
    _check_samples(Z, Y, sample_weight)
    return _weighted_sum(cross_entropy(Z, Y), sample_weight)


def gradients(network: Network, X: Array, Y: Array, sample_weight: float | Array) -> tuple[Network, Array]:
    """Back-propagation: the derivative of the cost with respect to every parameter.

    Returns
    -------
    gradient : tuple of Layer
        dW and db in the place of W and b.
    J : array ()
        The cost.
    """
    _check_classes(Y, X)
    A, Z = forward(network, X)
    _check_samples(Z, Y, sample_weight)
    loss = cross_entropy(Z, Y)
    xp = array_namespace(Z)
    dZ = sample_weight * residual(loss, Y)  # the derivative of the logarithm cancels that of σ
    gradient = []
    for k in reversed(range(len(network))):
        gradient.append(Layer(W=dZ @ A[k].mT, b=xp.sum(dZ, axis=-1, keepdims=True)))
        if k > 0:
            dZ = (network[k].W.mT @ dZ) * relu_derivative(A[k])  # back through W, then through the ReLU
    return tuple(reversed(gradient)), _weighted_sum(loss, sample_weight)


def _weighted_sum(loss: Array, sample_weight: float | Array) -> Array:
    return array_namespace(loss).sum(sample_weight * loss, axis=(-2, -1))


def update(network: Network, gradient: Network, learning_rate: float | Array) -> Network:
    """Gradient descent: p ← p - learning_rate · dp for every parameter p.

    For a stack of networks `learning_rate` may be an array (..., 1, 1), one rate for each.
    """
    check_gradient(network, gradient, learning_rate)
    return tuple(
        Layer(W - learning_rate * dW, b - learning_rate * db)
        for (W, b), (dW, db) in zip(network, gradient, strict=True)
    )


# Shapes are checked, because broadcasting would turn a mistake into a wrong result.


def check_gradient(network: Network, gradient: Network, learning_rate: float | Array) -> None:
    """Check what an optimizer is given.

    Raises
    ------
    ValueError
        If the gradient or the learning rate does not fit the network.
    """
    wanted, found = ([[tuple(p.shape) for p in layer] for layer in layers] for layers in (network, gradient))
    if not network or wanted != found:
        raise ValueError(f"a gradient of shapes {found} does not fit a network of shapes {wanted}")
    one_each = (*network[0].W.shape[:-2], 1, 1)
    shape = tuple(getattr(learning_rate, "shape", ()))
    if shape not in ((), one_each):
        raise ValueError(f"learning_rate {shape} does not fit: a number or an array {one_each}")


def _check_network(network: Network, X: Array) -> None:
    if not network:
        raise ValueError("a network needs at least one layer, got ()")
    stack, inputs = network[0].W.shape[:-2], tuple(X.shape)
    for W, b in network:
        shapes = f"W {tuple(W.shape)} and b {tuple(b.shape)} do not fit inputs {inputs}"
        if len(inputs) < 2 or W.ndim < 2 or W.shape[-1] != inputs[-2]:
            raise ValueError(f"{shapes}: W @ A needs W (n_out, n_in) and A (n_in, m)")
        if tuple(b.shape) != (*W.shape[:-1], 1):
            raise ValueError(f"{shapes}: b must be {(*W.shape[:-1], 1)}")
        if W.shape[:-2] != stack:
            raise ValueError(f"{shapes}: the first layer's W is {tuple(network[0].W.shape)}")
        inputs = (*inputs[:-2], W.shape[-2], inputs[-1])


def _check_classes(Y: Array, X: Array) -> None:
    wanted = (*X.shape[:-2], 1, *X.shape[-1:])
    if tuple(Y.shape) != wanted:
        raise ValueError(f"Y {tuple(Y.shape)} does not fit X {tuple(X.shape)}: it must be {wanted}")


def _check_samples(Z: Array, Y: Array, sample_weight: float | Array) -> None:
    if Y.ndim > Z.ndim or tuple(Y.shape[-2:]) != tuple(Z.shape[-2:]):
        raise ValueError(f"Y {tuple(Y.shape)} does not fit logits Z {tuple(Z.shape)}: both end in (1, m)")
    shape = tuple(getattr(sample_weight, "shape", ()))
    if shape and (len(shape) > Z.ndim or shape[-2:] != tuple(Y.shape[-2:])):
        raise ValueError(f"sample_weight {shape} does not fit Y {tuple(Y.shape)}: a number or an array (..., 1, m)")
