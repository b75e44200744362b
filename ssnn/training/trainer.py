"""Training: digits, a backend and settings in; a model of plain numbers and NumPy arrays out.

Nothing is printed here. A caller that wants to show progress, or to save what has been reached, passes a callback.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

from ssnn.backends import Backend, open_backend
from ssnn.data import Dataset
from ssnn.errors import UsageError
from ssnn.initialization import initial_network
from ssnn.model.inference import logits
from ssnn.model.metrics import evaluate
from ssnn.model.model import Model, TrainedModel
from ssnn.model.novelty import fit_novelty
from ssnn.model.record import DataSummary, Run, Seconds
from ssnn.network import Network
from ssnn.settings import Settings
from ssnn.standardize import Standardization, fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import batch_to_device
from ssnn.training.loop import Loop
from ssnn.training.progress import ProgressReport, boundaries, progress_of
from ssnn.training.resume import check_continues
from ssnn.tree import tree_map


def fit(
    digits: Dataset,
    backend: str | Backend = "numpy",
    settings: Settings | None = None,
    *,
    resume: Model | None = None,
    report: ProgressReport | None = None,
    checkpoint: Callable[[Model], object] | None = None,
    checkpoint_every: int | None = None,
    stopping: Callable[[Sequence[float]], bool] | None = None,
) -> TrainedModel:
    """Train a network by full-batch gradient descent and judge it on the training and the test images.

    Parameters
    ----------
    digits : Dataset
        From `ssnn.load_data`.
    backend : str or Backend
        A name, which computes in float32 or in the dtype of `resume`, or what `ssnn.open_backend` opened.
    settings : Settings, optional
        By default those of `resume`, else `Settings()`.
    resume : Model, optional
        The model to go on from. Its settings, dtype and training images must be the same; `settings.iterations` is
        the total. The result is that of an undisturbed run: on NumPy with the same number of threads to the bit,
        elsewhere within `ssnn.agreement.tolerance`.
    report : callable, optional
        Called with a `Progress` at the end of each progress step: a twentieth of the iterations.
    checkpoint : callable, optional
        Called with the model as it stands after every `checkpoint_every` iterations.
    checkpoint_every : int, optional
    stopping : callable, optional
        Called with all costs so far at the end of each progress step; if it returns True, training ends there.

    Returns
    -------
    TrainedModel

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
    callbacks = _Callbacks(report, checkpoint, checkpoint_every, stopping)
    watch = Stopwatch()
    begun = _begin(digits, backend, settings, resume)
    batch = batch_to_device(backend, begun.standardization, digits.train, begun.network, watch)
    loop = Loop(backend, batch, settings.learning_rate, watch)
    trained = _train(begun, loop, backend, watch, callbacks)
    train, test = (
        evaluate(logits(backend, trained.network, trained.standardization, part.pixels), part.labels)
        for part in (digits.train, digits.test)
    )
    run = Run(len(trained.costs) - len(begun.costs), train, test, _seconds(digits, watch))
    return TrainedModel(**{field.name: getattr(trained, field.name) for field in fields(Model)}, run=run)


@dataclass(frozen=True)
class _Callbacks:
    """What the caller of `fit` wants to be called during training."""

    report: ProgressReport | None
    checkpoint: Callable[[Model], object] | None
    checkpoint_every: int | None
    stopping: Callable[[Sequence[float]], bool] | None

    def __post_init__(self) -> None:
        if (self.checkpoint_every is None) != (self.checkpoint is None):
            raise UsageError("checkpoint and checkpoint_every are of use only together")
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise UsageError(f"a checkpoint every {self.checkpoint_every} iterations: at least 1 is needed")


def _begin(digits: Dataset, backend: Backend, settings: Settings, resume: Model | None) -> Model:
    """The model before the first iteration of this run: a new one, or the one to continue."""
    sha256 = digits.train.sha256()
    if resume is not None:
        check_continues(resume, digits, sha256, backend, settings)
        network, standardization, novelty, costs = (
            resume.network,
            resume.standardization,
            resume.novelty,
            resume.costs,
        )
    else:
        standardization = fit_pixels(digits.train.pixels, settings.constant_features)
        sizes = (digits.train.pixels.shape[1], *settings.hidden, 1)
        start = initial_network(sizes, settings.seed, standardization.features)
        network = tree_map(lambda parameters: parameters.astype(backend.dtype), start)
        novelty, costs = fit_novelty(digits.train.pixels, digits.train.labels), ()
    return Model(
        network=network,
        standardization=standardization,
        novelty=novelty,
        settings=settings,
        data=_summary(digits, sha256, standardization),
        backend=backend.describe(),
        costs=costs,
    )


def _train(begun: Model, loop: Loop, backend: Backend, watch: Stopwatch, callbacks: _Callbacks) -> Model:
    """The model after all iterations, or after as many as the caller let it do."""
    settings, costs = begun.settings, list(begun.costs)
    with watch.measure("transfer"):
        start = backend.to_device(begun.network)
    every = callbacks.checkpoint_every

    def model(network: Network) -> Model:
        return replace(begun, network=loop.to_host_finite(network, len(costs)), costs=tuple(costs))

    for reached, new_costs in loop.iterate(start, boundaries(len(costs), settings.iterations, every)):
        network = reached
        costs += new_costs.tolist()
        if callbacks.report is not None:
            seconds_each = watch.seconds["iterations"] / (len(costs) - len(begun.costs))
            callbacks.report(progress_of(costs, settings.iterations, seconds_each))
        if callbacks.checkpoint is not None and every and len(costs) % every == 0:
            callbacks.checkpoint(model(network))
        if callbacks.stopping is not None and callbacks.stopping(costs):
            break
    return model(network)


def _summary(digits: Dataset, sha256: str, standardization: Standardization) -> DataSummary:
    return DataSummary(
        name=digits.name,
        origin="".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in digits.origin),
        digits=digits.classes,
        train=len(digits.train),
        test=len(digits.test),
        features=len(standardization.features),
        constant_features=standardization.n_constant,
        sha256=sha256,
    )


def _seconds(digits: Dataset, watch: Stopwatch) -> Seconds:
    return Seconds(
        load=digits.seconds,
        transfer=watch.seconds["transfer"],
        compile=watch.seconds["compile"],
        iterations=watch.seconds["iterations"],
        total=digits.seconds + watch.total(),
    )
