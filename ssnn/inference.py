"""A trained network at work: images in, logits out, on any backend and in bounded memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.backends import Backend
from ssnn.familiarity import Familiarity, unlikeness
from ssnn.network import Array, Network, forward
from ssnn.standardize import Standardization, standardize
from ssnn.transfer import fill_up, network_to_device

LARGEST_BLOCK = 4096  # images on the device at once


def logits(
    backend: Backend, network: Network, standardization: Standardization, rows: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """The logit of each image, (m,), from raw pixels (m, n0); network and standardisation are NumPy arrays."""
    features = backend.asarray(standardization.features)
    mean = backend.asarray(standardization.mean.astype(backend.dtype))
    std = backend.asarray(standardization.std.astype(backend.dtype))
    return in_blocks(backend, _logits, rows, features, mean, std, network_to_device(backend, network))


def unlikenesses(backend: Backend, familiarity: Familiarity, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """How unlike the training images each image is, (m,), from raw pixels (m, n0); see `ssnn.familiarity`."""
    known = familiarity.mean, familiarity.components, familiarity.limit
    on_device = (backend.asarray(values.astype(backend.dtype)) for values in known)
    return in_blocks(backend, unlikeness, pixels, *on_device)


def _logits(rows: Array, features: Array, mean: Array, std: Array, network: Network) -> Array:
    _, Z = forward(network, standardize(rows, features, mean, std))
    return Z[0, :]


def in_blocks(
    backend: Backend, function: Callable[..., Array], rows: npt.NDArray[Any], *constants: Any
) -> npt.NDArray[np.float64]:
    """What the function makes of the rows (m, n0), a block at a time: (m,), or what it gives for each row."""
    program = backend.compile(function)
    # Blocks of few different lengths, filled up with zeros, so that a library that compiles does it seldom.
    length = min(LARGEST_BLOCK, 1 << max(0, len(rows) - 1).bit_length())
    results: list[npt.NDArray[np.float64]] = []
    for start in range(0, len(rows), length):
        block = backend.asarray(fill_up(rows[start : start + length], length))
        results.append(backend.to_numpy(program(block, *constants)).astype(np.float64))
    return np.concatenate(results)[: len(rows)] if results else np.empty(0)
