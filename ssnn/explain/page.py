"""The report as one self-contained HTML page: it loads no other file and needs no network."""

import base64
import hashlib
import importlib
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ssnn.data import Dataset
from ssnn.data.dataset import SIDE
from ssnn.errors import SsnnError, UsageError
from ssnn.explain import alt_text, charts, formatting, page_data, provenance, thumbnails
from ssnn.explain.cost_curve import cost_curve
from ssnn.explain.records import Attribution, Explanation, ImageExplanation
from ssnn.model import metrics
from ssnn.model.model import Model

if TYPE_CHECKING:
    from jinja2 import Environment

SCRIPTS = ("network.js", "form.js", "try.js")
MAX_BARS = 12  # neurons whose contributions to a logit are shown one by one
MAX_NEURONS = 100  # whose weights are shown
CHOICES_PER_CLASS = 6  # test images that can be tried
MAX_RINGS = 3  # pixels of an image that are ringed
MIN_SHEET = 4  # wrong images from which there is a contact sheet


class Chart(NamedTuple):
    """A drawing and its text alternative."""

    svg: str
    text: str


class Bar(NamedTuple):
    """A contribution to a logit; `width` is its size in percent of the largest."""

    name: str
    on: bool
    value: float
    width: float


class Ring(NamedTuple):
    """A pixel that no training image lit, and its contribution to the logit; None where the network leaves it out."""

    row: int
    column: int
    value: float | None


def render(explanation: Explanation, model: Model, dataset: Dataset) -> str:
    """Write the page.

    Parameters
    ----------
    explanation : Explanation
    model : Model
        That was explained.
    dataset : Dataset
        Whose test images can be tried on the page.

    Returns
    -------
    str
        HTML, which declares itself as UTF-8; the same arguments give the same text on the same machine.

    Raises
    ------
    SsnnError
        If jinja2 or matplotlib is not installed.
    """
    require()
    environment = _environment()
    script = "\n".join(map(_text, SCRIPTS))
    numbered = enumerate(explanation.images, start=1)
    wrong = [(number, image) for number, image in numbered if image.label not in (None, image.digit)]
    most_wrong_first = sorted(wrong, key=lambda pair: -abs(pair[1].logit))
    html: str = environment.get_template("report.html.j2").render(
        explanation=explanation,
        model=model,
        digits=model.data.digits,
        scores={
            name: metrics.evaluate(part.logits, part.labels)
            for name, part in (("train", explanation.train_logits), ("test", explanation.test_logits))
        },
        charts=_charts(explanation, model),
        cost_curve=cost_curve(model) if model.costs else None,
        provenance={
            "Settings": provenance.settings(model),
            "Data": provenance.data(model),
            "Environment": provenance.environment(model),
        },
        embedded=page_data.network(model) | {"maxBars": MAX_BARS} if page_data.fits(model) else None,
        most_wrong_first=most_wrong_first,
        choices=_choices(explanation, model, dataset),
        style=_text("report.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return html


def require() -> None:
    """Import the libraries that the page needs.

    Raises
    ------
    SsnnError
        If jinja2 or matplotlib is not installed.
    UsageError
        If matplotlib does not know the backend that MPLBACKEND names, although no page needs one.
    """
    for library in ("jinja2", "matplotlib"):
        try:
            importlib.import_module(library)
        except ImportError:
            remedy = "python -m pip install 'ssnn[report]'"
            raise SsnnError(f"the page needs {library}, which is not installed; what would help: {remedy}") from None
        except ValueError as error:  # matplotlib reads its environment when it is imported
            raise UsageError(f"the page needs {library}, which refuses MPLBACKEND: {error}") from None


def _environment() -> "Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ssnn.explain"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in TEMPLATE_FUNCTIONS:
        environment.globals[function.__name__] = function
    environment.globals |= {"max_neurons": MAX_NEURONS, "min_sheet": MIN_SHEET, "size": SIDE}
    return environment


def _text(name: str) -> str:
    return (files("ssnn.explain") / "templates" / name).read_text("utf-8")


def heading(image: ImageExplanation) -> str:
    """Name, label and prediction of an image, in one line."""
    name = image.name if image.index is None else image.name.capitalize()
    known = "" if image.label is None else f"{formatting.a(image.label)}, "
    return f"{name}: {known}taken for {formatting.a(image.digit)}"


def rings(image: ImageExplanation) -> list[Ring]:
    """The pixels that its findings name, those that no training image lit; the strongest first, at most `MAX_RINGS`."""
    parts = image.attribution.pixels
    found = [
        Ring(pixel // SIDE, pixel % SIDE, None if finding.kind == "left out pixel" else float(parts[pixel]))
        for finding in image.findings
        for pixel in finding.figures.get("pixels", ())
    ]
    return sorted(found, key=lambda ring: -abs(ring.value or 0))[:MAX_RINGS]


def bars(attribution: Attribution) -> list[Bar]:
    """The contributions of the neurons of the last hidden layer, the strongest ones where there are many."""
    neurons = attribution.neurons
    strongest = np.argsort(-np.abs(neurons), kind="stable")
    shown = np.arange(len(neurons)) if len(neurons) <= MAX_BARS else strongest[:MAX_BARS]
    rows = [(f"neuron {j}", bool(attribution.on[j]), float(neurons[j])) for j in shown]
    if others := len(neurons) - len(shown):
        rest = float(neurons[strongest[MAX_BARS:]].sum())
        rows.append((f"{others} others", rest != 0, rest))
    rows.append(("output bias", True, float(attribution.output_bias)))
    largest = max(abs(value) for _, _, value in rows) or 1
    return [Bar(name, on, value, 100 * abs(value) / largest) for name, on, value in rows]


def _charts(explanation: Explanation, model: Model) -> dict[str, Chart]:
    """Every chart for which there is something to draw."""
    train, test = explanation.train_logits.margins, explanation.test_logits.margins
    drawn = {"margins": Chart(charts.margins(train, test), alt_text.margins(train, test))}
    if model.costs:
        curve = cost_curve(model)
        drawn["cost"] = Chart(charts.cost(curve), alt_text.cost(curve))
    if bins := [b for b in explanation.calibration if b.count]:
        digit = model.data.digits[1]
        drawn["calibration"] = Chart(charts.calibration(bins, digit), alt_text.calibration(bins, digit))
    if explanation.curve:
        drawn["curve"] = Chart(charts.learning_curve(explanation.curve), alt_text.learning_curve(explanation.curve))
    return drawn


def _choices(explanation: Explanation, model: Model, dataset: Dataset) -> dict[str, list[tuple[str, str]]]:
    """Images to try, by group: the name and the pixels of each."""
    choices = {"Explained here": [(image.name, page_data.encoded(image.pixels)) for image in explanation.images]}
    for label, digit in enumerate(model.data.digits):
        pixels, some = dataset.test.pixels, np.flatnonzero(dataset.test.labels == label)[:CHOICES_PER_CLASS]
        choices[f"Test images of {digit}"] = [(f"test image {i}", page_data.encoded(pixels[i])) for i in some]
    return {group: images for group, images in choices.items() if images}


TEMPLATE_FUNCTIONS = (
    bars,
    heading,
    rings,
    formatting.a,
    formatting.confidence,
    formatting.counted,
    alt_text.extremes,
    formatting.magnitude,
    formatting.rate,
    formatting.signed,
    thumbnails.diverging,
    thumbnails.ink,
    thumbnails.outline,
    thumbnails.scale_of,
    thumbnails.sequential,
)
