"""Mini-batches: samples on the device, and on the host the order in which updates take them."""

from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.backends import Backend, Program
from ssnn.data import Samples
from ssnn.data.blocks import pad_rows
from ssnn.data.memmap import release
from ssnn.network import Network
from ssnn.standardize import Standardization, select
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import MAX_STANDARDIZED, DeviceSamples, Rows, check_device_memory, standardized
from ssnn.typing import Array, Gradients, Update

MAX_GATHERED = 2**26  # numbers of the samples of one call: a program may gather all of them before the first update


@dataclass(frozen=True)
class Order:
    """Which samples each mini-batch of a pass over all of them has: the same on every backend.

    A pass is a function of its number alone, so a run that goes on within one takes the samples that are left of it.

    Attributes
    ----------
    samples : int
    size : int
        Samples in a mini-batch; the last of a pass may have fewer.
    seed : int or None
        Of a random order, drawn anew for each pass from NumPy's legacy generator, whose stream is frozen for good;
        None for the order in which the samples lie.
    weights : float64 array (m,), optional
        What each sample weighs in the mean of its mini-batch, above 0; by default all weigh the same.
    """

    samples: int
    size: int
    seed: int | None
    weights: npt.NDArray[np.float64] | None = None
    _drawn: dict[int, npt.NDArray[np.intp]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def per_pass(self) -> int:
        """Mini-batches in a pass."""
        return ceil(self.samples / self.size)

    def minibatches(self, done: int, k: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """The k mini-batches after the first `done`, all of one pass.

        Returns
        -------
        places : int32 array (k, size)
            Of their samples; 0 for padding.
        weights : float64 array (k, size)
            Whose sum is 1 in each mini-batch; 0 for padding.
        """
        number, first = divmod(done, self.per_pass)
        chosen = self._pass(number)[first * self.size : (first + k) * self.size].astype(np.int32)
        weights = np.ones(len(chosen)) if self.weights is None else self.weights[chosen]
        places, weights = (pad_rows(array, k * self.size).reshape(k, self.size) for array in (chosen, weights))
        return places, weights / np.sum(weights, axis=1, keepdims=True)

    def _pass(self, number: int) -> npt.NDArray[np.intp]:
        """The samples in the order of this pass; it is kept, for a long pass takes several calls."""
        if self.seed is None:
            return np.arange(self.samples)
        if number not in self._drawn:
            self._drawn.clear()
            self._drawn[number] = np.random.RandomState([self.seed, number]).permutation(self.samples)
        return self._drawn[number]


@dataclass(frozen=True)
class Minibatches(DeviceSamples):
    """Samples of which each update takes a mini-batch.

    Attributes
    ----------
    X : array (m, n0)
    Y : array (m,)
    order : Order
    """

    order: Order

    @property
    def samples_per_update(self) -> int:
        """Of a whole mini-batch."""
        return self.order.size

    def program(self, backend: Backend, gradients: Gradients, update: Update, k: int) -> Program:
        """The program of k updates."""
        return backend.minibatch_loop(gradients, update, self.accumulation)

    def arguments(self, backend: Backend, done: int, k: int) -> tuple[Array, ...]:
        """What that program is given for the k updates after the first `done`."""
        places, weights = self.order.minibatches(done, k)
        size, count = self.accumulation.microbatch_size, self.accumulation.count(self.order.size)
        rows = [pad_rows(array.T, size * count).T for array in (places, weights)]
        places, weights = (array.reshape(k, count, size) for array in rows)
        return self.X, self.Y, *backend.to_device((places, weights[:, :, None, :]))

    def updates_per_call(self, done: int, k: int) -> int:
        """How many of k updates, after the first `done`, one call of that program can do.

        They are of one pass, and not of more samples than may be gathered at once.
        """
        gathered = max(1, MAX_GATHERED // (self.order.size * self.X.shape[1]))
        return int(min(k, self.order.per_pass - done % self.order.per_pass, gathered))


def minibatches_to_device(
    backend: Backend,
    standardization: Standardization,
    samples: Samples | Rows,
    start: Network,
    order: Order,
    watch: Stopwatch,
) -> Minibatches:
    """Bring samples to the device, for updates on mini-batches of them; the parameters are those of `batch_to_device`.

    Raises
    ------
    MemoryError
        If the device cannot hold them.
    """
    n0, largest = start[0].W.shape[-1], max(layer.W.shape[-2] * layer.W.shape[-1] for layer in start)
    is_stack = start[0].W.ndim > 2
    raw_pixels = backend.accumulation(len(samples), n0, largest, is_stack).raw_pixels
    chosen = backend.minibatch_accumulation(order.size, n0, largest, is_stack)
    accumulation = replace(chosen, raw_pixels=raw_pixels)
    check_device_memory(backend, len(samples), n0, accumulation)
    with watch.measure("transfer"):
        transform = backend.to_device(standardization.arrays)
        Y = backend.to_device(samples.labels.astype(np.float64))
    if raw_pixels:
        with watch.measure("transfer"):
            X = backend.to_device(_raw_rows(samples.pixels, standardization.features))
    else:
        X = standardized(backend, samples.pixels, transform, 1, len(samples), watch)[0, ...].mT
    with watch.measure("transfer"):
        backend.synchronize((X, Y))
    return Minibatches(X, Y, accumulation, transform, order)


def _raw_rows(pixels: npt.NDArray[Any], features: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Raw pixels (m, n) of the features, in blocks, for the temporaries are as large as what is selected."""
    X = np.empty((len(pixels), len(features)), pixels.dtype)
    for start in range(0, len(pixels), MAX_STANDARDIZED):
        rows = slice(start, start + MAX_STANDARDIZED)
        X[rows] = select(pixels[rows], features).T
        release(pixels)
    return X
