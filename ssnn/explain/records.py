"""The records of an explanation: frozen dataclasses of plain values and NumPy arrays."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.printable import printable

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """One reason why an image was classified as it was.

    Attributes
    ----------
    kind : str
        "never-lit pixel", "mislabelled", "other class", "far outside", "close call", "seeds disagree", "seeds agree",
        "lit pixel" and "left out pixel", which are facts rather than reasons, "no ink", or "balance" where nothing
        stands out.
    text : str
        One sentence or two.
    figures : dict
        The evidence, by name: numbers, strings, and lists of them.
    """

    kind: str
    text: str
    figures: dict[str, Any]


@dataclass(frozen=True)
class Neighbour:
    """A training image near an explained image.

    Attributes
    ----------
    index : int
        Among the training images.
    digit : int
    distance : float
        Euclidean, of pixels divided by 255.
    pixels : uint8 array (784,)
    """

    index: int
    digit: int
    distance: float
    pixels: Pixels = field(repr=False)


@dataclass(frozen=True)
class Attribution:
    """The exact contributions to a logit: given which neurons are on, a ReLU network is linear.

    pixels.sum() + biases is the logit, and so is neurons.sum() + output_bias.

    Attributes
    ----------
    pixels : float64 array (784,)
        The contribution of each pixel, 0 for those that are left out of the network.
    biases : float
        The contribution of the biases of all layers.
    neurons : float64 array (n,)
        The contribution of each neuron of the last hidden layer; empty without one.
    on : bool array (n,)
        Which of these neurons contribute.
    output_bias : float
    """

    pixels: Values
    biases: float
    neurons: Values
    on: npt.NDArray[np.bool_]
    output_bias: float


@dataclass(frozen=True)
class ImageExplanation:
    """Why one image was classified as it was.

    Attributes
    ----------
    name : str
        "test image 2031", or the name of a file, made printable: it is shown in terminal, page and JSON.
    index : int, optional
        Among the test images.
    pixels : uint8 array (784,)
    label : int, optional
        The digit that it is, where that is known.
    digit : int
        The predicted digit.
    logit : float
    probability : float
        The predicted probability of class 1, 0 … 1.
    attribution : Attribution
    novelty_score : float
        See `ssnn.model.novelty`.
    neighbours : (tuple of Neighbour, tuple of Neighbour)
        The nearest training images of class 0 and of class 1, the nearest first.
    votes : (int, int)
        How many networks predict class 0 and class 1: this one, and those retrained with other seeds.
    findings : tuple of Finding
        The most important first.
    """

    name: str
    index: int | None
    pixels: Pixels = field(repr=False)
    label: int | None
    digit: int
    logit: float
    probability: float
    attribution: Attribution = field(repr=False)
    novelty_score: float
    neighbours: tuple[tuple[Neighbour, ...], tuple[Neighbour, ...]] = field(repr=False)
    votes: tuple[int, int]
    findings: tuple[Finding, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))


@dataclass(frozen=True)
class Neuron:
    """One neuron of the first hidden layer.

    Attributes
    ----------
    index : int
    weights : float64 array (784,)
        From each pixel, per standardised grey value; 0 for those that are left out.
    bias : float
    on : (float, float)
        The share of the training images of class 0 and of class 1 that turn it on, 0 … 1.
    output_weight : float, optional
        To the logit, where the next layer is the last.
    duplicate_of : int, optional
        An earlier neuron that computes the same but for a factor.
    """

    index: int
    weights: Values = field(repr=False)
    bias: float
    on: tuple[float, float]
    output_weight: float | None
    duplicate_of: int | None

    @property
    def is_dead(self) -> bool:
        """Whether no training image turns it on."""
        return self.on == (0.0, 0.0)


@dataclass(frozen=True)
class CurvePoint:
    """A point of the learning curve: test error rates after training on `samples` images.

    Attributes
    ----------
    samples : int
    error_rates : tuple of float
        One per network, 0 … 1. Each has a seed of its own; several share a random subset of the training images.
    """

    samples: int
    error_rates: tuple[float, ...]


@dataclass(frozen=True)
class CalibrationBin:
    """Test images whose predicted probability of class 1 lies in a range.

    Attributes
    ----------
    low, high : float
        The range.
    count : int
        Number of images.
    mean_probability, share_of_ones : float
        Equal, but for chance, if the network is calibrated; NaN without images.
    """

    low: float
    high: float
    count: int
    mean_probability: float
    share_of_ones: float


@dataclass(frozen=True)
class LabelledLogits:
    """The logits of images whose classes are known.

    Attributes
    ----------
    logits : float64 array (m,)
    labels : uint8 array (m,)
        The classes, 0 or 1.
    """

    logits: Values = field(repr=False)
    labels: npt.NDArray[np.uint8] = field(repr=False)

    @property
    def margins(self) -> Values:
        """The logits with their sign turned so that positive is right, (m,)."""
        return self.logits * (2.0 * self.labels - 1)


@dataclass(frozen=True)
class Explanation:
    """Everything about one network.

    Attributes
    ----------
    images : tuple of ImageExplanation
    neurons : tuple of Neuron
        Of the first hidden layer; empty without one.
    train_logits, test_logits : LabelledLogits
    importance : float64 array (784,)
        Mean absolute contribution of each pixel to the logit, over the test images.
    calibration : tuple of CalibrationBin
        Of the test images.
    curve : tuple of CurvePoint
        The learning curve, fewest samples first; empty if no networks were retrained.
    more_data : str
        Whether more training images would help, with figures; empty without a learning curve.
    """

    images: tuple[ImageExplanation, ...]
    neurons: tuple[Neuron, ...]
    train_logits: LabelledLogits
    test_logits: LabelledLogits
    importance: Values = field(repr=False)
    calibration: tuple[CalibrationBin, ...]
    curve: tuple[CurvePoint, ...]
    more_data: str
