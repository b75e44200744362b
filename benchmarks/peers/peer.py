"""What a peer is, and what all of them have in common."""

import importlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_info

from ssnn.data import Dataset
from ssnn.errors import BackendError
from ssnn.initialization import initial_network
from ssnn.network import Layer, Network
from ssnn.settings import Settings
from ssnn.standardize import fit_pixels, select, standardize

INSTALL = 'pip install -e ".[peers]"'


class Problem(NamedTuple):
    """What a peer is given: the same work as a backend of ours.

    Attributes
    ----------
    X : array (m, n)
        The inputs, one sample per row, in the dtype to compute in.
    y : uint8 array (m,)
        The classes.
    network : tuple of Layer
        The parameters to start from, NumPy float64.
    learning_rate : float
    """

    X: npt.NDArray[Any]
    y: npt.NDArray[np.uint8]
    network: Network
    learning_rate: float


def make_problem(digits: Dataset, settings: Settings, dtype: str, constant_features: str) -> Problem:
    """The problem of a peer.

    Parameters
    ----------
    digits : Dataset
    settings : Settings
    dtype : str
    constant_features : {"drop", "keep"}
        Leave out the pixels that never vary in training, or keep them with a standard deviation of 1, which makes
        them 0 throughout. The costs are the same; which of the two is faster depends on the library.
    """
    pixels = digits.train.pixels
    standardization = fit_pixels(pixels)
    features, mean, std = standardization.arrays
    X = np.ascontiguousarray(standardize(select(pixels, features), mean, std).T, dtype)
    if constant_features == "keep":
        every = np.zeros(pixels.shape, dtype)
        every[:, features] = X
        X, features = every, np.arange(pixels.shape[1])
    network = initial_network((pixels.shape[1], *settings.hidden, 1), settings.seed, features)
    return Problem(X, digits.train.labels, network, settings.learning_rate)


class Peer(ABC):
    """Full-batch gradient descent on one network, in another library.

    On a machine with a GPU, a library that finds it uses it. `threads` is None where it is not known.
    """

    name: ClassVar[str]  # for people
    library: ClassVar[str]  # as imported
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)
    constant_features: ClassVar[tuple[str, ...]] = ("drop", "keep")  # the inputs that it is measured with
    device: str = "cpu"
    threads: int | None = None
    first_call_seconds: float | None = None  # of one iteration, compilation included

    def __init__(self, problem: Problem) -> None:
        self.X, self.y, network, self.learning_rate = problem
        self.dtype = str(self.X.dtype)
        self.start = tuple(Layer(W.astype(self.dtype), b.astype(self.dtype)) for W, b in network)

    @classmethod
    def load(cls) -> None:
        """Import the library; any exception says why it cannot be used."""
        importlib.import_module(cls.library)

    @property
    def version(self) -> str:
        """Of the library, and of the one that computes for it."""
        return str(importlib.import_module(self.library).__version__)

    @abstractmethod
    def reset(self) -> None:
        """Go back to the initial parameters."""

    @abstractmethod
    def run(self, k: int) -> list[float]:
        """Do k iterations, wait for the device, and return the cost of each iteration before its update."""


def blas_threads() -> int | None:
    """The number of threads that BLAS uses, where that is known."""
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=None)


def unusable(peer_class: type[Peer], reason: str, remedy: str = INSTALL) -> BackendError:
    """Why a peer cannot run, in one line with what would help."""
    return BackendError(f"{peer_class.name} cannot run here: {reason}; what would help: {remedy}")
