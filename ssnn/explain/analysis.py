"""The whole explanation of a network: its images, its neurons, its margins, and what more data would bring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.backends import Backend
from ssnn.data import Dataset
from ssnn.errors import UsageError
from ssnn.explain.attribution import attribute
from ssnn.explain.ensemble import ProgressCallback, learning_curve, more_data, retrain_with_seeds
from ssnn.explain.findings import Training, findings
from ssnn.explain.neighbours import neighbours, standardised_distances
from ssnn.explain.records import Attribution, CalibrationBin, Explanation, ImageExplanation, Neuron, Pixels, Values
from ssnn.model import inference
from ssnn.model.inference import Transform, network_inputs
from ssnn.model.model import Model
from ssnn.network import Network, forward, logistic
from ssnn.typing import Array

BINS = 10
SAME_DIRECTION = 0.99  # cosine between two neurons' weights from which on one is the double of the other


@dataclass(frozen=True)
class Question:
    """An image that is to be explained; see `ImageExplanation`."""

    name: str
    pixels: Pixels
    index: int | None = None
    label: int | None = None


def test_image(digits: Dataset, index: int) -> Question:
    """One of the test images.

    Raises
    ------
    UsageError
        If there is none of this index.
    """
    if not 0 <= index < len(digits.test):
        raise UsageError(f"image {index}: there are {len(digits.test):,} test images, 0 … {len(digits.test) - 1}")
    return Question(
        f"test image {index}", digits.test.pixels[index], index, digits.classes[int(digits.test.labels[index])]
    )


def explain(
    model: Model,
    digits: Dataset,
    backend: Backend,
    questions: Sequence[Question],
    progress: ProgressCallback = lambda what, share: None,
    train_more: bool = True,
) -> Explanation:
    """Explain a model and some images.

    Parameters
    ----------
    model : Model
    digits : Dataset
        What it was trained on, and its test images.
    backend : Backend
    questions : sequence of Question
    progress : callable, optional
        Called with what is being done, and the share of it that is done.
    train_more : bool
        Whether to train other networks, for the votes and for the learning curve: most of the time goes there.

    Raises
    ------
    UsageError
        If the model was not trained on these digits.
    """
    if model.data.sha256 != digits.train.sha256():
        raise UsageError(
            f"the model was trained on {model.data.train:,} other images, {model.data.name} of {model.data.digits[0]} "
            f"and {model.data.digits[1]}; these are {len(digits.train):,}, {digits.name} ({digits.origin})"
        )
    others = retrain_with_seeds(digits, model, backend, progress) if train_more else []
    curve = learning_curve(digits, model, others, backend, progress) if train_more else ()
    margins = {
        name: model.logits(part.pixels, backend) * (2.0 * part.labels - 1)
        for name, part in (("train", digits.train), ("test", digits.test))
    }
    return Explanation(
        images=_images(model, digits, backend, questions, others, np.sort(np.abs(margins["test"]))),
        neurons=_neurons(model, digits, backend),
        margins=margins,
        importance=_importance(model, digits.test.pixels, backend),
        calibration=_calibration(margins["test"] * (2.0 * digits.test.labels - 1), digits.test.labels),
        curve=curve,
        more_data=more_data(curve, len(digits.test)) if curve else "",
    )


def _images(
    model: Model,
    digits: Dataset,
    backend: Backend,
    questions: Sequence[Question],
    others: Sequence[Network],
    test_logits: Values,
) -> tuple[ImageExplanation, ...]:
    if not questions:
        return ()
    rows = np.stack([question.pixels for question in questions])
    logits = model.logits(rows, backend)
    verdicts = [logits > 0] + [inference.logits(backend, n, model.standardization, rows) > 0 for n in others]
    for_one = np.sum(verdicts, axis=0).tolist()
    training = Training(
        digits=digits.classes,
        never_vary=np.ptp(digits.train.pixels, axis=0) == 0,
        usual=digits.train.pixels[0],
        kept=np.isin(np.arange(model.pixels), model.standardization.features),
        distances=np.sort(standardised_distances(backend, model.standardization, digits.train.pixels)),
        novelty_scores=np.sort(model.novelty_score(digits.train.pixels, backend)),
        test_logits=test_logits,
    )
    usual = np.where(training.never_vary, training.usual, rows)
    found = zip(
        questions,
        logits.tolist(),
        model.novelty_score(rows, backend).tolist(),
        neighbours(backend, digits, rows),
        for_one,
        standardised_distances(backend, model.standardization, rows).tolist(),
        model.logits(usual, backend).tolist(),
        splits(model, rows, backend),
        strict=True,
    )
    images = []
    for question, logit, novelty_score, near, ones, distance, usual_logit, parts in found:
        image = ImageExplanation(
            name=question.name,
            index=question.index,
            pixels=question.pixels,
            label=question.label,
            digit=digits.classes[int(logit > 0)],
            logit=logit,
            probability=float(logistic(np.float64(logit))),
            attribution=parts,
            novelty_score=novelty_score,
            neighbours=(near[0], near[1]),
            votes=(len(verdicts) - ones, ones),
            findings=(),
        )
        images.append(replace(image, findings=findings(image, distance, usual_logit, training)))
    return tuple(images)


def splits(model: Model, rows: Pixels, backend: Backend) -> list[Attribution]:
    """What each pixel, neuron and bias contributed to the logit of each image (m, n0)."""
    parts = inference.in_blocks(backend, _split_rows, rows, *_on_device(model, backend))
    n, n0 = len(model.standardization.features), model.pixels
    pixels = np.zeros((len(rows), n0))
    pixels[:, model.standardization.features] = parts[:, :n]
    hidden = len(model.network) > 1
    neurons = parts[:, n + 1 :] if hidden else np.empty((len(rows), 0))
    last = float(model.network[-1].b[0, 0])
    return [
        Attribution(of_pixels, float(biases), of_neurons, of_neurons != 0, last)
        for of_pixels, biases, of_neurons in zip(pixels, parts[:, n], neurons, strict=True)
    ]


def _importance(model: Model, rows: Pixels, backend: Backend) -> Values:
    """The mean size of what each pixel contributes (n0,)."""
    importance = np.zeros(model.pixels)
    sizes = inference.in_blocks(backend, _input_sizes, rows, *_on_device(model, backend))
    importance[model.standardization.features] = np.mean(sizes, axis=0)
    return importance


def _neurons(model: Model, digits: Dataset, backend: Backend) -> tuple[Neuron, ...]:
    if len(model.network) == 1:
        return ()
    on = inference.in_blocks(backend, _is_on, digits.train.pixels, *_on_device(model, backend))
    shares = [np.mean(on[digits.train.labels == label], axis=0) for label in (0, 1)]
    W, b = (parameters.astype(np.float64) for parameters in model.network[0])
    weights = np.zeros((len(W), model.pixels))
    weights[:, model.standardization.features] = W
    doubles = _doubles(np.hstack([W, b]))
    out = model.network[1].W[0].tolist() if len(model.network) == 2 else [None] * len(W)
    return tuple(
        Neuron(j, weights[j], float(b[j, 0]), (float(shares[0][j]), float(shares[1][j])), out[j], doubles[j])
        for j in range(len(W))
    )


def _doubles(rows: Values) -> list[int | None]:
    """For each row the first one before it that points in the same direction."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    same = np.tril(unit @ unit.T > SAME_DIRECTION, k=-1)
    return [int(np.argmax(row)) if row.any() else None for row in same]


def _calibration(logits: Values, labels: npt.NDArray[np.uint8]) -> tuple[CalibrationBin, ...]:
    probabilities = logistic(logits)
    bins = np.minimum((probabilities * BINS).astype(np.intp), BINS - 1)
    found = []
    for i in range(BINS):
        inside = bins == i
        count = int(np.sum(inside))
        mean = float(np.mean(probabilities[inside])) if count else nan
        found.append(
            CalibrationBin(i / BINS, (i + 1) / BINS, count, mean, float(np.mean(labels[inside])) if count else nan)
        )
    return tuple(found)


def _on_device(model: Model, backend: Backend) -> tuple[Array, ...]:
    on_device: tuple[Array, ...] = backend.to_device((model.standardization.arrays, model.network))
    return on_device


def _split_rows(pixels: Array, transform: Transform, network: Network) -> Array:
    """For each image (m,) in one row: what the inputs, the biases and the neurons contributed."""
    inputs, biases, neurons = attribute(network, network_inputs(pixels, transform))
    xp = array_namespace(inputs)
    return xp.concat([inputs, xp.expand_dims(biases, axis=0), neurons], axis=0).mT


def _input_sizes(pixels: Array, transform: Transform, network: Network) -> Array:
    inputs, _, _ = attribute(network, network_inputs(pixels, transform))
    return abs(inputs).mT


def _is_on(pixels: Array, transform: Transform, network: Network) -> Array:
    A, _ = forward(network, network_inputs(pixels, transform))
    return (A[1] > 0).mT
