"""Training: a dataset, a backend and settings in; a model of plain numbers and NumPy arrays out.

Nothing is printed here. A caller that wants to show progress, or to save what has been reached, passes a callback.
"""

from dataclasses import fields, replace

from ssnn.backends import Backend, open_backend
from ssnn.data import Dataset
from ssnn.initialization import initial_network
from ssnn.model.inference import logits
from ssnn.model.metrics import evaluate
from ssnn.model.model import Model, TrainedModel
from ssnn.model.novelty import fit_novelty
from ssnn.model.record import DataSummary, Run, Seconds
from ssnn.network import Network
from ssnn.printable import printable
from ssnn.settings import Settings
from ssnn.standardize import Standardization, fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import batch_to_device
from ssnn.training.callbacks import Callbacks, CheckpointCallback, ProgressCallback, StoppingRule
from ssnn.training.loop import Loop
from ssnn.training.progress import boundaries, progress_of
from ssnn.training.resume import check_continues
from ssnn.tree import tree_map


def fit(
    dataset: Dataset,
    backend: str | Backend = "numpy",
    settings: Settings | None = None,
    *,
    resume: Model | None = None,
    report: ProgressCallback | None = None,
    checkpoint: CheckpointCallback | None = None,
    checkpoint_every: int | None = None,
    stopping: StoppingRule | None = None,
) -> TrainedModel:
    """Train a network by full-batch gradient descent and evaluate it on the training and the test images.

    Parameters
    ----------
    dataset : Dataset
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
    MemoryError
        If the device cannot hold the training images.
    """
    settings = settings or (resume.settings if resume else Settings())
    if isinstance(backend, str):
        backend = open_backend(backend, dtype=resume.dtype if resume else "float32")
    callbacks = Callbacks(report, checkpoint, checkpoint_every, stopping)
    watch = Stopwatch()
    begun = _begin(dataset, backend, settings, resume)
    batch = batch_to_device(backend, begun.standardization, dataset.train, begun.network, watch)
    loop = Loop(backend, batch, settings.learning_rate, watch)
    trained = _train(begun, loop, backend, watch, callbacks, batch.content)
    train, test = (
        evaluate(logits(backend, trained.network, trained.standardization, part.pixels), part.labels)
        for part in (dataset.train, dataset.test)
    )
    run = Run(len(trained.costs) - len(begun.costs), batch.content, train, test, _seconds(dataset, watch))
    return TrainedModel(**{field.name: getattr(trained, field.name) for field in fields(Model)}, run=run)


def _begin(dataset: Dataset, backend: Backend, settings: Settings, resume: Model | None) -> Model:
    """The model before the first iteration of this run: a new one, or the one to continue."""
    sha256 = dataset.train.sha256()
    if resume is not None:
        check_continues(resume, dataset, sha256, backend, settings)
        network, standardization, novelty, costs = (
            resume.network,
            resume.standardization,
            resume.novelty,
            resume.costs,
        )
    else:
        standardization = fit_pixels(dataset.train.pixels, settings.constant_features)
        sizes = (dataset.train.pixels.shape[1], *settings.hidden, 1)
        start = initial_network(sizes, settings.seed, standardization.features)
        network = tree_map(lambda parameters: parameters.astype(backend.dtype), start)
        novelty, costs = fit_novelty(dataset.train.pixels, dataset.train.labels), ()
    return Model(
        network=network,
        standardization=standardization,
        novelty=novelty,
        settings=settings,
        data=_summary(dataset, sha256, standardization),
        backend=backend.describe(),
        costs=costs,
    )


def _train(begun: Model, loop: Loop, backend: Backend, watch: Stopwatch, callbacks: Callbacks, content: str) -> Model:
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
            callbacks.report(progress_of(costs, settings.iterations, seconds_each, content))
        if callbacks.checkpoint is not None and every and len(costs) % every == 0:
            callbacks.checkpoint(model(network))
        if callbacks.stopping is not None and callbacks.stopping(costs):
            break
    return model(network)


def _summary(dataset: Dataset, sha256: str, standardization: Standardization) -> DataSummary:
    return DataSummary(
        name=dataset.name,
        origin=printable(dataset.origin),
        digits=dataset.classes,
        train=len(dataset.train),
        test=len(dataset.test),
        features=len(standardization.features),
        constant_features=standardization.n_constant,
        sha256=sha256,
    )


def _seconds(dataset: Dataset, watch: Stopwatch) -> Seconds:
    return Seconds(
        load=dataset.seconds,
        transfer=watch.seconds["transfer"],
        compile=watch.seconds["compile"],
        iterations=watch.seconds["iterations"],
        total=dataset.seconds + watch.total(),
    )
