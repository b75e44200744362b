"""Attribution: the exact contribution of each input, hidden neuron and bias to a logit.

Given which of its neurons are on, a ReLU network is linear: the logit is Σ slope · x over the inputs plus what the
biases contribute, and the slope is the derivative of the logit, as back-propagation computes it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.explain.records import Attribution, Values
from ssnn.model.model import Model
from ssnn.network import Network, forward, relu_derivative
from ssnn.typing import Array


class Contributions(NamedTuple):
    """The parts of the logits of m samples, or of one sample without the first axis.

    Attributes
    ----------
    logit : array (m,)
        The sum of inputs and biases, and the sum of neurons and the last bias.
    inputs : array (m, n0)
        The contribution of each input.
    biases : array (m,)
        The contribution of the biases of all layers.
    neurons : array (m, n)
        The contribution of each neuron of the last hidden layer; n is 0 without one.
    """

    logit: Array
    inputs: Array
    biases: Array
    neurons: Array


def attribute(network: Network, X: Array) -> Contributions:
    """Attribute the logit of each sample to inputs, biases and neurons, in the Array API.

    Parameters
    ----------
    network : tuple of Layer
        With no leading axes.
    X : array (n0, m)
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
    neurons = network[-1].W.mT * A[-1] if len(network) > 1 else X[:0, :]
    return Contributions(Z[0, :], (dA * X).mT, biases, neurons.mT)


def image_attribution(model: Model, image: Contributions) -> Attribution:
    """The attribution of one image, on all its pixels."""
    return Attribution(
        pixels=on_pixels(model, image.inputs),
        biases=float(image.biases),
        neurons=image.neurons,
        on=image.neurons != 0,
        output_bias=float(model.network[-1].b[0, 0]),
    )


def importance(model: Model, inputs: Values) -> Values:
    """Mean absolute contribution of each pixel, (784,), from the contributions of the inputs, (m, n0)."""
    return on_pixels(model, np.mean(np.abs(inputs), axis=0))


def on_pixels(model: Model, inputs: npt.NDArray[np.floating]) -> Values:
    """Values of the network's inputs, (..., n0), as values of all pixels, (..., 784): 0 for those left out."""
    pixels = np.zeros((*inputs.shape[:-1], model.pixels))
    pixels[..., model.standardization.features] = inputs
    return pixels
