"""The neurons of the first hidden layer: their weights, when they are on, and which are dead or duplicates."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ssnn.explain.attribution import on_pixels
from ssnn.explain.records import Neuron, Values
from ssnn.model.model import Model
from ssnn.typing import Array

MIN_DUPLICATE_COSINE = 0.99  # between the weights and biases of two neurons that compute the same but for a factor


def is_on(A: Sequence[Array]) -> Array:
    """Which neurons of the first hidden layer are on, bool (m, n), from the inputs of all layers, as `forward` gives.

    Without a hidden layer n is 0.
    """
    first = A[1] if len(A) > 1 else A[0][:0, :]
    return (first > 0).mT


def neurons(model: Model, on: Values, labels: npt.NDArray[np.uint8]) -> tuple[Neuron, ...]:
    """Describe every neuron of the first hidden layer.

    Parameters
    ----------
    model : Model
    on : float64 array (m, n)
        1 where a training image turns a neuron on, else 0.
    labels : uint8 array (m,)
        The classes of the training images.
    """
    if len(model.network) == 1:
        return ()
    on_0, on_1 = (np.mean(on[labels == label], axis=0).tolist() for label in (0, 1))
    W, b = (parameters.astype(np.float64) for parameters in model.network[0])
    weights = on_pixels(model, W)
    duplicates = _duplicates(np.hstack([W, b]))
    output_weights = model.network[1].W[0].tolist() if len(model.network) == 2 else [None] * len(W)
    return tuple(
        Neuron(
            index=j,
            weights=weights[j],
            bias=float(b[j, 0]),
            on=(on_0[j], on_1[j]),
            output_weight=output_weights[j],
            duplicate_of=duplicates[j],
        )
        for j in range(len(W))
    )


def _duplicates(parameters: Values) -> list[int | None]:
    """For each row the first earlier row that points in the same direction."""
    lengths = np.linalg.norm(parameters, axis=1, keepdims=True)
    unit = parameters / np.where(lengths > 0, lengths, 1)
    same = np.tril(unit @ unit.T > MIN_DUPLICATE_COSINE, k=-1)
    return [int(np.argmax(row)) if row.any() else None for row in same]
