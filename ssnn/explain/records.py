"""What an explanation says: frozen dataclasses of plain values and NumPy arrays."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """One reason why an image came out as it did.

    Attributes
    ----------
    kind : str
        "never-lit pixel", "mislabelled", "other class", "far outside", "close call", "seeds disagree", "seeds agree",
        "lit pixel" and "left out pixel", which tell more than they explain, "no ink", or "balance" where nothing
        stands out.
    text : str
        For people, one sentence or two.
    figures : dict
        What backs it, by name: numbers, strings, and lists of them.
    """

    kind: str
    text: str
    figures: dict[str, Any]


@dataclass(frozen=True)
class Neighbour:
    """A training image near to the one that is explained.

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
    """A logit split exactly: given which neurons are on, a ReLU network is linear.

    pixels.sum() + biases is the logit, and so is neurons.sum() + output_bias.

    Attributes
    ----------
    pixels : float64 array (784,)
        What each pixel contributed, 0 for those that are left out of the network.
    biases : float
        What the biases of all layers contributed.
    neurons : float64 array (n,)
        What each neuron of the last hidden layer contributed; empty without one.
    on : bool array (n,)
        Which of these neurons were on.
    output_bias : float
    """

    pixels: Values
    biases: float
    neurons: Values
    on: npt.NDArray[np.bool_]
    output_bias: float


@dataclass(frozen=True)
class ImageExplanation:
    """Why one image came out as it did.

    Attributes
    ----------
    name : str
        "test image 2031", or the name of a file.
    index : int, optional
        Among the test images.
    label : int, optional
        The digit that it is, where that is known.
    digit : int
        What the network takes it for.
    novelty_score : float
        To the training images; see `ssnn.model.novelty`.
    neighbours : (tuple of Neighbour, tuple of Neighbour)
        The nearest training images of either class, the nearest first.
    votes : (int, int)
        How many of some networks that differ in their seeds alone, this one among them, take it for class 0, for
        class 1.
    findings : tuple of Finding
        The most telling first.
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


@dataclass(frozen=True)
class Neuron:
    """One neuron of the first hidden layer.

    Attributes
    ----------
    weights : float64 array (784,)
        From each pixel, per grey value standardised; 0 for those that are left out.
    on : (float, float)
        The share of the training images of either class for which it is on.
    output_weight : float, optional
        To the logit, where the next layer is the last.
    double_of : int, optional
        An earlier neuron that computes the same but for a factor.
    """

    index: int
    weights: Values = field(repr=False)
    bias: float
    on: tuple[float, float]
    output_weight: float | None
    double_of: int | None

    @property
    def is_dead(self) -> bool:
        """Whether it is on for no training image at all."""
        return self.on == (0.0, 0.0)


@dataclass(frozen=True)
class CurvePoint:
    """How networks do that have learnt from so many samples.

    Attributes
    ----------
    samples : int
    error_rates : tuple of float
        On the test images, one for each network: each has a seed of its own, and several share random samples.
    """

    samples: int
    error_rates: tuple[float, ...]


@dataclass(frozen=True)
class CalibrationBin:
    """Test images to which the network gives a probability of class 1 within a range.

    Attributes
    ----------
    low, high : float
        The range.
    count : int
    mean_probability, share_of_ones : float
        Equal, but for chance, where the probabilities can be trusted; NaN where there is no image.
    """

    low: float
    high: float
    count: int
    mean_probability: float
    share_of_ones: float


@dataclass(frozen=True)
class Explanation:
    """Everything about one network.

    Attributes
    ----------
    margins : dict
        "train" and "test": the logit of each image, its sign turned so that positive is right; float64 (m,).
    importance : float64 array (784,)
        The mean over the test images of how much, up or down, each pixel contributed to the logit.
    calibration : tuple of CalibrationBin
    curve : tuple of CurvePoint
        Fewest samples first.
    more_data : str
        Whether more data would help, with figures, for people.
    """

    images: tuple[ImageExplanation, ...]
    neurons: tuple[Neuron, ...]
    margins: dict[str, Values] = field(repr=False)
    importance: Values = field(repr=False)
    calibration: tuple[CalibrationBin, ...]
    curve: tuple[CurvePoint, ...]
    more_data: str
