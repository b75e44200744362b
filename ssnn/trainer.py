"""Training: digits, a backend and settings in; a result of plain numbers and NumPy arrays out.

Nothing is printed here. Whoever wants to see progress hands in a function that is told about it.
"""

import math

import numpy as np
from array_api_compat import array_namespace

from ssnn.backends import Backend
from ssnn.data import Digits, Samples
from ssnn.errors import TrainingError
from ssnn.initial import initial_network
from ssnn.network import Array, Network, gradients, misclassified, update
from ssnn.records import DataSummary, Progress, Report, Result, Score, Seconds, Settings
from ssnn.standardize import Standardization, fit
from ssnn.stopwatch import Stopwatch
from ssnn.transfer import Batch, network_to_device, network_to_host, samples_to_device

PROGRESS_STEPS = 20


def train(
    digits: Digits,
    backend: Backend,
    settings: Settings | None = None,
    report: Report | None = None,
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

    Returns
    -------
    Result

    Raises
    ------
    TrainingError
        If the cost or a parameter is no longer finite.
    DataError
        If no pixel varies over the training images.
    """
    settings = settings or Settings()
    watch = Stopwatch()
    standardization, network, batch = prepare(digits, backend, settings, watch)
    network, costs = _descend(backend, network, batch, settings, report, watch)
    trained = network_to_host(backend, network)
    if not _is_finite(trained):
        raise _diverged("a parameter is not finite", settings.iterations, settings)
    train_score = _judge(backend, network, batch, len(digits.train), watch)
    test = _to_device(backend, network, standardization, digits.test, watch)
    test_score = _judge(backend, network, test, len(digits.test), watch)
    return Result(
        backend=backend.describe(),
        data=DataSummary(
            name=digits.name,
            origin=digits.origin,
            digits=digits.digits,
            train=len(digits.train),
            test=len(digits.test),
            features=len(standardization.features),
            constant_features=standardization.n_constant,
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


def prepare(
    digits: Digits, backend: Backend, settings: Settings, watch: Stopwatch
) -> tuple[Standardization, Network, Batch]:
    """What training starts from: the standardisation, and on the device the initial network and the samples."""
    standardization = fit(digits.train.pixels, settings.constant_features)
    sizes = (digits.train.pixels.shape[1], *settings.hidden, 1)
    start = initial_network(sizes, settings.seed, standardization.features)
    with watch.measure("transfer"):
        network = network_to_device(backend, start)
    return standardization, network, _to_device(backend, network, standardization, digits.train, watch)


def score(backend: Backend, network: Network, standardization: Standardization, samples: Samples) -> Score:
    """Judge a trained network, given as NumPy arrays, on any images of its two digits."""
    watch = Stopwatch()
    on_device = network_to_device(backend, network)
    return _judge(
        backend, on_device, _to_device(backend, network, standardization, samples, watch), len(samples), watch
    )


def _to_device(
    backend: Backend, network: Network, standardization: Standardization, samples: Samples, watch: Stopwatch
) -> Batch:
    """Samples on the device, in pieces that suit the backend and this network."""
    length = backend.piece_length(len(samples), max(math.prod(layer.W.shape) for layer in network))
    return samples_to_device(backend, standardization, samples, length, watch)


def _descend(
    backend: Backend, network: Network, batch: Batch, settings: Settings, report: Report | None, watch: Stopwatch
) -> tuple[Network, tuple[float, ...]]:
    """All iterations, with a word from the device once per progress step."""
    arguments = (*batch, float(settings.learning_rate))
    steps = _progress_steps(settings.iterations)
    loops = {k: backend.loop(gradients, update, k) for k in set(steps)}
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


def _is_finite(network: Network) -> bool:
    xp = array_namespace(*network[0])
    return all(bool(xp.all(xp.isfinite(parameters))) for layer in network for parameters in layer)


def _diverged(what: str, iteration: int, settings: Settings) -> TrainingError:
    return TrainingError(f"{what} at iteration {iteration}; try a learning rate below {settings.learning_rate:g}")


def _judge(backend: Backend, network: Network, batch: Batch, samples: int, watch: Stopwatch) -> Score:
    """Which of so many samples are wrong; those that fill up the last piece are not among them."""

    def wrong_in(index: int, network: Network, X: Array, Y: Array) -> Array:
        return misclassified(network, X[index, ...], Y[index, ...])

    program = backend.compile(wrong_in)
    arguments = network, batch.X, batch.Y
    with watch.measure("compile"):
        program.prepare(0, *arguments)
    wrong = [backend.to_numpy(program(index, *arguments)) for index in range(batch.X.shape[0])]
    return Score(errors=tuple(np.concatenate(wrong, axis=1)[0, :samples].nonzero()[0].tolist()), samples=samples)
