"""Between host and device: networks and samples, there and back."""

from ssnn.backends import Backend
from ssnn.data import Samples
from ssnn.network import Array, Layer, Network
from ssnn.standardize import Standardization, standardize
from ssnn.stopwatch import Stopwatch


def network_to_device(backend: Backend, network: Network) -> Network:
    """Bring a NumPy network to the device, in the dtype of the backend."""
    return tuple(
        Layer(backend.asarray(W.astype(backend.dtype)), backend.asarray(b.astype(backend.dtype))) for W, b in network
    )


def network_to_host(backend: Backend, network: Network) -> Network:
    """Bring a network back as NumPy arrays."""
    return tuple(Layer(backend.to_numpy(W), backend.to_numpy(b)) for W, b in network)


def samples_to_device(
    backend: Backend, standardization: Standardization, samples: Samples, watch: Stopwatch
) -> tuple[Array, Array]:
    """Bring samples to the device as raw pixels, and standardise them there.

    The time goes to "transfer" and "compile" on the stopwatch.

    Returns
    -------
    X : array (n, m)
        The network's inputs, in the dtype of the backend.
    Y : array (1, m)
        The classes, in the same dtype.
    """
    program = backend.compile(standardize)
    with watch.measure("transfer"):
        raw = (
            backend.asarray(samples.pixels),
            backend.asarray(standardization.features),
            backend.asarray(standardization.mean.astype(backend.dtype)),
            backend.asarray(standardization.std.astype(backend.dtype)),
        )
        Y = backend.asarray(samples.labels.astype(backend.dtype)[None, :])
    with watch.measure("compile"):
        program.prepare(*raw)
    with watch.measure("transfer"):
        X = program(*raw)
        backend.synchronize((X, Y))
    return X, Y
