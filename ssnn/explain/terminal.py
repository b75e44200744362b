"""An explanation as terminal text: one screen per image, drawn with block characters."""

from collections.abc import Sequence
from shutil import get_terminal_size
from textwrap import fill

import numpy as np

from ssnn.data.dataset import SIDE
from ssnn.explain.comparison import Change
from ssnn.explain.cost_curve import CostCurve, cost_curve
from ssnn.explain.formatting import a, confidence, counted, signed
from ssnn.explain.records import Explanation, ImageExplanation, Pixels, Values
from ssnn.model.model import Model
from ssnn.printable import printable

MIN_INK = 64  # grey value from which on half a block is drawn
BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
BARS = "▁▂▃▄▅▆▇█"
COST_COLUMNS = 50
MAX_NEURONS = 30  # that are listed
STRONGEST_NEURONS = 3  # that are named below an image
MIN_SIGN, MIN_STRONG = 0.05, 0.4  # share of the largest contribution from which on a sign, and a strong one, is drawn


def image(explained: ImageExplanation, digits: tuple[int, int]) -> str:
    """One image: the image, the contributions of its pixels, and the findings."""
    zero, one = digits
    known = "" if explained.label is None else f"{a(explained.label)}, "
    prediction = f"taken for {a(explained.digit)} ({confidence(explained.logit)}, logit {signed(explained.logit)})"
    ink, contributions = _ink(explained.pixels), _contributions(explained.attribution.pixels)
    pictures = "\n".join(f"  {left}   {right}" for left, right in zip(ink, contributions, strict=True))
    legend = f"  {'its ink':<{SIDE}}   + towards {a(one)}, - towards {a(zero)}, strong ones as ⊕ ⊖"
    reasons = "\n".join(
        fill(f"{number}. {finding.text}", _width(), subsequent_indent="   ")
        for number, finding in enumerate(explained.findings, start=1)
    )
    return f"{explained.name}: {known}{prediction}\n\n{pictures}\n{legend}\n\n{reasons}\n{_attribution(explained)}\n"


def network(explanation: Explanation, model: Model) -> str:
    """The network as a whole."""
    digits = model.data.digits
    lines = ["neurons of the first hidden layer:"] if explanation.neurons else []
    for neuron in explanation.neurons[:MAX_NEURONS]:
        marks = ["never on"] * neuron.is_dead + [f"duplicate of {neuron.duplicate_of}"] * (
            neuron.duplicate_of is not None
        )
        weight = "" if neuron.output_weight is None else f", weight {signed(neuron.output_weight)}"
        shares = f"on for {100 * neuron.on[0]:6.2f} % of {digits[0]} and {100 * neuron.on[1]:6.2f} % of {digits[1]}"
        lines.append(f"  neuron {neuron.index:3d}  {shares}{weight}{'  ' if marks else ''}{', '.join(marks)}")
    if hidden := len(explanation.neurons) - MAX_NEURONS:
        lines += [f"  and {hidden} more"] * (hidden > 0)
    test = np.sort(explanation.test_logits.margins)
    margins = (
        f"margins of the test images: {int(np.sum(test < 0))} below 0, the smallest {signed(float(test[0]))}, half of "
        f"them above {signed(float(np.median(test)))}"
    )
    lines.append(fill(margins, _width()))
    if model.costs:
        lines.append(_cost(cost_curve(model, COST_COLUMNS)))
    for point in explanation.curve:
        rates = ", ".join(f"{100 * rate:.3f} %" for rate in point.error_rates)
        lines.append(
            fill(f"  {point.samples:>7,} training images: {rates} wrong", _width(), subsequent_indent=" " * 27)
        )
    if explanation.more_data:
        lines.append(fill(explanation.more_data, _width()))
    return "\n".join(lines) + "\n"


def _cost(curve: CostCurve) -> str:
    """The cost by updates as a line of bars, one for each group of updates."""
    logarithms = np.log(np.maximum(curve.mean, min(curve.mean[curve.mean > 0], default=1.0)))
    heights = np.interp(logarithms, (logarithms.min(), logarithms.max()), (0, len(BARS) - 1))
    bars = "".join(BARS[round(height)] for height in heights)
    each = f"each bar the mean of {curve.size:,}, " if curve.size > 1 else ""
    title = f"cost by {curve.unit}s, {each}on a logarithmic scale:"
    return f"{fill(title, _width())}\n  {curve.mean[0]:.3g} {bars} {curve.mean[-1]:.3g}"


def _ink(pixels: Pixels) -> list[str]:
    """Two rows of pixels as one row of half blocks."""
    lit = pixels.reshape(SIDE // 2, 2, SIDE) >= MIN_INK
    return ["".join(BLOCKS[upper, lower] for upper, lower in zip(*pair.tolist(), strict=True)) for pair in lit]


def _contributions(parts: Values) -> list[str]:
    """Two rows of contributions as one row of signs, each of the stronger of two; small ones are dots."""
    rows = parts.reshape(SIDE // 2, 2, SIDE)
    stronger = np.where(abs(rows[:, 0]) >= abs(rows[:, 1]), rows[:, 0], rows[:, 1])
    largest = float(np.max(abs(stronger))) or 1.0
    return ["".join(_sign(float(part) / largest) for part in row) for row in stronger]


def _sign(share: float) -> str:
    if abs(share) < MIN_SIGN:
        return "·"
    if abs(share) < MIN_STRONG:
        return "+" if share > 0 else "-"
    return "⊕" if share > 0 else "⊖"


def _width() -> int:
    """Of the terminal, at most 100 columns."""
    return min(100, get_terminal_size().columns)


def _attribution(explained: ImageExplanation) -> str:
    """The sum that is the logit."""
    parts = explained.attribution
    strongest: Sequence[int] = np.argsort(-abs(parts.neurons))[:STRONGEST_NEURONS].tolist()
    named = ", ".join(f"neuron {j} {signed(float(parts.neurons[j]))}" for j in strongest)
    text = (
        f"logit {signed(explained.logit)} = pixels {signed(float(parts.pixels.sum()))} + biases {signed(parts.biases)}"
    )
    by_neurons = f"; by neurons of the last hidden layer, the strongest: {named}" if named else ""
    return fill(text + by_neurons, _width(), initial_indent="   ", subsequent_indent="   ")


def changes(changed: Sequence[Change], names: Sequence[str], digits: tuple[int, int]) -> str:
    """The images that two models predict differently, each as explained by the model that is wrong."""
    first, second = map(printable, names)
    if not changed:
        return f"{first} and {second} take every test image for the same digit"
    parts = [f"{counted(len(changed), 'test image')} changed sides from {first} to {second}\n"]
    for change in changed:
        is_mended = change.after.digit == change.after.label
        shown, name = (change.before, first) if is_mended else (change.after, second)
        logits = f"logit {signed(change.before.logit)} before, {signed(change.after.logit)} after"
        parts.append(f"{'now right' if is_mended else 'now wrong'}, {logits}; as {name} sees it:")
        parts.append(image(shown, digits))
    return "\n".join(parts)
