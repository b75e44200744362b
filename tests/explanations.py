"""Models and explanations for the tests of `ssnn.explain`."""

from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

import numpy as np

from ssnn.backends import Backend, open_backend
from ssnn.data import Dataset
from ssnn.explain import page
from ssnn.explain.analysis import Question, explain, test_image
from ssnn.explain.records import CurvePoint, Explanation, Finding
from ssnn.model.model import Model
from ssnn.settings import Settings
from ssnn.training.trainer import fit

_models: dict[tuple[str, str, Settings], Model] = {}
_pages: dict[int, tuple[Model, str]] = {}  # by the id of the model, which therefore is kept
_charts: dict[str, page.Chart] = {}


def trained(dataset: Dataset, dtype: str = "float32", **settings) -> Model:
    """A model of 30 iterations on NumPy unless the settings say otherwise, trained once in a test session."""
    chosen = Settings(**{"iterations": 30} | settings)
    key = (dataset.train.sha256() + dataset.test.sha256(), dtype, chosen)
    if key not in _models:
        _models[key] = fit(dataset, open_backend("numpy", dtype=dtype), chosen)
    return _models[key]


def explained(
    model: Model,
    dataset: Dataset,
    images: Sequence[int | Question] = (),
    backend: Backend | None = None,
    train_more: bool = False,
) -> Explanation:
    """Explain test images, by index, and other images; on NumPy, and with no other networks, by default."""
    questions = [image if isinstance(image, Question) else test_image(dataset, int(image)) for image in images]
    backend = backend or open_backend("numpy", dtype=model.dtype)
    return explain(model, dataset, backend, questions, train_more=train_more)


def hardest(model: Model, dataset: Dataset, count: int) -> list[int]:
    """The test images whose logits are nearest to 0."""
    return np.argsort(np.abs(model.logits(dataset.test.pixels)))[:count].tolist()


def example(model: Model, dataset: Dataset, images: int = 1) -> Explanation:
    """The test images of the smallest margins; votes, curve, a dead neuron, a duplicate and a finding are made up."""
    margins = model.logits(dataset.test.pixels) * (2.0 * dataset.test.labels - 1)
    found = explained(model, dataset, np.argsort(margins)[:images])
    strange = Finding("other class", "Its 5 nearest training images are of the <other> class.", {"share": 1.0})
    made_up = {1: {"on": (0.0, 0.0)}, 2: {"duplicate_of": 0}}
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


def example_page(model: Model, dataset: Dataset) -> str:
    """The page of `example`, rendered once for each model; all have the charts of the first, which take most time."""
    if id(model) not in _pages:
        explanation = example(model, dataset)
        if not _charts:
            _charts.update(page._charts(explanation, model))
        with patch.object(page, "_charts", lambda *_: _charts):
            _pages[id(model)] = model, page.render(explanation, model, dataset)
    return _pages[id(model)][1]
