"""The types that rooms hand to each other: arrays of whichever library, trees of them, and functions on them."""

from typing import Any, Protocol

# An array of whichever library the caller uses. The standard defines no common type, and what `xp.sum` and its like
# return is unknown to a type checker: a protocol would need a cast in every second line of the formulas.
Array = Any
Tree = Any  # an array, or nested tuples (named ones too) whose leaves are arrays; a network is one


class Gradients(Protocol):
    """The derivative of a cost, pure, and a sum over the samples: microbatches add up.

    What a backend's loop calls the network is whatever tree the loop was started with.
    """

    def __call__(self, network: Tree, X: Array, Y: Array, sample_weight: Array, /) -> tuple[Tree, Array]:
        """Gradient, a tree like the network, and cost."""


class Update(Protocol):
    """One step of an optimizer, pure."""

    def __call__(self, network: Tree, gradient: Tree, learning_rate: float | Array, /) -> Tree:
        """The network after the step."""
