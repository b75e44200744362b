"""Images held against the training images: the nearest ones, and how far out an image lies."""

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.backends import Backend
from ssnn.data import Dataset
from ssnn.explain.records import Neighbour, Pixels, Values
from ssnn.model.inference import Transform, in_blocks, network_inputs
from ssnn.model.novelty import GREY_LEVELS
from ssnn.standardize import Standardization
from ssnn.typing import Array

NEAREST = 5


def neighbours(backend: Backend, digits: Dataset, images: Pixels) -> list[tuple[tuple[Neighbour, ...], ...]]:
    """The nearest training images of either class to each of some images (q, n0), the nearest first."""
    if not len(images):
        return []
    queries = backend.to_device(images / GREY_LEVELS)
    squares = in_blocks(backend, _squared_distances, digits.train.pixels, queries)
    classes = [np.flatnonzero(digits.train.labels == label) for label in (0, 1)]
    return [
        tuple(
            _nearest(digits, image, members[np.argsort(column[members], kind="stable")[:NEAREST]])
            for members in classes
        )
        for image, column in zip(images, squares.T, strict=True)
    ]


def standardised_distances(backend: Backend, standardization: Standardization, rows: Pixels) -> Values:
    """Root mean square of the standardised inputs of each image, (m,): about 1 for a training image.

    Pixels that never vary are left out: they have no distribution to be far from.
    """
    varies = standardization.std > 1e-6  # grey values; the article's std of a pixel that never varies is 1e-9
    transform = tuple(values[varies] for values in standardization.arrays)
    distances: Values = in_blocks(backend, _root_mean_square, rows, backend.to_device(transform))
    return distances


def _nearest(digits: Dataset, image: Pixels, indices: npt.NDArray[np.intp]) -> tuple[Neighbour, ...]:
    found = []
    for index in indices:
        pixels = digits.train.pixels[index]
        distance = float(np.linalg.norm(pixels.astype(np.float64) - image)) / GREY_LEVELS
        found.append(Neighbour(int(index), digits.classes[digits.train.labels[index]], distance, pixels))
    return tuple(found)


def _squared_distances(rows: Array, queries: Array) -> Array:
    """(m, q), up to rounding: |x - y|² = |x|² + |y|² - 2xy, so that a matrix product does the work."""
    xp = array_namespace(rows)
    X = xp.astype(rows, queries.dtype) / GREY_LEVELS
    lengths = xp.sum(X**2, axis=1, keepdims=True) + xp.sum(queries**2, axis=1, keepdims=True).T
    return lengths - 2 * (X @ queries.T)


def _root_mean_square(pixels: Array, transform: Transform) -> Array:
    X = network_inputs(pixels, transform)
    xp = array_namespace(X)
    return xp.sqrt(xp.mean(X**2, axis=0))
