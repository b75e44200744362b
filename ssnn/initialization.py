"""The parameters that training starts from: seeded, drawn on the host, the same on every backend."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ssnn.network import Layer, Network

SCALE = 0.01


def initial_network(sizes: Sequence[int], seed: int, features: npt.NDArray[np.intp] | None = None) -> Network:
    """Draw a network in the article's order: W1 first, then W2, …; biases are zeros.

    Parameters
    ----------
    sizes : sequence of int
        Neurons per layer from the input on, for instance (784, 10, 1).
    seed : int
        0 ≤ seed < 2**32, of NumPy's legacy generator, whose stream is frozen for good.
    features : int array (n,), optional
        The inputs that enter the network, by default all. W1 is drawn for all of them before it loses the
        columns of the others, so that leaving a feature out moves no weight of another.

    Returns
    -------
    tuple of Layer
        NumPy float64: W (n_out, n_in) normal with standard deviation 0.01, b (n_out, 1).
    """
    generator = np.random.RandomState(seed)
    layers = [Layer(W=generator.randn(n_out, n_in) * SCALE, b=np.zeros((n_out, 1))) for n_in, n_out in pairwise(sizes)]
    if features is not None:
        layers[0] = layers[0]._replace(W=layers[0].W.take(features, axis=1))
    return tuple(layers)
