"""Explanations for the tests of what shows them: real ones, but for what takes other networks."""

from dataclasses import replace

import numpy as np

from ssnn.backends import open_backend
from ssnn.data import Dataset
from ssnn.explain.analysis import explain, test_image
from ssnn.explain.records import CurvePoint, Explanation, Finding
from ssnn.model.model import Model


def example(model: Model, digits: Dataset, images: int = 1) -> Explanation:
    """The test images that are wrong, or nearly so; votes, curve, a dead neuron, a double and a finding are made up."""
    margins = model.logits(digits.test.pixels) * (2.0 * digits.test.labels - 1)
    questions = [test_image(digits, int(index)) for index in np.argsort(margins)[:images]]
    found = explain(model, digits, open_backend("numpy", dtype=model.dtype), questions, train_more=False)
    strange = Finding("other class", "Its 5 nearest training images are of the <other> class.", {"share": 1.0})
    made_up = {1: {"on": (0.0, 0.0)}, 2: {"double_of": 0}}
    return replace(
        found,
        neurons=tuple(replace(neuron, **made_up.get(neuron.index, {})) for neuron in found.neurons),
        images=tuple(replace(image, votes=(7, 3), findings=(strange, *image.findings)) for image in found.images),
        curve=tuple(
            CurvePoint(samples, tuple(0.2 / samples**0.6 * factor for factor in (0.6, 0.8, 1.0, 1.4)))
            for samples in (50, 100, 400, 1600, 6400)
        ),
        more_data="More data would help a little: the error rate falls from 0.23 % to 0.10 %.",
    )
