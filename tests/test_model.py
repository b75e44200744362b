import base64
import io
import sys
import tracemalloc
from dataclasses import fields, replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from support import BACKENDS, import_or_skip, open_or_skip

from ssnn.errors import BackendError, ModelError, UsageError
from ssnn.model import inference
from ssnn.model.metrics import Evaluation
from ssnn.model.model import Model
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


def test_a_repr_fits_a_screen_and_names_no_folder(few_digits, model):
    wrong = np.flatnonzero(model.predict(few_digits.test.pixels) != few_digits.test.labels)
    lines = repr(replace(model, data=replace(model.data, origin="/home/ada/digits"))).splitlines()
    assert lines[0] == f"TrainedModel: 0 or 1, 784→4→1, {model.data.features} pixels used, float32"
    assert lines[1] == f"20 iterations on 200 images of synthetic, cost {model.costs[-1]:.6g}"
    assert lines[2].startswith("backend numpy: numpy ")
    assert lines[3].startswith(f"error rate {len(wrong):.4f} %, with 95 % confidence ")  # of 100 images
    assert lines[4].startswith(f"{len(wrong)} of 100 test images wrong")
    assert len(lines) == 5
    assert max(map(len, lines)) <= 80
    assert "ada" not in "".join(lines)


def test_a_repr_fits_whatever_the_model_is(model):
    loaded = Model(**{field.name: getattr(model, field.name) for field in fields(Model)})
    assert repr(loaded).splitlines() == [line.replace("TrainedModel", "Model") for line in repr(model).splitlines()[:3]]
    settings = Settings(hidden=(10**9,) * 100)
    deep = replace(loaded, costs=(), settings=settings, data=replace(loaded.data, name="n" * 100))
    assert max(map(len, repr(deep).splitlines())) <= 80
    assert "784→1000000000→… 98 more …→1000000000→1" in repr(deep)
    wrong = Evaluation(10**6, tuple(range(10**5, 10**6)), ((0, 0), (0, 0)), 0.0, 0.0)
    assert max(map(len, repr(replace(model, run=replace(model.run, test=wrong))).splitlines())) <= 80


def picture(source):
    """The picture of a data URI as an array."""
    kind, _, content = source.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


class Sources(HTMLParser):
    """What the pictures of a page show, and its tags."""

    def __init__(self, html):
        super().__init__()
        self.pictures, self.tags = [], set()
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "img":
            self.pictures.append(picture(dict(attributes)["src"]))


def test_a_notebook_shows_the_images_that_are_explained(few_digits, model):
    own = 255 - few_digits.test.pixels[4:5].reshape(1, 28, 28)
    cards = model.explain(few_digits, index=[7, 3, 7], images=own)
    assert [image.index for image in cards.explanation.images] == [7, 3, None]
    page = Sources(cards._repr_html_())
    assert not {"script", "link", "style"} & page.tags
    inks = [np.asarray(shown.getchannel("A")).ravel() for shown in page.pictures[::2]]
    np.testing.assert_array_equal(inks, [*few_digits.test.pixels[[7, 3]], own.ravel()])
    contribution = cards.explanation.images[0].attribution.pixels
    largest = np.argmax(abs(contribution))
    red, _, blue, opacity = page.pictures[1].convert("RGBA").getpixel((int(largest % 28), int(largest // 28)))
    assert (red > blue) == (contribution[largest] > 0)  # orange is towards 1
    assert opacity == 255


def test_what_comes_from_outside_is_text_on_a_card(few_digits, model):
    cards = model.explain(few_digits, index=0)
    (image,) = cards.explanation.images
    finding = replace(image.findings[0], kind="<a>", text="<script>&")
    odd = replace(image, name="<b>.png", findings=(finding,))
    html = replace(cards, explanation=replace(cards.explanation, images=(odd,)))._repr_html_()
    assert not {"a", "b", "script"} & Sources(html).tags
    assert "&lt;b&gt;.png" in html
    assert "&lt;script&gt;&amp;" in html


def test_without_an_index_the_wrong_images_are_explained(few_digits, model):
    turned = replace(few_digits, test=replace(few_digits.test, labels=1 - few_digits.test.labels))
    cards = model.explain(turned)
    wrong = model.evaluate(turned.test).errors
    assert [image.index for image in cards.explanation.images] == list(wrong[:30])
    note = f"these are the first 30 of {len(wrong)} wrong test images"
    assert note in str(cards)
    assert note in cards._repr_html_()
    assert note not in str(model.explain(turned, index=wrong[:31]))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (100, "image 100: there are 100 test images, 0 … 99"),
        ([0, -1], "image -1: there are"),
        ("3", "index '3': the index of a test image, or several, is needed"),
        (1.0, "index 1.0: the index of a test image"),
    ],
)
def test_an_image_that_is_not_there_is_not_explained(few_digits, model, index, message):
    with pytest.raises(UsageError, match=message):
        model.explain(few_digits, index=index)
    with pytest.raises(UsageError, match="data of type Samples: the data set is needed"):
        model.explain(few_digits.test, index=0)
