"""Findings: the reasons why an image was classified as it was, as sentences with the figures behind them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssnn.data.dataset import SIDE
from ssnn.explain.formatting import a, counted, signed
from ssnn.explain.records import Finding, ImageExplanation, Neighbour, Pixels, Values
from ssnn.model.metrics import percent

MAX_CLOSE_LOGIT = 1.0  # the size of a logit, a probability of 73 %, below which a prediction is a close call
MIN_REASON_SHARE = 0.5  # of the logit: from it on, what never-lit pixels contributed is the reason
MIN_RANK = 0.99  # share of the training images beyond which a standardised distance is far outside
MAX_NAMED_PIXELS = 3  # in one sentence


@dataclass(frozen=True)
class Reference:
    """The training and test images, as far as findings compare an image with them.

    Attributes
    ----------
    digits : (int, int)
        Class 0 and class 1.
    never_varies : bool array (784,)
        Pixels that have one value in all training images.
    usual : uint8 array (784,)
        That value, where there is one.
    kept : bool array (784,)
        Pixels that enter the network.
    distances : float64 array (m,)
        The standardised distance of each training image, sorted.
    novelty_scores : float64 array (m,)
        Of each training image, sorted.
    logit_sizes : float64 array (m_test,)
        The absolute logit of each test image, in their order.
    chance : str
        What a seed draws.
    """

    digits: tuple[int, int]
    never_varies: npt.NDArray[np.bool_]
    usual: Pixels
    kept: npt.NDArray[np.bool_]
    distances: Values
    novelty_scores: Values
    logit_sizes: Values
    chance: str = "random start"


def findings(image: ImageExplanation, distance: float, usual_logit: float, reference: Reference) -> tuple[Finding, ...]:
    """The reasons, the most important first.

    Parameters
    ----------
    image : ImageExplanation
        All but its findings.
    distance : float
        Its standardised distance.
    usual_logit : float
        Its logit if pixels that never vary in training have their usual value.
    reference : Reference
    """
    if not np.any(image.pixels):
        return (Finding("no ink", "There is no ink on it: whatever the network says of it means nothing.", {}),)
    lit = _unusual_pixels(image, usual_logit, reference)
    is_reason = lit is not None and lit.kind == "never-lit pixel"
    reasons = [
        lit if is_reason else None,
        _mislabelled(image),
        _other_class(image),
        _far_outside(image, distance, reference),
        _close_call(image, reference),
        _seeds(image, reference),
        None if is_reason else lit,
    ]
    found = tuple(reason for reason in reasons if reason is not None)
    return found or (_balance(image, reference),)


def _unusual_pixels(image: ImageExplanation, usual_logit: float, reference: Reference) -> Finding | None:
    """Pixels that no training image ever lit, and their contribution."""
    lit = np.flatnonzero(reference.never_varies & (image.pixels != reference.usual))
    if not len(lit):
        return None
    named = ", ".join(_place(pixel, image.pixels) for pixel in lit[:MAX_NAMED_PIXELS])
    more = f" and {len(lit) - MAX_NAMED_PIXELS} more" if len(lit) > MAX_NAMED_PIXELS else ""
    lights = f"It lights {counted(len(lit), 'pixel')} that no training image ever lit: {named}{more}"
    contribution = float(image.attribution.pixels[lit].sum())
    share = contribution / image.logit if image.logit else 0.0
    figures = {
        "pixels": lit.tolist(),
        "grey_values": image.pixels[lit].tolist(),
        "contribution": contribution,
        "share": share,
        "usual_logit": usual_logit,
    }
    if not np.any(reference.kept[lit]):
        text = f"{lights}. The network leaves such pixels out, so this did not matter."
        return Finding("left out pixel", text, figures)
    if share < MIN_REASON_SHARE:
        text = f"{lights}. Through it came {signed(contribution)} of the logit {signed(image.logit)}."
        return Finding("lit pixel", text, figures)
    text = (
        f"{lights}. Such a pixel has a standard deviation of 0, so its input is huge, and its weights never left their "
        f"random start: {signed(contribution)} of the logit {signed(image.logit)} came through it, {percent(share)}. "
        f"With it as usual the logit is {signed(usual_logit)}: {a(reference.digits[int(usual_logit > 0)])}."
    )
    return Finding("never-lit pixel", text, figures)


def _mislabelled(image: ImageExplanation) -> Finding | None:
    """A wrong prediction that all the evidence supports: then the label may be wrong."""
    if image.label is None or image.label == image.digit:
        return None
    own, other = _own_and_other(image)
    nearest = sorted((*own, *other), key=lambda neighbour: neighbour.distance)[: len(own)]
    if image.novelty_score > 1 or 0 not in image.votes or any(n.digit != image.digit for n in nearest):
        return None
    networks = sum(image.votes)
    networks_take = "the network takes" if networks == 1 else f"all {networks} networks take"
    digit = a(image.digit)
    text = (
        f"It is probably mislabelled, or ambiguous: {networks_take} it for {digit}, each of its {len(nearest)} nearest "
        f"training images is {digit}, and it is an ordinary one."
    )
    return Finding("mislabelled", text, {"votes": list(image.votes), "novelty_score": image.novelty_score})


def _other_class(image: ImageExplanation) -> Finding | None:
    """Nearer to training images of the other class than to those of its label or, without one, of its prediction."""
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
    """The neighbours of the class of its label or, without one, of its prediction, and those of the other class."""
    own = image.digit if image.label is None else image.label
    zero, one = image.neighbours
    return (zero, one) if zero and zero[0].digit == own else (one, zero)


def _far_outside(image: ImageExplanation, distance: float, reference: Reference) -> Finding | None:
    """More unusual than 99 of 100 training images, in its shape or in the brightness of single pixels."""
    reasons = []
    shape, brightness = _rank(image.novelty_score, reference.novelty_scores), _rank(distance, reference.distances)
    if image.novelty_score > 1:
        reasons.append(
            f"its shape is farther from the usual than that of {_all_or_share(shape)}, {image.novelty_score:.2f} times "
            f"the distance within which 99 % lie"
        )
    if brightness > MIN_RANK:
        reasons.append(f"its standardised distance of {distance:.1f} is above that of {_all_or_share(brightness)}")
    if not reasons:
        return None
    figures = {
        "novelty_score": image.novelty_score,
        "novelty_score_above_share_of_training": shape,
        "standardised_distance": distance,
        "distance_above_share_of_training": brightness,
    }
    return Finding("far outside", f"It lies far outside the training data: {', and '.join(reasons)}.", figures)


def _rank(value: float, of_training: Values) -> float:
    """The share of the training images, given sorted, that lie below a value."""
    return float(np.searchsorted(of_training, value) / len(of_training))


def _all_or_share(share: float) -> str:
    return "all training images" if share == 1 else f"{100 * share:.1f} % of the training images"


def _close_call(image: ImageExplanation, reference: Reference) -> Finding | None:
    """A logit near 0, compared with those of the other test images."""
    if abs(image.logit) >= MAX_CLOSE_LOGIT:
        return None
    sizes = reference.logit_sizes
    # Its own logit is among those of the test images, from another product, and may differ in the last bit.
    own = abs(image.logit) if image.index is None else sizes[image.index]
    rank = int(np.sum(sizes < own))
    closer = f"{rank or 'none'} of {len(sizes):,} test images {'are' if rank > 1 else 'is'} closer to 0"
    text = f"It is a close call: its logit is {signed(image.logit)}, and {closer}."
    return Finding("close call", text, {"logit": image.logit, "closer": rank})


def _seeds(image: ImageExplanation, reference: Reference) -> Finding | None:
    """Votes of networks that differ in their seeds alone, where they disagree or are all wrong."""
    networks, figures = sum(image.votes), {"votes": list(image.votes)}
    if networks == 1:
        return None
    if 0 not in image.votes:
        zero, one = (f"{votes} for {a(digit)}" for votes, digit in zip(image.votes, reference.digits, strict=True))
        votes = f"of {networks} networks that differ in their seeds alone, {zero} and {one}"
        text = f"The {reference.chance} decides: {votes}."
        return Finding("seeds disagree", text, figures)
    if image.label is None or image.label == image.digit:
        return None
    text = (
        f"The {reference.chance} does not matter: all {networks} networks that differ in their seeds alone take it for "
        f"{a(image.digit)}."
    )
    return Finding("seeds agree", text, figures)


def _balance(image: ImageExplanation, reference: Reference) -> Finding:
    """No single reason: the contributions to either digit."""
    parts = image.attribution.pixels
    for_one, for_zero = float(parts[parts > 0].sum()), float(parts[parts < 0].sum())
    zero, one = reference.digits
    text = (
        f"No single reason stands out: its pixels contributed {signed(for_one)} towards {a(one)} and "
        f"{signed(for_zero)} towards {a(zero)}, and the biases {signed(image.attribution.biases)}."
    )
    return Finding("balance", text, {"for_one": for_one, "for_zero": for_zero, "biases": image.attribution.biases})


def _place(pixel: int, pixels: Pixels) -> str:
    row, column = divmod(int(pixel), SIDE)
    return f"row {row}, column {column} (grey value {pixels[pixel]})"
