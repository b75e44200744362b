"""Novelty detection: how unlike the training images an image is, whatever the network says of it.

A network that knows two digits calls everything one of them. So each digit's training images are described by
the hyperplane that fits them best, through their mean along their principal components, and an image is measured
by its distance to the nearer hyperplane. On MNIST's 0 and 1 this detects 84 % of the other eight digits, and takes
1 % of the zeros and ones for novel; the distance to the nearest of all training images detects 86 %.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.system.blas import limit_blas
from ssnn.typing import Array

COMPONENTS = 40
QUANTILE = 0.99  # the share of a class's training images whose distance is within its limit
GREY_LEVELS = 255


class Novelty(NamedTuple):
    """What the training images of both classes look like; pixels are divided by 255 here.

    Attributes
    ----------
    mean : float32 array (2, n0)
        Of the images of either class.
    components : float32 array (2, n0, k)
        Their principal components as orthonormal columns, zeros where a class has fewer.
    limit : float32 array (2,)
        The distance to the hyperplane within which 99 % of the training images of a class lie.
    """

    mean: npt.NDArray[np.float32]
    components: npt.NDArray[np.float32]
    limit: npt.NDArray[np.float32]


def fit_novelty(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Novelty:
    """Fit a hyperplane to the training images, (m, n0), of each class, (m,)."""
    mean, components, limit = zip(*(_hyperplane(pixels[labels == label]) for label in (0, 1)), strict=True)
    return Novelty(np.stack(mean), np.stack(components), np.stack(limit))


def novelty_score(pixels: Array, novelty: Novelty) -> Array:
    """How unlike the training images each image is.

    Parameters
    ----------
    pixels : uint8 array (m, n0)
    novelty : Novelty
        On the device of the pixels; its dtype is that of the result.

    Returns
    -------
    array (m,)
        The distance of each image to the nearer hyperplane over that hyperplane's limit: above 1 for one
        training image in a hundred.
    """
    mean, components, limit = novelty
    xp = array_namespace(pixels)
    difference = xp.astype(pixels, mean.dtype) / GREY_LEVELS - xp.expand_dims(mean, axis=1)
    along = difference @ components
    # Pythagoras; where an image lies in the hyperplane, rounding may leave less than 0.
    square = xp.maximum(xp.sum(difference**2, axis=-1) - xp.sum(along**2, axis=-1), 0)
    return xp.min(xp.sqrt(square) / xp.expand_dims(limit, axis=1), axis=0)


def _hyperplane(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], npt.NDArray[Any], np.float32]:
    """Mean, components and limit of one class."""
    mean = np.zeros(pixels.shape[1], np.float32)
    components = np.zeros((pixels.shape[1], COMPONENTS), np.float32)
    smallest = np.float32(1 / GREY_LEVELS)  # where all images are the same, one grey level in one pixel is the unit
    if not len(pixels):
        return mean, components, smallest
    varies = np.flatnonzero(np.ptp(pixels, axis=0))  # no component reaches out of these
    images = pixels.astype(np.float32) / GREY_LEVELS
    mean = np.mean(images, axis=0)
    difference = images[:, varies] - mean[varies]
    with limit_blas(1):  # more gain nothing here, and crawl where cores are shared
        _, vectors = np.linalg.eigh(difference.T @ difference)  # in ascending order of what they explain
    k = min(COMPONENTS, len(images) // 2, len(varies) // 2)  # with more of them, no image would be far
    directions = vectors[:, ::-1][:, :k]
    components[varies, :k] = directions
    distance = np.linalg.norm(difference - difference @ directions @ directions.T, axis=1)
    return mean, components, max(np.float32(np.quantile(distance, QUANTILE)), smallest)
