"""Time one iteration: the loop that training runs, timed only once its result has been verified."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from ssnn.agreement import disagreement, tolerance
from ssnn.backends import Backend, Description, open_backend
from ssnn.data import Dataset
from ssnn.errors import DisagreementError
from ssnn.initialization import initial_network
from ssnn.network import Network
from ssnn.settings import Settings
from ssnn.standardize import fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.loop import Costs, make_loop

ROUNDS = 5
MAX_ITERATIONS_PER_CALL = 25
WORK_PER_CALL = 10**10  # samples times pixels times hidden neurons


@dataclass(frozen=True)
class Measurement:
    """The time that a backend takes for a number of iterations in one call.

    Attributes
    ----------
    transfer, compile, first_call : float
        Seconds: to bring the data to the device and standardise it there, to compile, and of the call that warms up
        and is verified.
    disagreement, tolerance : float
        The difference from the network of NumPy float64 after these iterations, and its bound; see `ssnn.agreement`.
    opening : float
        Seconds to import the library and open the backend; 0 where it was open already.
    calls : tuple of float
        Seconds of each timed call; empty before any is timed.
    """

    backend: Description
    data: str
    samples: int
    features: int
    hidden: tuple[int, ...]
    iterations: int
    transfer: float
    compile: float
    first_call: float
    disagreement: float
    tolerance: float
    opening: float = 0.0
    calls: tuple[float, ...] = ()

    @property
    def ms_per_iteration(self) -> float:
        """Milliseconds per iteration, the median of the timed calls."""
        return 1e3 * statistics.median(self.calls) / self.iterations


class Trial:
    """The loop that training runs, compiled, with its arguments on the device."""

    def __init__(self, backend: Backend, dataset: Dataset, settings: Settings) -> None:
        self._watch = Stopwatch()
        self._backend, self._dataset, self._settings = backend, dataset, settings
        self._standardization = fit_pixels(dataset.train.pixels, settings.constant_features)
        sizes = (dataset.train.pixels.shape[1], *settings.hidden, 1)
        start = initial_network(sizes, settings.seed, self._standardization.features)
        self._loop = make_loop(backend, self._standardization, dataset.train, start, settings, self._watch)
        self._updates = settings.iterations * settings.updates_per_iteration(len(dataset.train))
        self._start = self._loop.begin(backend.to_device(start))
        self._loop.compile(self._start, self._loop.samples.updates_per_call(0, self._updates))

    def run(self) -> tuple[Network, Costs]:
        """All iterations from the start, in as few calls as can be: the network on the device, and all costs."""
        state, costs = self._loop.run(self._start, self._updates)
        return state.network, costs

    def verify(self, reference: Network) -> Measurement:
        """Run once and compare the network with the reference; returns a measurement without timed calls.

        Raises
        ------
        DisagreementError
            If they differ by more than `agreement.tolerance`.
        """
        backend, updates = self._backend, self._updates
        started = time.perf_counter()
        network, _ = self.run()
        first_call = time.perf_counter() - started
        difference, bound = disagreement(backend.to_host(network), reference), tolerance(backend.dtype, updates)
        if not difference <= bound:
            raise DisagreementError(
                f"{backend.name} {backend.dtype} differs from NumPy float64 by {difference:.1e} after {updates} "
                f"updates; the tolerance is {bound:.1e}"
            )
        return Measurement(
            backend=backend.describe(),
            data=self._dataset.name,
            samples=len(self._dataset.train),
            features=len(self._standardization.features),
            hidden=self._settings.hidden,
            iterations=self._settings.iterations,
            transfer=self._watch.seconds["transfer"],
            compile=self._watch.seconds["compile"],
            first_call=first_call,
            disagreement=difference,
            tolerance=bound,
        )

    def measure(self, reference: Network, rounds: int = ROUNDS) -> Measurement:
        """Verify, then time a number of calls."""
        verified = self.verify(reference)
        return replace(verified, calls=tuple(call_seconds(self.run) for _ in range(rounds)))


def call_seconds(function: Callable[[], object]) -> float:
    """Seconds that one call takes; it must wait for its device itself."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def shuffled_rounds(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Each name once per round, every round in another order, so that a slow spell of the machine affects all alike.

    The orders are random, and the same each time.
    """
    random = Random(0)
    for _ in range(rounds):
        yield from random.sample(names, len(names))


def iterations_per_call(samples: int, pixels: int, hidden: int) -> int:
    """Iterations to time in one call: many where each is short for the clock, few where each is long."""
    return max(2, min(MAX_ITERATIONS_PER_CALL, WORK_PER_CALL // (samples * pixels * hidden)))


def reference(dataset: Dataset, settings: Settings) -> tuple[Network, Costs]:
    """What every backend is verified against: the network after these iterations in NumPy float64, and the costs."""
    backend = open_backend("numpy", dtype="float64")
    network, costs = Trial(backend, dataset, settings).run()
    return backend.to_host(network), costs
