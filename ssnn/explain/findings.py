"""Why an image came out as it did, in words, each reason with the figures behind it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssnn.data.pictures import SIZE
from ssnn.explain.formatting import a, counted, signed
from ssnn.explain.records import Finding, ImageExplanation, Neighbour, Pixels, Values

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
    novelty_scores : float64 array (m,)
        The novelty_score of each training image, sorted.
    test_logits : float64 array
        The size of the logit of each test image, sorted.
    """

    digits: tuple[int, int]
    never_vary: npt.NDArray[np.bool_]
    usual: Pixels
    kept: npt.NDArray[np.bool_]
    distances: Values
    novelty_scores: Values
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
    if not np.any(image.pixels):
        return (Finding("no ink", "There is no ink on it: whatever the network says of it means nothing.", {}),)
    lit = _unusual_pixels(image, usual_logit, training)
    is_reason = lit is not None and lit.kind == "never-lit pixel"
    reasons = [
        lit if is_reason else None,
        _mislabelled(image),
        _other_class(image),
        _far_outside(image, distance, training),
        _close_call(image, training),
        _seeds(image, training),
        None if is_reason else lit,
    ]
    found = tuple(reason for reason in reasons if reason is not None)
    return found or (_balance(image, training),)


def _unusual_pixels(image: ImageExplanation, usual_logit: float, training: Training) -> Finding | None:
    """Pixels that no training image ever lit, and what came through them."""
    lit = np.flatnonzero(training.never_vary & (image.pixels != training.usual))
    if not len(lit):
        return None
    named = ", ".join(_place(pixel, image.pixels) for pixel in lit[:NAMED])
    more = f" and {len(lit) - NAMED} more" if len(lit) > NAMED else ""
    what = f"It lights {counted(len(lit), 'pixel')} that no training image ever lit: {named}{more}"
    through = float(image.attribution.pixels[lit].sum())
    share = through / image.logit if image.logit else 0.0
    figures = {
        "pixels": lit.tolist(),
        "grey_values": image.pixels[lit].tolist(),
        "through": through,
        "share": share,
        "usual_logit": usual_logit,
    }
    if not np.any(training.kept[lit]):
        text = f"{what}. The network leaves such pixels out, so this did not matter."
        return Finding("left out pixel", text, figures)
    if share < HALF:
        text = f"{what}. Through it came {signed(through)} of the logit {signed(image.logit)}."
        return Finding("lit pixel", text, figures)
    text = (
        f"{what}. Such a pixel has a standard deviation of 0, so its input is huge, and its weights never left their "
        f"random start: {signed(through)} of the logit {signed(image.logit)} came through it, {share:.4%}. With it "
        f"as usual the logit is {signed(usual_logit)}: {a(training.digits[int(usual_logit > 0)])}."
    )
    return Finding("never-lit pixel", text, figures)


def _mislabelled(image: ImageExplanation) -> Finding | None:
    """A wrong verdict that everything supports: then the label may be what is wrong."""
    if image.label is None or image.label == image.digit:
        return None
    own, other = _own_and_other(image)
    nearest = sorted((*own, *other), key=lambda neighbour: neighbour.distance)[: len(own)]
    if image.novelty_score > 1 or 0 not in image.votes or any(n.digit != image.digit for n in nearest):
        return None
    networks = sum(image.votes)
    who = "the network takes it" if networks == 1 else f"all {networks} networks take it"
    digit = a(image.digit)
    text = (
        f"It is probably mislabelled, or ambiguous: {who} for {digit}, each of its {len(nearest)} nearest training "
        f"images is {digit}, and it is an ordinary one."
    )
    return Finding("mislabelled", text, {"votes": list(image.votes), "novelty_score": image.novelty_score})


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
    said = []
    shape, brightness = _rank(image.novelty_score, training.novelty_scores), _rank(distance, training.distances)
    if image.novelty_score > 1:
        said.append(
            f"its shape is farther from the usual than that of {_all_or_share(shape)}, {image.novelty_score:.2f} times "
            f"the distance within which 99 % lie"
        )
    if brightness > 0.99:
        said.append(f"its standardised distance of {distance:.1f} is above that of {_all_or_share(brightness)}")
    if not said:
        return None
    figures = {
        "novelty_score": image.novelty_score,
        "novelty_score_above_share_of_training": shape,
        "standardised_distance": distance,
        "distance_above_share_of_training": brightness,
    }
    return Finding("far outside", f"It lies far outside the training data: {', and '.join(said)}.", figures)


def _rank(value: float, of_training: Values) -> float:
    """The share of the training images, sorted, that lie below."""
    return float(np.searchsorted(of_training, value) / len(of_training))


def _all_or_share(share: float) -> str:
    return "all training images" if share == 1 else f"{100 * share:.1f} % of the training images"


def _close_call(image: ImageExplanation, training: Training) -> Finding | None:
    """A logit near 0."""
    if abs(image.logit) >= CLOSE:
        return None
    rank = int(np.searchsorted(training.test_logits, abs(image.logit)))
    closer = f"{rank or 'none'} of {len(training.test_logits):,} test images {'are' if rank > 1 else 'is'} closer to 0"
    text = f"It is a close call: its logit is {signed(image.logit)}, and {closer}."
    return Finding("close call", text, {"logit": image.logit, "closer": rank})


def _seeds(image: ImageExplanation, training: Training) -> Finding | None:
    """What networks say that differ in their seeds alone, where they disagree or are wrong together."""
    networks, figures = sum(image.votes), {"votes": list(image.votes)}
    if networks == 1:
        return None
    if 0 not in image.votes:
        zero, one = (f"{votes} for {a(digit)}" for votes, digit in zip(image.votes, training.digits, strict=True))
        text = f"The random start decides: of {networks} networks that differ in their seeds alone, {zero} and {one}."
        return Finding("seeds disagree", text, figures)
    if image.label is None or image.label == image.digit:
        return None
    text = (
        f"The random start does not matter: all {networks} networks that differ in their seeds alone take it for "
        f"{a(image.digit)}."
    )
    return Finding("seeds agree", text, figures)


def _balance(image: ImageExplanation, training: Training) -> Finding:
    """No single reason: what spoke for either digit."""
    parts = image.attribution.pixels
    for_one, for_zero = float(parts[parts > 0].sum()), float(parts[parts < 0].sum())
    zero, one = training.digits
    text = (
        f"No single reason stands out: its pixels spoke with {signed(for_one)} for {a(one)} and with "
        f"{signed(for_zero)} for {a(zero)}, and the biases with {signed(image.attribution.biases)}."
    )
    return Finding("balance", text, {"for_one": for_one, "for_zero": for_zero, "biases": image.attribution.biases})


def _place(pixel: int, pixels: Pixels) -> str:
    row, column = divmod(int(pixel), SIZE)
    return f"row {row}, column {column} (grey value {pixels[pixel]})"
