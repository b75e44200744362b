"""How long an iteration takes: the loop that training runs, timed once its result has been verified."""

import statistics
import time
from dataclasses import dataclass

from ssnn import backends
from ssnn.agreement import disagreement, tolerance
from ssnn.backends import Backend, Description
from ssnn.data import Dataset
from ssnn.errors import DisagreementError
from ssnn.initialization import initial_network
from ssnn.network import Network
from ssnn.settings import Settings
from ssnn.standardize import fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import batch_to_device
from ssnn.training.loop import Loop

ROUNDS = 5
MAX_PER_CALL = 25
WORK_PER_CALL = 10**10  # samples times pixels times hidden neurons


@dataclass(frozen=True)
class Measurement:
    """How long a backend takes for a number of iterations in one call.

    Attributes
    ----------
    calls : tuple of float
        Seconds of each timed call.
    transfer, compile, first_call : float
        Seconds: to bring the data to the device and standardise it there, to compile, and of the call that was
        not timed because it was the first.
    opening : float
        Seconds to import the library and open the backend; 0 where it was open already.
    disagreement, tolerance : float
        How far the network is from that of NumPy float64 after these iterations, and how far it may be; see
        `ssnn.agreement`.
    """

    backend: Description
    data: str
    samples: int
    features: int
    hidden: tuple[int, ...]
    iterations: int
    calls: tuple[float, ...]
    transfer: float
    compile: float
    first_call: float
    disagreement: float
    tolerance: float
    opening: float = 0.0

    @property
    def ms_per_iteration(self) -> float:
        """The median of the timed calls, by iteration."""
        return 1e3 * statistics.median(self.calls) / self.iterations


class Trial:
    """The loop that training runs, compiled, with its arguments on the device."""

    def __init__(self, backend: Backend, digits: Dataset, settings: Settings) -> None:
        watch = Stopwatch()
        self.backend, self.digits, self.settings = backend, digits, settings
        self.standardization = fit_pixels(digits.train.pixels, settings.constant_features)
        sizes = (digits.train.pixels.shape[1], *settings.hidden, 1)
        start = initial_network(sizes, settings.seed, self.standardization.features)
        batch = batch_to_device(backend, self.standardization, digits.train, start, watch)
        self._start = backend.to_device(start)
        self._loop = Loop(backend, batch, settings.learning_rate, watch)
        self._loop.compile(self._start, settings.iterations)
        self.seconds = watch.seconds

    def run(self) -> Network:
        """All iterations from the start, in one call; returns the network on the device once it is computed."""
        network, _ = self._loop.run(self._start, self.settings.iterations)
        return network

    def verify(self, reference: Network) -> float:
        """Run for the first time; the disagreement of the network with the reference, by `agreement.disagreement`.

        Raises
        ------
        DisagreementError
            If that is further than `agreement.tolerance` allows: then the time does not count.
        """
        started = time.perf_counter()
        network = self.run()
        self.seconds["first call"] = time.perf_counter() - started
        apart = disagreement(self.backend.to_host(network), reference)
        if not apart <= self.tolerance():
            raise DisagreementError(
                f"{self.backend.name} {self.backend.dtype} is {apart:.1e} from NumPy float64 after "
                f"{self.settings.iterations} iterations, where {self.tolerance():.1e} is allowed"
            )
        return apart

    def tolerance(self) -> float:
        """How far the network may be from the reference."""
        return tolerance(self.backend.dtype, self.settings.iterations)

    def measure(self, reference: Network, rounds: int = ROUNDS) -> Measurement:
        """Verify, then time as many calls as there are rounds."""
        apart = self.verify(reference)
        calls = []
        for _ in range(rounds):
            started = time.perf_counter()
            self.run()
            calls.append(time.perf_counter() - started)
        return Measurement(
            backend=self.backend.describe(),
            data=self.digits.name,
            samples=len(self.digits.train),
            features=len(self.standardization.features),
            hidden=self.settings.hidden,
            iterations=self.settings.iterations,
            calls=tuple(calls),
            transfer=self.seconds["transfer"],
            compile=self.seconds["compile"],
            first_call=self.seconds["first call"],
            disagreement=apart,
            tolerance=self.tolerance(),
        )


def iterations_per_call(samples: int, pixels: int, hidden: int) -> int:
    """How many iterations to time at once: enough for the clock, and few where each of them is long."""
    return max(2, min(MAX_PER_CALL, WORK_PER_CALL // (samples * pixels * hidden)))


def reference(digits: Dataset, settings: Settings) -> Network:
    """The network after these iterations in NumPy float64, the reference of every backend."""
    backend = backends.open_backend("numpy", dtype="float64")
    network: Network = backend.to_host(Trial(backend, digits, settings).run())
    return network
