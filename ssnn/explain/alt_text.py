"""Text alternatives of pictures and charts."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from ssnn.data.dataset import SIDE
from ssnn.explain.formatting import a, counted, rate, signed
from ssnn.explain.records import CalibrationBin, CurvePoint, Values


def extremes(values: Values) -> str:
    """The smallest and the largest value of a picture, (784,), and where they are: its text alternative."""
    places = (("lowest", int(np.argmin(values))), ("highest", int(np.argmax(values))))
    return ", ".join(
        f"{word} {signed(values[place])} in row {place // SIDE}, column {place % SIDE}" for word, place in places
    )


def cost(costs: Sequence[float]) -> str:
    """The cost at the first, the middle and the last iteration."""
    half = len(costs) // 2
    places = f"{costs[0]:.3g} before the first iteration, {costs[half]:.3g} before iteration {half + 1:,}"
    return f"The cost: {places}, {costs[-1]:.3g} before the last, iteration {len(costs):,}."


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
