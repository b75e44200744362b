"""The training loop: k iterations of gradient descent at a time, for one network or for a stack of them."""

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ssnn.backends import Backend, Program
from ssnn.errors import TrainingError
from ssnn.network import Network, update
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import Batch
from ssnn.typing import Array

Costs = npt.NDArray[np.floating]


class Loop:
    """Gradient descent on one batch; the time goes to "compile" and "iterations" on the stopwatch.

    Parameters
    ----------
    backend : Backend
    batch : Batch
    learning_rate : float or array (..., 1, 1)
        For a stack of networks, one rate for each.
    watch : Stopwatch
    """

    def __init__(self, backend: Backend, batch: Batch, learning_rate: float | Array, watch: Stopwatch) -> None:
        self._backend = backend
        self._batch = batch
        self._arguments = (batch.X, batch.Y, batch.sample_weight, learning_rate)
        self._watch = watch
        self._programs: dict[int, Program] = {}

    def compile(self, network: Network, k: int) -> Program:
        """The program of k iterations for networks of this shape, compiled once."""
        if k not in self._programs:
            program = self._backend.loop(self._batch.gradients, update, k, self._batch.accumulation)
            with self._watch.measure("compile"):
                program.compile(network, *self._arguments)
            self._programs[k] = program
        return self._programs[k]

    def run(self, network: Network, k: int) -> tuple[Network, Costs]:
        """Do k iterations from this network.

        Returns
        -------
        network : tuple of Layer
            On the device, and computed.
        costs : array (k, ...)
            NumPy; of each iteration, taken before its update.
        """
        program = self.compile(network, k)
        with self._watch.measure("iterations"):
            network, costs = program(network, *self._arguments)
            on_host = self._backend.to_numpy(costs)
            self._backend.synchronize(network)
        return network, on_host

    def iterate(self, network: Network, boundaries: Iterable[int]) -> Iterator[tuple[Network, Costs]]:
        """Go on from the first boundary to the last.

        Parameters
        ----------
        network : tuple of Layer
            On the device.
        boundaries : iterable of int
            Ascending iterations: at each but the first the loop comes back to the caller.

        Yields
        ------
        As `run` returns, at each boundary.

        Raises
        ------
        TrainingError
            If a cost is not finite.
        """
        for start, end in pairwise(boundaries):
            network, costs = self.run(network, end - start)
            finite = np.isfinite(costs.reshape(len(costs), -1)).all(axis=1)
            if not finite.all():
                first = int(np.argmin(finite))
                cost = next(c for c in costs[first].ravel().tolist() if not math.isfinite(c))
                raise _diverged(f"the cost is {cost}", start + first + 1, self._arguments[-1])
            yield network, costs

    def to_host_finite(self, network: Network, iteration: int) -> Network:
        """The network as NumPy arrays.

        Raises
        ------
        TrainingError
            If one of its parameters is not finite after this iteration.
        """
        on_host: Network = self._backend.to_host(network)
        if not all(np.isfinite(np.asarray(parameters)).all() for layer in on_host for parameters in layer):
            raise _diverged("a parameter is not finite", iteration, self._arguments[-1])
        return on_host


def _diverged(what: str, iteration: int, learning_rate: float | Array) -> TrainingError:
    is_one = isinstance(learning_rate, float)
    remedy = f"try a learning rate below {learning_rate:g}" if is_one else "try smaller learning rates"
    return TrainingError(f"{what} at iteration {iteration}; {remedy}")
