"""Text alternatives of pictures and charts."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from ssnn.data.dataset import SIDE
from ssnn.explain.cost_curve import CostCurve
from ssnn.explain.formatting import a, counted, rate, signed
from ssnn.explain.records import CalibrationBin, CurvePoint, Values


def extremes(values: Values) -> str:
    """The smallest and the largest value of a picture, (784,), and where they are: its text alternative."""
    places = (("lowest", int(np.argmin(values))), ("highest", int(np.argmax(values))))
    return ", ".join(
        f"{word} {signed(values[place])} in row {place // SIDE}, column {place % SIDE}" for word, place in places
    )


def cost(curve: CostCurve) -> str:
    """The cost at the beginning, in the middle and at the end."""
    half, done = len(curve.mean) // 2, curve.updates
    first, middle, last = (f"{curve.mean[place]:.3g}" for place in (0, half, -1))
    unit = curve.unit
    if curve.size > 1:
        places = f"{first} at first, {middle} in the middle, {last} at last"
        return f"The cost, in the mean of {curve.size:,} {unit}s at a time: {places}; {done:,} {unit}s in all."
    places = f"{first} before the first {unit}, {middle} before {unit} {half + 1:,}"
    return f"The cost: {places}, {last} before the last, {unit} {done:,}."


def margins(train: Values, test: Values) -> str:
    """The spread of the margins of training and test images."""
    sentences = []
    for name, values in (("training", train), ("test", test)):
        low, middle, high = np.quantile(values, [0, 0.5, 1])
        spread = f"from {signed(low)} to {signed(high)}, half of them above {signed(middle)}"
        images = counted(len(values), f"{name} image")
        sentences.append(f"Margins of {images}: {spread}, {np.sum(values < 0):,} below 0.")
    return " ".join(sentences)


def calibration(bins: Sequence[CalibrationBin], digit: int) -> str:
    """Predicted probability and frequency in each bin."""
    shares = [
        f"of {counted(b.count, 'image')} with a mean probability of {b.mean_probability:.3f}, {b.share_of_ones:.3f}"
        for b in bins
    ]
    return f"The share that is {a(digit)}: {'; '.join(shares)}."


def learning_curve(points: Sequence[CurvePoint]) -> str:
    """The mean error rate at each number of training images."""
    rates = [f"with {counted(point.samples, 'training image')} {rate(fmean(point.error_rates))}" for point in points]
    return f"Wrong test images in the mean: {', '.join(rates)}."
