"""What a peer is, and what all of them have in common."""

import importlib
import math
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
    varying : int array
        The columns of X that vary in training.
    settings : Settings
    """

    X: npt.NDArray[Any]
    y: npt.NDArray[np.uint8]
    network: Network
    varying: npt.NDArray[Any]
    settings: Settings


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
    varying = np.arange(len(features))
    if constant_features == "keep":
        every = np.zeros(pixels.shape, dtype)
        every[:, features] = X
        X, varying, features = every, features, np.arange(pixels.shape[1])
    network = initial_network((pixels.shape[1], *settings.hidden, 1), settings.seed, features)
    return Problem(X, digits.train.labels, network, varying, settings)


class Peer(ABC):
    """Training of one network in another library: full-batch gradient descent, or mini-batches with Adam.

    Mini-batches come in the order of the file; the last one may be shorter. On a machine with a GPU, a library that
    finds it uses it. `threads` is None where it is not known.
    """

    name: ClassVar[str]  # for people
    library: ClassVar[str]  # as imported
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)
    constant_features: ClassVar[tuple[str, ...]] = ("drop", "keep")  # the inputs that it is measured with
    cost_per_pass: ClassVar[bool] = False  # the library gives the mean cost of a pass, not the cost of each update
    device: str = "cpu"
    threads: int | None = None
    first_call_seconds: float | None = None  # of one iteration, compilation included

    def __init__(self, problem: Problem) -> None:
        self.X, self.y, network, self.varying, self.settings = problem
        self.batch_size = self.settings.batch_size or len(self.X)
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
        """Go back to the initial parameters, and to an optimizer that has done nothing."""

    @abstractmethod
    def run(self, k: int) -> list[float]:
        """Do k iterations, wait for the device, and return the cost of each batch before its update.

        Where the library does not give these, the mean cost of each pass over the samples.
        """

    @abstractmethod
    def parameters(self) -> list[npt.NDArray[Any]]:
        """On the host: the weights of a layer, one row per input, then its biases, and so on."""

    def network(self) -> Network:
        """The network without the inputs that never vary, as a backend of ours has it."""
        parameters = self.parameters()
        (W, b), *others = (Layer(W.T, b[:, None]) for W, b in zip(parameters[::2], parameters[1::2], strict=True))
        return Layer(W[:, self.varying], b), *others


def adam_epsilon(settings: Settings) -> float:
    """Adam's ε for a library that adds it to √s, which is not divided by √(1 − β₂ᵗ) yet.

    Kingma and Ba (2015), end of section 2, call it ε̂ = ε · √(1 − β₂ᵗ). A library takes one number for all updates: it
    is that of the first one, in which a gradient near 0 is not yet averaged with others.
    """
    return settings.epsilon * math.sqrt(1 - settings.beta_2)


def blas_threads() -> int | None:
    """The number of threads that BLAS uses, where that is known."""
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=None)


def unusable(peer_class: type[Peer], reason: str, remedy: str = INSTALL) -> BackendError:
    """Why a peer cannot run, in one line with what would help."""
    return BackendError(f"{peer_class.name} cannot run here: {reason}; what would help: {remedy}")
