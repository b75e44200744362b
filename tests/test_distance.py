import numpy as np
import pytest

from ssnn.explain.distance import standardized_distance, varying_inputs
from ssnn.standardize import fit_pixels, select, standardize


@pytest.mark.parametrize("constant_features", ["drop", "keep"])
def test_the_standardised_distance_leaves_out_pixels_that_never_vary(few_digits, constant_features):
    known = fit_pixels(few_digits.train.pixels, constant_features)
    varying = varying_inputs(known)
    assert len(varying) == np.sum(np.ptp(few_digits.train.pixels, axis=0) > 0)
    X = standardize(select(few_digits.train.pixels, known.features), known.mean, known.std)
    distances = standardized_distance(X, varying)
    np.testing.assert_allclose(distances, np.sqrt(np.mean(X[varying] ** 2, axis=0)))
    assert np.mean(distances**2) == pytest.approx(1)
