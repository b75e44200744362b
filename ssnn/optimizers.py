"""Optimizers: what an update makes of a gradient, and the state that it carries from one update to the next.

Each is a pair of pure functions of the Array API, `init(network)` and `update(network, gradient, state,
learning_rate)`; g stands for the gradient of a parameter p, η for the learning rate. The state is a tree of arrays like
the network, so a stack of networks has a state for each of them, and `learning_rate` may be an array (..., 1, 1).

    >>> import numpy as np
    >>> from ssnn.network import Layer
    >>> from ssnn.optimizers import Adam
    >>> network = (Layer(W=np.array([[1.0, 2.0]]), b=np.array([[0.0]])),)
    >>> gradient = (Layer(W=np.array([[0.5, -8.0]]), b=np.array([[1.0]])),)
    >>> adam = Adam(beta_1=0.9, beta_2=0.999, epsilon=0.0)
    >>> network, state = adam.update(network, gradient, adam.init(network), learning_rate=0.1)
    >>> network[0].W.round(6)  # the first step has the size of the learning rate, however large the gradient is
    array([[0.9, 2.1]])
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from array_api_compat import array_namespace, device

from ssnn.network import Network, check_gradient, update
from ssnn.tree import tree_map
from ssnn.typing import Array, Tree


class Optimizer(Protocol):
    """Both functions are pure. Shapes that do not fit raise a ValueError that names them, as `network.update` does."""

    def init(self, network: Network) -> Tree:
        """The state before the first update: zeros of the network's dtype on its device, or () where none is needed."""

    def update(
        self, network: Network, gradient: Network, state: Tree, learning_rate: float | Array
    ) -> tuple[Network, Tree]:
        """The network and the state after one update."""


@dataclass(frozen=True)
class GradientDescent:
    """p ← p - η · g: the article's line, `ssnn.network.update`; it has no state."""

    def init(self, network: Network) -> Tree:
        """()."""
        return ()

    def update(
        self, network: Network, gradient: Network, state: Tree, learning_rate: float | Array
    ) -> tuple[Network, Tree]:
        """The network after one update."""
        return update(network, gradient, learning_rate), state


@dataclass(frozen=True)
class Momentum:
    """v ← μ · v + g, then p ← p - η · v: Polyak's heavy ball (1964), written as PyTorch and optax write it.

    Attributes
    ----------
    momentum : float
        μ, 0 ≤ μ < 1.
    """

    momentum: float

    def init(self, network: Network) -> Tree:
        """v = 0."""
        return _zeros(network)

    def update(
        self, network: Network, gradient: Network, state: Tree, learning_rate: float | Array
    ) -> tuple[Network, Tree]:
        """The network after one update, and its v."""
        check_gradient(network, gradient, learning_rate)
        velocity = tree_map(lambda v, g: self.momentum * v + g, state, gradient)
        return update(network, velocity, learning_rate), velocity


class AdamState(NamedTuple):
    """Moving averages of the gradient and of its square, each a tree like the network, and the updates done, ()."""

    mean: Network
    square: Network
    updates: Array


@dataclass(frozen=True)
class Adam:
    """Adam, algorithm 1 of Kingma and Ba (2015), at update t = 1, 2, …:

    v ← β₁ · v + (1 - β₁) · g, s ← β₂ · s + (1 - β₂) · g²,
    p ← p - η · (v / (1 - β₁ᵗ)) / (√(s / (1 - β₂ᵗ)) + ε).

    Attributes
    ----------
    beta_1, beta_2 : float
        How slowly the averages v and s forget, 0 ≤ β < 1.
    epsilon : float
        ε ≥ 0, beside the root and not under it.
    """

    beta_1: float
    beta_2: float
    epsilon: float

    def init(self, network: Network) -> Tree:
        """v = s = 0, t = 0."""
        xp, W = array_namespace(network[0].W), network[0].W
        return AdamState(_zeros(network), _zeros(network), xp.zeros((), dtype=W.dtype, device=device(W)))

    def update(
        self, network: Network, gradient: Network, state: Tree, learning_rate: float | Array
    ) -> tuple[Network, Tree]:
        """The network after one update, and its v, s and t."""
        check_gradient(network, gradient, learning_rate)
        t = state.updates + 1
        mean = tree_map(lambda v, g: self.beta_1 * v + (1 - self.beta_1) * g, state.mean, gradient)
        square = tree_map(lambda s, g: self.beta_2 * s + (1 - self.beta_2) * g * g, state.square, gradient)
        correction_1, correction_2 = _bias_correction(self.beta_1, t), _bias_correction(self.beta_2, t)
        xp = array_namespace(t)
        step = tree_map(lambda v, s: (v / correction_1) / (xp.sqrt(s / correction_2) + self.epsilon), mean, square)
        return update(network, step, learning_rate), AdamState(mean, square, t)


def _zeros(network: Network) -> Network:
    zeros: Network = tree_map(lambda p: array_namespace(p).zeros_like(p), network)
    return zeros


def _bias_correction(beta: float, t: Array) -> Array:
    """1 - βᵗ: the share of an average that gradients make up after t updates; the rest is the zero it began with."""
    xp = array_namespace(t)
    if not beta:
        return xp.ones_like(t)
    return -xp.expm1(t * math.log(beta))  # 1 - βᵗ as it stands would lose half of the digits of float32
