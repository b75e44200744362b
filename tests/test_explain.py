import math
from dataclasses import replace

import numpy as np
import pytest
from support import BACKENDS, import_or_skip, open_or_skip

from ssnn import backends
from ssnn.data import Dataset, Samples
from ssnn.errors import UsageError
from ssnn.explain.analysis import Question, explain, splits, test_image
from ssnn.explain.ensemble import more_data
from ssnn.explain.findings import Training, findings
from ssnn.explain.records import CurvePoint
from ssnn.network import Layer
from ssnn.settings import Settings
from ssnn.training.trainer import fit

test_image.__test__ = False


@pytest.fixture(scope="module")
def model(few_digits):
    return fit(few_digits, settings=Settings(iterations=30))


def explained(model, digits, *indices, train_more=False):
    backend = backends.open_backend("numpy", dtype=model.dtype)
    return explain(model, digits, backend, [test_image(digits, i) for i in indices], train_more=train_more)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("hidden", [(), (10,), (6, 4)])
def test_the_parts_add_up_to_the_logit(few_digits, name, hidden):
    backend = open_or_skip(name, dtype="float64")
    model = fit(few_digits, backend, Settings(hidden, iterations=20))
    logits = model.logits(few_digits.test.pixels, backend)
    for parts, logit in zip(splits(model, few_digits.test.pixels, backend), logits, strict=True):
        assert parts.pixels.sum() + parts.biases == pytest.approx(logit, rel=1e-12, abs=1e-12)
        assert len(parts.neurons) == (hidden[-1] if hidden else 0)
        if hidden:
            assert parts.neurons.sum() + parts.output_bias == pytest.approx(logit, rel=1e-12, abs=1e-12)


@pytest.mark.jax
def test_a_pixel_s_part_is_its_input_times_the_slope_of_the_logit(few_digits):
    """By automatic differentiation, of a network of two hidden layers."""
    jax = import_or_skip("jax")
    model = fit(few_digits, backends.open_backend("numpy"), Settings((6, 4), iterations=20))
    known = model.standardization
    x = (few_digits.test.pixels[0, known.features] - known.mean) / known.std

    def logit(x):
        for W, b in model.network[:-1]:
            x = jax.nn.relu(W @ x + b[:, 0])
        W, b = model.network[-1]
        return (W @ x + b[:, 0])[0]

    (parts,) = splits(model, few_digits.test.pixels[:1], backends.open_backend("numpy"))
    np.testing.assert_allclose(parts.pixels[known.features], jax.grad(logit)(x) * x, rtol=1e-3, atol=1e-5)


def test_the_article_s_failure_is_found(article, mnist_digits):
    first, second = explained(article, mnist_digits, *article.run.test.errors).images
    assert (first.index, second.index) == (1749, 2031)
    reason = first.findings[0]
    assert reason.kind == "never-lit pixel"
    assert reason.figures["pixels"] == [2 * 28 + 21]
    assert reason.figures["through"] == pytest.approx(first.logit, rel=1e-6)
    assert reason.figures["share"] == pytest.approx(1, abs=1e-6)
    assert reason.figures["usual_logit"] == pytest.approx(-0.1507, abs=1e-4)
    assert "row 2, column 21" in reason.text
    assert [finding.kind for finding in second.findings] == ["other class", "far outside"]
    shape = second.findings[1].figures
    train = mnist_digits.train.pixels
    assert shape["novelty_score_above_share_of_training"] == np.mean(
        article.novelty_score(train) < second.novelty_score
    )
    assert 0.99 < shape["distance_above_share_of_training"] < 1


def test_where_such_pixels_are_left_out_they_are_told_and_not_blamed(mnist_model, mnist_digits):
    (image,) = explained(mnist_model, mnist_digits, 1749).images
    kinds = [finding.kind for finding in image.findings]
    assert kinds[-1] == "left out pixel"
    assert "close call" in kinds
    assert image.findings[-1].figures["through"] == 0


def test_neighbours_are_the_nearest_and_distances_right(few_digits, model):
    (image,) = explained(model, few_digits, 7).images
    distances = np.linalg.norm(few_digits.train.pixels / 255 - few_digits.test.pixels[7] / 255, axis=1)
    for label, found in enumerate(image.neighbours):
        expected = np.sort(distances[few_digits.train.labels == label])[:5]
        np.testing.assert_allclose([neighbour.distance for neighbour in found], expected)
        for neighbour in found:
            assert few_digits.train.labels[neighbour.index] == label
            assert distances[neighbour.index] == pytest.approx(neighbour.distance)


def test_a_wrong_label_is_suspected(few_digits, model):
    """Of an ordinary image whose label is turned round, and never of one whose label is right."""
    backend = backends.open_backend("numpy")
    pixels, labels = few_digits.train.pixels[:20], few_digits.train.labels[:20].copy()
    labels[:10] = 1 - labels[:10]
    turned = replace(few_digits, test=Samples(pixels, labels))
    found = explain(model, turned, backend, [test_image(turned, i) for i in range(20)], train_more=False)
    suspected = [image.findings[0].kind == "mislabelled" for image in found.images]
    assert sum(suspected[:10]) >= 8  # some of few images have neighbours of both classes
    assert not any(suspected[10:])


def test_doubles_and_dead_neurons_are_found(few_digits, model):
    (W, b), last = model.network[0], model.network[1]
    W, b = W.copy(), b.copy()
    W[3], b[3] = 2 * W[1], 2 * b[1]
    W[5], b[5] = 0, -1
    made = replace(model, network=(Layer(W, b), last))
    neurons = explained(made, few_digits).neurons
    assert [neuron.index for neuron in neurons if neuron.double_of is not None] == [3]
    assert neurons[3].double_of == 1
    assert [neuron.index for neuron in neurons if neuron.is_dead] == [5]
    X = few_digits.train.pixels[:, model.standardization.features] - model.standardization.mean
    on = (X / model.standardization.std) @ W.T + b.T > 0
    shares = [on[few_digits.train.labels == label].mean(axis=0) for label in (0, 1)]
    np.testing.assert_allclose([neuron.on for neuron in neurons], np.transpose(shares), atol=0.006)


def test_margins_importance_and_calibration_follow_their_definitions(few_digits, model):
    found = explained(model, few_digits)
    logits = model.logits(few_digits.test.pixels, backends.open_backend("numpy"))
    np.testing.assert_array_equal(found.margins["test"], np.where(few_digits.test.labels == 1, logits, -logits))
    parts = [part.pixels for part in splits(model, few_digits.test.pixels, backends.open_backend("numpy"))]
    np.testing.assert_allclose(found.importance, np.mean(np.abs(parts), axis=0), rtol=1e-5, atol=1e-9)
    assert sum(part.count for part in found.calibration) == 100
    p = 1 / (1 + np.exp(-logits))
    for part in found.calibration:
        inside = (p >= part.low) & ((p < part.high) | (part.high == 1))
        assert part.count == inside.sum()
        if part.count:
            assert part.mean_probability == pytest.approx(p[inside].mean())
            assert part.share_of_ones == pytest.approx(few_digits.test.labels[inside].mean())


@pytest.mark.parametrize("name", BACKENDS)
def test_other_networks_are_what_their_seeds_give(few_digits, model, name):
    """Stacked or alone: the votes are those of networks that `fit` trains one by one."""
    backend = open_or_skip(name)
    hard = [int(i) for i in np.argsort(np.abs(model.logits(few_digits.test.pixels)))[:3]]
    found = explain(model, few_digits, backend, [test_image(few_digits, i) for i in hard])
    alone = [fit(few_digits, settings=replace(model.settings, seed=561 + i)) for i in range(5)]
    verdicts = np.stack([one.logits(few_digits.test.pixels[hard]) > 0 for one in alone])
    assert [image.votes for image in found.images] == [(5 - int(n), int(n)) for n in verdicts.sum(axis=0)]
    assert [point.samples for point in found.curve] == [50, 200]
    assert [len(point.error_rates) for point in found.curve] == [4, 5]
    np.testing.assert_allclose(found.curve[-1].error_rates, [one.run.test.error_rate for one in alone])


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((52, 48, 55, 45), (20, 21, 19, 20, 20), "more images of this kind would still help."),
        ((20, 21, 19, 20), (52, 48, 55, 45, 50), "more images made it worse, so something else is in the way."),
        ((30, 31, 29, 30), (25, 26, 24, 25, 25), "so more images of this kind would help little."),
        ((2, 2, 2, 2), (1, 1, 1, 1, 1), "too few are wrong to tell whether more images would help."),
        ((0, 0, 0, 0), (0, 0, 0, 0, 0), "too few are wrong to tell whether more images would help."),
    ],
)
def test_more_data_is_promised_only_beyond_chance(before, after, verdict):
    points = [CurvePoint(n, tuple(k / 2000 for k in wrong)) for n, wrong in ((100, before), (400, after))]
    assert more_data(points, 2000).endswith(verdict)
    assert more_data(points[:1], 2000).startswith("There are too few training images")


def test_seeds_that_disagree_and_that_agree_on_an_error_are_told(few_digits, model):
    wrong = replace(few_digits.test, labels=1 - few_digits.test.labels)
    digits = replace(few_digits, test=wrong)
    sure = int(np.argmax(np.abs(model.logits(few_digits.test.pixels))))
    image = explained(model, digits, sure, train_more=True).images[0]
    assert image.votes in ((5, 0), (0, 5))
    assert "seeds agree" in [finding.kind for finding in image.findings]
    split_vote = findings(replace(image, votes=(3, 2)), 1.0, image.logit, training(digits, model))
    (disagree,) = (finding for finding in split_vote if finding.kind == "seeds disagree")
    assert "3 for a 0 and 2 for a 1" in disagree.text


def training(digits, model):
    """What findings are held against, of a network that finds nothing unusual."""
    everything = np.ones(784, bool)
    usual = digits.train.pixels[0]
    return Training(digits.classes, ~everything, usual, everything, np.full(9, 9.0), np.full(9, 9.0), np.full(9, 9.0))


def test_a_stopped_model_is_held_against_networks_of_as_many_iterations(few_digits):
    stopped = fit(few_digits, settings=Settings(iterations=400), stopping=lambda costs: len(costs) >= 20)
    done = fit(few_digits, settings=Settings(iterations=20))
    hard = np.argsort(np.abs(done.logits(few_digits.test.pixels)))[:3].tolist()
    one, other = (explained(model, few_digits, *hard, train_more=True) for model in (stopped, done))
    assert one.curve == other.curve
    assert [image.votes for image in one.images] == [image.votes for image in other.images]


def test_pictures_without_a_label_are_never_called_mislabelled(few_digits, model):
    questions = [Question("a picture", pixels) for pixels in few_digits.test.pixels[:30]]
    found = explain(model, few_digits, backends.open_backend("numpy"), questions, train_more=False)
    assert "mislabelled" not in {finding.kind for image in found.images for finding in image.findings}


def test_an_image_with_no_reason_gets_its_balance(few_digits, model):
    images = explained(model, few_digits, *range(100)).images
    balanced = [image for image in images if image.findings[0].kind == "balance"]
    assert len(balanced) > 10
    for image in balanced:
        (finding,) = image.findings
        assert math.fsum(finding.figures.values()) == pytest.approx(image.logit, rel=1e-4)


def test_a_blank_picture_is_told(few_digits, model):
    found = explain(
        model,
        few_digits,
        backends.open_backend("numpy"),
        [Question("blank", np.zeros(784, np.uint8))],
        train_more=False,
    )
    assert found.images[0].label is None
    assert [finding.kind for finding in found.images[0].findings] == ["no ink"]


def test_data_of_another_model_is_refused(few_digits, model):
    other = Dataset("synthetic", "elsewhere", (0, 1), few_digits.test, few_digits.test, 0.0)
    with pytest.raises(UsageError, match=r"trained on 200 other images, .*; these are 100, synthetic \(elsewhere\)"):
        explained(model, other)
