"""What a backend is: the few hooks that training needs from an array library, and what backends have in common."""

import importlib
import os
import re
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ssnn.backends.accumulation import MIN_SHARED, Accumulation, GradientAccumulator, split
from ssnn.backends.options import MAX_THREADS, Availability, Description, Options
from ssnn.errors import BackendError, UsageError
from ssnn.system import machine
from ssnn.tree import tree_map
from ssnn.typing import Array, Gradients, Tree, Update


class Program:
    """A function of arrays that runs under the configuration of a backend, called like the function itself."""

    def __init__(self, function: Callable[..., Any], config: Callable[[], AbstractContextManager[None]]) -> None:
        self.function = function
        self.config = config

    def compile(self, *arguments: Any) -> None:
        """Compile for arguments of these shapes and dtypes without running; most libraries have nothing to compile."""

    def __call__(self, *arguments: Any) -> Any:
        """Run."""
        with self.config():
            return self.function(*arguments)


class Backend(ABC):
    """One array library, on one device, in one dtype.

    A subclass sets the class variables and implements the abstract methods. It overrides `library_config` where its
    library has settings, `program`, `loop` and `minibatch_loop` where it compiles, and `accumulation` where
    microbatches or threads make it faster.
    """

    name: ClassVar[str]  # as registered
    library: ClassVar[str]  # as imported
    device_kinds: ClassVar[tuple[str, ...]] = ("cpu",)  # the kinds of device that it can use on some machine
    thread_variables: ClassVar[tuple[str, ...]] = ()  # of the environment, that give its library a number of threads

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
        if hindrance := cls.hindrance():
            return Availability(cls.name, library=cls.library, reason=hindrance[0], remedy=hindrance[1])
        try:
            module = importlib.import_module(cls.library)
            devices = cls.devices()
            reason, remedy = cls.missing() or (None, None)
        except Exception as error:  # a library that is installed and broken fails in ways of its own
            absent = isinstance(error, ModuleNotFoundError) and error.name == cls.library
            failure = f"{cls.library} is not installed" if absent else f"{cls.library} fails: {_one_line(error)}"
            broken = isinstance(error, ImportError | OSError)
            remedy = cls.install_command() if broken else cls._remedy(failure)
            return Availability(cls.name, library=cls.library, reason=failure, remedy=remedy)
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
    def install_command(cls) -> str:
        """The command that installs the library."""

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """The devices that are available here, the preferred one first: "cuda:0", "cuda:1", …, "cpu"."""
        return ("cpu",)

    @classmethod
    def hindrance(cls) -> tuple[str, str] | None:
        """What keeps the library from being imported and started in this process, and the remedy."""
        for variable in cls.thread_variables:
            text = os.environ.get(variable, "")
            # OpenMP takes one number for each level of threads within threads.
            count = text.partition(",")[0] if variable.startswith("OMP_") else text
            if text and not (re.fullmatch(r"\s*\d{1,4}\s*", count) and 1 <= int(count) <= MAX_THREADS):
                remedy = f"{variable} left unset, or a whole number from 1 to {MAX_THREADS}"
                return f"{variable} is {reprlib.repr(text)}, which is no number of threads", remedy
        return None

    @classmethod
    def missing(cls) -> tuple[str, str] | None:
        """What the installed library cannot use on this machine, and the remedy."""
        return None

    @abstractmethod
    def asarray(self, array: npt.NDArray[Any]) -> Array:
        """Bring a NumPy array to the device, in its own dtype.

        It may be empty, read-only, reversed, not contiguous, or in the other byte order; see `plain`.
        """

    @abstractmethod
    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        """Bring an array back to the host, once it is computed."""

    @abstractmethod
    def synchronize(self, tree: Tree) -> None:
        """Wait until these arrays are computed."""

    def to_device(self, tree: Tree) -> Tree:
        """Bring a tree of NumPy arrays to the device, floating-point numbers in the dtype of the backend."""
        return tree_map(lambda a: self.asarray(self._in_dtype(a)), tree)

    def shard(self, count: int, part: Callable[[int, int], Tree]) -> Tree:
        """Bring microbatches to the devices that share them; by default all to one.

        Parameters
        ----------
        count : int
            Of microbatches.
        part : callable
            (start, stop) -> the microbatches from start to stop: a tree of NumPy arrays (stop - start, ...).
        """
        return self.to_device(part(0, count))

    def to_host(self, tree: Tree) -> Tree:
        """Bring a tree of arrays back as NumPy arrays, once they are computed."""
        return tree_map(self.to_numpy, tree)

    def describe(self) -> Description:
        """What this backend runs on."""
        return Description(self.name, self.library, self.version, self.device, self.dtype, self.precision, self.threads)

    def library_config(self) -> AbstractContextManager[None]:
        """The context in which our functions run: the settings of the library, undone when it ends.

        A run that diverges is reported by its cost, so warnings of overflow are turned off here.
        A library whose exception for too little memory is not a MemoryError has it translated here.
        """
        return nullcontext()

    def program(self, function: Callable[..., Any]) -> Program:
        """Make a function of arrays ready to run."""
        return Program(function, self.library_config)

    def accumulation(self, samples: int, features: int, weights: int, is_stack: bool = False) -> Accumulation:
        """How `loop` is to split a batch.

        Parameters
        ----------
        samples, features : int
            In the batch.
        weights : int
            In the largest weight matrix of one network.
        is_stack : bool
            Whether the network is a stack of networks, whose leading axes those of several microbatches would meet.
        """
        return Accumulation(microbatch_size=samples)

    def minibatch_accumulation(self, samples: int, features: int, weights: int, is_stack: bool) -> Accumulation:
        """How `minibatch_loop` is to split a mini-batch; the parameters are those of `accumulation`."""
        chosen = replace(self.accumulation(samples, features, weights, is_stack), devices=1)
        if samples * weights < MIN_SHARED:
            return replace(chosen, microbatch_size=samples, per_call=1, threads=1)
        return chosen

    def free_memory(self) -> int:
        """Bytes that the device can still hold."""
        return machine.free_memory()

    def loop(self, gradients: Gradients, update: Update, k: int, accumulation: Accumulation) -> Program:
        """Make k iterations of gradient descent ready to run with no host synchronisation.

        Parameters
        ----------
        gradients, update : callable
        k : int
            Iterations, at least 1.
        accumulation : Accumulation
            How the batch is split.

        Returns
        -------
        Program
            Of the network, a batch X (p, n0, s), Y (p, 1, s) and sample_weight (p, 1, s) of p microbatches, and the
            learning rate; returns the network after k iterations and their costs, (k, ...), on the device.
        """

        def iterations(
            network: Tree, X: Array, Y: Array, sample_weight: Array, learning_rate: float | Array
        ) -> tuple[Tree, Array]:
            costs, microbatches = [], split((X, Y, sample_weight), accumulation.per_call)
            with GradientAccumulator(gradients, accumulation) as accumulate:
                for _ in range(k):
                    gradient, cost = accumulate(network, microbatches)
                    network = update(network, gradient, learning_rate)
                    costs.append(cost)
            return network, array_namespace(cost).stack(costs)

        return Program(iterations, self.library_config)

    def minibatch_loop(self, gradients: Gradients, update: Update, accumulation: Accumulation) -> Program:
        """Make an update after each of several mini-batches ready to run with no host synchronisation.

        Parameters
        ----------
        gradients, update : callable
        accumulation : Accumulation
            How a mini-batch is split; from `minibatch_accumulation`.

        Returns
        -------
        Program
            Of the network; samples X (m, n0) and their classes Y (m,); of k mini-batches the places of their samples
            in X, whole numbers (k, p, s), and sample_weight (k, p, 1, s), each in p microbatches; and the learning
            rate. Returns the network after k updates and the cost of each mini-batch before its update, (k, ...), on
            the device.
        """

        def updates(
            network: Tree, X: Array, Y: Array, places: Array, sample_weight: Array, learning_rate: float | Array
        ) -> tuple[Tree, Array]:
            def gathered(network: Tree, places: Array, sample_weight: Array) -> tuple[Tree, Array]:
                return gradients(network, *take_samples(X, Y, places), sample_weight)

            costs = []
            with GradientAccumulator(gathered, accumulation) as accumulate:
                for i in range(places.shape[0]):
                    minibatch = places[i, ...], sample_weight[i, ...]
                    gradient, cost = accumulate(network, split(minibatch, accumulation.per_call))
                    network = update(network, gradient, learning_rate)
                    costs.append(cost)
            return network, array_namespace(cost).stack(costs)

        return Program(updates, self.library_config)

    @classmethod
    def _remedy(cls, failure: str) -> str:
        """What may help a library that is there and fails: variables of the environment that bear its name left unset.

        Those that the failure names, or else all of them; without any, to install the library anew.
        """
        variables = sorted(name for name in os.environ if name.startswith(f"{cls.library.upper()}_"))
        named = [name for name in variables if name.lower() in failure.lower()]
        return f"{', '.join(named or variables)} left unset" if variables else cls.install_command()

    def _float_bytes(self, samples: int, features: int) -> int:
        """Bytes of a batch of standardised samples."""
        return samples * features * np.dtype(self.dtype).itemsize

    def _in_dtype(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array.astype(self.dtype) if array.dtype.kind == "f" else array

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


def take_samples(X: Array, Y: Array, places: Array) -> tuple[Array, Array]:
    """The samples at these places (..., s) of X (m, n0) and Y (m,), as microbatches (..., n0, s) and (..., 1, s)."""
    xp = array_namespace(X)
    flat = xp.reshape(places, (-1,))  # the standard takes one axis of indices
    rows = xp.reshape(xp.take(X, flat, axis=0), (*places.shape, X.shape[1]))
    return rows.mT, xp.reshape(xp.take(Y, flat, axis=0), (*places.shape[:-1], 1, places.shape[-1]))


def plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array as every library takes it: in the byte order of this machine, and no axis reversed.

    The axes keep their order in memory.
    """
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    return array.copy(order="K") if any(stride < 0 for stride in array.strides) else array


def _unusable(what: str, reason: str | None, remedy: str | None) -> BackendError:
    return BackendError(f"{what}: {reason}" + (f"; what would help: {remedy}" if remedy else ""))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
