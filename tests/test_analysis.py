from dataclasses import replace

import numpy as np
import pytest
from explanations import explained, hardest, trained
from support import BACKENDS, open_or_skip

from ssnn.backends import open_backend
from ssnn.data import Dataset
from ssnn.errors import ModelError, UsageError
from ssnn.explain import analysis
from ssnn.explain.analysis import explain
from ssnn.network import Layer


@pytest.fixture(scope="module")
def model(few_digits):
    return trained(few_digits)


@pytest.fixture(scope="module", params=BACKENDS)
def on_backend(request, few_digits, model):
    """The three images nearest to a logit of 0, explained with other networks, on every backend in turn."""
    return explained(model, few_digits, hardest(model, few_digits, 3), open_or_skip(request.param), train_more=True)


def test_votes_and_error_rates_are_those_of_networks_trained_one_by_one(on_backend, few_digits, model):
    alone = [trained(few_digits, seed=561 + i) for i in range(5)]
    hard = few_digits.test.pixels[hardest(model, few_digits, 3)]
    predicted = np.stack([one.logits(hard) > 0 for one in alone])
    assert [image.votes for image in on_backend.images] == [(5 - int(n), int(n)) for n in predicted.sum(axis=0)]
    assert [point.samples for point in on_backend.curve] == [50, 200]
    assert [len(point.error_rates) for point in on_backend.curve] == [4, 5]
    np.testing.assert_allclose(on_backend.curve[-1].error_rates, [one.run.test.error_rate for one in alone])


def test_figures_on_any_backend_are_those_on_numpy(on_backend, few_digits, model):
    expected = explained(model, few_digits, hardest(model, few_digits, 3))
    assert_close(on_backend.train_logits.logits, expected.train_logits.logits)
    assert_close(on_backend.test_logits.logits, expected.test_logits.logits)
    assert_close(on_backend.importance, expected.importance)
    assert [neuron.on for neuron in on_backend.neurons] == [neuron.on for neuron in expected.neurons]
    for image, other in zip(on_backend.images, expected.images, strict=True):
        assert image.neighbours[0][0].index == other.neighbours[0][0].index
        assert_close(image.novelty_score, other.novelty_score)
        assert_close(image.attribution.pixels, other.attribution.pixels)
        assert_close(image.attribution.neurons, other.attribution.neurons)


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)  # in float32


def test_logits_of_all_images_are_those_of_the_model(few_digits, model):
    found = explained(model, few_digits)
    for logits, samples in ((found.train_logits, few_digits.train), (found.test_logits, few_digits.test)):
        np.testing.assert_array_equal(logits.logits, model.logits(samples.pixels, open_backend("numpy")))
        np.testing.assert_array_equal(logits.labels, samples.labels)


def test_calibration_is_of_all_test_images(few_digits, model):
    assert sum(part.count for part in explained(model, few_digits).calibration) == 100


def test_the_first_wrong_test_images_are_explained_by_default(few_digits, model, monkeypatch):
    wrong = model.logits(few_digits.test.pixels) > 0
    labels = np.where(np.isin(np.arange(100), [3, 40, 77]), ~wrong, wrong).astype(np.uint8)
    dataset = replace(few_digits, test=replace(few_digits.test, labels=labels))
    backend = open_backend("numpy")
    assert [image.index for image in explain(model, dataset, backend, train_more=False).images] == [3, 40, 77]
    monkeypatch.setattr(analysis, "MAX_WRONG", 2)
    assert [image.index for image in explain(model, dataset, backend, train_more=False).images] == [3, 40]
    assert explain(model, dataset, backend, [], train_more=False).images == ()


def test_the_model_goes_to_the_device_once_and_every_image_in_one_pass(few_digits, model, monkeypatch):
    backend, trees, passes = open_backend("numpy"), [], []
    to_device, in_blocks = backend.to_device, analysis.in_blocks
    monkeypatch.setattr(backend, "to_device", lambda tree: trees.append(tree) or to_device(tree))
    monkeypatch.setattr(analysis, "in_blocks", lambda *args: passes.append(len(args[2])) or in_blocks(*args))
    explained(model, few_digits, range(7), backend)
    assert sum(getattr(tree, "network", None) is model.network for tree in trees) == 1
    assert passes == [100, 200, 7]


def test_training_images_of_another_model_are_refused(few_digits, model):
    other = Dataset("synthetic", "elsewhere", (0, 1), few_digits.test, few_digits.test, 0.0)
    with pytest.raises(UsageError, match=r"trained on 200 other images, .*; these are 100, synthetic \(elsewhere\)"):
        explained(model, other)


def test_a_model_with_logits_that_are_not_finite_is_refused(few_digits, model):
    W, b = model.network[-1]
    broken = replace(model, network=(*model.network[:-1], Layer(W, np.full_like(b, np.nan))))
    with pytest.raises(ModelError, match="a logit is not finite"):
        explained(broken, few_digits)


def test_an_explanation_in_several_blocks_is_that_in_one(few_digits, monkeypatch):
    model, backend = trained(few_digits, "float64"), open_backend("numpy", dtype="float64")
    at_once = explained(model, few_digits, range(20), backend)
    monkeypatch.setattr("ssnn.model.inference.MAX_BLOCK", 16)
    blockwise = explained(model, few_digits, range(20), backend)
    np.testing.assert_allclose(blockwise.train_logits.logits, at_once.train_logits.logits, rtol=1e-12)
    np.testing.assert_allclose(blockwise.importance, at_once.importance, rtol=1e-12)
    assert [n.on for n in blockwise.neurons] == [n.on for n in at_once.neurons]
    for block, whole in zip(blockwise.images, at_once.images, strict=True):
        np.testing.assert_allclose(block.attribution.pixels, whole.attribution.pixels, rtol=1e-9, atol=1e-15)
        assert [n.index for near in block.neighbours for n in near] == [
            n.index for near in whole.neighbours for n in near
        ]
