from dataclasses import replace

import numpy as np
import pytest
from explanations import explained, trained

from ssnn.network import Layer


@pytest.fixture(scope="module")
def made(few_digits):
    """A model whose neuron 3 is a duplicate of neuron 1, and whose neuron 5 is dead."""
    model = trained(few_digits)
    (W, b), last = model.network
    W, b = W.copy(), b.copy()
    W[3], b[3] = 2 * W[1], 2 * b[1]
    W[5], b[5] = 0, -1
    return replace(model, network=(Layer(W, b), last))


@pytest.fixture(scope="module")
def neurons(made, few_digits):
    return explained(made, few_digits).neurons


def test_a_neuron_in_the_direction_of_an_earlier_one_is_its_duplicate(neurons):
    assert {neuron.index: neuron.duplicate_of for neuron in neurons if neuron.duplicate_of is not None} == {3: 1}


def test_a_neuron_that_no_training_image_turns_on_is_dead(neurons):
    assert [neuron.index for neuron in neurons if neuron.is_dead] == [5]


def test_a_neuron_is_on_for_the_share_of_each_class_whose_sum_is_positive(neurons, made, few_digits):
    (W, b), _ = made.network
    X = few_digits.train.pixels[:, made.standardization.features] - made.standardization.mean
    on = (X / made.standardization.std) @ W.T + b.T > 0
    shares = [on[few_digits.train.labels == label].mean(axis=0) for label in (0, 1)]
    np.testing.assert_allclose([neuron.on for neuron in neurons], np.transpose(shares), atol=0.006)


def test_a_neuron_has_its_weights_from_all_pixels_and_to_the_logit(neurons, made):
    (W, b), (V, _) = made.network
    features = made.standardization.features
    for neuron in neurons:
        np.testing.assert_array_equal(neuron.weights[features], W[neuron.index])
        assert not np.delete(neuron.weights, features).any()
        assert (neuron.bias, neuron.output_weight) == (b[neuron.index, 0], V[0, neuron.index])


def test_only_the_neurons_of_a_single_hidden_layer_have_an_output_weight(few_digits):
    deep = explained(trained(few_digits, hidden=(6, 4)), few_digits).neurons
    assert [neuron.output_weight for neuron in deep] == [None] * 6
    assert explained(trained(few_digits, hidden=()), few_digits).neurons == ()
