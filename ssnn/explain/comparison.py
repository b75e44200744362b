"""Two models on the same test images: which images they predict differently, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssnn.backends import Backend
from ssnn.data import Dataset
from ssnn.errors import UsageError
from ssnn.explain.analysis import check_trained_on, explain, test_image
from ssnn.explain.records import ImageExplanation
from ssnn.model.model import Model


@dataclass(frozen=True)
class Change:
    """A test image that two models predict differently.

    Attributes
    ----------
    before, after : ImageExplanation
        By the first and by the second model.
    """

    before: ImageExplanation
    after: ImageExplanation


def changed_predictions(models: Sequence[Model], dataset: Dataset, backends: Sequence[Backend]) -> list[Change]:
    """Explain the test images that two models predict differently, each model on its own backend.

    Raises
    ------
    UsageError
        If the models are of different digits, or were not trained on these images.
    """
    first, second = models
    if first.data.digits != second.data.digits:
        raise UsageError(
            f"the models are of different digits: {' and '.join(map(str, first.data.digits))}, "
            f"and {' and '.join(map(str, second.data.digits))}"
        )
    for model in models:
        check_trained_on(model, dataset)
    pairs = list(zip(models, backends, strict=True))
    before, after = (model.predict(dataset.test.pixels, backend) for model, backend in pairs)
    questions = [test_image(dataset, int(index)) for index in np.flatnonzero(before != after)]
    if not questions:
        return []
    explained = [explain(model, dataset, backend, questions, train_more=False).images for model, backend in pairs]
    return [Change(*pair) for pair in zip(*explained, strict=True)]
