import numpy as np
import pytest

from ssnn.agreement import disagreement, tolerance
from ssnn.network import Layer


def network(W=2.0, b=-4.0):
    return (Layer(np.array([[1.0, W]]), np.array([[b]])),)


def test_disagreement_is_relative_to_the_largest_parameter_of_the_array():
    assert disagreement(network(), network()) == 0
    assert disagreement(network(W=2.5), network()) == 0.25
    assert disagreement(network(b=-3.0), network()) == 0.25
    assert disagreement(network(W=2.5, b=-2.0), network()) == 0.5


def test_a_nan_never_agrees():
    assert not disagreement(network(W=np.nan), network()) <= 1e9
    assert not disagreement(network(b=np.nan, W=1e12), network()) <= 1e9


def test_networks_of_different_shapes_cannot_be_compared():
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(1, 1\)"):
        disagreement(network(), (Layer(np.ones((1, 1)), np.ones((1, 1))),))


def test_tolerance_is_as_tight_as_promised():
    """After 500 iterations: 1e-12 in float64, 1e-4 in float32."""
    assert tolerance("float64", 500) < 1e-12
    assert tolerance("float32", 500) < 1e-4
    assert tolerance("float32", 1) < tolerance("float32", 500)
