"""Standardisation: every feature to mean 0 and standard deviation 1 over the training images.

The sums behind mean and standard deviation of pixels are exact integers, so both are the same bits on every
machine and backend; the transform itself is written in the Array API and runs where the pixels are.
"""

from dataclasses import dataclass
from math import sqrt, ulp

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

    features: Array
    mean: Array
    std: Array
    n_constant: int

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        """What `select` and `standardize` need: features, mean and std."""
        return self.features, self.mean, self.std


def fit_pixels(pixels: Array, constant_features: str = "drop") -> Standardization:
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
    xp = array_namespace(pixels)
    if pixels.dtype != xp.uint8:
        raise UsageError(f"pixels of dtype {pixels.dtype}: raw grey values in uint8 are needed")
    if constant_features not in CONSTANT_FEATURES:
        raise UsageError(f"constant features {constant_features!r}: choose {' or '.join(CONSTANT_FEATURES)}")
    m = pixels.shape[0]
    total, squares = _sums(pixels)
    # var = squares/m - (total/m)², over the common denominator m² and in Python's integers: nothing is rounded.
    m2_variance = [m * q - s * s for s, q in zip(total, squares, strict=True)]
    varies = [v > 0 for v in m2_variance]
    if not any(varies):
        raise DataError(f"no pixel varies over the {m} training images, so there is nothing to learn from")
    mean = [s / m for s in total]
    std = [sqrt(v) / m for v in m2_variance]
    if constant_features == "keep":
        kept, std = list(range(len(mean))), [s + ARTICLE_EPSILON for s in std]
    else:
        kept = [feature for feature, v in enumerate(varies) if v]
    return Standardization(
        features=xp.asarray(kept, dtype=xp.int64),
        mean=xp.asarray([mean[feature] for feature in kept], dtype=xp.float64),
        std=xp.asarray([std[feature] for feature in kept], dtype=xp.float64),
        n_constant=varies.count(False),
    )


def fit_floats(rows: Array, weights: Array | None = None) -> Standardization:
    """Measure samples of any features, not grey values only; those that take one value alone are left out.

    Parameters
    ----------
    rows : float64 array (m, n0)
        Of any size.
    weights : float64 array (m,), optional
        What each sample weighs in mean and standard deviation, above 0; by default all weigh the same.

    Raises
    ------
    DataError
        If a number is not finite, or no feature varies.
    """
    xp = array_namespace(rows)
    low, high = xp.min(rows, axis=0), xp.max(rows, axis=0)
    if not xp.all(xp.isfinite(low) & xp.isfinite(high)):
        raise DataError(f"a feature of the {rows.shape[0]} samples is not finite in {rows.dtype}")
    (features,) = xp.nonzero(high > low)
    if not features.shape[0]:
        raise DataError(f"no feature varies over the {rows.shape[0]} samples, so there is nothing to learn from")
    low, high = xp.take(low, features), xp.take(high, features)
    scale = _safe_scale(high / 2 - low / 2)
    low, high = low * scale, high * scale
    # Measured within its own range, 0 … 1, no feature loses digits to its offset, and no square overflows. A feature
    # is a row here, so that libraries which add up contiguous numbers pairwise do so.
    columns = xp.take(rows.mT, features, axis=0) * xp.expand_dims(scale, axis=1)
    unit = (columns - xp.expand_dims(low, axis=1)) / xp.expand_dims(high - low, axis=1)
    mean, std = _moments(unit, weights)
    mean = xp.minimum(low + (high - low) * mean, high)  # rounding must not lift it above all values
    std = xp.maximum((high - low) * std / scale, xp.asarray(ulp(0.0), dtype=rows.dtype))
    return Standardization(features, mean / scale, std, n_constant=rows.shape[1] - features.shape[0])


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


def standardize_floats(X: Array, mean: Array, std: Array) -> Array:
    """As `standardize`, of float64 numbers so large that their distance from the mean may overflow."""
    xp = array_namespace(X)
    scale = _safe_scale(std)
    return standardize(X * xp.expand_dims(scale, axis=-1), mean * scale, std * scale)


def _moments(unit: Array, weights: Array | None) -> tuple[Array, Array]:
    """Mean and standard deviation of each row."""
    xp = array_namespace(unit)
    if weights is None:
        return xp.mean(unit, axis=1), xp.std(unit, axis=1)
    share = weights / xp.sum(weights)
    mean = xp.sum(share * unit, axis=1)
    return mean, xp.sqrt(xp.sum(share * (unit - xp.expand_dims(mean, axis=1)) ** 2, axis=1))


def _safe_scale(spread: Array) -> Array:
    """½ for a feature that spreads over more than 1, else 1: scaled by that, no difference of its numbers overflows.

    It loses no digit that counts: to halve is exact but for the smallest numbers, which may be all that others have.
    """
    xp = array_namespace(spread)
    return xp.where(spread > 1, xp.asarray(0.5, dtype=spread.dtype), xp.asarray(1.0, dtype=spread.dtype))


def _sums(pixels: Array) -> tuple[list[int], list[int]]:
    """Sum and sum of squares of every column, exact."""
    xp = array_namespace(pixels)
    total = squares = xp.zeros(pixels.shape[1], dtype=xp.int64)
    for start in range(0, pixels.shape[0], BLOCK):
        block = xp.astype(pixels[start : start + BLOCK, :], xp.int32)
        total = total + xp.sum(block, axis=0, dtype=xp.int64)
        squares = squares + xp.sum(block * block, axis=0, dtype=xp.int64)
    return [int(s) for s in total], [int(q) for q in squares]
