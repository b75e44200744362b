"""Training: a dataset, a backend and settings in; a model of plain numbers and NumPy arrays out.

Nothing is printed here but the progress bar that a caller may ask for. A caller that wants to show progress in another
way, or to save what has been reached, passes a callback.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from ssnn.backends import Backend, open_backend
from ssnn.data import Dataset, Samples
from ssnn.data.dataset import check_trainable
from ssnn.initialization import initial_network
from ssnn.model.inference import logits
from ssnn.model.metrics import evaluate
from ssnn.model.model import Model, TrainedModel
from ssnn.model.novelty import fit_novelty
from ssnn.model.record import DataSummary, Run, Seconds
from ssnn.settings import Settings
from ssnn.standardize import Standardization, fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.callbacks import Callbacks, CheckpointCallback, ProgressCallback, StoppingRule
from ssnn.training.loop import Loop, TrainingState, make_loop
from ssnn.training.memory import check_memory
from ssnn.training.progress import Progress, boundaries
from ssnn.training.progress_bar import notebook_or_terminal, progress_bar
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
    progress: bool = False,
) -> TrainedModel:
    """Train a network as the settings say, and evaluate it on the training and the test images.

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
        Called with the model as it stands after every `checkpoint_every` iterations, which are passes over all
        training images.
    checkpoint_every : int, optional
    stopping : callable, optional
        Called with all costs so far at the end of each progress step, within a longer step about once a second, and
        after each pass over mini-batches; if it returns True, training ends there.
    progress : bool
        Whether to draw a progress bar, in a notebook or on standard error.

    Returns
    -------
    TrainedModel

    Raises
    ------
    UsageError
        If there is nothing to do, something contradicts `resume`, or the data set is of another type.
    BackendError
        If the backend is not usable here.
    TrainingError
        If the cost, a parameter or the logit of an image is no longer finite; so of a model for `checkpoint`, where
        the logits are those of the training images.
    DataError
        If no pixel varies over the training images, there is none of one of the digits, or no test image.
    MemoryError
        If the host cannot hold the network, or the device the training images.
    """
    check_trainable(dataset)
    settings = settings or (resume.settings if resume else Settings())
    if isinstance(backend, str):
        backend = open_backend(backend, dtype=resume.dtype if resume else "float32")
    callbacks = Callbacks(report, checkpoint, checkpoint_every, stopping)
    watch = Stopwatch()
    begun = _begin(dataset, backend, settings, resume)
    loop = make_loop(backend, begun.standardization, dataset.train, begun.network, settings, watch)
    done = len(begun.costs) // settings.updates_per_iteration(len(dataset.train))
    with _drawing(report, settings.iterations, done) if progress else nullcontext(report) as report:
        trained = _train(begun, dataset, loop, backend, watch, replace(callbacks, report=report))
    train, test = (
        evaluate(_finite_logits(trained, loop, backend, part), part.labels) for part in (dataset.train, dataset.test)
    )
    run = Run(len(trained.costs) - len(begun.costs), loop.samples.content, train, test, _seconds(dataset, watch))
    return TrainedModel(**{field.name: getattr(trained, field.name) for field in fields(Model)}, run=run)


def _begin(dataset: Dataset, backend: Backend, settings: Settings, resume: Model | None) -> Model:
    """The model before the first iteration of this run: a new one, or the one to continue."""
    sha256 = dataset.train.sha256()
    pixels = dataset.train.pixels.shape[1]
    if resume is not None:
        check_continues(resume, dataset, sha256, backend, settings)
        standardization = resume.standardization
    else:
        standardization = fit_pixels(dataset.train.pixels, settings.constant_features)
    check_memory(backend, settings, pixels, len(standardization.features), len(dataset.train))
    if resume is not None:
        network, state, novelty, costs = resume.network, resume.optimizer_state, resume.novelty, resume.costs
    else:
        start = initial_network((pixels, *settings.hidden, 1), settings.seed, standardization.features)
        network = tree_map(lambda parameters: parameters.astype(backend.dtype), start)
        state = settings.make_optimizer().init(network)
        novelty, costs = fit_novelty(dataset.train.pixels, dataset.train.labels), ()
    return Model(
        network=network,
        standardization=standardization,
        novelty=novelty,
        settings=settings,
        data=_summary(dataset, sha256, standardization),
        backend=backend.describe(),
        costs=costs,
        optimizer_state=state,
    )


def _train(
    begun: Model,
    dataset: Dataset,
    loop: Loop,
    backend: Backend,
    watch: Stopwatch,
    callbacks: Callbacks,
) -> Model:
    """The model after all iterations, or after as many as the caller let it do."""
    settings, costs = begun.settings, list(begun.costs)
    with watch.measure("transfer"):
        state = TrainingState(*backend.to_device((begun.network, begun.optimizer_state)))
    every, updates = callbacks.checkpoint_every, settings.updates_per_iteration(len(dataset.train))

    def model(state: TrainingState) -> Model:
        network, optimizer_state = loop.to_host_finite(state, len(costs))
        return replace(begun, network=network, optimizer_state=optimizer_state, costs=tuple(costs))

    ends = boundaries(len(costs), settings.iterations, every, updates)
    end = next(ends)
    for reached, new_costs in loop.iterate(state, boundaries(len(costs), settings.iterations, every, updates)):
        state = reached
        if len(costs) == end:
            end = next(ends)
        costs += new_costs.tolist()
        if len(costs) == end:  # and not in the midst of a step that takes longer than a second
            if callbacks.report is not None:
                callbacks.report(
                    Progress(
                        iteration=end // updates,
                        iterations=settings.iterations,
                        costs=tuple(costs),
                        seconds_per_update=watch.seconds["iterations"] / (len(costs) - len(begun.costs)),
                        samples_per_update=len(dataset.train) / updates,
                        batch=loop.samples.content,
                    )
                )
            if callbacks.checkpoint is not None and every and end // updates % every == 0:
                kept = model(state)
                _finite_logits(kept, loop, backend, dataset.train)
                callbacks.checkpoint(kept)
        if callbacks.stopping is not None and callbacks.stopping(costs):
            break
    return model(state)


@contextmanager
def _drawing(report: ProgressCallback | None, iterations: int, done: int) -> Iterator[ProgressCallback]:
    """Draw a bar, and call the caller's report too."""
    with progress_bar(notebook_or_terminal(), iterations, done) as draw:

        def draw_and_report(progress: Progress) -> None:
            draw(progress)
            if report is not None:
                report(progress)

        yield draw_and_report


def _finite_logits(model: Model, loop: Loop, backend: Backend, samples: Samples) -> npt.NDArray[np.float64]:
    """The logits of these images, (m,).

    Raises
    ------
    TrainingError
        If one is not finite: the last update was the first to diverge, and no cost was taken after it.
    """
    found = logits(backend, model.network, model.standardization, samples.pixels)
    if not np.isfinite(found).all():
        raise loop.diverged("a logit is not finite", len(model.costs))
    return found


def _summary(dataset: Dataset, sha256: str, standardization: Standardization) -> DataSummary:
    return DataSummary(
        name=dataset.name,
        origin=dataset.origin,
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
