"""Other networks, trained to see what belongs to the data and what to one network: several seeds, fewer samples.

Networks of one shape that learn from the same samples are a stack: `ssnn.network` trains it like one network.
"""

from collections.abc import Callable, Sequence
from math import hypot, sqrt
from statistics import fmean, stdev
from typing import Protocol

import numpy as np

from ssnn.backends import Backend
from ssnn.data import Dataset, Samples
from ssnn.explain.records import CurvePoint
from ssnn.initialization import initial_network
from ssnn.model.inference import logits
from ssnn.model.model import Model
from ssnn.network import Network
from ssnn.standardize import Standardization, fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import batch_to_device
from ssnn.training.loop import Loop
from ssnn.training.progress import boundaries
from ssnn.tree import tree_map

RETRAINED = 4  # networks that differ from the model in their seed alone
SUBSETS, SEEDS = 2, 2  # at each point of the learning curve: random samples, and networks on each
POINTS, SHRINK = 4, 4  # points of the curve below the whole, each with a quarter of the samples of the next
MIN_SAMPLES = 30  # samples of a point
MIN_WRONG = 20  # wrong images at two points below which a halving would not be seen


class ProgressCallback(Protocol):
    """What is called as networks are trained."""

    def __call__(self, what: str, share: float, /) -> object:
        """Report what is being trained, and the share of it that is done."""


def retrain_with_seeds(digits: Dataset, model: Model, backend: Backend, progress: ProgressCallback) -> list[Network]:
    """Networks like the model but for their seeds, as NumPy arrays."""
    seeds = [(model.settings.seed + i) % 2**32 for i in range(1, RETRAINED + 1)]
    return _train_stack(digits.train, model, model.standardization, seeds, backend, _part(progress, "seeds"))


def learning_curve(
    digits: Dataset, model: Model, others: Sequence[Network], backend: Backend, progress: ProgressCallback
) -> tuple[CurvePoint, ...]:
    """The error rate on the test images by the number of training samples, up to all of them.

    Networks of one subset share its samples and its standardisation; each network has a seed of its own.
    """
    whole = len(digits.train)
    sizes = [whole // SHRINK**step for step in range(POINTS, 0, -1)]
    random = np.random.default_rng(model.settings.seed)
    points = []
    for size in (size for size in sizes if size >= MIN_SAMPLES):
        rates: list[float] = []
        for subset in range(SUBSETS):
            samples = _subset(digits.train, size, random)
            standardization = fit_pixels(samples.pixels, model.settings.constant_features)
            seeds = [(model.settings.seed + subset * SEEDS + i) % 2**32 for i in range(SEEDS)]
            step = _part(progress, f"{size:,} samples, {subset + 1} of {SUBSETS}")
            networks = _train_stack(samples, model, standardization, seeds, backend, step)
            rates += [_error_rate(network, standardization, digits.test, backend) for network in networks]
        points.append(CurvePoint(size, tuple(rates)))
    rates = [_error_rate(n, model.standardization, digits.test, backend) for n in (model.network, *others)]
    return (*points, CurvePoint(whole, tuple(rates)))


def more_data(curve: Sequence[CurvePoint], tested: int) -> str:
    """Whether more samples would help, from the last two points of a learning curve on so many test images.

    Between two networks the number of wrong images differs by chance, even if neither is better: by about the root of
    the sum of both numbers (McNemar's test, with no image that both get wrong), and by what the seeds make of it.
    """
    if len(curve) < 2:
        return "There are too few training images to tell whether more would help."
    wrong = [[rate * tested for rate in point.error_rates] for point in curve[-2:]]
    before, after = map(fmean, wrong)
    spread = hypot(*(stdev(counts) / sqrt(len(counts)) for counts in wrong))
    chance = hypot(sqrt(before + after), spread)
    said = (
        f"From {curve[-2].samples:,} to {curve[-1].samples:,} training images the wrong test images go from "
        f"{before:.1f} to {after:.1f} in the mean, {before / tested:.3%} to {after / tested:.3%}; by chance alone it "
        f"could be {chance:.1f} more or fewer"
    )
    if before - after > 2 * chance:
        return f"{said}: more images of this kind would still help."
    if after - before > 2 * chance:
        return f"{said}: more images made it worse, so something else is in the way."
    if before + after < MIN_WRONG:
        return f"{said}: too few are wrong to tell whether more images would help."
    return f"{said}: no gain beyond chance, so more images of this kind would help little."


def _subset(samples: Samples, size: int, random: np.random.Generator) -> Samples:
    """So many samples, drawn from either class in proportion and at least one of each."""
    ones = np.flatnonzero(samples.labels)
    zeros = np.flatnonzero(samples.labels == 0)
    of_ones = min(max(1, round(size * len(ones) / len(samples))), size - 1)
    chosen = np.sort(np.concatenate([random.choice(zeros, size - of_ones, False), random.choice(ones, of_ones, False)]))
    return Samples(samples.pixels[chosen], samples.labels[chosen])


def _train_stack(
    samples: Samples,
    model: Model,
    standardization: Standardization,
    seeds: Sequence[int],
    backend: Backend,
    report: Callable[[float], object],
) -> list[Network]:
    """Networks of the model's settings, and of as many iterations as it has done, on these samples."""
    settings, iterations = model.settings, len(model.costs)
    sizes = (samples.pixels.shape[1], *settings.hidden, 1)
    starts = [initial_network(sizes, seed, standardization.features) for seed in seeds]
    stack: Network = tree_map(lambda *parameters: np.stack(parameters), *starts)
    watch = Stopwatch()
    batch = batch_to_device(backend, standardization, samples, stack, watch)
    loop = Loop(backend, batch, settings.learning_rate, watch)
    done = 0
    for reached, costs in loop.iterate(backend.to_device(stack), boundaries(0, iterations)):
        network = reached
        done += len(costs)
        report(done / iterations)
    on_host = loop.to_host_finite(network, iterations)
    return [tree_map(lambda parameters, i=i: parameters[i], on_host) for i in range(len(seeds))]


def _error_rate(network: Network, standardization: Standardization, test: Samples, backend: Backend) -> float:
    return float(np.mean((logits(backend, network, standardization, test.pixels) > 0) != test.labels))


def _part(progress: ProgressCallback, what: str) -> Callable[[float], object]:
    return lambda share: progress(what, share)
