"""Samples on their way to the device: raw pixels on the host become a batch in microbatches."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from ssnn.backends import Accumulation, Backend, Program
from ssnn.data import Samples
from ssnn.data.blocks import pad_rows
from ssnn.data.memmap import release
from ssnn.network import Network, gradients
from ssnn.standardize import Standardization, select, standardize
from ssnn.system.stopwatch import Stopwatch
from ssnn.typing import Array, Gradients, Update

MAX_STANDARDIZED = 4096  # samples that are standardised at once: their temporaries stay small beside the batch


@dataclass(frozen=True)
class Rows:
    """Samples of any number of features: to `batch_to_device` what `Samples` are, which are images.

    Attributes
    ----------
    pixels : array (m, n0)
        Raw features, one sample per row.
    labels : uint8 array (m,)
        The class of each sample, 0 or 1.
    """

    pixels: npt.NDArray[Any]
    labels: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DeviceSamples:
    """Samples on a device, and how the loop is to go through them.

    Attributes
    ----------
    X : array
        The network's inputs; raw pixels, uint8, where `accumulation.raw_pixels` says so.
    Y : array
        The classes.
    accumulation : Accumulation
        How what is used for an update is split.
    transform : (array (n0,), array (n0,), array (n0,))
        Features, mean and std of the standardisation, on the device.
    """

    X: Array
    Y: Array
    accumulation: Accumulation
    transform: tuple[Array, Array, Array]

    @property
    def content(self) -> str:
        """What X holds, for people to read."""
        return "raw pixels" if self.accumulation.raw_pixels else "standardised pixels"

    def gradients(self, network: Network, X: Array, Y: Array, sample_weight: Array) -> tuple[Network, Array]:
        """Gradient and cost of a microbatch, with X as it lies on the device."""
        if self.accumulation.raw_pixels:
            _, mean, std = self.transform
            X = standardize(X, mean, std)
        return gradients(network, X, Y, sample_weight)


@dataclass(frozen=True)
class Batch(DeviceSamples):
    """The full batch, in p microbatches of s samples, of which the last is padded: each update takes all of it.

    Attributes
    ----------
    X : array (p, n0, s)
    Y : array (p, 1, s)
    sample_weight : array (p, 1, s)
        1/m for each of the m samples, or their weights over the sum of these; 0 for padding.
    """

    sample_weight: Array

    @property
    def samples_per_update(self) -> int:
        """Padding included."""
        count, _, size = self.X.shape
        return int(count * size)

    def program(self, backend: Backend, gradients: Gradients, update: Update, k: int) -> Program:
        """The program of k updates."""
        return backend.loop(gradients, update, k, self.accumulation)

    def arguments(self, backend: Backend, done: int, k: int) -> tuple[Array, ...]:
        """What that program is given for the k updates after the first `done`."""
        return self.X, self.Y, self.sample_weight

    def updates_per_call(self, done: int, k: int) -> int:
        """How many of k updates, after the first `done`, one call of that program can do."""
        return k


def batch_to_device(
    backend: Backend,
    standardization: Standardization,
    samples: Samples | Rows,
    start: Network,
    watch: Stopwatch,
    weights: npt.NDArray[np.float64] | None = None,
) -> Batch:
    """Bring samples to the device, split as the backend chooses for this network (or stack of networks).

    The time goes to "transfer" and "compile" on the stopwatch.

    Parameters
    ----------
    backend : Backend
    standardization : Standardization
    samples : Samples or Rows
    start : tuple of Layer
        A network of the shapes that will be trained.
    watch : Stopwatch
    weights : float64 array (m,), optional
        What each sample weighs in the mean, above 0; by default all weigh the same.

    Raises
    ------
    MemoryError
        If the device cannot hold them.
    """
    W = [layer.W for layer in start]
    largest = max(w.shape[-2] * w.shape[-1] for w in W)
    accumulation = backend.accumulation(len(samples), W[0].shape[-1], largest, is_stack=W[0].ndim > 2)
    check_device_memory(backend, len(samples), W[0].shape[-1], accumulation)
    size, count = accumulation.microbatch_size, accumulation.count(len(samples))
    with watch.measure("transfer"):
        transform = backend.to_device(standardization.arrays)
        classes = pad_rows(samples.labels.astype(np.float64), count * size).reshape(count, 1, size)
        share = np.full(len(samples), 1 / len(samples)) if weights is None else weights / np.sum(weights)
        weight = pad_rows(share, count * size).reshape(count, 1, size)
        Y, sample_weight = backend.shard(count, lambda start, stop: (classes[start:stop], weight[start:stop]))
    if accumulation.raw_pixels:
        with watch.measure("transfer"):
            X = backend.shard(count, partial(_raw, samples.pixels, standardization.features, accumulation))
            backend.synchronize((X, Y, sample_weight))
    else:
        X = standardized(backend, samples.pixels, transform, count, size, watch)
        with watch.measure("transfer"):
            backend.synchronize((X, Y, sample_weight))
    return Batch(X, Y, accumulation, transform, sample_weight)


def check_device_memory(backend: Backend, samples: int, features: int, accumulation: Accumulation) -> None:
    """Refuse samples that the device cannot hold, before anything is brought there.

    Raises
    ------
    MemoryError
        Which names the size in either form.
    """
    raw, standardized = samples * features, samples * features * np.dtype(backend.dtype).itemsize
    free = backend.free_memory()
    if (raw if accumulation.raw_pixels else standardized) > free:
        sizes = f"{raw / 1e9:,.1f} GB as raw pixels and {standardized / 1e9:,.1f} GB in {backend.dtype}"
        raise MemoryError(f"{samples:,} samples take {sizes}, and {backend.device} has {free / 1e9:,.1f} GB free")


def _raw(
    pixels: npt.NDArray[Any], features: npt.NDArray[np.intp], accumulation: Accumulation, start: int, stop: int
) -> npt.NDArray[Any]:
    """Raw pixels (m, n0) as the microbatches (stop - start, n, size) from start to stop, padded with zeros."""
    size, n = accumulation.microbatch_size, len(features)
    if accumulation.feature_major:
        X = np.zeros((stop - start, n, size), pixels.dtype)
    else:
        X = np.zeros((stop - start, size, n), pixels.dtype).mT
    for index in range(start, stop):
        rows = pixels[index * size : (index + 1) * size]
        X[index - start, :, : len(rows)] = select(rows, features)
        release(pixels)
    return X


def standardized(
    backend: Backend,
    pixels: npt.NDArray[Any],
    transform: tuple[Array, Array, Array],
    count: int,
    size: int,
    watch: Stopwatch,
) -> Array:
    """Standardised microbatches (count, n, size) on the device, from raw pixels (m, n0); padded with black."""

    def allocate(mean: Array) -> Array:
        xp = array_namespace(mean)
        rows = xp.empty((count, size, mean.shape[0]), dtype=mean.dtype, device=device(mean))
        return rows.mT  # a sample lies in one stretch of memory, which suits both matrix products

    def write(X: Any, index: int, start: int, rows: Array, features: Array, mean: Array, std: Array) -> None:
        X[index, :, start : start + rows.shape[0]] = standardize(select(rows, features), mean, std)

    with watch.measure("transfer"):
        X = backend.program(allocate)(transform[1])
    program = backend.program(write)
    for index in range(count):
        rows = pad_rows(pixels[index * size : (index + 1) * size], size)
        release(pixels)
        for start in range(0, size, MAX_STANDARDIZED):
            with watch.measure("transfer"):
                on_device = backend.asarray(rows[start : start + MAX_STANDARDIZED])
            if index == start == 0:
                with watch.measure("compile"):
                    program.compile(X, 0, 0, on_device, *transform)
            with watch.measure("transfer"):
                program(X, index, start, on_device, *transform)
    return X
