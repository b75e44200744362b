"""A logit split into what each input, each hidden neuron and the biases contributed: exactly, and in the Array API.

Given which of its neurons are on, a ReLU network is linear: the logit is Σ slope · x over the inputs plus what the
biases send to it, and the slope is what back-propagation gives for the derivative of the logit itself.
"""

from array_api_compat import array_namespace

from ssnn.network import Network, forward, relu_derivative
from ssnn.typing import Array


def attribute(network: Network, X: Array) -> tuple[Array, Array, Array]:
    """Split the logit of each sample; for a network with no leading axes.

    Parameters
    ----------
    network : tuple of Layer
    X : array (n0, m)

    Returns
    -------
    inputs : array (n0, m)
        What each input contributed: inputs summed over its first axis, plus biases, is the logit.
    biases : array (m,)
        What the biases of all layers contributed.
    neurons : array (n, m)
        What each neuron of the last hidden layer contributed: with the last bias they too add up to the logit.
        Without a hidden layer these are the inputs.
    """
    A, Z = forward(network, X)
    xp = array_namespace(Z)
    dZ = xp.ones_like(Z)
    biases = xp.zeros_like(Z[0, :])
    for k in reversed(range(len(network))):
        W, b = network[k]
        biases = biases + xp.sum(b * dZ, axis=0)
        dA = W.mT @ dZ
        if k > 0:
            dZ = dA * relu_derivative(A[k])
    return dA * X, biases, network[-1].W.mT * A[-1]
