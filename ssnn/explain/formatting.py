"""Numbers as people read them, and what the charts show, for those who cannot see them."""

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from ssnn.data.pictures import SIZE
from ssnn.explain.records import CalibrationBin, CurvePoint, Values

PERCENT = " %"
SUREST = 1e-6  # a probability that is closer to 1 is said to be more than the one here


def signed(value: float) -> str:
    """A logit, or a part of one, with its sign."""
    text = f"{value:+,.{0 if abs(value) >= 1000 else 2}f}".replace("-", "−")
    return text[1:] if text[1:] == "0.00" else text


def rate(share: float) -> str:
    """A share 0 … 1 in percent, with two digits that tell something."""
    digits = 1 if share <= 0 else min(4, max(1, 1 - math.floor(math.log10(100 * share))))
    return f"{100 * share:.{digits}f}{PERCENT}"


def sureness(logit: float) -> str:
    """The probability of the digit that an image is taken for, in percent: never a certainty."""
    other = (1 - math.tanh(abs(logit) / 2)) / 2
    if other < SUREST:
        return f"more than {100 * (1 - SUREST):.4f}{PERCENT}"
    return f"{100 * (1 - other):.{max(1, math.ceil(-math.log10(other)) - 2)}f}{PERCENT}"


def a(digit: int) -> str:
    """A digit with its article."""
    return f"{'an' if digit == 8 else 'a'} {digit}"


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 image", "2,115 images"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def strongest(values: Values) -> str:
    """Where the largest and the smallest value of a picture (784,) are, for those who cannot see it."""
    said = []
    for word, place in (("lowest", int(np.argmin(values))), ("highest", int(np.argmax(values)))):
        said.append(f"{word} {signed(values[place])} in row {place // SIZE}, column {place % SIZE}")
    return ", ".join(said)


def cost(costs: Sequence[float]) -> str:
    """Where the cost starts and ends, and where it is half way."""
    half = len(costs) // 2
    places = f"{costs[0]:.3g} before the first iteration, {costs[half]:.3g} before iteration {half + 1:,}"
    return f"The cost: {places}, {costs[-1]:.3g} before the last, iteration {len(costs):,}."


def margins(train: Values, test: Values) -> str:
    """The spread of the margins of training and test images."""
    said = []
    for name, values in (("training", train), ("test", test)):
        low, middle, high = np.quantile(values, [0, 0.5, 1])
        spread = f"from {signed(low)} to {signed(high)}, half of them above {signed(middle)}"
        images = counted(len(values), f"{name} image")
        said.append(f"Margins of {images}: {spread}, {np.sum(values < 0):,} below 0.")
    return " ".join(said)


def calibration(bins: Sequence[CalibrationBin], digit: int) -> str:
    """Each bin that has images."""
    said = [
        f"of {counted(b.count, 'image')} with a mean probability of {b.mean_probability:.3f}, {b.share_of_ones:.3f}"
        for b in bins
    ]
    return f"The share that is {a(digit)}: {'; '.join(said)}."


def learning_curve(points: Sequence[CurvePoint]) -> str:
    """The mean error rate at each number of training images."""
    said = [f"with {counted(point.samples, 'training image')} {rate(fmean(point.error_rates))}" for point in points]
    return f"Wrong test images in the mean: {', '.join(said)}."
