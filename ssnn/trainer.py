"""Training: digits, a backend and settings in; a result of plain numbers and NumPy arrays out.

Nothing is printed here. Whoever wants to see progress hands in a function that is told about it.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from ssnn import standardize
from ssnn.backends import Backend, Description
from ssnn.data import Digits, Samples
from ssnn.errors import TrainingError, UsageError
from ssnn.initial import initial_network, select_features
from ssnn.network import Array, Layer, Network, is_finite, misclassified, step
from ssnn.standardize import Standardization

PROGRESS_STEPS = 20


@dataclass(frozen=True)
class Settings:
    """The hyperparameters; the defaults are the article's, but for the constant features.

    Attributes
    ----------
    hidden : tuple of int
        Neurons per hidden layer; () is logistic regression.
    learning_rate : float
    iterations : int
    seed : int
        Of the initial parameters.
    constant_features : {"drop", "keep"}
        What becomes of pixels that never vary in training; see `ssnn.standardize.fit`.

    Raises
    ------
    UsageError
        If a value makes no sense.
    """

    hidden: tuple[int, ...] = (10,)
    learning_rate: float = 0.5
    iterations: int = 500
    seed: int = 561
    constant_features: str = "drop"

    def __post_init__(self) -> None:
        if any(neurons < 1 for neurons in self.hidden):
            raise UsageError(
                f"hidden layers {self.hidden}: each needs at least 1 neuron; 0 alone means no hidden layer"
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"learning rate {self.learning_rate}: a positive, finite number is needed")
        if self.iterations < 1:
            raise UsageError(f"{self.iterations} iterations: at least 1 is needed")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed}: it must lie in 0 … 4294967295")
        if self.constant_features not in standardize.CONSTANT_FEATURES:
            raise UsageError(f"constant features {self.constant_features!r}: choose drop or keep")


@dataclass(frozen=True)
class Progress:
    """How far a run is, told once per progress step: a twentieth of the iterations.

    Attributes
    ----------
    iteration, iterations : int
        Done so far, and in all.
    cost : float
        Of this iteration, taken before its update.
    previous_cost : float
        Of the iteration before; NaN where there is none.
    seconds : float
        That the iterations so far have taken.
    """

    iteration: int
    iterations: int
    cost: float
    previous_cost: float
    seconds: float


@dataclass(frozen=True)
class Data:
    """What was learnt from: see `ssnn.data.Digits` for name, origin and digits.

    Attributes
    ----------
    train, test : int
        How many images.
    features : int
        How many pixels enter the network.
    constant_features : int
        How many pixels never vary in training, dropped or kept.
    """

    name: str
    origin: str
    digits: tuple[int, int]
    train: int
    test: int
    features: int
    constant_features: int


@dataclass(frozen=True)
class Score:
    """Which images a network gets wrong, as indices into the images it was asked about."""

    errors: tuple[int, ...]
    samples: int

    @property
    def error_rate(self) -> float:
        """The share of wrong samples, 0 … 1."""
        return len(self.errors) / self.samples


@dataclass(frozen=True)
class Seconds:
    """Where the time went; `total` is all of it, from the first file to the last score."""

    load: float
    transfer: float
    compile: float
    iterations: float
    total: float


@dataclass(frozen=True)
class Result:
    """What a run gives; the costs are each taken before the update of their iteration.

    `network` and `standardization` hold NumPy arrays, the former in the dtype of the run.
    """

    backend: Description
    data: Data
    settings: Settings
    costs: tuple[float, ...]
    train: Score
    test: Score
    seconds: Seconds
    network: Network = field(repr=False)
    standardization: Standardization = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """The result as one JSON object of schema "ssnn.train/1", without the parameters."""
        return {
            "schema": "ssnn.train/1",
            "backend": asdict(self.backend),
            "data": asdict(self.data),
            "settings": asdict(self.settings),
            "costs": self.costs,
            "train": {"errors": self.train.errors, "error_rate": self.train.error_rate},
            "test": {"errors": self.test.errors, "error_rate": self.test.error_rate},
            "seconds": asdict(self.seconds),
        }


def train(
    digits: Digits,
    backend: Backend,
    settings: Settings | None = None,
    report: Callable[[Progress], None] | None = None,
) -> Result:
    """Train a network by full-batch gradient descent and judge it on the training and the test images.

    Parameters
    ----------
    digits : Digits
    backend : Backend
    settings : Settings, optional
        By default `Settings()`.
    report : callable, optional
        Told how far the run is, once per progress step.

    Raises
    ------
    TrainingError
        If the cost or a parameter is no longer finite.
    DataError
        If no pixel varies over the training images.
    """
    settings = settings or Settings()
    watch = _Stopwatch()
    standardization = standardize.fit(digits.train.pixels, settings.constant_features)
    start = initial_network((digits.train.pixels.shape[1], *settings.hidden, 1), settings.seed)
    with watch.measure("transfer"):
        network = _to_device(backend, select_features(start, standardization.features))
    X, Y = _inputs(backend, standardization, digits.train, watch)
    network, costs = _descend(backend, network, X, Y, settings, report, watch)
    trained = _to_host(backend, network)
    if not is_finite(trained):
        raise _diverged("a parameter is not finite", settings.iterations, settings)
    train_score = _judge(backend, network, X, Y, watch)
    test_score = _judge(backend, network, *_inputs(backend, standardization, digits.test, watch), watch)
    return Result(
        backend=backend.describe(),
        data=Data(
            name=digits.name,
            origin=digits.origin,
            digits=digits.digits,
            train=len(digits.train),
            test=len(digits.test),
            features=len(standardization.features),
            constant_features=standardization.constant,
        ),
        settings=settings,
        costs=costs,
        train=train_score,
        test=test_score,
        seconds=Seconds(
            load=digits.seconds,
            transfer=watch.seconds["transfer"],
            compile=watch.seconds["compile"],
            iterations=watch.seconds["iterations"],
            total=digits.seconds + watch.total(),
        ),
        network=trained,
        standardization=standardization,
    )


def score(backend: Backend, network: Network, standardization: Standardization, samples: Samples) -> Score:
    """Judge a trained network, given as NumPy arrays, on any images of its two digits."""
    watch = _Stopwatch()
    X, Y = _inputs(backend, standardization, samples, watch)
    return _judge(backend, _to_device(backend, network), X, Y, watch)


class _Stopwatch:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._started = time.perf_counter()

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[what] += time.perf_counter() - started

    def total(self) -> float:
        return time.perf_counter() - self._started


def _inputs(
    backend: Backend, standardization: Standardization, samples: Samples, watch: _Stopwatch
) -> tuple[Array, Array]:
    """X and Y on the device: raw pixels travel there and are standardised there."""
    program = backend.compile(standardize.standardize)
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


def _descend(
    backend: Backend,
    network: Network,
    X: Array,
    Y: Array,
    settings: Settings,
    report: Callable[[Progress], None] | None,
    watch: _Stopwatch,
) -> tuple[Network, tuple[float, ...]]:
    """All iterations, with a word from the device once per progress step."""
    arguments = (X, Y, 1 / X.shape[1], settings.learning_rate)
    steps = _progress_steps(settings.iterations)
    loops = {k: backend.loop(step, k) for k in set(steps)}
    with watch.measure("compile"):
        for loop in loops.values():
            loop.prepare(network, *arguments)
    costs: list[float] = []
    for k in steps:
        with watch.measure("iterations"):
            network, news = loops[k](network, *arguments)
            costs.extend(backend.to_numpy(news).tolist())
            backend.synchronize(network)
        _check_finite(costs, k, settings)
        if report is not None:
            previous = costs[-2] if len(costs) > 1 else math.nan
            seconds = watch.seconds["iterations"]
            report(Progress(len(costs), settings.iterations, costs[-1], previous, seconds))
    return network, tuple(costs)


def _progress_steps(iterations: int) -> list[int]:
    """Iterations per progress step: equal ones, and what is left over at the end."""
    k = max(1, iterations // PROGRESS_STEPS)
    whole, rest = divmod(iterations, k)
    return [k] * whole + [rest] * (rest > 0)


def _check_finite(costs: list[float], k: int, settings: Settings) -> None:
    for iteration, cost in enumerate(costs[-k:], start=len(costs) - k + 1):
        if not math.isfinite(cost):
            raise _diverged(f"the cost is {cost}", iteration, settings)


def _diverged(what: str, iteration: int, settings: Settings) -> TrainingError:
    return TrainingError(f"{what} at iteration {iteration}; try a learning rate below {settings.learning_rate:g}")


def _judge(backend: Backend, network: Network, X: Array, Y: Array, watch: _Stopwatch) -> Score:
    program = backend.compile(misclassified)
    with watch.measure("compile"):
        program.prepare(network, X, Y)
    wrong = backend.to_numpy(program(network, X, Y))
    return Score(errors=tuple(wrong[0].nonzero()[0].tolist()), samples=wrong.shape[1])


def _to_device(backend: Backend, network: Network) -> Network:
    return tuple(
        Layer(backend.asarray(W.astype(backend.dtype)), backend.asarray(b.astype(backend.dtype))) for W, b in network
    )


def _to_host(backend: Backend, network: Network) -> Network:
    return tuple(Layer(backend.to_numpy(W), backend.to_numpy(b)) for W, b in network)
