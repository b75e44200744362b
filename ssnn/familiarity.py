"""How unlike the training images an image is, whatever the network says of it.

A network that knows two digits calls everything one of them. So each digit's training images are described by
the hyperplane that fits them best, through their mean along their principal components, and an image is measured
by its distance to the nearer hyperplane. On MNIST's 0 and 1 this finds 84 % of the other eight digits, and takes
1 % of the zeros and ones for strangers; the distance to the nearest of all training images finds 86 %.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace
from threadpoolctl import threadpool_limits

from ssnn.network import Array

COMPONENTS = 40
FAMILIAR = 0.99  # the share of a class's training images whose distance is within its limit
GREY_LEVELS = 255


@dataclass(frozen=True)
class Familiarity:
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


def familiarize(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Familiarity:
    """Look at the training images, (m, n0), of both classes, (m,)."""
    mean, components, limit = zip(*(_hyperplane(pixels[labels == label]) for label in (0, 1)), strict=True)
    return Familiarity(np.stack(mean), np.stack(components), np.stack(limit))


def unlikeness(pixels: Array, mean: Array, components: Array, limit: Array) -> Array:
    """How unlike the training images images are.

    Parameters
    ----------
    pixels : uint8 array (m, n0)
    mean, components, limit : floating arrays
        Of a `Familiarity`, on the device; their dtype is that of the result.

    Returns
    -------
    array (m,)
        The distance of each image to the nearer hyperplane over that hyperplane's limit: above 1 for one
        training image in a hundred.
    """
    xp = array_namespace(pixels)
    difference = xp.astype(pixels, mean.dtype) / GREY_LEVELS - xp.expand_dims(mean, axis=1)
    along = difference @ components
    # Pythagoras; where an image lies in the hyperplane, rounding may leave less than 0.
    square = xp.maximum(xp.sum(difference**2, axis=-1) - xp.sum(along**2, axis=-1), 0)
    return xp.min(xp.sqrt(square) / xp.expand_dims(limit, axis=1), axis=0)


def _hyperplane(pixels: npt.NDArray[np.uint8]) -> tuple[Array, Array, Array]:
    """Mean, components and limit of one class."""
    images = pixels.astype(np.float32) / GREY_LEVELS
    mean = np.mean(images, axis=0) if len(images) else np.zeros(pixels.shape[1], np.float32)
    difference = images - mean
    with threadpool_limits(1, "blas"):  # more gain nothing here, and crawl where cores are shared
        _, vectors = np.linalg.eigh(difference.T @ difference)  # in ascending order of what they explain
    components = np.zeros((pixels.shape[1], COMPONENTS), np.float32)
    k = min(COMPONENTS, len(images) // 2, pixels.shape[1] // 2)  # with more of them, nothing would be far
    components[:, :k] = vectors[:, ::-1][:, :k]
    distance = np.linalg.norm(difference - difference @ components @ components.T, axis=1)
    limit = np.quantile(distance, FAMILIAR) if len(images) else 0
    smallest = 1 / GREY_LEVELS  # where all images are the same, one grey level in one pixel is the unit
    return mean, components, np.float32(max(limit, smallest))
