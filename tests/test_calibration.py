import math

import numpy as np
import pytest

from ssnn.explain.calibration import CALIBRATION_BINS, calibration
from ssnn.explain.records import LabelledLogits


def test_bins_have_the_count_mean_probability_and_share_of_ones_of_their_images(random):
    logits = random.normal(scale=3, size=500)
    labels = (random.random(500) < 0.5).astype(np.uint8)
    bins = calibration(LabelledLogits(logits, labels))
    p = 1 / (1 + np.exp(-logits))
    assert len(bins) == CALIBRATION_BINS
    assert (bins[0].low, bins[-1].high) == (0, 1)
    assert sum(part.count for part in bins) == 500
    for part in bins:
        inside = (p >= part.low) & ((p < part.high) | (part.high == 1))
        assert part.count == inside.sum() > 0
        assert part.mean_probability == pytest.approx(p[inside].mean())
        assert part.share_of_ones == pytest.approx(labels[inside].mean())


def test_a_probability_of_1_is_in_the_last_bin_and_a_bin_without_images_has_no_share():
    bins = calibration(LabelledLogits(np.array([1e4, -1e4]), np.array([1, 0], np.uint8)))
    assert [part.count for part in bins] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert (bins[0].share_of_ones, bins[-1].share_of_ones) == (0, 1)
    assert all(math.isnan(part.share_of_ones) and math.isnan(part.mean_probability) for part in bins[1:-1])


def test_margins_are_logits_with_their_sign_turned_where_the_class_is_0(random):
    logits, labels = random.normal(size=50), np.arange(50).astype(np.uint8) % 2
    np.testing.assert_array_equal(LabelledLogits(logits, labels).margins, np.where(labels == 1, logits, -logits))
