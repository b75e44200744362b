"""The nearest training images of an image."""

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.data import Dataset
from ssnn.explain.records import Neighbour, Pixels, Values
from ssnn.model.novelty import GREY_LEVELS
from ssnn.typing import Array

NEIGHBOURS_PER_CLASS = 5


def squared_distances(pixels: Array, queries: Array) -> Array:
    """Squared Euclidean distances between images, in the Array API.

    Parameters
    ----------
    pixels : uint8 array (m, n0)
    queries : floating array (q, n0)
        Pixels divided by 255; their dtype is that of the result.

    Returns
    -------
    array (m, q)
        Up to rounding, and so not exactly 0 between equal images.
    """
    xp = array_namespace(pixels)
    X = xp.astype(pixels, queries.dtype) / GREY_LEVELS
    # |x - y|² = |x|² + |y|² - 2xy, so that a matrix product does the work.
    lengths = xp.sum(X**2, axis=1, keepdims=True) + xp.sum(queries**2, axis=1, keepdims=True).T
    return lengths - 2 * (X @ queries.T)


def nearest(dataset: Dataset, image: Pixels, squares: Values) -> tuple[tuple[Neighbour, ...], tuple[Neighbour, ...]]:
    """The nearest training images of class 0 and of class 1, the nearest first.

    Parameters
    ----------
    dataset : Dataset
    image : uint8 array (784,)
    squares : float64 array (m,)
        The squared distance of each training image, by which they are ranked; the distances returned are exact.
    """
    classes = (np.flatnonzero(dataset.train.labels == label) for label in (0, 1))
    of_0, of_1 = (
        _neighbours(dataset, image, members[np.argsort(squares[members], kind="stable")[:NEIGHBOURS_PER_CLASS]])
        for members in classes
    )
    return of_0, of_1


def _neighbours(dataset: Dataset, image: Pixels, indices: npt.NDArray[np.intp]) -> tuple[Neighbour, ...]:
    found = []
    for index in indices:
        pixels = dataset.train.pixels[index]
        distance = float(np.linalg.norm(pixels.astype(np.float64) - image)) / GREY_LEVELS
        found.append(Neighbour(int(index), dataset.classes[dataset.train.labels[index]], distance, pixels))
    return tuple(found)
