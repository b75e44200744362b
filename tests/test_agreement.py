import numpy as np
import pytest

from ssnn.agreement import disagreement, tolerance
from ssnn.network import Layer


def network(W=2.0, b=-4.0):
    return (Layer(np.array([[1.0, W]]), np.array([[b]])),)


def test_disagreement_is_relative_to_the_largest_parameter_of_the_layer():
    assert disagreement(network(), network()) == 0
    assert disagreement(network(W=3.0), network()) == 0.25
    assert disagreement(network(b=-3.0), network()) == 0.25
    assert disagreement(network(W=3.0, b=-2.0), network()) == 0.5


def test_biases_that_are_still_zero_agree():
    assert disagreement(network(b=0.0), network(b=0.0)) == 0


def test_each_layer_is_measured_by_itself():
    large = Layer(np.array([[1e6]]), np.array([[1e6]]))
    assert disagreement((*network(W=3.0), large), (*network(), large)) == 0.25


def test_a_nan_never_agrees():
    assert not disagreement(network(W=np.nan), network()) <= 1e9
    assert not disagreement((*network(), *network(b=np.nan)), (*network(), *network())) <= 1e9


def test_networks_of_different_shapes_cannot_be_compared():
    for other in ((Layer(np.ones((1, 1)), np.ones((1, 1))),), (*network(), *network())):
        with pytest.raises(ValueError, match="networks of different shapes"):
            disagreement(network(), other)


def test_tolerance_is_as_tight_as_promised():
    """After 500 iterations: 1e-12 in float64, 1e-4 in float32."""
    assert tolerance("float64", 500) < 1e-12
    assert tolerance("float32", 500) < 1e-4
    assert tolerance("float32", 1) < tolerance("float32", 500)
