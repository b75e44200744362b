"""Calibration: whether a class is as frequent as its predicted probability says."""

from math import nan

import numpy as np

from ssnn.explain.records import CalibrationBin, LabelledLogits
from ssnn.network import logistic

CALIBRATION_BINS = 10


def calibration(test: LabelledLogits) -> tuple[CalibrationBin, ...]:
    """The test images in bins of equal width by predicted probability of class 1."""
    probabilities = logistic(test.logits)
    bins = np.minimum((probabilities * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)
    return tuple(
        CalibrationBin(
            low=i / CALIBRATION_BINS,
            high=(i + 1) / CALIBRATION_BINS,
            count=int(np.sum(inside)),
            mean_probability=float(np.mean(probabilities[inside])) if inside.any() else nan,
            share_of_ones=float(np.mean(test.labels[inside])) if inside.any() else nan,
        )
        for i, inside in enumerate(bins == np.arange(CALIBRATION_BINS)[:, None])
    )
