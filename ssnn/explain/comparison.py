"""Two models on the same test images: which images changed sides, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssnn.backends import Backend
from ssnn.data import Dataset
from ssnn.errors import UsageError
from ssnn.explain.analysis import explain, test_image
from ssnn.explain.records import ImageExplanation
from ssnn.model.model import Model


@dataclass(frozen=True)
class Change:
    """A test image that two models take for different digits.

    Attributes
    ----------
    before, after : ImageExplanation
        By the first and by the second model.
    """

    before: ImageExplanation
    after: ImageExplanation


def changed_sides(models: Sequence[Model], digits: Dataset, backends: Sequence[Backend]) -> list[Change]:
    """Explain the test images on which two models differ, each on its own backend.

    Raises
    ------
    UsageError
        If the models are of different digits, or were not trained on these images.
    """
    first, second = models
    if first.data.digits != second.data.digits:
        raise UsageError(
            f"the models tell different digits apart: {' and '.join(map(str, first.data.digits))}, "
            f"and {' and '.join(map(str, second.data.digits))}"
        )
    pairs = list(zip(models, backends, strict=True))
    verdicts = [model.predict(digits.test.pixels, backend) for model, backend in pairs]
    questions = [test_image(digits, int(index)) for index in np.flatnonzero(verdicts[0] != verdicts[1])]
    before, after = (explain(model, digits, backend, questions, train_more=False).images for model, backend in pairs)
    return [Change(*pair) for pair in zip(before, after, strict=True)]
