"""What a peer is, and what its kind have in common."""

import importlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_info

from ssnn.errors import BackendError
from ssnn.network import Layer, Network

INSTALL = 'pip install -e ".[peers]"'


class Peer(ABC):
    """Full-batch gradient descent on one network, in somebody else's library.

    X (m, n0) holds the inputs in `dtype`, one sample per row, y (m,) the classes in uint8, `network` the NumPy
    float64 weights to start from. On a machine with a GPU, a library that finds it uses it. `threads` is None where
    it is not known.
    """

    name: ClassVar[str]  # for people
    library: ClassVar[str]  # as imported
    dtype: ClassVar[str] = "float32"
    device: str = "cpu"
    threads: int | None = None
    first_call_seconds: float | None = None  # of one iteration and whatever is compiled for it

    def __init__(self, X: npt.NDArray[Any], y: npt.NDArray[np.uint8], network: Network, learning_rate: float) -> None:
        self.X = X
        self.y = y
        self.start = tuple(Layer(W.astype(self.dtype), b.astype(self.dtype)) for W, b in network)
        self.learning_rate = learning_rate

    @classmethod
    def load(cls) -> None:
        """Import the library; whatever is raised says why it cannot be used."""
        importlib.import_module(cls.library)

    @property
    def version(self) -> str:
        """Of the library, and of the one that computes for it."""
        return str(importlib.import_module(self.library).__version__)

    @abstractmethod
    def reset(self) -> None:
        """Go back to the initial weights."""

    @abstractmethod
    def run(self, k: int) -> list[float]:
        """Do k iterations to the end, and tell the cost of each before its update."""


def blas_threads() -> int | None:
    """How many threads BLAS uses, where that is known."""
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=None)


def unusable(peer_class: type[Peer], reason: str, remedy: str = INSTALL) -> BackendError:
    """Why a peer cannot run, in one line with what would help."""
    return BackendError(f"{peer_class.name} cannot run here: {reason}; what would help: {remedy}")
