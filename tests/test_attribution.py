import numpy as np
import pytest
from explanations import explained, trained
from support import BACKENDS, import_or_skip, open_or_skip

from ssnn.explain.attribution import attribute, image_attribution
from ssnn.model.inference import in_blocks, network_inputs
from ssnn.tree import tree_map


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("hidden", [(), (10,), (6, 4)])
def test_contributions_of_pixels_and_of_neurons_add_up_to_the_logit(few_digits, name, hidden):
    backend = open_or_skip(name, dtype="float64")
    model = trained(few_digits, "float64", hidden=hidden)
    logits = model.logits(few_digits.test.pixels)
    on_device = backend.to_device((model.standardization.arrays, model.network))
    computed = in_blocks(backend, contributions, few_digits.test.pixels, *on_device)
    for i, logit in enumerate(logits):
        image = tree_map(lambda values, i=i: values[i], computed)
        parts = image_attribution(model, image)
        assert image.logit == pytest.approx(logit, rel=1e-12, abs=1e-12)
        assert parts.pixels.sum() + parts.biases == pytest.approx(logit, rel=1e-12, abs=1e-12)
        assert len(parts.neurons) == len(parts.on) == (hidden[-1] if hidden else 0)
        if hidden:
            assert parts.neurons.sum() + parts.output_bias == pytest.approx(logit, rel=1e-12, abs=1e-12)


def contributions(pixels, transform, network):
    return attribute(network, network_inputs(pixels, transform))


@pytest.mark.jax
def test_the_contribution_of_a_pixel_is_its_input_times_the_slope_of_the_logit(few_digits):
    """By automatic differentiation, of a network of two hidden layers."""
    jax = import_or_skip("jax")
    model = trained(few_digits, hidden=(6, 4))
    known = model.standardization
    x = (few_digits.test.pixels[0, known.features] - known.mean) / known.std

    def logit(x):
        for W, b in model.network[:-1]:
            x = jax.nn.relu(W @ x + b[:, 0])
        W, b = model.network[-1]
        return (W @ x + b[:, 0])[0]

    (image,) = explained(model, few_digits, [0]).images
    pixels = image.attribution.pixels
    np.testing.assert_allclose(pixels[known.features], jax.grad(logit)(x) * x, rtol=1e-3, atol=1e-5)
    assert not np.delete(pixels, known.features).any()


def test_importance_is_the_mean_absolute_contribution_over_the_test_images(few_digits):
    found = explained(trained(few_digits), few_digits, range(100))
    parts = [image.attribution.pixels for image in found.images]
    np.testing.assert_allclose(found.importance, np.mean(np.abs(parts), axis=0), rtol=1e-5, atol=1e-9)
