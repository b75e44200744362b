"""What goes into a run and what comes out of it: frozen dataclasses, of plain values but for the trained network."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ssnn.backends import Description
from ssnn.errors import UsageError
from ssnn.network import Network
from ssnn.standardize import CONSTANT_FEATURES, Standardization

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
        if any(neurons > LARGEST for neurons in self.hidden) or self.iterations > LARGEST:
            raise UsageError(f"neurons and iterations: at most {LARGEST} are possible")
        if any(neurons < 1 for neurons in self.hidden):
            raise UsageError(
                f"hidden layers {self.hidden}: each needs at least 1 neuron; 0 alone means no hidden layer"
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"learning rate {self.learning_rate}: a positive, finite number is needed")
        if self.iterations < 1:
            raise UsageError(f"{self.iterations} iterations: at least 1 is needed")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed}: it must lie in 0 … 4294967295")
        if self.constant_features not in CONSTANT_FEATURES:
            raise UsageError(f"constant features {self.constant_features!r}: choose {' or '.join(CONSTANT_FEATURES)}")


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
    seconds : float
        That the iterations so far have taken.
    """

    iteration: int
    iterations: int
    cost: float
    previous_cost: float
    seconds: float


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
    """

    name: str
    origin: str
    digits: tuple[int, int]
    train: int
    test: int
    features: int
    constant_features: int


@dataclass(frozen=True)
class Score:
    """Which images a network gets wrong, as indices into the images it was asked about."""

    errors: tuple[int, ...]
    samples: int

    @property
    def error_rate(self) -> float:
        """The share of wrong samples, 0 … 1."""
        return len(self.errors) / self.samples


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
class Result:
    """What a run gives; the costs are each taken before the update of their iteration.

    `network` and `standardization` hold NumPy arrays, the former in the dtype of the run.
    """

    backend: Description
    data: DataSummary
    settings: Settings
    costs: tuple[float, ...]
    train: Score
    test: Score
    seconds: Seconds
    network: Network = field(repr=False)
    standardization: Standardization = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """The result as one JSON object of schema "ssnn.train/1", without the parameters."""
        return {
            "schema": "ssnn.train/1",
            "backend": asdict(self.backend),
            "data": asdict(self.data),
            "settings": asdict(self.settings),
            "costs": self.costs,
            "train": {"errors": self.train.errors, "error_rate": self.train.error_rate},
            "test": {"errors": self.test.errors, "error_rate": self.test.error_rate},
            "seconds": asdict(self.seconds),
        }
