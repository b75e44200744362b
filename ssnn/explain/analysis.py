"""The explanation of a network: one pass over the training images, one over the test images, one over the explained.

Each pass computes everything about its images on the device; one transfer of the model serves all three.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.backends import Backend
from ssnn.data import Dataset, Samples
from ssnn.errors import UsageError
from ssnn.explain.attribution import Contributions, attribute, image_attribution, importance
from ssnn.explain.calibration import calibration
from ssnn.explain.distance import standardized_distance, varying_inputs
from ssnn.explain.ensemble import RetrainingCallback, learning_curve, more_data, retrain_with_seeds
from ssnn.explain.findings import Reference, findings
from ssnn.explain.neighbours import nearest, squared_distances
from ssnn.explain.neurons import is_on, neurons
from ssnn.explain.records import (
    CurvePoint,
    Explanation,
    ImageExplanation,
    LabelledLogits,
    Neighbour,
    Pixels,
    Values,
)
from ssnn.model.inference import ModelArrays, check_finite, in_blocks, network_inputs
from ssnn.model.model import Model
from ssnn.model.novelty import GREY_LEVELS, novelty_score
from ssnn.network import forward, logistic
from ssnn.tree import tree_map
from ssnn.typing import Array

MAX_WRONG = 30  # wrong test images that are explained unless images are asked for


@dataclass(frozen=True)
class Question:
    """An image to explain; see `ImageExplanation`."""

    name: str
    pixels: Pixels
    index: int | None = None
    label: int | None = None


def test_image(dataset: Dataset, index: int) -> Question:
    """One of the test images.

    Raises
    ------
    UsageError
        If there is none of this index.
    """
    if not 0 <= index < len(dataset.test):
        raise UsageError(f"image {index}: there are {len(dataset.test):,} test images, 0 … {len(dataset.test) - 1}")
    label = dataset.classes[int(dataset.test.labels[index])]
    return Question(f"test image {index}", dataset.test.pixels[index], index, label)


def check_trained_on(model: Model, dataset: Dataset) -> None:
    """Check that a model was trained on the training images of a dataset.

    Raises
    ------
    UsageError
        If it was not.
    """
    if model.data.sha256 != dataset.train.sha256():
        raise UsageError(
            f"the model was trained on {model.data.train:,} other images, {model.data.name} of {model.data.digits[0]} "
            f"and {model.data.digits[1]}; these are {len(dataset.train):,}, {dataset.name} ({dataset.origin})"
        )


def explain(
    model: Model,
    dataset: Dataset,
    backend: Backend,
    questions: Sequence[Question] | None = None,
    progress: RetrainingCallback = lambda step, share: None,
    train_more: bool = True,
) -> Explanation:
    """Explain a model and some images.

    Parameters
    ----------
    model : Model
    dataset : Dataset
        What it was trained on, and its test images.
    backend : Backend
    questions : sequence of Question, optional
        By default the test images that the model gets wrong, the first `MAX_WRONG` of them.
    progress : callable, optional
        Called with what is being trained, and which share of it is done.
    train_more : bool
        Whether to retrain networks, for the votes and for the learning curve: most of the time goes there.

    Raises
    ------
    UsageError
        If the model was not trained on these images.
    ModelError
        If a logit is not finite.
    """
    check_trained_on(model, dataset)
    arrays: ModelArrays = backend.to_device(ModelArrays(model.standardization.arrays, model.network, model.novelty))
    test: Contributions = in_blocks(backend, _contributions, dataset.test.pixels, arrays)
    test_logits = _labelled(test.logit, dataset.test)
    is_wrong = (test.logit > 0) != dataset.test.labels
    if questions is None:
        questions = [test_image(dataset, int(index)) for index in np.flatnonzero(is_wrong)[:MAX_WRONG]]
    rows = np.stack([question.pixels for question in questions]) if questions else dataset.test.pixels[:0]
    queries, varying = backend.to_device((rows / GREY_LEVELS, varying_inputs(model.standardization)))
    train: _TrainingRows = in_blocks(backend, _training_rows, dataset.train.pixels, arrays, varying, queries)
    train_logits = _labelled(train.logit, dataset.train)
    reference = Reference(
        digits=dataset.classes,
        never_varies=np.ptp(dataset.train.pixels, axis=0) == 0,
        usual=dataset.train.pixels[0],
        kept=np.isin(np.arange(model.pixels), model.standardization.features),
        distances=np.sort(train.distance),
        novelty_scores=np.sort(train.novelty_score),
        logit_sizes=np.abs(test.logit),
        chance="random start" if model.settings.order != "random" else "seed",
    )
    usual = backend.to_device((reference.never_varies, reference.usual))
    computed: _ImageRows = in_blocks(backend, _image_rows, rows, arrays, varying, usual)
    check_finite(computed.parts.logit)

    predicted = computed.parts.logit[:, None] > 0
    curve: tuple[CurvePoint, ...] = ()
    if train_more:
        ensemble = retrain_with_seeds(dataset, model, backend, progress)
        predicted = np.hstack([predicted, ensemble.logits(rows) > 0])
        rates = [float(np.mean(is_wrong)), *ensemble.error_rates(dataset.test)]
        curve = learning_curve(dataset, model, rates, backend, progress)
    images = []
    for i, question in enumerate(questions):
        row: _ImageRows = tree_map(lambda values, i=i: values[i], computed)
        image = _image(
            model, question, row, predicted[i], nearest(dataset, question.pixels, train.squared_distances[:, i])
        )
        images.append(replace(image, findings=findings(image, float(row.distance), float(row.usual_logit), reference)))
    return Explanation(
        images=tuple(images),
        neurons=neurons(model, train.is_on, dataset.train.labels),
        train_logits=train_logits,
        test_logits=test_logits,
        importance=importance(model, test.inputs),
        calibration=calibration(test_logits),
        curve=curve,
        more_data=more_data(curve, len(dataset.test)) if curve else "",
    )


class _TrainingRows(NamedTuple):
    """What one pass over the m training images computes; the first axis is that of the images."""

    logit: Array  # (m,)
    is_on: Array  # (m, n)
    distance: Array  # (m,), standardised
    novelty_score: Array  # (m,)
    squared_distances: Array  # (m, q), from each of the q explained images


class _ImageRows(NamedTuple):
    """What one pass over the q explained images computes; without the first axis, of one of them."""

    parts: Contributions
    usual_logit: Array  # (q,), with the pixels that never vary in training as they are there
    distance: Array  # (q,), standardised
    novelty_score: Array  # (q,)


def _training_rows(pixels: Array, model: ModelArrays, varying: Array, queries: Array) -> _TrainingRows:
    X = network_inputs(pixels, model.transform)
    A, Z = forward(model.network, X)
    return _TrainingRows(
        logit=Z[0, :],
        is_on=is_on(A),
        distance=standardized_distance(X, varying),
        novelty_score=novelty_score(pixels, model.novelty),
        squared_distances=squared_distances(pixels, queries),
    )


def _contributions(pixels: Array, model: ModelArrays) -> Contributions:
    return attribute(model.network, network_inputs(pixels, model.transform))


def _image_rows(pixels: Array, model: ModelArrays, varying: Array, usual: tuple[Array, Array]) -> _ImageRows:
    xp = array_namespace(pixels)
    never_varies, value = usual
    X = network_inputs(pixels, model.transform)
    _, usual_Z = forward(model.network, network_inputs(xp.where(never_varies, value, pixels), model.transform))
    return _ImageRows(
        parts=attribute(model.network, X),
        usual_logit=usual_Z[0, :],
        distance=standardized_distance(X, varying),
        novelty_score=novelty_score(pixels, model.novelty),
    )


def _image(
    model: Model,
    question: Question,
    row: _ImageRows,
    predicted: npt.NDArray[np.bool_],
    neighbours: tuple[tuple[Neighbour, ...], tuple[Neighbour, ...]],
) -> ImageExplanation:
    """The explanation of one image without its findings; predicted (k,) is the class by each network."""
    logit, ones = float(row.parts.logit), int(np.sum(predicted))
    return ImageExplanation(
        name=question.name,
        index=question.index,
        pixels=question.pixels,
        label=question.label,
        digit=model.data.digits[int(logit > 0)],
        logit=logit,
        probability=float(logistic(np.float64(logit))),
        attribution=image_attribution(model, row.parts),
        novelty_score=float(row.novelty_score),
        neighbours=neighbours,
        votes=(len(predicted) - ones, ones),
        findings=(),
    )


def _labelled(logits: Values, samples: Samples) -> LabelledLogits:
    check_finite(logits)
    return LabelledLogits(logits, samples.labels)
