"""What a backend is: the hooks that training needs from an array library, and what they have in common."""

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.backends.pieces import Array, Gradients, Piece, adding, cut
from ssnn.errors import BackendError, UsageError

Update = Callable[[Any, Any, Any], Any]
DTYPES = ("float32", "float64")
PRECISIONS = ("highest", "tf32")
MOST_THREADS = 1024  # with far more than there are cores, libraries crash or hang


@dataclass(frozen=True)
class Options:
    """What a backend is opened with.

    Attributes
    ----------
    device : str, optional
        "cpu", "gpu", "cuda" or one of several as in "cuda:1"; by default a GPU where the library has one.
    dtype : {"float32", "float64"}
        Of every floating-point array.
    precision : {"highest", "tf32"}
        "tf32" lets an NVIDIA GPU round the factors of float32 matrix products to 10 bits.
    threads : int, optional
        How many threads matrix products may use on a CPU; by default the library's own choice.

    Raises
    ------
    UsageError
        If a value makes no sense for any backend.
    """

    device: str | None = None
    dtype: str = "float32"
    precision: str = "highest"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UsageError(f"unknown dtype {self.dtype!r}; choose one of {', '.join(DTYPES)}")
        if self.precision not in PRECISIONS:
            raise UsageError(f"unknown precision {self.precision!r}; choose one of {', '.join(PRECISIONS)}")
        if self.precision == "tf32" and self.dtype != "float32":
            raise UsageError(f"tf32 is a precision of float32, not of {self.dtype}")
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise UsageError(f"{self.threads} threads: choose 1 … {MOST_THREADS}")


@dataclass(frozen=True)
class Availability:
    """What a backend offers on this machine.

    `reason` says what is missing and `remedy` what would bring it, a command where there is one. Both may
    stand beside a usable backend too: JAX without CUDA runs, but on the CPU only.
    """

    name: str
    usable: bool = False
    library: str | None = None
    version: str | None = None
    devices: tuple[str, ...] = ()
    reason: str | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class Description:
    """What an open backend runs on, as it stands in every result. `threads` is None where it is not known."""

    name: str
    library: str
    version: str
    device: str
    dtype: str
    precision: str
    threads: int | None


class Program:
    """A function made ready for a backend, to be called like the function itself."""

    def __init__(self, function: Callable[..., Any], scope: Callable[[], AbstractContextManager[None]]) -> None:
        self.function = function
        self.scope = scope

    def prepare(self, *arguments: Any) -> None:
        """Compile for arguments of these shapes and dtypes, without running; most libraries have nothing to do."""

    def __call__(self, *arguments: Any) -> Any:
        """Run, under the switches of the backend."""
        with self.scope():
            return self.function(*arguments)


class Backend(ABC):
    """One array library, on one device, in one dtype.

    A subclass sets the class variables, implements the abstract methods, and overrides `scope` where its
    library has switches, `compile` and `repeat` where it compiles.
    """

    name: ClassVar[str]  # as registered
    library: ClassVar[str]  # as imported
    device_kinds: ClassVar[tuple[str, ...]] = ("cpu",)  # the kinds of device that it can use on some machine

    def __init__(self, options: Options) -> None:
        """Open; `self.device` becomes one of `devices()`.

        Raises
        ------
        UsageError
            If the library never has what is asked of it.
        BackendError
            If it does not have it on this machine.
        """
        availability = self.probe()
        if not availability.usable:
            raise _unusable(f"backend {self.name!r} cannot run here", availability.reason, availability.remedy)
        self.version = str(availability.version)
        self.dtype = options.dtype
        self.precision = options.precision
        self.threads = options.threads
        self.device = self._choose(options.device, availability)
        if self.threads is not None and self.device != "cpu":
            raise UsageError(f"threads are a setting of the CPU, and {self.name} runs on {self.device} here")
        if self.precision == "tf32" and "cuda" not in self.device_kinds:
            raise UsageError(f"{self.name} has no tf32; leave the precision at 'highest'")
        if self.precision == "tf32" and not self.device.startswith("cuda"):
            raise BackendError(f"tf32 needs an NVIDIA GPU, and {self.name} runs on {self.device} here")

    @classmethod
    def probe(cls) -> Availability:
        """What this backend offers here."""
        try:
            module = importlib.import_module(cls.library)
            devices = cls.devices()
            reason, remedy = cls.lacks() or (None, None)
        except Exception as error:  # a library that is installed and broken fails in ways of its own
            absent = isinstance(error, ModuleNotFoundError) and error.name == cls.library
            failure = f"{cls.library} is not installed" if absent else f"{cls.library} fails: {_one_line(error)}"
            return Availability(cls.name, library=cls.library, reason=failure, remedy=cls.install())
        return Availability(
            cls.name,
            usable=bool(devices),
            library=cls.library,
            version=getattr(module, "__version__", "unknown"),
            devices=devices,
            reason=reason,
            remedy=remedy,
        )

    @classmethod
    @abstractmethod
    def install(cls) -> str:
        """The command that installs the library."""

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """The devices to be had here, the one to prefer first: "cuda:0", "cuda:1", …, "cpu"."""
        return ("cpu",)

    @classmethod
    def lacks(cls) -> tuple[str, str] | None:
        """What the installed library cannot use on this machine, and the remedy."""
        return None

    @abstractmethod
    def asarray(self, array: npt.NDArray[Any]) -> Array:
        """Bring a NumPy array to the device, in its own dtype."""

    @abstractmethod
    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        """Bring an array back to the host, once it is computed."""

    def describe(self) -> Description:
        """What this backend runs on."""
        return Description(
            self.name,
            self.library,
            self.version,
            self.device_name(),
            self.dtype,
            self.precision,
            self.thread_count(),
        )

    def device_name(self) -> str:
        """The device, a GPU with the name of its model."""
        return self.device

    def thread_count(self) -> int | None:
        """How many threads compute on a CPU; None where that is not known."""
        return self.threads

    @abstractmethod
    def synchronize(self, values: Any) -> None:
        """Wait until these arrays (or lists and tuples of them) are computed."""

    def scope(self) -> AbstractContextManager[None]:
        """What holds while one of our functions runs: the switches of the library.

        A library whose exception for too little memory is not a MemoryError has it translated here.
        """
        return nullcontext()

    def compile(self, function: Callable[..., Any]) -> Program:
        """Make a function of arrays ready to run."""
        return Program(function, self.scope)

    def piece_length(self, samples: int, weights: int) -> int:
        """How many samples a piece of a batch should hold, for a largest weight matrix of so many weights."""
        return samples

    def allocate(self, pieces: int, features: int, samples: int) -> Array:
        """A batch X (pieces, features, samples) for `writing` to fill, in the layout that suits the library best.

        Here a sample lies in one stretch of memory, which suits both products with X.
        """
        return self.asarray(np.empty((pieces, samples, features), self.dtype)).mT

    def writing(self, function: Callable[..., Array]) -> Program:
        """Make a function ready whose result becomes one piece of a batch.

        Returns
        -------
        Program
            (X, index, *arguments) -> X, whose piece X[index] is now function(*arguments). The memory of the X that
            goes in is used for the one that comes out.
        """

        def write(X: Array, index: int, *arguments: Array) -> Array:
            X[index, ...] = function(*arguments)
            return X

        return self.compile(write)

    def loop(self, gradients: Gradients, update: Update, k: int) -> Program:
        """Make k iterations of gradient descent ready to run without a word to the host.

        Parameters
        ----------
        gradients : callable
            (network, X, Y, weight) -> (gradient, cost), pure, and a sum over the samples.
        update : callable
            (network, gradient, learning_rate) -> network, pure.
        k : int
            Iterations, at least 1.

        Returns
        -------
        Program
            Of the network, a batch X (p, n0, s), Y (p, 1, s) and weight (p, 1, s) of p pieces, and the learning
            rate; gives the network after k iterations and their costs, (k, ...), on the device.
        """
        return self.compile(self.repeat(gradients, update, k))

    def repeat(self, gradients: Gradients, update: Update, k: int) -> Callable[..., Any]:
        """k iterations as one function, in the way that suits the library."""

        def iterations(network: Any, X: Array, Y: Array, weight: Array, learning_rate: Array) -> tuple[Any, Array]:
            costs = []
            with adding(gradients, self.cut(network, X, Y, weight), self.workers(), self.thread_scope) as total:
                for _ in range(k):
                    gradient, cost = total(network)
                    network = update(network, gradient, learning_rate)
                    costs.append(cost)
            return network, array_namespace(cost).stack(costs)

        return iterations

    def cut(self, network: Any, *batch: Array) -> list[Piece]:
        """The pieces of a batch, as `repeat` hands them to `gradients`."""
        return cut(batch)

    def workers(self) -> int:
        """How many threads share the pieces in `repeat`; a library that uses all cores by itself needs but one."""
        return 1

    def thread_scope(self) -> AbstractContextManager[None]:
        """What each of these threads needs besides `scope`, for switches that hold in one thread only."""
        return nullcontext()

    def _choose(self, wanted: str | None, availability: Availability) -> str:
        """The device that a person means by "cpu", "gpu", "cuda:1" or nothing at all."""
        if wanted is None:
            return availability.devices[0]
        gpu = re.fullmatch(r"(?:gpu|cuda)(?::(\d+))?", wanted)
        device = f"cuda:{int(gpu[1] or 0)}" if gpu else wanted
        if device in availability.devices:
            return device
        if ("cuda" if gpu else wanted) not in self.device_kinds:
            raise UsageError(f"{self.name} never runs on {wanted!r}, only on {' and '.join(self.device_kinds)}")
        reason = availability.reason or f"its devices are {', '.join(availability.devices)}"
        raise _unusable(f"{self.name} has no device {wanted!r} here", reason, availability.remedy)


def _unusable(what: str, reason: str | None, remedy: str | None) -> BackendError:
    return BackendError(f"{what}: {reason}" + (f"; what would help: {remedy}" if remedy else ""))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
