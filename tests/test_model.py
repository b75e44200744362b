import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from support import BACKENDS, import_or_skip, open_or_skip

from ssnn.errors import BackendError, ModelError, UsageError
from ssnn.model import inference
from ssnn.settings import Settings
from ssnn.training.trainer import fit


@pytest.fixture(scope="module")
def model(few_digits):
    return fit(few_digits, settings=Settings(iterations=20, hidden=(4,)))


@pytest.mark.parametrize("name", BACKENDS)
def test_logits_follow_the_formula(few_digits, model, name):
    found = model.standardization
    A = (few_digits.test.pixels[:, found.features] - found.mean) / found.std
    (W1, b1), (W2, b2) = ([p.astype(float) for p in layer] for layer in model.network)
    expected = np.maximum(A @ W1.T + b1.T, 0) @ W2.T + b2.T
    open_or_skip(name)
    np.testing.assert_allclose(model.logits(few_digits.test.pixels, name), expected[:, 0], rtol=1e-12, atol=1e-12)
    in_float32 = model.logits(few_digits.test.pixels, open_or_skip(name))
    np.testing.assert_allclose(in_float32, expected[:, 0], rtol=1e-4, atol=1e-5)


def test_probabilities_and_digits_follow_the_logits(few_digits, model):
    Z = model.logits(few_digits.test.pixels)
    expected = np.stack([1 / (1 + np.exp(Z)), 1 / (1 + np.exp(-Z))], axis=1)
    np.testing.assert_allclose(model.predict_proba(few_digits.test.pixels), expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(model.predict(few_digits.test.pixels), np.where(Z > 0, 1, 0))
    assert model.evaluate(few_digits.test).errors == tuple(np.flatnonzero((Z > 0) != few_digits.test.labels))


def test_a_model_evaluates_as_the_run_did_that_made_it(few_digits, model):
    assert model.evaluate(few_digits.test).errors == model.run.test.errors
    assert model.evaluate(few_digits.train).log_loss == pytest.approx(model.run.train.log_loss, rel=1e-5)


def test_images_may_be_square_many_or_none(few_digits, model):
    pixels = few_digits.test.pixels
    np.testing.assert_array_equal(model.logits(pixels.reshape(-1, 28, 28)), model.logits(pixels))
    assert model.predict(pixels[:0]).shape == (0,)
    assert model.predict_proba(pixels[:0]).shape == (0, 2)
    assert model.predict(pixels[:3].reshape(3, 28, 28)).dtype == np.uint8


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 784)), "images of float64: grey values 0 … 255 in a uint8 array are needed"),
        ([[0]], "images of int64: grey values"),
        (np.ma.zeros((2, 784), np.uint8), "images are a masked array"),
        (np.zeros((28, 28), np.uint8), r"images \(28, 28\): \(m, 28, 28\) or \(m, 784\) is needed"),
        (np.zeros(784, np.uint8), r"images \(784,\)"),
        (np.zeros((1, 28, 29), np.uint8), r"images \(1, 28, 29\)"),
    ],
)
def test_what_is_no_image_is_refused(model, images, message):
    for method in (model.predict, model.predict_proba, model.novelty_score):
        with pytest.raises(UsageError, match=message):
            method(images)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda array: array[::-1].copy()[::-1], id="reversed"),
        pytest.param(np.asfortranarray, id="fortran"),
        pytest.param(list, id="list"),
        pytest.param(lambda array: import_or_skip("jax.numpy").asarray(array), id="jax", marks=pytest.mark.jax),
        pytest.param(lambda array: import_or_skip("torch").tensor(array), id="torch", marks=pytest.mark.torch),
    ],
)
def test_the_form_of_an_array_changes_no_bit_of_the_answer(few_digits, model, form, name):
    """64 images, a power of two: a block without padding."""
    open_or_skip(name)
    pixels = few_digits.test.pixels[:64]
    for method in (model.logits, model.predict, model.predict_proba, model.novelty_score):
        found, expected = method(form(pixels), name), method(pixels, name)
        assert type(found) is np.ndarray
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_only_samples_are_evaluated(few_digits, model):
    with pytest.raises(UsageError, match=r"what to evaluate on is of type tuple: ssnn\.Samples\(pixels, labels\)"):
        model.evaluate((few_digits.test.pixels, few_digits.test.labels))


def test_answers_that_are_not_finite_are_refused(few_digits, model):
    first, last = model.network
    vast = replace(
        model,
        network=(first._replace(W=first.W * np.float32(3e38)), last),
        novelty=model.novelty._replace(components=model.novelty.components + np.float32(3e38)),
    )
    with pytest.raises(ModelError, match="a novelty score is not finite"):
        vast.novelty_score(few_digits.test.pixels, open_or_skip("numpy"))
    with pytest.raises(ModelError, match="a logit is not finite"):
        vast.evaluate(few_digits.test, open_or_skip("numpy"))


def test_a_backend_that_is_not_there_is_told(model, few_digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError, match="cupy is not installed"):
        model.predict(few_digits.test.pixels, "cupy")
    with pytest.raises(UsageError, match="unknown backend 'abacus'"):
        model.predict(few_digits.test.pixels, "abacus")


def test_many_images_take_no_more_memory_than_a_block(model):
    def peak(images):
        tracemalloc.start()
        model.logits(images)
        model.novelty_score(images)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    a_block = peak(np.zeros((inference.MAX_BLOCK, 784), np.uint8))
    assert peak(np.zeros((12 * inference.MAX_BLOCK + 1, 784), np.uint8)) < 1.2 * a_block


def test_blocks_change_nothing(model, few_digits, monkeypatch):
    expected = model.logits(few_digits.test.pixels)
    monkeypatch.setattr(inference, "MAX_BLOCK", 16)
    np.testing.assert_allclose(model.logits(few_digits.test.pixels), expected, rtol=1e-5)
