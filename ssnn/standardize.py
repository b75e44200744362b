"""Standardisation: every feature to mean 0 and standard deviation 1 over the training images.

The sums behind mean and standard deviation of pixels are exact integers, so both are the same bits on every
machine and backend; the transform itself is written in the Array API and runs where the pixels are.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.errors import DataError, UsageError
from ssnn.typing import Array

CONSTANT_FEATURES = ("drop", "keep")
ARTICLE_EPSILON = 1e-9  # what the article adds to every std, so that a constant feature does not divide by 0
BLOCK = 1024  # images whose squares are summed at once: their temporaries stay small


@dataclass(frozen=True)
class Standardization:
    """What turns raw pixels into the network's inputs.

    Attributes
    ----------
    features : int array (n,)
        The pixels that enter the network, in ascending order.
    mean, std : float64 array (n,)
        Of those pixels over the training images, in grey values; std is what is divided by.
    n_constant : int
        How many pixels never vary in the training images, whether they were dropped or kept.
    """

    features: npt.NDArray[np.intp]
    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    n_constant: int

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """What `select` and `standardize` need: features, mean and std."""
        return self.features, self.mean, self.std


def fit_pixels(pixels: npt.NDArray[np.uint8], constant_features: str = "drop") -> Standardization:
    """Measure the training images.

    Parameters
    ----------
    pixels : uint8 array (m, n0)
        One image per row.
    constant_features : {"drop", "keep"}
        Leave the pixels that never vary out of the network, or keep them as the article does: it adds 1e-9
        to every std, so that a test image that lights such a pixel enters with an input of about 1e11.

    Raises
    ------
    UsageError
        If the pixels are not uint8, or `constant_features` is none of the two.
    DataError
        If no pixel varies.
    """
    if pixels.dtype != np.uint8:
        raise UsageError(f"pixels of dtype {pixels.dtype}: raw grey values in uint8 are needed")
    if constant_features not in CONSTANT_FEATURES:
        raise UsageError(f"constant features {constant_features!r}: choose {' or '.join(CONSTANT_FEATURES)}")
    m = len(pixels)
    total, squares = _sums(pixels)
    # var = squares/m - (total/m)², over the common denominator m² and in Python's integers: nothing is rounded.
    m2_variance = [m * q - s * s for s, q in zip(total, squares, strict=True)]
    varies = np.array([v > 0 for v in m2_variance])
    if not varies.any():
        raise DataError(f"no pixel varies over the {m} training images, so there is nothing to learn from")
    mean = np.array([s / m for s in total])
    std = np.array([sqrt(v) / m for v in m2_variance])
    if constant_features == "keep":
        features, std = np.arange(len(mean)), std + ARTICLE_EPSILON
    else:
        features = np.flatnonzero(varies)
    return Standardization(features, mean[features], std[features], n_constant=int(np.sum(~varies)))


def fit_floats(rows: npt.NDArray[np.float64]) -> Standardization:
    """Measure samples of any features, (m, n0), not grey values only; those that take one value alone are left out.

    Raises
    ------
    DataError
        If no feature varies.
    """
    low, spread = np.min(rows, axis=0), np.ptp(rows, axis=0)
    features = np.flatnonzero(spread)
    if not len(features):
        raise DataError(f"no feature varies over the {len(rows)} samples, so there is nothing to learn from")
    low, spread = low[features], spread[features]
    # Measured within its own range, 0 … 1, no feature loses digits to its offset, and no square overflows.
    unit = (rows[:, features] - low) / spread
    mean, std = low + spread * np.mean(unit, axis=0), spread * np.std(unit, axis=0)
    varies = std > 0  # but for a feature whose values differ by less than a float64 can halve
    return Standardization(features[varies], mean[varies], std[varies], n_constant=rows.shape[1] - int(np.sum(varies)))


def select(pixels: Array, features: Array) -> Array:
    """Images as rows (m, n0) to samples as columns (n, m), with only the features that enter the network.

    The result is a transposed view of rows: a sample lies in one stretch of memory, which suits both matrix products.
    """
    xp = array_namespace(pixels)
    return xp.take(pixels, features, axis=1).mT


def standardize(X: Array, mean: Array, std: Array) -> Array:
    """Raw features to the network's inputs, X ← (X - mean) / std.

    Parameters
    ----------
    X : array (..., n, m)
        Of any dtype, one sample per column.
    mean, std : floating array (n,)
        Their dtype is that of the result.

    Returns
    -------
    array (..., n, m)
    """
    xp = array_namespace(X)
    mean, std = (xp.expand_dims(values, axis=-1) for values in (mean, std))
    return (xp.astype(X, mean.dtype) - mean) / std


def _sums(pixels: npt.NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """Sum and sum of squares of every column, exact."""
    total, squares = np.zeros((2, pixels.shape[1]), np.int64)
    for start in range(0, len(pixels), BLOCK):
        block = pixels[start : start + BLOCK].astype(np.int32)
        total += np.sum(block, axis=0)
        squares += np.sum(block * block, axis=0)
    return total.tolist(), squares.tolist()
