import numpy as np
import pytest
from explanations import explained, trained


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
