"""Gradient accumulation: a batch in microbatches, whose gradients one thread or several add up.

Cost and gradients are sums over the samples, so any split of the batch gives the same network. The microbatch size is
the backend's choice: small enough for a cache or a fast kernel, large enough to be worth a call.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import ceil
from types import TracebackType
from typing import Any, Self

from array_api_compat import array_namespace

from ssnn.errors import BackendError
from ssnn.system.threads import FEWER
from ssnn.tree import tree_map
from ssnn.typing import Array, Tree

Microbatch = Sequence[Array]  # X, Y and sample_weight; or the places of its samples, and sample_weight
MIN_SHARED = 4 * 10**6  # samples times weights in a mini-batch; with fewer, sharing costs more than it saves
MAX_FLOAT_BATCH = 2**29  # bytes on the CPU; beyond it, a quarter of the memory is worth a fifth of the time


@dataclass(frozen=True)
class Accumulation:
    """How a backend splits a batch, and who adds up the gradients.

    Attributes
    ----------
    microbatch_size : int
        Samples in a microbatch.
    per_call : int
        Microbatches that `gradients` is given at once, as leading axes.
    threads : int
        That share the microbatches, the caller included.
    thread_config : callable
        Gives the context in which each of these threads computes: settings of the library that hold in one thread.
    raw_pixels : bool
        Whether the device keeps the samples as they are and each iteration standardises the microbatch that it uses.
        Otherwise it keeps standardised samples, which are written into one array: the library's must be writable.
    feature_major : bool
        Whether it is a feature that lies in one stretch of memory in a raw microbatch, and not a sample.
    devices : int
        That share the microbatches, the number of which is a multiple of this.
    """

    microbatch_size: int
    per_call: int = 1
    threads: int = 1
    thread_config: Callable[[], AbstractContextManager[None]] = nullcontext
    raw_pixels: bool = True
    feature_major: bool = False
    devices: int = 1

    def count(self, samples: int) -> int:
        """How many microbatches a batch has, padding included."""
        return ceil(samples / self.microbatch_size / self.devices) * self.devices


def even_size(samples: int, largest: int, multiple: int = 1) -> int:
    """Size of equal microbatches, at most `largest`; their number is a multiple of `multiple`."""
    return ceil(samples / (ceil(samples / largest / multiple) * multiple))


class GradientAccumulator:
    """The sum of gradient and cost over microbatches; a context manager that ends its threads.

    Each thread adds up its own microbatches, always the same ones in the same order: the sum has the same bits
    however the threads run.
    """

    def __init__(self, gradients: Callable[..., tuple[Tree, Array]], accumulation: Accumulation) -> None:
        self._gradients = gradients
        self._threads = accumulation.threads
        self._thread_config = accumulation.thread_config
        self._pool = ThreadPoolExecutor(accumulation.threads)

    def __call__(self, network: Tree, microbatches: Sequence[Microbatch]) -> tuple[Tree, Array]:
        """Gradient and cost of a batch that `split` has split.

        Raises
        ------
        BackendError
            If the process may start no thread.
        """
        shares = [share for thread in range(self._threads) if (share := microbatches[thread :: self._threads])]
        try:
            others = [self._pool.submit(self._accumulate, network, share) for share in shares[1:]]
        except RuntimeError as error:
            reason = f"{error}: the system lets this process have no more"
            raise BackendError(f"{reason}; what would help: {FEWER}") from error
        gradient_and_cost: tuple[Tree, Array] = self._accumulate(network, shares[0])
        for other in others:
            gradient_and_cost = _add(gradient_and_cost, other.result())
        return gradient_and_cost

    def _accumulate(self, network: Tree, share: Sequence[Microbatch]) -> Any:
        total = None
        with self._thread_config():
            for microbatch in share:
                part = self._gradients(network, *microbatch)
                if microbatch[-1].ndim > 2:  # several microbatches at once
                    part = tree_map(_sum_first_axis, part)
                total = part if total is None else _add(total, part)
        return total

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown()


def split(batch: Sequence[Array], per_call: int) -> list[Microbatch]:
    """The microbatches of arrays (p, ..., s): (..., s) one by one, or (per_call, ..., s) at once."""
    count = batch[0].shape[0]
    if per_call == 1:
        return [[array[i, ...] for array in batch] for i in range(count)]
    return [[array[i : min(i + per_call, count), ...] for array in batch] for i in range(0, count, per_call)]


def _sum_first_axis(array: Array) -> Array:
    return array_namespace(array).sum(array, axis=0)


def _add(one: Tree, other: Tree) -> Tree:
    return tree_map(lambda a, b: a + b, one, other)
