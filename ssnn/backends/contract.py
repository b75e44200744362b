"""What a backend is: the hooks that training needs from an array library, and what they have in common."""

import importlib
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.errors import BackendError, UsageError

Array = Any
DTYPES = ("float32", "float64")
PRECISIONS = ("highest", "tf32")


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
    kinds: ClassVar[tuple[str, ...]] = ("cpu",)  # of devices that it can use on some machine: "cpu", "cuda"

    def __init__(
        self, device: str | None = None, dtype: str = "float32", precision: str = "highest", threads: int | None = None
    ) -> None:
        """Take what `open_backend` documents; `self.device` becomes one of `devices()`."""
        availability = self.probe()
        if not availability.usable:
            raise _unusable(f"backend {self.name!r} cannot run here", availability.reason, availability.remedy)
        self.version = str(availability.version)
        self.dtype = dtype
        self.precision = precision
        self.threads = threads
        self.device = self._choose(device, availability)
        on_gpu = self.device != "cpu"
        if threads is not None and on_gpu:
            raise UsageError(f"threads are a setting of the CPU, and {self.name} runs on {self.device} here")
        if precision == "tf32":
            if "cuda" not in self.kinds:
                raise UsageError(f"{self.name} has no tf32; leave the precision at 'highest'")
            if dtype != "float32":
                raise UsageError(f"tf32 is a precision of float32, not of {dtype}")
            if not on_gpu:
                raise BackendError(f"tf32 needs an NVIDIA GPU, and {self.name} runs on the CPU here")

    @classmethod
    def probe(cls) -> Availability:
        """What this backend offers here."""
        try:
            version = str(importlib.import_module(cls.library).__version__)
        except Exception as error:  # a library that is installed and broken fails in ways of its own
            absent = isinstance(error, ModuleNotFoundError) and error.name == cls.library
            reason = f"{cls.library} is not installed" if absent else f"import {cls.library} fails: {_one_line(error)}"
            return Availability(cls.name, library=cls.library, reason=reason, remedy=cls.install())
        devices = cls.devices()
        return Availability(cls.name, bool(devices), cls.library, version, devices, *(cls.lacks() or ()))

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
        device, threads = self.running_on()
        return Description(self.name, self.library, self.version, device, self.dtype, self.precision, threads)

    @abstractmethod
    def running_on(self) -> tuple[str, int | None]:
        """The device, a GPU with its model's name, and how many threads matrix products use on a CPU."""

    @abstractmethod
    def synchronize(self, values: Any) -> None:
        """Wait until these arrays (or lists and tuples of them) are computed."""

    def scope(self) -> AbstractContextManager[None]:
        """The switches of the library, held for as long as one of our functions runs."""
        return nothing()

    def compile(self, function: Callable[..., Any]) -> Program:
        """Make a function of arrays ready to run."""
        return Program(function, self.scope)

    def loop(self, step: Callable[..., Any], k: int) -> Program:
        """Make k iterations of `step` ready to run without a word to the host.

        Parameters
        ----------
        step : callable
            (network, X, Y, weight, learning_rate) -> (network, cost), pure.
        k : int
            Iterations, at least 1.

        Returns
        -------
        Program
            Of the same arguments; gives the network after k iterations and their costs, (k, ...), on the device.
        """
        return self.compile(self.repeat(step, k))

    def repeat(self, step: Callable[..., Any], k: int) -> Callable[..., Any]:
        """k iterations as one function, in the way that suits the library."""

        def iterations(network: Any, *arguments: Any) -> tuple[Any, Array]:
            costs = []
            for _ in range(k):
                network, cost = step(network, *arguments)
                costs.append(cost)
            return network, array_namespace(cost).stack(costs)

        return iterations

    def _choose(self, wanted: str | None, availability: Availability) -> str:
        """The device that a person means by "cpu", "gpu", "cuda:1" or nothing at all."""
        if wanted is None:
            return availability.devices[0]
        kind, _, index = wanted.partition(":")
        kind = "cuda" if kind == "gpu" else kind
        if kind not in ("cpu", "cuda") or (":" in wanted and not (kind == "cuda" and index.isdecimal())):
            raise UsageError(f"unknown device {wanted!r}; choose cpu, gpu, cuda, or one of several as in cuda:1")
        if kind not in self.kinds:
            raise UsageError(f"{self.name} never runs on {wanted!r}, only on {' and '.join(self.kinds)}")
        device = "cpu" if kind == "cpu" else f"cuda:{int(index or 0)}"
        if device not in availability.devices:
            reason = availability.reason or f"its devices are {', '.join(availability.devices)}"
            raise _unusable(f"{self.name} has no device {wanted!r} here", reason, availability.remedy)
        return device


@contextmanager
def nothing() -> Iterator[None]:
    """The scope of a library without switches."""
    yield


def _unusable(what: str, reason: str | None, remedy: str | None) -> BackendError:
    return BackendError(f"{what}: {reason}" + (f"; what would help: {remedy}" if remedy else ""))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
