"""An explanation as an object that shows itself: as pictures in a notebook, as text in a terminal."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from ssnn.backends import Backend
from ssnn.data import Dataset
from ssnn.data.dataset import SIDE, image_rows
from ssnn.errors import UsageError
from ssnn.explain import alt_text, terminal, thumbnails
from ssnn.explain.analysis import MAX_WRONG, Question, explain, test_image
from ssnn.explain.formatting import a, confidence, signed
from ssnn.explain.records import Explanation, ImageExplanation
from ssnn.model.metrics import evaluate
from ssnn.model.model import Model

PICTURE = "width:168px;height:168px;image-rendering:pixelated;display:block;margin:0"
EDGE = "position:absolute;inset:0;width:168px;height:168px;fill:none;stroke:#333;stroke-width:0.2"


@dataclass(frozen=True, eq=False, repr=False)
class Cards:
    """Explained images, a card each.

    Attributes
    ----------
    explanation : Explanation
        All figures.
    model : Model
        That is explained.
    are_wrong : bool
        Whether no images were asked for, so that they are the wrong test images.
    """

    explanation: Explanation
    model: Model
    are_wrong: bool

    def __str__(self) -> str:
        cards = [terminal.image(image, self.model.data.digits) for image in self.explanation.images]
        return "\n".join([*cards, *self._more_are_wrong(), terminal.network(self.explanation, self.model)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """Self-contained HTML; its styles are inline, because those of a sheet would hold for the whole notebook."""
        cards = [_card(image, self.model.data.digits) for image in self.explanation.images]
        notes = [f"<p>{escape(note)}</p>" for note in self._more_are_wrong()]
        network = escape(terminal.network(self.explanation, self.model))
        whole = f"<details><summary>The network as a whole</summary><pre>{network}</pre></details>"
        return f"<div>{''.join(cards + notes)}{whole}</div>"

    def _more_are_wrong(self) -> list[str]:
        test = self.explanation.test_logits
        wrong = len(evaluate(test.logits, test.labels).errors)
        is_cut = self.are_wrong and wrong > MAX_WRONG
        return [f"these are the first {MAX_WRONG} of {wrong:,} wrong test images\n"] if is_cut else []


def explain_images(
    model: Model,
    dataset: Dataset,
    backend: Backend,
    index: int | Sequence[int] | None,
    images: npt.NDArray[np.uint8] | None,
    retrain: bool,
) -> Cards:
    """Explain test images and others; for the arguments see `Model.explain`.

    Raises
    ------
    UsageError
        If the model was trained on other images, or there is no test image of an index.
    """
    if not isinstance(dataset, Dataset):
        kind = type(dataset).__name__
        raise UsageError(f"data of type {kind}: the data set is needed that the model was trained on")
    questions = [test_image(dataset, i) for i in dict.fromkeys(_indices(index))]
    if images is not None:
        questions += [Question(f"image {i}", pixels) for i, pixels in enumerate(image_rows(images))]
    are_wrong = index is None and images is None
    explanation = explain(model, dataset, backend, None if are_wrong else questions, train_more=retrain)
    return Cards(explanation, model, are_wrong)


def _indices(index: SupportsIndex | Sequence[SupportsIndex] | None) -> list[int]:
    if index is None:
        return []
    try:
        return [operator.index(i) for i in (index if isinstance(index, Sequence | np.ndarray) else [index])]
    except TypeError:
        raise UsageError(f"index {index!r}: the index of a test image, or several, is needed") from None


def _card(image: ImageExplanation, digits: tuple[int, int]) -> str:
    """One image as HTML: the image, the contributions of its pixels, and the findings."""
    zero, one = map(a, digits)
    known = "" if image.label is None else f"{a(image.label)}, "
    prediction = f"taken for {a(image.digit)} ({confidence(image.logit)}, logit {signed(image.logit)})"
    parts = image.attribution.pixels
    scale = thumbnails.scale_of(parts)
    contributions = f"What each pixel contributed to the logit: {alt_text.extremes(parts)}"
    legend = f"blue: towards {zero}, orange: towards {one}"
    edge = thumbnails.outline(image.pixels)
    outline = f'<svg viewBox="0 0 {SIDE} {SIDE}" style="{EDGE}" aria-hidden="true"><path d="{edge}"/></svg>'
    findings = "".join(f"<li><em>{escape(each.kind)}</em>: {escape(each.text)}</li>" for each in image.findings)
    total = f"{signed(float(parts.sum()))} from the pixels, {signed(image.attribution.biases)} from the biases"
    return (
        '<div style="max-width:50em;margin:0 0 2em;break-inside:avoid">'
        f"<p><strong>{escape(image.name)}: {known}{prediction}</strong></p>"
        '<div style="display:flex;flex-wrap:wrap;gap:1.5em">'
        f"{_picture(thumbnails.ink(image.pixels), image.name, 'the image')}"
        f"{_picture(thumbnails.diverging(parts, scale), contributions, legend, outline)}"
        f"</div><ol>{findings}</ol><p>{escape(total)}: logit {escape(signed(image.logit))}</p></div>"
    )


def _picture(source: str, alternative: str, caption: str, over: str = "") -> str:
    """A picture on white, also in a dark notebook: its ink is black on a transparent ground."""
    return (
        '<figure style="margin:0"><div style="background:#fff;border:1px solid #999;width:168px;position:relative">'
        f'<img src="{source}" alt="{escape(alternative)}" style="{PICTURE}">{over}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
