"""An explanation for a terminal: one screen per image, drawn with block characters."""

from collections.abc import Sequence
from shutil import get_terminal_size
from textwrap import fill

import numpy as np

from ssnn.data.pictures import SIZE
from ssnn.explain.comparison import Change
from ssnn.explain.formatting import a, counted, signed, sureness
from ssnn.explain.records import Explanation, ImageExplanation, Pixels, Values

INK = 64  # the grey value from which on half a block is drawn
BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
STRONGEST = 3


def image(explained: ImageExplanation, digits: tuple[int, int]) -> str:
    """One image: itself, what its pixels contributed, and the findings."""
    zero, one = digits
    known = "" if explained.label is None else f"{a(explained.label)}, "
    verdict = f"taken for {a(explained.digit)} ({sureness(explained.logit)}, logit {signed(explained.logit)})"
    left, right = _picture(explained.pixels), _contributions(explained.attribution.pixels)
    pictures = "\n".join(f"  {a}   {b}" for a, b in zip(left, right, strict=True))
    legend = f"  {'its ink':<{SIZE}}   + spoke for {a(one)}, - for {a(zero)}, strong ones as ⊕ ⊖"
    reasons = "\n".join(
        fill(f"{number}. {finding.text}", _width(), subsequent_indent="   ")
        for number, finding in enumerate(explained.findings, start=1)
    )
    return f"{explained.name}: {known}{verdict}\n\n{pictures}\n{legend}\n\n{reasons}\n{_split(explained)}\n"


def network(explanation: Explanation, digits: tuple[int, int]) -> str:
    """The network as a whole."""
    lines = ["neurons of the first hidden layer:"] if explanation.neurons else []
    for neuron in explanation.neurons[:30]:
        marks = ["never on"] * neuron.is_dead + [f"the double of {neuron.double_of}"] * (neuron.double_of is not None)
        weight = "" if neuron.output_weight is None else f", weight {signed(neuron.output_weight)}"
        shares = f"on for {neuron.on[0]:7.2%} of {digits[0]} and {neuron.on[1]:7.2%} of {digits[1]}"
        lines.append(f"  neuron {neuron.index:3d}  {shares}{weight}{'  ' if marks else ''}{', '.join(marks)}")
    if hidden := len(explanation.neurons) - 30:
        lines += [f"  and {hidden} more"] * (hidden > 0)
    test = np.sort(explanation.margins["test"])
    margins = (
        f"margins of the test images: {int(np.sum(test < 0))} below 0, the smallest {signed(float(test[0]))}, half of "
        f"them above {signed(float(np.median(test)))}"
    )
    lines.append(fill(margins, _width()))
    for point in explanation.curve:
        rates = ", ".join(f"{rate:.3%}" for rate in point.error_rates)
        lines.append(
            fill(f"  {point.samples:>7,} training images: {rates} wrong", _width(), subsequent_indent=" " * 27)
        )
    if explanation.more_data:
        lines.append(fill(explanation.more_data, _width()))
    return "\n".join(lines) + "\n"


def _picture(pixels: Pixels) -> list[str]:
    """Two rows of pixels in one of characters."""
    lit = pixels.reshape(SIZE // 2, 2, SIZE) >= INK
    return ["".join(BLOCKS[upper, lower] for upper, lower in zip(*pair.tolist(), strict=True)) for pair in lit]


def _contributions(parts: Values) -> list[str]:
    """The stronger of two pixels, one above the other, by sign and size; what is small is left out."""
    rows = parts.reshape(SIZE // 2, 2, SIZE)
    stronger = np.where(abs(rows[:, 0]) >= abs(rows[:, 1]), rows[:, 0], rows[:, 1])
    largest = float(np.max(abs(stronger))) or 1.0
    return ["".join(_sign(float(part) / largest) for part in row) for row in stronger]


def _sign(share: float) -> str:
    if abs(share) < 0.05:
        return "·"
    if abs(share) < 0.4:
        return "+" if share > 0 else "-"
    return "⊕" if share > 0 else "⊖"


def _width() -> int:
    """Of the terminal, and no line too long to read."""
    return min(100, get_terminal_size().columns)


def _split(explained: ImageExplanation) -> str:
    """The sum that gives the logit."""
    parts = explained.attribution
    strongest: Sequence[int] = np.argsort(-abs(parts.neurons))[:STRONGEST].tolist()
    named = ", ".join(f"neuron {j} {signed(float(parts.neurons[j]))}" for j in strongest)
    said = (
        f"logit {signed(explained.logit)} = pixels {signed(float(parts.pixels.sum()))} + biases {signed(parts.biases)}"
    )
    by_neurons = f"; by neurons of the last hidden layer, the strongest: {named}" if named else ""
    return fill(said + by_neurons, _width(), initial_indent="   ", subsequent_indent="   ")


def changes(changed: Sequence[Change], names: Sequence[str], digits: tuple[int, int]) -> str:
    """The images that changed sides, each as the model sees it that is wrong about it."""
    if not changed:
        return f"{names[0]} and {names[1]} take every test image for the same digit"
    parts = [f"{counted(len(changed), 'test image')} changed sides from {names[0]} to {names[1]}\n"]
    for change in changed:
        is_mended = change.after.digit == change.after.label
        shown, name = (change.before, names[0]) if is_mended else (change.after, names[1])
        logits = f"logit {signed(change.before.logit)} before, {signed(change.after.logit)} after"
        parts.append(f"{'now right' if is_mended else 'now wrong'}, {logits}; as {name} sees it:")
        parts.append(image(shown, digits))
    return "\n".join(parts)
