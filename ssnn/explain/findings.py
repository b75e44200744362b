"""Why an image came out as it did, in words, each reason with the figures behind it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssnn.explain.records import Finding, ImageExplanation, Neighbour, Pixels, Values
from ssnn.explain.words import a, counted, signed
from ssnn.pictures import SIZE

CLOSE = 1.0  # logits nearer to 0 than this are a probability below 73 %
HALF = 0.5  # of the logit: what came through never-lit pixels is then the reason
NAMED = 3  # pixels that are named one by one


@dataclass(frozen=True)
class Training:
    """What a finding holds an image against.

    Attributes
    ----------
    digits : (int, int)
    never_vary : bool array (n0,)
        Pixels that have one value in all training images.
    usual : uint8 array (n0,)
        That value, where there is one.
    kept : bool array (n0,)
        Pixels that enter the network.
    distances : float64 array (m,)
        The standardised distance of each training image, sorted.
    test_logits : float64 array
        The size of the logit of each test image, sorted.
    """

    digits: tuple[int, int]
    never_vary: npt.NDArray[np.bool_]
    usual: Pixels
    kept: npt.NDArray[np.bool_]
    distances: Values
    test_logits: Values


def findings(image: ImageExplanation, distance: float, usual_logit: float, training: Training) -> tuple[Finding, ...]:
    """The reasons, the most telling first.

    Parameters
    ----------
    image : ImageExplanation
        All but its findings.
    distance : float
        Its standardised distance.
    usual_logit : float
        What its logit is if pixels that never vary have their usual value.
    training : Training
    """
    through = _never_lit(image, usual_logit, training)
    reasons = [
        through if through is not None and through.kind == "never-lit pixel" else None,
        _mislabelled(image),
        _other_class(image),
        _far_outside(image, distance, training),
        _close_call(image, training),
        through if through is not None and through.kind == "left out pixel" else None,
    ]
    found = tuple(reason for reason in reasons if reason is not None)
    return found or (_balance(image, training),)


def _never_lit(image: ImageExplanation, usual_logit: float, training: Training) -> Finding | None:
    """Pixels that no training image ever lit, and what came through them."""
    lit = np.flatnonzero(training.never_vary & (image.pixels != training.usual))
    if not len(lit):
        return None
    named = ", ".join(_place(pixel, image.pixels) for pixel in lit[:NAMED])
    more = f" and {len(lit) - NAMED} more" if len(lit) > NAMED else ""
    what = f"It lights {counted(len(lit), 'pixel')} that no training image ever lit: {named}{more}"
    figures = {"pixels": lit.tolist(), "grey_values": image.pixels[lit].tolist()}
    if not np.any(training.kept[lit]):
        text = f"{what}. The network leaves such pixels out, so this did not matter."
        return Finding("left out pixel", text, figures | {"through": 0.0, "share": 0.0})
    through = float(image.split.pixels[lit].sum())
    share = through / image.logit if image.logit else 0.0
    figures |= {"through": through, "share": share, "usual_logit": usual_logit}
    if abs(share) < HALF:
        text = f"{what}. Through it came {signed(through)} of the logit, {signed(image.logit)}."
        return Finding("left out pixel", text, figures)
    text = (
        f"{what}. Such a pixel has a standard deviation of 0, so its input is huge, and its weights never left their "
        f"random start: {signed(through)} of the logit {signed(image.logit)} came through it, {share:.4%}. With it "
        f"as usual the logit is {signed(usual_logit)}: {a(training.digits[int(usual_logit > 0)])}."
    )
    return Finding("never-lit pixel", text, figures)


def _mislabelled(image: ImageExplanation) -> Finding | None:
    """A wrong verdict that everything supports: then the label may be what is wrong."""
    own, other = _own_and_other(image)
    if own is None or image.label == image.digit:
        return None
    nearest = sorted((*own, *other), key=lambda neighbour: neighbour.distance)[: len(own)]
    unanimous = 0 in image.votes
    if not (unanimous and image.unlikeness <= 1 and all(n.digit == image.digit for n in nearest)):
        return None
    networks = sum(image.votes)
    who = "the network takes it" if networks == 1 else f"all {networks} networks take it"
    text = (
        f"It is probably mislabelled, or ambiguous: {who} for {a(image.digit)}, its "
        f"{len(nearest)} nearest training images are all of {a(image.digit)}, and it is no stranger among them."
    )
    return Finding("mislabelled", text, {"votes": list(image.votes), "unlikeness": image.unlikeness})


def _other_class(image: ImageExplanation) -> Finding | None:
    """Nearer to training images of the class that it is not, or, without a label, that it is not taken for."""
    own, other = _own_and_other(image)
    if not own or not other or own[0].distance <= other[0].distance:
        return None
    text = (
        f"It looks like {a(other[0].digit)}: the nearest training image is one (image {other[0].index:,}, at a "
        f"distance of {other[0].distance:.2f}), and the nearest {own[0].digit} is farther away (image "
        f"{own[0].index:,}, {own[0].distance:.2f})."
    )
    return Finding(
        "other class",
        text,
        {"nearest_of_own_class": own[0].distance, "nearest_of_other_class": other[0].distance},
    )


def _own_and_other(image: ImageExplanation) -> tuple[tuple[Neighbour, ...], tuple[Neighbour, ...]]:
    """The neighbours of the image's class, its label or else its verdict, and those of the other."""
    own = image.digit if image.label is None else image.label
    zero, one = image.neighbours
    return (zero, one) if zero and zero[0].digit == own else (one, zero)


def _far_outside(image: ImageExplanation, distance: float, training: Training) -> Finding | None:
    """More unusual than 99 of 100 training images, in its shape or in the brightness of single pixels."""
    beyond = float(np.searchsorted(training.distances, distance) / len(training.distances))
    said = []
    if image.unlikeness > 1:
        said.append(
            f"its shape is {image.unlikeness:.2f} times as far from what is usual as 99 of 100 training images are"
        )
    if beyond > 0.99:
        rank = "all" if beyond == 1 else f"{beyond:.2%}"
        said.append(f"its standardised distance of {distance:.1f} is above that of {rank} of the training images")
    if not said:
        return None
    figures = {"unlikeness": image.unlikeness, "standardised_distance": distance, "above_share_of_training": beyond}
    return Finding("far outside", f"It lies far outside the training data: {', and '.join(said)}.", figures)


def _close_call(image: ImageExplanation, training: Training) -> Finding | None:
    """A logit near 0, or networks that differ in their seeds alone and do not agree."""
    flips, networks = min(image.votes), sum(image.votes)
    if abs(image.logit) >= CLOSE and not flips:
        return None
    rank = int(np.searchsorted(training.test_logits, abs(image.logit)))
    closer = f"{rank or 'none'} of {len(training.test_logits):,} test images {'are' if rank > 1 else 'is'} closer"
    text = f"It is a close call: its logit is {signed(image.logit)}, and {closer} to 0"
    if networks > 1:
        zero, one = image.votes
        text += (
            f"; of {networks} networks that differ in their seeds alone {zero} "
            f"{'take' if zero != 1 else 'takes'} it for {a(training.digits[0])} and {one} for {a(training.digits[1])}"
        )
    return Finding("close call", f"{text}.", {"logit": image.logit, "closer": rank, "votes": list(image.votes)})


def _balance(image: ImageExplanation, training: Training) -> Finding:
    """No single reason: what spoke for either digit."""
    parts = [*image.split.pixels.tolist(), image.split.biases]
    for_one, for_zero = sum(p for p in parts if p > 0), sum(p for p in parts if p < 0)
    zero, one = training.digits
    text = (
        f"No single reason stands out: its pixels spoke with {signed(for_one)} for {a(one)} and with "
        f"{signed(for_zero)} for {a(zero)}, which leaves {signed(image.logit)}."
    )
    return Finding("balance", text, {"for_one": for_one, "for_zero": for_zero})


def _place(pixel: int, pixels: Pixels) -> str:
    row, column = divmod(int(pixel), SIZE)
    return f"row {row}, column {column} (grey value {pixels[pixel]})"
