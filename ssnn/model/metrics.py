"""How good a network is on images whose class is known."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.data.dataset import class_labels
from ssnn.errors import ModelError, UsageError
from ssnn.network import cost, logistic

MAX_LISTED, MAX_IN_REPR = 10, 3  # wrong images that are named
NORMAL_975 = 1.959963984540054  # the standard normal distribution has 95 % between this and its negative


@dataclass(frozen=True, repr=False)
class Evaluation:
    """A network's predictions on images, compared with their classes.

    Attributes
    ----------
    samples : int
        How many images.
    errors : tuple of int
        Indices of the images that it gets wrong.
    confusion : ((int, int), (int, int))
        How many images of class i it takes for class j: confusion[i][j].
    log_loss : float
        Mean of -log(probability that it gives to the right class), in nats: the cost that training minimises.
    brier_score : float
        Mean squared difference between the probability of class 1 and the class, 0 … 1.
    """

    samples: int
    errors: tuple[int, ...]
    confusion: tuple[tuple[int, int], tuple[int, int]]
    log_loss: float
    brier_score: float

    @property
    def error_rate(self) -> float:
        """The share of wrong images, 0 … 1."""
        return len(self.errors) / self.samples

    @property
    def error_rate_interval(self) -> tuple[float, float]:
        """Where the error rate on all such images lies, with 95 % confidence: Wilson's score interval.

        It keeps its coverage where errors are few, as the usual ± does not (Brown, Cai and DasGupta, "Interval
        estimation for a binomial proportion", 2001).
        """
        n, p, z = self.samples, self.error_rate, NORMAL_975
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def __repr__(self) -> str:
        low, high = map(percent, self.error_rate_interval)
        lines = [
            f"Evaluation of {self.samples:,} images: {len(self.errors):,} wrong, confusion {self.confusion}",
            f"error rate {percent(self.error_rate)}, with 95 % confidence {low} … {high}",
            f"log loss {self.log_loss:.6g} nats, Brier score {self.brier_score:.6g}",
        ]
        return "\n".join([*lines, f"wrong: {listed(self.errors, MAX_IN_REPR)}"] if self.errors else lines)

    def to_json(self) -> dict[str, Any]:
        """Everything as one JSON object."""
        return asdict(self) | {"error_rate": self.error_rate, "error_rate_interval": self.error_rate_interval}


def percent(share: float, decimals: int = 4) -> str:
    """A share, 0 … 1, in percent."""
    return f"{100 * share:.{decimals}f} %"


def listed(images: Sequence[int], most: int = MAX_LISTED) -> str:
    """The indices of images, the first few where there are more."""
    more = len(images) - most
    return f"image {', '.join(map(str, images[:most]))}" + (f" and {more:,} more" if more > 0 else "")


def evaluate(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.uint8]) -> Evaluation:
    """Evaluate logits (m,) against the classes (m,); a positive logit predicts class 1.

    Raises
    ------
    UsageError
        If there is no image, a class is neither 0 nor 1, or there is not one class for each logit.
    ModelError
        If a logit, or the mean of what they cost, is not finite.
    """
    labels = class_labels(labels)
    if not len(labels):
        raise UsageError("there is no image to evaluate the network on")
    if np.shape(logits) != labels.shape:
        raise UsageError(f"logits {np.shape(logits)} of {len(labels):,} images: one for each is needed")
    Z, Y = logits.astype(np.float64)[None, :], labels.astype(np.float64)[None, :]
    predicted = (logits > 0).astype(np.intp)
    zeros, ones = (np.bincount(predicted[labels == label], minlength=2).tolist() for label in (0, 1))
    with np.errstate(over="ignore", invalid="ignore"):
        log_loss = float(cost(Z, Y, 1 / len(labels)))
    if not (np.isfinite(Z).all() and isfinite(log_loss)):
        raise ModelError("a logit or the log loss is not finite: the model's parameters are invalid")
    return Evaluation(
        samples=len(labels),
        errors=tuple(np.flatnonzero(predicted != labels).tolist()),
        confusion=((zeros[0], zeros[1]), (ones[0], ones[1])),
        log_loss=log_loss,
        brier_score=float(np.mean((logistic(Z) - Y) ** 2)),
    )
