"""Retrained networks, which separate what is due to the data from what is due to one network: votes, learning curve.

Networks of one shape that learn from the same samples, in the same order, are a stack: `ssnn.network` trains it like
one network. Each is updated as often as the model was: with fewer samples, by more passes over them, or else a point of
the learning curve would also show what is due to shorter training.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, hypot, sqrt
from statistics import fmean, stdev
from typing import Protocol

import numpy as np
from array_api_compat import array_namespace

from ssnn.backends import Backend
from ssnn.data import Dataset, Samples
from ssnn.explain.records import CurvePoint, Pixels, Values
from ssnn.initialization import initial_network
from ssnn.model.inference import Transform, in_blocks, network_inputs
from ssnn.model.model import Model
from ssnn.network import Network, forward
from ssnn.standardize import Standardization, fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import Batch
from ssnn.training.loop import Loop, TrainingState, make_loop
from ssnn.training.minibatch import Minibatches
from ssnn.training.progress import boundaries
from ssnn.tree import tree_map
from ssnn.typing import Array

RETRAINED = 4  # networks that differ from the model in their seed alone
SUBSETS, SEEDS = 2, 2  # at each point of the learning curve: random subsets, and networks on each
POINTS, SHRINK = 4, 4  # points of the curve below the whole, each with a quarter of the samples of the next
MIN_SAMPLES = 30  # training images of a point
MIN_WRONG = 20  # wrong images at two points below which a halving could not be distinguished from chance


class RetrainingCallback(Protocol):
    """Called while networks are trained."""

    def __call__(self, step: str, share: float, /) -> object:
        """Report what is being trained, and which share of it is done, 0 … 1."""


@dataclass(frozen=True)
class Ensemble:
    """Networks that learnt from the same samples with different seeds.

    Attributes
    ----------
    backend : Backend
    transform : (array (n,), array (n,), array (n,))
        Features, mean and std, on the device of the backend.
    networks : tuple of Layer
        A stack of k networks, on the device.
    """

    backend: Backend
    transform: Transform
    networks: Network

    def logits(self, pixels: Pixels) -> Values:
        """The logit of each image by each network, (m, k), from raw pixels (m, 784)."""
        logits: Values = in_blocks(self.backend, _logits, pixels, self.transform, self.networks)
        return logits

    def error_rates(self, samples: Samples) -> list[float]:
        """The share of wrong images, 0 … 1, by each network."""
        wrong = (self.logits(samples.pixels) > 0) != samples.labels[:, None]
        rates: list[float] = np.mean(wrong, axis=0).tolist()
        return rates


def retrain_with_seeds(dataset: Dataset, model: Model, backend: Backend, progress: RetrainingCallback) -> Ensemble:
    """Train networks that differ from the model in their seeds alone."""
    seeds = [(model.settings.seed + i) % 2**32 for i in range(1, RETRAINED + 1)]
    return _train(dataset.train, model, model.standardization, seeds, backend, _step(progress, "seeds"))


def learning_curve(
    dataset: Dataset, model: Model, rates: Sequence[float], backend: Backend, progress: RetrainingCallback
) -> tuple[CurvePoint, ...]:
    """Test error rates by number of training images, up to all of them.

    Networks of one subset share its samples and its standardisation; each network has a seed of its own.

    Parameters
    ----------
    dataset : Dataset
    model : Model
        Whose settings all networks have.
    rates : sequence of float
        The last point: error rates of networks trained on all images.
    backend : Backend
    progress : callable
    """
    whole = len(dataset.train)
    sizes = [whole // SHRINK**step for step in range(POINTS, 0, -1)]
    random = np.random.default_rng(model.settings.seed)
    points = []
    for size in (size for size in sizes if size >= MIN_SAMPLES):
        subset_rates: list[float] = []
        for subset in range(SUBSETS):
            samples = _stratified_subset(dataset.train, size, random)
            standardization = fit_pixels(samples.pixels, model.settings.constant_features)
            seeds = [(model.settings.seed + subset * SEEDS + i) % 2**32 for i in range(SEEDS)]
            report = _step(progress, f"{size:,} samples, {subset + 1} of {SUBSETS}")
            trained = _train(samples, model, standardization, seeds, backend, report)
            subset_rates += trained.error_rates(dataset.test)
        points.append(CurvePoint(size, tuple(subset_rates)))
    return (*points, CurvePoint(whole, tuple(rates)))


def more_data(curve: Sequence[CurvePoint], tested: int) -> str:
    """Whether more training images would help, from the last two points of a learning curve.

    Between two networks the number of wrong images differs by chance, even if neither is better: by about the root of
    the sum of both numbers (McNemar's test, with no image that both get wrong), and by the spread between seeds.

    Parameters
    ----------
    curve : sequence of CurvePoint
    tested : int
        Number of test images.
    """
    if len(curve) < 2:
        return "There are too few training images to tell whether more would help."
    wrong = [[rate * tested for rate in point.error_rates] for point in curve[-2:]]
    before, after = map(fmean, wrong)
    spread = hypot(*(stdev(counts) / sqrt(len(counts)) for counts in wrong))
    chance = hypot(sqrt(before + after), spread)
    figures = (
        f"From {curve[-2].samples:,} to {curve[-1].samples:,} training images the wrong test images go from "
        f"{before:.1f} to {after:.1f} in the mean, {100 * before / tested:.3f} % to {100 * after / tested:.3f} %; "
        f"by chance alone it could be {chance:.1f} more or fewer"
    )
    if before - after > 2 * chance:
        return f"{figures}: more images of this kind would still help."
    if after - before > 2 * chance:
        return f"{figures}: more images made it worse, so something else is in the way."
    if before + after < MIN_WRONG:
        return f"{figures}: too few are wrong to tell whether more images would help."
    return f"{figures}: no gain beyond chance, so more images of this kind would help little."


def _stratified_subset(samples: Samples, size: int, random: np.random.Generator) -> Samples:
    """A random subset of `size` samples, with both classes in proportion and at least one sample of each."""
    ones = np.flatnonzero(samples.labels)
    zeros = np.flatnonzero(samples.labels == 0)
    of_ones = min(max(1, round(size * len(ones) / len(samples))), size - 1)
    chosen = np.sort(np.concatenate([random.choice(zeros, size - of_ones, False), random.choice(ones, of_ones, False)]))
    return Samples(samples.pixels[chosen], samples.labels[chosen])


def _train(
    samples: Samples,
    model: Model,
    standardization: Standardization,
    seeds: Sequence[int],
    backend: Backend,
    report: Callable[[float], object],
) -> Ensemble:
    """Train one network per seed with the settings of the model, by as many updates as it has done.

    They are one stack, unless each of them has a random order of the samples, that of its seed, as the model has: what
    is due to chance would look smaller in one order for all.
    """
    settings = model.settings
    # A file may hold no costs.
    updates = len(model.costs) or settings.iterations * settings.updates_per_iteration(model.data.train)
    sizes = (samples.pixels.shape[1], *settings.hidden, 1)
    networks = [initial_network(sizes, seed, standardization.features) for seed in seeds]
    starts: list[Network] = [tree_map(lambda parameters: parameters[None], network) for network in networks]
    loop = make_loop(backend, standardization, samples, starts[0], settings, Stopwatch())
    runs: list[tuple[Network, Batch | Minibatches]] = [(_concat(starts), loop.samples)]
    if isinstance(loop.samples, Minibatches) and loop.samples.order.seed is not None:
        orders = [replace(loop.samples.order, seed=seed) for seed in seeds]
        runs = [(start, replace(loop.samples, order=order)) for start, order in zip(starts, orders, strict=True)]
    trained = []
    for number, (start, in_order) in enumerate(runs):
        loop.samples = in_order  # what is compiled serves every order
        state = loop.begin(backend.to_device(start))
        for done, reached in _run(loop, state, updates, settings.updates_per_iteration(len(samples))):
            state = reached
            report((number + done / updates) / len(runs))
        trained.append(state.network)
    return Ensemble(backend, loop.samples.transform, _concat(trained))


def _run(loop: Loop, state: TrainingState, updates: int, per_pass: int) -> Iterator[tuple[int, TrainingState]]:
    """The number of updates done and the state, again and again until the end; the state stays on the device."""
    done = 0
    ends = (min(end, updates) for end in boundaries(0, ceil(updates / per_pass), updates=per_pass))
    for reached, costs in loop.iterate(state, ends):
        state = reached
        done += len(costs)
        yield done, state
    loop.to_host_finite(state, done)  # for its check


def _concat(stacks: Sequence[Network]) -> Network:
    """One stack of the networks of several stacks."""
    whole: Network = tree_map(lambda *parts: array_namespace(*parts).concat(parts), *stacks)
    return whole


def _logits(pixels: Array, transform: Transform, networks: Network) -> Array:
    """(m, k), of a stack of k networks."""
    _, Z = forward(networks, network_inputs(pixels, transform))
    return Z[:, 0, :].mT


def _step(progress: RetrainingCallback, step: str) -> Callable[[float], object]:
    return lambda share: progress(step, share)
