"""What a run takes of the memory of the host, known before anything is made."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ssnn.backends import Backend
from ssnn.settings import Settings
from ssnn.system import machine

# Copies of the parameters while they are trained on the CPU, gradients of two threads included.
COPIES = {"gd": 6, "momentum": 8, "adam": 12}
ACTIVATIONS = 2  # arrays of hidden neurons x samples of a microbatch, in each thread


def network_memory(sizes: Sequence[int], itemsize: int, optimizer: str = "gd") -> int:
    """Bytes that a network of these layers, from the inputs on, takes while it is trained on the CPU."""
    return COPIES[optimizer] * itemsize * _weights(sizes)


def check_memory(backend: Backend, settings: Settings, pixels: int, features: int = 0, samples: int = 0) -> None:
    """Refuse a run that cannot fit into the memory of the host.

    Parameters
    ----------
    backend : Backend
        Where its device is not the CPU, only what is made on the host counts.
    settings : Settings
    pixels : int
        Of an image.
    features, samples : int
        The pixels that enter the network, and the training images; 0 where they are not known yet.

    Raises
    ------
    MemoryError
        If more is needed than is free.
    """
    hidden = settings.hidden
    itemsize, sizes = np.dtype(backend.dtype).itemsize, (features, *hidden, 1)
    drawn = np.dtype(np.float64).itemsize * _weights((pixels, *hidden, 1))  # before columns are left out
    if backend.device == "cpu":
        at_once = min(samples, settings.batch_size or samples)
        trained = network_memory(sizes, itemsize, settings.optimizer)
        trained += _activations(backend, sizes, at_once) * itemsize
    else:
        trained = itemsize * _weights(sizes)
    needed, free = max(drawn, trained), machine.free_memory()
    if needed > free:
        neurons = " and ".join(f"{size:,}" for size in hidden) or "no"
        raise MemoryError(f"{neurons} hidden neurons need {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free")


def _weights(sizes: Sequence[int]) -> int:
    return sum(n_in * n_out for n_in, n_out in pairwise(sizes))


def _activations(backend: Backend, sizes: Sequence[int], samples: int) -> int:
    """Numbers in the activations of the hidden layers that there are at one time."""
    if not samples:
        return 0
    split = backend.accumulation(samples, sizes[0], max(n_in * n_out for n_in, n_out in pairwise(sizes)))
    at_once = min(samples, split.microbatch_size * split.per_call * split.threads * split.devices)
    return ACTIVATIONS * at_once * sum(sizes[1:-1])
