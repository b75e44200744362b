"""Training: digits, a backend and settings in; a model of plain numbers and NumPy arrays out.

Nothing is printed here. Whoever wants to see progress, or to keep what has been reached, hands in a function that
is told about it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.backends import Backend, open_backend
from ssnn.data import Digits, Samples
from ssnn.errors import TrainingError, UsageError
from ssnn.evaluation import Evaluation, evaluate
from ssnn.familiarity import familiarize
from ssnn.initial import initial_network
from ssnn.model import Model
from ssnn.network import Array, Network, forward, gradients, update
from ssnn.records import DataSummary, Progress, Report, Run, Seconds, Settings
from ssnn.standardize import Standardization
from ssnn.standardize import fit as fit_standardization
from ssnn.stopwatch import Stopwatch
from ssnn.transfer import Batch, network_to_device, network_to_host, samples_to_device

PROGRESS_STEPS = 20


def fit(
    digits: Digits,
    backend: str | Backend = "numpy",
    settings: Settings | None = None,
    *,
    resume: Model | None = None,
    report: Report | None = None,
    checkpoint: Callable[[Model], object] | None = None,
    checkpoint_every: int | None = None,
    stopping: Callable[[Sequence[float]], bool] | None = None,
) -> Model:
    """Train a network by full-batch gradient descent and judge it on the training and the test images.

    Parameters
    ----------
    digits : Digits
        From `ssnn.load_data`.
    backend : str or Backend
        A name, which computes in float32 or in the dtype of `resume`, or what `ssnn.open_backend` opened.
    settings : Settings, optional
        By default those of `resume`, else `Settings()`.
    resume : Model, optional
        Where to go on from. Its settings, dtype and training images must be the same; `settings.iterations` is
        the total. What is reached is what one run would have reached: on NumPy with the same number of threads to
        the bit, elsewhere within `ssnn.agreement.tolerance`.
    report : callable, optional
        Told how far the run is, once per progress step: a twentieth of the iterations.
    checkpoint : callable, optional
        Given the model as it stands after every `checkpoint_every` iterations.
    checkpoint_every : int, optional
    stopping : callable, optional
        Given all costs so far at the end of each progress step; if it says True, training ends there.

    Returns
    -------
    Model

    Raises
    ------
    UsageError
        If there is nothing to do, or something contradicts `resume`.
    BackendError
        If the backend is not usable here.
    TrainingError
        If the cost or a parameter is no longer finite.
    DataError
        If no pixel varies over the training images.
    """
    settings = settings or (resume.settings if resume else Settings())
    if isinstance(backend, str):
        backend = open_backend(backend, dtype=resume.dtype if resume else "float32")
    if (checkpoint_every is None) != (checkpoint is None):
        raise UsageError("checkpoint and checkpoint_every are of use only together")
    if checkpoint_every is not None and checkpoint_every < 1:
        raise UsageError(f"a checkpoint every {checkpoint_every} iterations: at least 1 is needed")
    watch = Stopwatch()
    sha256 = digits.train.sha256()
    if resume is not None:
        _check_continues(resume, digits, sha256, backend, settings)
    begun = (resume.network, resume.standardization) if resume else (None, None)
    standardization, start, batch = prepare(digits.train, backend, settings, watch, *begun)
    model = Model(
        network=network_to_host(backend, start),
        standardization=standardization,
        familiarity=familiarize(digits.train.pixels, digits.train.labels),
        settings=settings,
        data=_summary(digits, sha256, standardization),
        backend=backend.describe(),
        costs=resume.costs if resume else (),
    )
    costs = list(model.costs)
    for network in descend(backend, start, batch, settings, costs, watch, checkpoint_every):
        if report is not None:
            report(_progress(costs, settings, watch.seconds["iterations"] / (len(costs) - len(model.costs))))
        if checkpoint is not None and checkpoint_every and len(costs) % checkpoint_every == 0:
            checkpoint(replace(model, network=checked(backend, network, costs, settings), costs=tuple(costs)))
        if stopping is not None and stopping(costs):
            break
    trained = checked(backend, network, costs, settings)
    train = _evaluate(backend, network, batch, digits.train.labels, watch)
    test_batch = _to_device(backend, network, standardization, digits.test, watch)
    test = _evaluate(backend, network, test_batch, digits.test.labels, watch)
    seconds = Seconds(
        load=digits.seconds,
        transfer=watch.seconds["transfer"],
        compile=watch.seconds["compile"],
        iterations=watch.seconds["iterations"],
        total=digits.seconds + watch.total(),
    )
    run = Run(len(costs) - len(model.costs), train, test, seconds)
    return replace(model, network=trained, costs=tuple(costs), run=run)


def prepare(
    samples: Samples,
    backend: Backend,
    settings: Settings,
    watch: Stopwatch,
    start: Network | None = None,
    standardization: Standardization | None = None,
) -> tuple[Standardization, Network, Batch]:
    """What training starts from: the standardisation, and on the device the network and the samples.

    The network is `start`, of NumPy arrays, or by default the seeded one; the standardisation is measured unless
    it is given.
    """
    standardization = standardization or fit_standardization(samples.pixels, settings.constant_features)
    if start is None:
        sizes = (samples.pixels.shape[1], *settings.hidden, 1)
        start = initial_network(sizes, settings.seed, standardization.features)
    with watch.measure("transfer"):
        network = network_to_device(backend, start)
    return standardization, network, _to_device(backend, network, standardization, samples, watch)


def descend(
    backend: Backend,
    network: Network,
    batch: Batch,
    settings: Settings,
    costs: list[float],
    watch: Stopwatch,
    checkpoint_every: int | None = None,
) -> Iterator[Network]:
    """Go on from the iteration that the costs tell, up to `settings.iterations`.

    Yields
    ------
    tuple of Layer
        The network on the device, once per progress step and at every checkpoint; the costs have grown by then.

    Raises
    ------
    TrainingError
        If a cost is no longer finite.
    """
    arguments = (*batch, float(settings.learning_rate))
    loops = {}
    for start, end in pairwise(_stops(len(costs), settings.iterations, checkpoint_every)):
        k = end - start
        if k not in loops:
            loops[k] = backend.loop(gradients, update, k)
            with watch.measure("compile"):
                loops[k].prepare(network, *arguments)
        with watch.measure("iterations"):
            network, news = loops[k](network, *arguments)
            costs.extend(backend.to_numpy(news).tolist())
            backend.synchronize(network)
        for iteration, cost in enumerate(costs[-k:], start=start + 1):
            if not math.isfinite(cost):
                raise _diverged(f"the cost is {cost}", iteration, settings)
        yield network


def checked(backend: Backend, network: Network, costs: Sequence[float], settings: Settings) -> Network:
    """The network as NumPy arrays, if all its parameters are finite.

    Raises
    ------
    TrainingError
        If one is not.
    """
    on_host = network_to_host(backend, network)
    xp = array_namespace(*on_host[0])
    if not all(bool(xp.all(xp.isfinite(parameters))) for layer in on_host for parameters in layer):
        raise _diverged("a parameter is not finite", len(costs), settings)
    return on_host


def _stops(done: int, iterations: int, checkpoint_every: int | None) -> Iterator[int]:
    """The iterations between which the host is told nothing: a twentieth of all, and up to the next checkpoint.

    Steps start anew at each checkpoint, so that there are few different lengths to compile.
    """
    yield done
    while done < iterations:
        checkpoint = (done // checkpoint_every + 1) * checkpoint_every if checkpoint_every else iterations
        done = min(done + max(1, iterations // PROGRESS_STEPS), checkpoint, iterations)
        yield done


def _check_continues(resume: Model, digits: Digits, sha256: str, backend: Backend, settings: Settings) -> None:
    """Refuse to go on with anything else than what was begun."""
    pairs = [
        (field.name.replace("_", " "), getattr(settings, field.name), getattr(resume.settings, field.name))
        for field in fields(Settings)
        if field.name != "iterations"
    ]
    pairs += [("dtype", backend.dtype, resume.dtype), ("digits", digits.digits, resume.data.digits)]
    contradictions = [f"{name} {_plain(given)}, not {_plain(had)}" for name, given, had in pairs if given != had]
    if contradictions:
        raise UsageError(f"what is asked for contradicts the model to be continued: {'; '.join(contradictions)}")
    if sha256 != resume.data.sha256:
        raise UsageError(
            f"the model to be continued has learnt from {resume.data.train:,} other images, {resume.data.name} "
            f"({resume.data.origin}); these are {len(digits.train):,}, {digits.name} ({digits.origin})"
        )
    if settings.iterations <= len(resume.costs):
        raise UsageError(
            f"{settings.iterations} iterations: the model has done {len(resume.costs)}, and this is the total to reach"
        )


def _plain(value: object) -> str:
    return " ".join(map(str, value)) or "0" if isinstance(value, tuple) else str(value)


def _summary(digits: Digits, sha256: str, standardization: Standardization) -> DataSummary:
    return DataSummary(
        name=digits.name,
        origin="".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in digits.origin),
        digits=digits.digits,
        train=len(digits.train),
        test=len(digits.test),
        features=len(standardization.features),
        constant_features=standardization.n_constant,
        sha256=sha256,
    )


def _progress(costs: Sequence[float], settings: Settings, seconds_per_iteration: float) -> Progress:
    previous = costs[-2] if len(costs) > 1 else math.nan
    return Progress(len(costs), settings.iterations, costs[-1], previous, seconds_per_iteration)


def _to_device(
    backend: Backend, network: Network, standardization: Standardization, samples: Samples, watch: Stopwatch
) -> Batch:
    """Samples on the device, in pieces that suit the backend and this network."""
    length = backend.piece_length(len(samples), max(math.prod(layer.W.shape) for layer in network))
    return samples_to_device(backend, standardization, samples, length, watch)


def _diverged(what: str, iteration: int, settings: Settings) -> TrainingError:
    return TrainingError(f"{what} at iteration {iteration}; try a learning rate below {settings.learning_rate:g}")


def _evaluate(
    backend: Backend, network: Network, batch: Batch, labels: npt.NDArray[np.uint8], watch: Stopwatch
) -> Evaluation:
    """Judge a network by samples on the device; those that fill up the last piece have no label."""
    program = backend.compile(_logits)
    with watch.measure("compile"):
        program.prepare(0, network, batch.X)
    logits = [backend.to_numpy(program(index, network, batch.X)) for index in range(batch.X.shape[0])]
    return evaluate(np.concatenate(logits)[: len(labels)], labels)


def _logits(index: int, network: Network, X: Array) -> Array:
    _, Z = forward(network, X[index, ...])
    return Z[0, :]
