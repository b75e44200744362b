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

RUN_SECONDS = 1.0  # that one call is to take at most, as far as it can be known: a stop waits for it
FIRST_WORK = 4 * 10**9  # samples times weights in the first call, whose time is not known: below a second on most CPUs
MIN_WORK = 4 * 10**6  # samples times weights that take as long as the calls of an iteration do, however small


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
        self._length = 0  # iterations in a call, where a boundary is not nearer; 0 before the first

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

        Where it is far to the next boundary, the loop comes back earlier: after about a second, by the time that
        iterations have taken so far, and at least one iteration. Few different lengths are used, for each is compiled
        on its own; and none but the boundaries' where it is less than a second from one to the next.

        Parameters
        ----------
        network : tuple of Layer
            On the device.
        boundaries : iterable of int
            Ascending iterations: at each but the first the loop comes back to the caller.

        Yields
        ------
        As `run` returns, at each boundary and about once a second between them.

        Raises
        ------
        TrainingError
            If a cost is not finite.
        """
        self._length = self._length or self._first_length(network)
        for done, end in pairwise(boundaries):
            while done < end:
                k, before = min(self._length, end - done), self._watch.seconds["iterations"]
                network, costs = self.run(network, k)
                self._adapt_length(k, self._watch.seconds["iterations"] - before)
                finite = np.isfinite(costs.reshape(len(costs), -1)).all(axis=1)
                if not finite.all():
                    first = int(np.argmin(finite))
                    cost = next(c for c in costs[first].ravel().tolist() if not math.isfinite(c))
                    raise self.diverged(f"the cost is {cost}", done + first + 1)
                yield network, costs
                done += k

    def to_host_finite(self, network: Network, iteration: int) -> Network:
        """The network as NumPy arrays.

        Raises
        ------
        TrainingError
            If one of its parameters is not finite after this iteration.
        """
        on_host: Network = self._backend.to_host(network)
        if not all(np.isfinite(np.asarray(parameters)).all() for layer in on_host for parameters in layer):
            raise self.diverged("a parameter is not finite", iteration)
        return on_host

    def diverged(self, what: str, iteration: int) -> TrainingError:
        """The error of a run that has left the finite numbers at this iteration, with the remedy."""
        learning_rate = self._arguments[-1]
        is_one = isinstance(learning_rate, float)
        remedy = f"try a learning rate below {learning_rate:g}" if is_one else "try smaller learning rates"
        return TrainingError(f"{what} at iteration {iteration}; {remedy}")

    def _first_length(self, network: Network) -> int:
        count, _, size = self._batch.X.shape
        work: int = count * size * sum(math.prod(layer.W.shape) for layer in network)
        return max(1, FIRST_WORK // max(MIN_WORK, work))

    def _adapt_length(self, k: int, seconds: float) -> None:
        """Choose another length where k iterations took far from what they are to take.

        A power of two, so that there are few of them however the speed varies.
        """
        is_long, is_short = seconds > 2 * RUN_SECONDS, k == self._length and seconds < RUN_SECONDS / 4
        if is_long or is_short:
            fitting = RUN_SECONDS / max(seconds / k, 1e-9)
            self._length = 1 << int(math.log2(max(1, fitting)))
