"""The training loop: k updates at a time, for one network or for a stack of them."""

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssnn.backends import Backend, Program
from ssnn.data import Samples
from ssnn.errors import TrainingError
from ssnn.network import Network
from ssnn.optimizers import Adam, GradientDescent, Optimizer
from ssnn.settings import Settings
from ssnn.standardize import Standardization
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import Batch, Rows, batch_to_device
from ssnn.training.minibatch import Minibatches, Order, minibatches_to_device
from ssnn.tree import leaves
from ssnn.typing import Array, Tree

Costs = npt.NDArray[np.floating]

RUN_SECONDS = 1.0  # that one call is to take at most, as far as it can be known: a stop waits for it
FIRST_WORK = 4 * 10**9  # samples times weights in the first call, whose time is not known: below a second on most CPUs
MIN_WORK = 4 * 10**6  # samples times weights that take as long as the calls of an update do, however small


class TrainingState(NamedTuple):
    """What one update hands to the next: the network, and the state of the optimizer; see `ssnn.optimizers`."""

    network: Network
    optimizer: Tree


class Loop:
    """Updates from samples on the device; the time goes to "compile" and "iterations" on the stopwatch.

    Parameters
    ----------
    backend : Backend
    samples : Batch or Minibatches
    learning_rate : float or array (..., 1, 1)
        For a stack of networks, one rate for each.
    watch : Stopwatch
    optimizer : Optimizer
    """

    def __init__(
        self,
        backend: Backend,
        samples: Batch | Minibatches,
        learning_rate: float | Array,
        watch: Stopwatch,
        optimizer: Optimizer | None = None,
    ) -> None:
        self._backend = backend
        self.samples = samples
        self._learning_rate = learning_rate
        self._watch = watch
        self._optimizer = optimizer or GradientDescent()
        self._programs: dict[int, Program] = {}
        self._length = 0  # updates in a call, where a boundary is not nearer; 0 before the first

    def begin(self, network: Network) -> TrainingState:
        """The state before the first update of a network on the device."""
        return TrainingState(network, self._backend.program(self._optimizer.init)(network))

    def compile(self, state: TrainingState, k: int) -> Program:
        """The program of k updates for networks of this shape, compiled once."""
        if k not in self._programs:
            program = self.samples.program(self._backend, self._gradients, self._update, k)
            with self._watch.measure("compile"):
                program.compile(state, *self.samples.arguments(self._backend, 0, k), self._learning_rate)
            self._programs[k] = program
        return self._programs[k]

    def run(self, state: TrainingState, k: int, done: int = 0) -> tuple[TrainingState, Costs]:
        """Do k updates after the first `done`, in as few calls as can be.

        Returns
        -------
        state : TrainingState
            On the device, and computed.
        costs : array (k, ...)
            NumPy; of each update, taken before it.
        """
        found, end = [], done + k
        while done < end:
            now = self.samples.updates_per_call(done, end - done)
            program = self.compile(state, now)
            with self._watch.measure("iterations"):
                arguments = self.samples.arguments(self._backend, done, now)
                state, costs = program(state, *arguments, self._learning_rate)
                found.append(self._backend.to_numpy(costs))
                self._backend.synchronize(state)
            done += now
        return state, np.concatenate(found)

    def iterate(self, state: TrainingState, boundaries: Iterable[int]) -> Iterator[tuple[TrainingState, Costs]]:
        """Go on from the first boundary to the last.

        Where it is far to the next boundary, the loop comes back earlier: after about a second, by the time that
        updates have taken so far, and at least one update; and at the end of each pass over mini-batches. Few different
        lengths are used, for each is compiled on its own; and none but the boundaries' where it is less than a second
        from one to the next.

        Parameters
        ----------
        state : TrainingState
            On the device.
        boundaries : iterable of int
            Ascending numbers of updates: at each but the first the loop comes back to the caller.

        Yields
        ------
        As `run` returns, at each boundary and about once a second between them.

        Raises
        ------
        TrainingError
            If a cost is not finite.
        """
        self._length = self._length or self._first_length(state.network)
        for done, end in pairwise(boundaries):
            while done < end:
                k, before = min(self._length, end - done), self._watch.seconds["iterations"]
                k = self.samples.updates_per_call(done, k)
                state, costs = self.run(state, k, done)
                self._adapt_length(k, self._watch.seconds["iterations"] - before)
                finite = np.isfinite(costs.reshape(len(costs), -1)).all(axis=1)
                if not finite.all():
                    first = int(np.argmin(finite))
                    cost = next(c for c in costs[first].ravel().tolist() if not math.isfinite(c))
                    raise self.diverged(f"the cost is {cost}", done + first + 1)
                yield state, costs
                done += k

    def to_host_finite(self, state: TrainingState, updates: int) -> TrainingState:
        """The state as NumPy arrays.

        Raises
        ------
        TrainingError
            If a parameter of the network is not finite after this number of updates, or a number of the optimizer.
        """
        on_host: TrainingState = self._backend.to_host(state)
        for tree, what in ((on_host.network, "a parameter"), (on_host.optimizer, "the optimizer's state")):
            if not all(np.isfinite(array).all() for array in leaves(tree)):
                raise self.diverged(f"{what} is not finite", updates)
        return on_host

    def diverged(self, what: str, updates: int) -> TrainingError:
        """The error of a run that has left the finite numbers at this update, with the remedy."""
        rate = self._learning_rate
        remedy = f"try a learning rate below {rate:g}" if isinstance(rate, float) else "try smaller learning rates"
        if isinstance(self._optimizer, Adam):
            remedy += ", or a larger epsilon"
        unit = "iteration" if isinstance(self.samples, Batch) else "update"
        return TrainingError(f"{what} at {unit} {updates}; {remedy}")

    def _gradients(self, state: TrainingState, *microbatch: Array) -> tuple[Network, Array]:
        return self.samples.gradients(state.network, *microbatch)

    def _update(self, state: TrainingState, gradient: Network, learning_rate: float | Array) -> TrainingState:
        return TrainingState(*self._optimizer.update(state.network, gradient, state.optimizer, learning_rate))

    def _first_length(self, network: Network) -> int:
        work: int = self.samples.samples_per_update * sum(math.prod(layer.W.shape) for layer in network)
        return max(1, FIRST_WORK // max(MIN_WORK, work))

    def _adapt_length(self, k: int, seconds: float) -> None:
        """Choose another length where k iterations took far from what they are to take.

        A power of two, so that there are few of them however the speed varies.
        """
        is_long, is_short = seconds > 2 * RUN_SECONDS, k == self._length and seconds < RUN_SECONDS / 4
        if is_long or is_short:
            fitting = RUN_SECONDS / max(seconds / k, 1e-9)
            self._length = 1 << int(math.log2(max(1, fitting)))


def make_loop(
    backend: Backend,
    standardization: Standardization,
    samples: Samples | Rows,
    start: Network,
    settings: Settings,
    watch: Stopwatch,
    weights: npt.NDArray[np.float64] | None = None,
) -> Loop:
    """The loop that these settings describe, with the samples on the device; see `batch_to_device`."""
    if settings.updates_per_iteration(len(samples)) == 1:
        on_device: Batch | Minibatches = batch_to_device(backend, standardization, samples, start, watch, weights)
    else:
        seed = settings.seed if settings.order == "random" else None
        order = Order(len(samples), settings.batch_size or len(samples), seed, weights)
        on_device = minibatches_to_device(backend, standardization, samples, start, order, watch)
    return Loop(backend, on_device, settings.learning_rate, watch, settings.make_optimizer())
