"""Numbers formatted for people, and the text alternatives of pictures and charts."""

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from ssnn.data.pictures import SIZE
from ssnn.explain.records import CalibrationBin, CurvePoint, Values

PERCENT = " %"
MIN_DOUBT = 1e-6  # distance of a probability from 1 below which it is shown as a lower bound


def signed(value: float) -> str:
    """A logit, or a contribution to one, with its sign."""
    text = f"{value:+,.{0 if abs(value) >= 1000 else 2}f}".replace("-", "−")
    return text[1:] if text[1:] == "0.00" else text


def rate(share: float) -> str:
    """A share, 0 … 1, in percent with two significant digits."""
    digits = 1 if share <= 0 else min(4, max(1, 1 - math.floor(math.log10(100 * share))))
    return f"{100 * share:.{digits}f}{PERCENT}"


def confidence(logit: float) -> str:
    """The probability of the predicted digit in percent, and never 100 %."""
    other = (1 - math.tanh(abs(logit) / 2)) / 2
    if other < MIN_DOUBT:
        return f"more than {100 * (1 - MIN_DOUBT):.4f}{PERCENT}"
    return f"{100 * (1 - other):.{max(1, math.ceil(-math.log10(other)) - 2)}f}{PERCENT}"


def a(digit: int) -> str:
    """A digit with its indefinite article: "a 0", "an 8"."""
    return f"{'an' if digit == 8 else 'a'} {digit}"


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 image", "2,115 images"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def extremes(values: Values) -> str:
    """The smallest and the largest value of a picture, (784,), and where they are: its text alternative."""
    places = (("lowest", int(np.argmin(values))), ("highest", int(np.argmax(values))))
    return ", ".join(
        f"{word} {signed(values[place])} in row {place // SIZE}, column {place % SIZE}" for word, place in places
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
