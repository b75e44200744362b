"""The standardised distance of an image: how far it lies from the mean of the training images."""

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.standardize import Standardization
from ssnn.typing import Array

MIN_VARYING_STD = 1e-6  # grey values; the article's std of a pixel that never varies is 1e-9


def varying_inputs(standardization: Standardization) -> npt.NDArray[np.intp]:
    """The network's inputs that vary over the training images: the others have no distribution to be far from."""
    return np.flatnonzero(standardization.std > MIN_VARYING_STD)


def standardized_distance(X: Array, varying: Array) -> Array:
    """Root mean square of the standardised inputs of each image, in the Array API: about 1 for a training image.

    Parameters
    ----------
    X : array (n, m)
    varying : integer array
        From `varying_inputs`.

    Returns
    -------
    array (m,)
    """
    xp = array_namespace(X)
    X = xp.take(X.mT, varying, axis=1).mT  # a sample stays in one stretch of memory
    return xp.sqrt(xp.mean(X**2, axis=0))
