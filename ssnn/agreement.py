"""Do two runs agree? One measure of how far apart they are, and one bound on how far they may be."""

import numpy as np

from ssnn.network import Network

KINK = {"float32": 5e-5, "float64": 0.0}


def tolerance(dtype: str, iterations: int) -> float:
    """How far a run may be from the NumPy float64 run of the same settings, by `disagreement`.

    Two things set runs apart. Sums are taken in another order: that may add about one rounding of the dtype
    in each iteration. And the ReLU has a kink: a sample whose Z lies within rounding of 0 has the derivative
    0 in one run and 1 in the other. Of the 126,650 values of Z in an iteration of the article's network, none
    comes that close in float64; in float32 one now and then does, and has been seen to move the parameters
    by 4.4e-5.

    That is so for gradient descent, and for one pass of Adam over mini-batches of 84. Adam and momentum magnify what
    sets runs apart, and the longer, the more: after 100 iterations of Adam on the full batch float32 has been seen to
    differ by 2e-3, after 5 passes of momentum over mini-batches float64 by 1.2e-13. The wrong images were the same.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Of the run that is compared with the reference.
    iterations : int

    Returns
    -------
    float
        For 500 iterations 7.0e-14 in float64 and 8.7e-5 in float32.
    """
    return KINK[dtype] + float(np.finfo(dtype).eps) * (64 + iterations / 2)


def disagreement(network: Network, reference: Network) -> float:
    """The largest difference between two NumPy networks, relative to the largest parameter of the same layer.

    NaN where either holds a NaN, so that no bound lets it pass.

    Raises
    ------
    ValueError
        If the networks differ in shape.
    """
    shapes, expected = ([[p.shape for p in layer] for layer in each] for each in (network, reference))
    if shapes != expected:
        raise ValueError(f"networks of different shapes: {shapes} and {expected}")
    return float(
        np.max(
            [
                np.max(np.abs(parameters - wanted)) / max(np.max(np.abs(p)) for p in layer)
                for actual, layer in zip(network, reference, strict=True)
                for parameters, wanted in zip(actual, layer, strict=True)
            ]
        )
    )
