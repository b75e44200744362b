"""What goes into a run and what it tells of itself: frozen dataclasses of plain values."""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ssnn.errors import UsageError
from ssnn.evaluation import Evaluation
from ssnn.standardize import CONSTANT_FEATURES

LARGEST = 2**31 - 1  # array libraries count in 32 bits


@dataclass(frozen=True)
class Settings:
    """The hyperparameters; the defaults are the article's, but for the constant features.

    Attributes
    ----------
    hidden : tuple of int
        Neurons per hidden layer; () is logistic regression.
    learning_rate : float
    iterations : int
    seed : int
        Of the initial parameters.
    constant_features : {"drop", "keep"}
        What becomes of pixels that never vary in training; see `ssnn.standardize.fit`.

    Raises
    ------
    UsageError
        If a value makes no sense.
    """

    hidden: tuple[int, ...] = (10,)
    learning_rate: float = 0.5
    iterations: int = 500
    seed: int = 561
    constant_features: str = "drop"

    def __post_init__(self) -> None:
        if not isinstance(self.hidden, tuple):
            raise UsageError(f"hidden layers {self.hidden}: a tuple of neurons per layer is needed")
        self._keep("hidden", lambda sizes: tuple(map(_whole, sizes)), "whole numbers are needed")
        self._keep("learning_rate", float, "a positive, finite number is needed")
        self._keep("iterations", _whole, "a whole number is needed")
        self._keep("seed", _whole, "a whole number is needed")
        if any(neurons > LARGEST for neurons in self.hidden) or self.iterations > LARGEST:
            raise UsageError(f"neurons and iterations: at most {LARGEST} are possible")
        if any(neurons < 1 for neurons in self.hidden):
            raise UsageError(
                f"hidden layers {self.hidden}: each needs at least 1 neuron; no layer is () in Python, 0 in a shell"
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"learning rate {self.learning_rate}: a positive, finite number is needed")
        if self.iterations < 1:
            raise UsageError(f"{self.iterations} iterations: at least 1 is needed")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed}: it must lie in 0 … 4294967295")
        if self.constant_features not in CONSTANT_FEATURES:
            raise UsageError(f"constant features {self.constant_features!r}: choose {' or '.join(CONSTANT_FEATURES)}")

    def _keep(self, name: str, convert: Callable[[Any], Any], needed: str) -> None:
        """Keep a value as a plain one of Python's, whichever library it is from."""
        value = getattr(self, name)
        try:
            object.__setattr__(self, name, convert(value))
        except (TypeError, ValueError, OverflowError):
            raise UsageError(f"{name.replace('_', ' ')} {value!r}: {needed}") from None


def _whole(value: Any) -> int:
    return int(operator.index(value))


@dataclass(frozen=True)
class Progress:
    """How far a run is, told once per progress step: a twentieth of the iterations.

    Attributes
    ----------
    iteration, iterations : int
        Done so far, and in all.
    cost : float
        Of this iteration, taken before its update.
    previous_cost : float
        Of the iteration before; NaN where there is none.
    seconds_per_iteration : float
        The mean of this run so far.
    """

    iteration: int
    iterations: int
    cost: float
    previous_cost: float
    seconds_per_iteration: float


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class DataSummary:
    """What was learnt from: see `ssnn.data.Digits` for name, origin and digits.

    Attributes
    ----------
    train, test : int
        How many images.
    features : int
        How many pixels enter the network.
    constant_features : int
        How many pixels never vary in training, dropped or kept.
    sha256 : str
        Of the training images and their classes: whoever continues a run needs the same.
    """

    name: str
    origin: str
    digits: tuple[int, int]
    train: int
    test: int
    features: int
    constant_features: int
    sha256: str


@dataclass(frozen=True)
class Seconds:
    """Where the time went.

    `transfer` is the way of the data to the device, standardising included; `total` is everything from the
    first file to the last score.
    """

    load: float
    transfer: float
    compile: float
    iterations: float
    total: float


@dataclass(frozen=True)
class Run:
    """What one run of training measured.

    Attributes
    ----------
    iterations : int
        Done in this run; those of a run that it continued are not among them.
    train, test : Evaluation
        Of the images it learnt from, and of the others.
    seconds : Seconds
    """

    iterations: int
    train: Evaluation
    test: Evaluation
    seconds: Seconds
