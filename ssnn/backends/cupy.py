"""CuPy on an NVIDIA GPU: kernels are queued one after the other, and nothing waits for them."""

import operator
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ssnn.backends import nvidia
from ssnn.backends.accumulation import Accumulation
from ssnn.backends.base import Backend, Program, plain
from ssnn.backends.options import Description, Options
from ssnn.errors import BackendError
from ssnn.system.environment import environment_variable
from ssnn.typing import Array, Gradients, Tree, Update

PRECISION_VARIABLE = "CUPY_TF32"


class CupyProgram(Program):
    """CuPy compiles each kernel at its first use, so to compile is to run once and drop the result."""

    def __init__(
        self,
        function: Callable[..., Any],
        config: Callable[[], AbstractContextManager[None]],
        rehearsal: Callable[..., Any] | None = None,
    ) -> None:
        """`rehearsal` uses the same kernels as the function in less time."""
        super().__init__(function, config)
        self._rehearsal = rehearsal or function

    def compile(self, *arguments: Any) -> None:
        import cupy

        with self.config():
            self._rehearsal(*arguments)
            cupy.cuda.get_current_stream().synchronize()


class CupyBackend(Backend):
    """CuPy, which runs on CUDA devices only."""

    name = "cupy"
    library = "cupy"
    device_kinds = ("cuda",)

    _pinning: ClassVar = threading.RLock()
    _process_precision: ClassVar[str | None] = None

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._index = int(self.device.removeprefix("cuda:"))
        with self._pinned_precision():
            self._check_cublas()

    @classmethod
    def install_command(cls) -> str:
        return nvidia.remedy('python -m pip install "cupy-cuda{cuda}x[ctk]"')

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        import cupy

        if not cupy.cuda.is_available():
            return ()
        return tuple(f"cuda:{index}" for index in range(cupy.cuda.runtime.getDeviceCount()))

    @classmethod
    def missing(cls) -> tuple[str, str] | None:
        return None if cls.devices() else (nvidia.NO_DEVICE, nvidia.NEEDS_DEVICE)

    def asarray(self, array: npt.NDArray[Any]) -> Array:
        import cupy

        with self.library_config():
            return cupy.asarray(plain(array))

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        import cupy

        host: npt.NDArray[Any] = cupy.asnumpy(array)
        return host

    def describe(self) -> Description:
        import cupy

        model = cupy.cuda.runtime.getDeviceProperties(self._index)["name"].decode()
        return replace(super().describe(), device=f"{self.device} ({model})")

    def synchronize(self, tree: Tree) -> None:
        import cupy

        cupy.cuda.Device(self._index).synchronize()

    @contextmanager
    def library_config(self) -> Iterator[None]:
        import cupy

        with cupy.cuda.Device(self._index):
            yield

    def program(self, function: Callable[..., Any]) -> Program:
        return CupyProgram(function, self.library_config)

    def free_memory(self) -> int:
        import cupy

        with self.library_config():
            free, _ = cupy.cuda.runtime.memGetInfo()
        return int(free + cupy.get_default_memory_pool().free_bytes())

    def accumulation(self, samples: int, features: int, weights: int, is_stack: bool = False) -> Accumulation:
        # One microbatch, for one product that fills the device; standardised once where that fits, since kernel by
        # kernel it would move more bytes in each iteration than the standardised samples have.
        return Accumulation(samples, raw_pixels=self._float_bytes(samples, features) > self.free_memory() // 2)

    def loop(self, gradients: Gradients, update: Update, k: int, accumulation: Accumulation) -> Program:
        iterations = super().loop(gradients, update, k, accumulation).function
        one = super().loop(gradients, update, 1, accumulation).function

        def first(*arguments: Any) -> object:
            return _stacked_costs(one(*arguments), k)

        return CupyProgram(iterations, self.library_config, rehearsal=first)

    def minibatch_loop(self, gradients: Gradients, update: Update, accumulation: Accumulation) -> Program:
        updates = super().minibatch_loop(gradients, update, accumulation).function

        def first(
            network: Tree, X: Array, Y: Array, places: Array, sample_weight: Array, learning_rate: float | Array
        ) -> object:
            one = updates(network, X, Y, places[:1, ...], sample_weight[:1, ...], learning_rate)
            return _stacked_costs(one, places.shape[0])

        return CupyProgram(updates, self.library_config, rehearsal=first)

    @contextmanager
    def _pinned_precision(self) -> Iterator[None]:
        """CuPy reads a variable at the first matrix product of the process, and has no other public switch."""
        with self._pinning:
            if CupyBackend._process_precision not in (None, self.precision):
                raise BackendError(f"cupy runs in {CupyBackend._process_precision} precision here: use a new process")
            CupyBackend._process_precision = self.precision
            with environment_variable(PRECISION_VARIABLE, "1" if self.precision == "tf32" else "0"):
                yield

    def _check_cublas(self) -> None:
        """CuPy imports, and finds its devices, without the CUDA libraries that its first matrix product needs."""
        ones = self.asarray(np.ones((2, 2), np.float32))  # of a single number CuPy makes no matrix product
        try:
            self.program(operator.matmul)(ones, ones)
        except (ImportError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise BackendError(
                f"cupy cannot multiply matrices here: {reason}; what would help: {self.install_command()}"
            ) from None


def _stacked_costs(one: tuple[Tree, Array], k: int) -> Array:
    """The costs of k updates, all of them that of one: CuPy has another kernel for many arrays than for a few."""
    import cupy

    return cupy.stack([one[1][0, ...]] * k)
