"""Inference with a trained network: images in, logits out, on any backend and in bounded memory."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssnn.backends import Backend
from ssnn.data.blocks import pad_rows
from ssnn.errors import ModelError
from ssnn.model import novelty
from ssnn.model.novelty import Novelty
from ssnn.network import Network, forward
from ssnn.standardize import Standardization, select, standardize
from ssnn.tree import tree_map
from ssnn.typing import Array, Tree

MAX_BLOCK = 4096  # images on the device at once

Transform = tuple[Array, Array, Array]  # features, mean and std of a standardisation, on the device


class ModelArrays(NamedTuple):
    """All arrays of a model, as one tree that goes to a device in one call.

    Attributes
    ----------
    transform : (array (n,), array (n,), array (n,))
        Features, mean and std: `Standardization.arrays`.
    network : tuple of Layer
    novelty : Novelty
    """

    transform: Transform
    network: Network
    novelty: Novelty


def logits(
    backend: Backend, network: Network, standardization: Standardization, pixels: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """The logit of each image, (m,), from raw pixels (m, n0); network and standardisation are NumPy arrays."""
    on_device = backend.to_device((standardization.arrays, network))
    found: npt.NDArray[np.float64] = in_blocks(backend, _logits, pixels, *on_device)
    return found


def check_finite(logits: npt.NDArray[np.floating]) -> None:
    """Check the logits of a model.

    Raises
    ------
    ModelError
        If one is not finite.
    """
    if not np.all(np.isfinite(logits)):
        raise ModelError("a logit is not finite: the model's parameters are invalid")


def novelty_scores(backend: Backend, known: Novelty, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """How unlike the training images each image is, (m,), from raw pixels (m, n0); see `ssnn.model.novelty`."""
    found: npt.NDArray[np.float64] = in_blocks(backend, novelty.novelty_score, pixels, backend.to_device(known))
    return found


def network_inputs(pixels: Array, transform: Transform) -> Array:
    """The network's inputs X (n, m), from raw pixels (m, n0)."""
    features, mean, std = transform
    return standardize(select(pixels, features), mean, std)


def in_blocks(backend: Backend, function: Callable[..., Tree], pixels: npt.NDArray[Any], *constants: Tree) -> Tree:
    """Apply a function to images (m, n0), a block at a time.

    Parameters
    ----------
    function : callable
        (pixels, *constants) -> an array, or a tree of them, whose first axis is that of the images.
    constants : tree
        Of arrays on the device.

    Returns
    -------
    tree of float64 NumPy arrays (m, ...)
    """
    program = backend.program(function)
    # Few different block lengths, padded with zeros, so that a library that compiles does so rarely.
    length = min(MAX_BLOCK, 1 << max(0, len(pixels) - 1).bit_length())
    blocks = [
        backend.to_host(program(backend.asarray(pad_rows(pixels[start : start + length], length)), *constants))
        for start in range(0, max(1, len(pixels)), length)
    ]
    return tree_map(lambda *parts: np.concatenate(parts).astype(np.float64)[: len(pixels)], *blocks)


def _logits(pixels: Array, transform: Transform, network: Network) -> Array:
    _, Z = forward(network, network_inputs(pixels, transform))
    return Z[0, :]
