"""Between host and device: networks and samples, there and back."""

from math import ceil
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssnn.backends import Backend
from ssnn.data import Samples
from ssnn.network import Array, Layer, Network
from ssnn.standardize import Standardization, standardize
from ssnn.stopwatch import Stopwatch


class Batch(NamedTuple):
    """Samples on a device, in p pieces of s samples, of which the last is filled up with samples that do not count.

    X (p, n0, s) holds the network's inputs, Y (p, 1, s) the classes, and weight (p, 1, s) what a sample counts
    for: 1/m, or 0 for those that fill up. All are in the dtype of the backend.
    """

    X: Array
    Y: Array
    weight: Array


def network_to_device(backend: Backend, network: Network) -> Network:
    """Bring a NumPy network to the device, in the dtype of the backend."""
    return tuple(
        Layer(backend.asarray(W.astype(backend.dtype)), backend.asarray(b.astype(backend.dtype))) for W, b in network
    )


def network_to_host(backend: Backend, network: Network) -> Network:
    """Bring a network back as NumPy arrays."""
    return tuple(Layer(backend.to_numpy(W), backend.to_numpy(b)) for W, b in network)


def samples_to_device(
    backend: Backend, standardization: Standardization, samples: Samples, length: int, watch: Stopwatch
) -> Batch:
    """Bring samples to the device as raw pixels, and standardise them there, in pieces of this length.

    The time goes to "transfer" and "compile" on the stopwatch.
    """
    pieces = ceil(len(samples) / length)
    program = backend.writing(standardize)
    with watch.measure("transfer"):
        features = backend.asarray(standardization.features)
        mean = backend.asarray(standardization.mean.astype(backend.dtype))
        std = backend.asarray(standardization.std.astype(backend.dtype))
        X = backend.allocate(pieces, len(standardization.features), length)
        Y = backend.asarray(_in_pieces(samples.labels.astype(backend.dtype), pieces, length))
        weight = backend.asarray(_in_pieces(np.full(len(samples), 1 / len(samples), backend.dtype), pieces, length))
    for index, start in enumerate(range(0, len(samples), length)):
        with watch.measure("transfer"):
            raw = backend.asarray(fill_up(samples.pixels[start : start + length], length))
        if index == 0:
            with watch.measure("compile"):
                program.prepare(X, index, raw, features, mean, std)
        with watch.measure("transfer"):
            X = program(X, index, raw, features, mean, std)
    with watch.measure("transfer"):
        backend.synchronize((X, Y, weight))
    return Batch(X, Y, weight)


def fill_up(values: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """The values (m, …), and zeros up to this length."""
    missing = length - len(values)
    return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)]) if missing else values


def _in_pieces(values: npt.NDArray[Any], pieces: int, length: int) -> npt.NDArray[Any]:
    return fill_up(values, pieces * length).reshape(pieces, 1, length)
