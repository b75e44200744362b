"""The hyperparameters of a run, checked where they are made."""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ssnn.errors import UsageError
from ssnn.optimizers import Adam, GradientDescent, Momentum, Optimizer
from ssnn.standardize import CONSTANT_FEATURES

MAX_INT32 = 2**31 - 1  # array libraries count in 32 bits
MAX_LAYERS = 100  # more learn nothing from such small initial weights, and a model's file has to name each of them


ORDERS = ("random", "file")
OPTIONS: dict[str, dict[str, float]] = {  # of each optimizer, with the defaults of scikit-learn's MLPClassifier
    "gd": {},
    "momentum": {"momentum": 0.9},
    "adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
}
# By default momentum 0.9, which adds up to ten gradients, comes to the same 0.5; 0.01 is what suits Adam here.
LEARNING_RATES = {"gd": 0.5, "momentum": 0.05, "adam": 0.01}
BY_OPTIMIZER: Any = None  # a default that depends on the optimizer


@dataclass(frozen=True)
class Settings:
    """The hyperparameters; the defaults are the article's, but for the constant features.

    Attributes
    ----------
    hidden : tuple of int
        Neurons per hidden layer, of which there are at most 100; () is logistic regression.
    learning_rate : float
        By default 0.5 for "gd", 0.05 for "momentum" and 0.01 for "adam".
    iterations : int
        Passes over all training images.
    seed : int
        Of the initial parameters, and of a random order.
    constant_features : {"drop", "keep"}
        What becomes of pixels that never vary in training; see `ssnn.standardize.fit_pixels`.
    optimizer : {"gd", "momentum", "adam"}
        See `ssnn.optimizers`: gradient descent, with momentum, or Adam.
    batch_size : int or None
        Images in a mini-batch, after each of which the parameters are updated. None is the full batch, and so is a
        size from the number of training images on.
    order : {"random", "file"} or None
        Of the images in mini-batches: drawn anew for each pass, or as they lie in the file. None for the full batch.
    momentum : float or None
        0 ≤ momentum < 1; of "momentum", else None. So are the options of "adam":
    beta_1, beta_2 : float or None
        0 ≤ β < 1.
    epsilon : float or None
        From 0 on.

    Raises
    ------
    UsageError
        If a value makes no sense, or is an option of another optimizer.

    Notes
    -----
    What is left open is filled in. So `dataclasses.replace` keeps the learning rate and the options of the optimizer
    that the settings were made for; for another optimizer, make new settings.
    """

    hidden: tuple[int, ...] = (10,)
    learning_rate: float = BY_OPTIMIZER
    iterations: int = 500
    seed: int = 561
    constant_features: str = "drop"
    optimizer: str = "gd"
    batch_size: int | None = None
    order: str | None = None
    momentum: float | None = None
    beta_1: float | None = None
    beta_2: float | None = None
    epsilon: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.hidden, tuple):
            raise UsageError(f"hidden layers {self.hidden}: a tuple of neurons per layer is needed")
        if len(self.hidden) > MAX_LAYERS:
            raise UsageError(f"{len(self.hidden):,} hidden layers: at most {MAX_LAYERS} are possible")
        self._check_optimizer()
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

    def make_optimizer(self) -> Optimizer:
        """The optimizer with its options."""
        makers: dict[str, Callable[..., Optimizer]] = {"gd": GradientDescent, "momentum": Momentum, "adam": Adam}
        return makers[self.optimizer](**{name: getattr(self, name) for name in OPTIONS[self.optimizer]})

    def updates_per_iteration(self, samples: int) -> int:
        """How many mini-batches a pass over this many training images has; 1 for the full batch."""
        return 1 if self.batch_size is None else max(1, math.ceil(samples / self.batch_size))

    def _check_optimizer(self) -> None:
        """Check optimizer and batches; what was left open becomes the default."""
        if not (isinstance(self.optimizer, str) and self.optimizer in OPTIONS):
            raise UsageError(f"optimizer {self.optimizer!r}: choose gd, momentum or adam")
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", LEARNING_RATES[self.optimizer])
        for owner, options in OPTIONS.items():
            for name, default in options.items():
                if owner != self.optimizer:
                    if getattr(self, name) is not None:
                        raise UsageError(
                            f"{words(name)} is an option of {owner}, and the optimizer is {self.optimizer}"
                        )
                    continue
                if getattr(self, name) is None:
                    object.__setattr__(self, name, default)
                self._keep(name, float, "a number is needed")
                value, is_epsilon = getattr(self, name), name == "epsilon"
                if not (0 <= value < (math.inf if is_epsilon else 1)):
                    needed = "a finite number from 0 on" if is_epsilon else "a number from 0 to below 1"
                    raise UsageError(f"{words(name)} {value}: {needed} is needed")
        if self.batch_size is None:
            if self.order is not None:
                raise UsageError(f"order {self.order}: it needs a batch size, for it is that of mini-batches")
            return
        self._keep("batch_size", _whole, "a whole number is needed")
        if self.batch_size < 1:
            raise UsageError(f"batch size {self.batch_size}: at least 1 is needed")
        if self.batch_size > MAX_INT32:
            raise UsageError(f"batch size {self.batch_size:,}: at most {MAX_INT32:,} is possible")
        if self.order is None:
            object.__setattr__(self, "order", ORDERS[0])
        if not (isinstance(self.order, str) and self.order in ORDERS):
            raise UsageError(f"order {self.order!r}: choose {' or '.join(ORDERS)}")

    def _keep(self, name: str, convert: Callable[[Any], Any], needed: str) -> None:
        """Keep a value as a plain one of Python's, whichever library it is from."""
        value = getattr(self, name)
        try:
            object.__setattr__(self, name, convert(value))
        except (TypeError, ValueError, OverflowError):
            raise UsageError(f"{words(name)} {value!r}: {needed}") from None


def _whole(value: Any) -> int:
    return int(operator.index(value))


def words(name: str) -> str:
    """The name of a setting as people read it."""
    return name if name.startswith("beta") else name.replace("_", " ")
