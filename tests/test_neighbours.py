import numpy as np
import pytest
from explanations import explained, trained

from ssnn.explain.neighbours import standardised_distance, varying_inputs
from ssnn.standardize import fit_pixels, select, standardize


def test_neighbours_are_the_nearest_training_images_of_each_class(few_digits):
    (image,) = explained(trained(few_digits), few_digits, [7]).images
    distances = np.linalg.norm(few_digits.train.pixels / 255 - few_digits.test.pixels[7] / 255, axis=1)
    for label, found in enumerate(image.neighbours):
        expected = np.sort(distances[few_digits.train.labels == label])[:5]
        np.testing.assert_allclose([neighbour.distance for neighbour in found], expected)
        for neighbour in found:
            assert few_digits.train.labels[neighbour.index] == label
            assert neighbour.digit == few_digits.classes[label]
            assert distances[neighbour.index] == pytest.approx(neighbour.distance)


@pytest.mark.parametrize("constant_features", ["drop", "keep"])
def test_the_standardised_distance_leaves_out_pixels_that_never_vary(few_digits, constant_features):
    known = fit_pixels(few_digits.train.pixels, constant_features)
    varying = varying_inputs(known)
    assert len(varying) == np.sum(np.ptp(few_digits.train.pixels, axis=0) > 0)
    X = standardize(select(few_digits.train.pixels, known.features), known.mean, known.std)
    distances = standardised_distance(X, varying)
    np.testing.assert_allclose(distances, np.sqrt(np.mean(X[varying] ** 2, axis=0)))
    assert np.mean(distances**2) == pytest.approx(1)
