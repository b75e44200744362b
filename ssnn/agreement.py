"""Do two runs agree? One measure of how far apart they are, and one bound on how far they may be."""

import numpy as np

from ssnn.network import Network


def tolerance(dtype: str, iterations: int) -> float:
    """How far a run may be from the NumPy float64 run of the same settings, by `disagreement`.

    Backends add in different orders, so each iteration may add about one rounding of the dtype to what the
    parameters have gathered already; the constant covers the long sums over all samples of a first iteration.
    After 500 iterations this is 1.8e-13 in float64 and 9.7e-5 in float32.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Of the run that is held against the reference.
    iterations : int
    """
    return float(np.finfo(dtype).eps) * (64 + 1.5 * iterations)


def disagreement(network: Network, reference: Network) -> float:
    """The largest difference between two NumPy networks, relative to the largest parameter of the same array.

    NaN where either holds a NaN, so that no bound lets it pass.

    Raises
    ------
    ValueError
        If the networks differ in shape.
    """
    worst = 0.0
    for layer, expected in zip(network, reference, strict=True):
        for actual, wanted in zip(layer, expected, strict=True):
            if actual.shape != wanted.shape:
                raise ValueError(f"networks of different shapes: {actual.shape} and {wanted.shape}")
            difference = np.max(np.abs(actual.astype(np.float64) - wanted))
            worst = float(np.maximum(worst, difference / np.max(np.abs(wanted))))
    return worst
