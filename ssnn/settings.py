"""The hyperparameters of a run, checked where they are made."""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ssnn.errors import UsageError
from ssnn.standardize import CONSTANT_FEATURES

MAX_INT32 = 2**31 - 1  # array libraries count in 32 bits
MAX_LAYERS = 100  # more learn nothing from such small initial weights, and a model's file has to name each of them


@dataclass(frozen=True)
class Settings:
    """The hyperparameters; the defaults are the article's, but for the constant features.

    Attributes
    ----------
    hidden : tuple of int
        Neurons per hidden layer, of which there are at most 100; () is logistic regression.
    learning_rate : float
    iterations : int
    seed : int
        Of the initial parameters.
    constant_features : {"drop", "keep"}
        What becomes of pixels that never vary in training; see `ssnn.standardize.fit_pixels`.

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
        if len(self.hidden) > MAX_LAYERS:
            raise UsageError(f"{len(self.hidden):,} hidden layers: at most {MAX_LAYERS} are possible")
        self._keep("hidden", lambda sizes: tuple(map(_whole, sizes)), "whole numbers are needed")
        self._keep("learning_rate", float, "a positive, finite number is needed")
        self._keep("iterations", _whole, "a whole number is needed")
        self._keep("seed", _whole, "a whole number is needed")
        if any(neurons > MAX_INT32 for neurons in self.hidden) or self.iterations > MAX_INT32:
            raise UsageError(f"neurons and iterations: at most {MAX_INT32} are possible")
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
        if not (isinstance(self.constant_features, str) and self.constant_features in CONSTANT_FEATURES):
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
