"""JAX on the CPU or a GPU: the iterations between two progress lines are one compiled program."""

import importlib.util
import operator
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.backends import nvidia
from ssnn.backends.contract import Backend, Options, Program, Update
from ssnn.backends.pieces import Array, Gradients, Piece, even
from ssnn.errors import BackendError

LONGEST = 1600  # samples in a piece on the CPU: what is computed from it is still in the cache when it is needed
POLL = 0.01  # of the time waited so far: how long to sleep before looking again
THREADS_VARIABLE = "NPROC"  # what XLA's CPU client takes its number of threads from, once, when it starts


class JaxProgram(Program):
    """A jitted function. What `prepare` compiled, a call of the same shapes and dtypes finds in JAX's cache."""

    function: Any

    def prepare(self, *arguments: Any) -> None:
        with self.scope():
            self.function.lower(*arguments).compile()


class JaxBackend(Backend):
    """JAX. Neither 64-bit numbers nor the precision of products is switched outside our own calls."""

    name = "jax"
    library = "jax"
    device_kinds = ("cpu", "cuda")

    def __init__(self, options: Options) -> None:
        if options.threads is not None and os.environ.get(THREADS_VARIABLE) != str(options.threads):
            if "jax" in sys.modules:
                raise BackendError("jax takes its threads once, and has been imported already: use a new process")
            os.environ[THREADS_VARIABLE] = str(options.threads)
        super().__init__(options)

    @classmethod
    def install(cls) -> str:
        return "python -m pip install jax"

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        gpus = tuple(f"cuda:{index}" for index in range(len(_devices("gpu"))))
        return (*gpus, "cpu") if _devices("cpu") else gpus

    @classmethod
    def lacks(cls) -> tuple[str, str] | None:
        if _devices("gpu"):
            return None
        if not _devices("cpu"):
            return "it finds no device", "JAX_PLATFORMS left unset, or naming a platform that is here"
        if importlib.util.find_spec("jax_plugins") is None:
            remedy = nvidia.remedy('python -m pip install --upgrade "jax[cuda{cuda}]"')
            return "on the CPU only: jax is installed without CUDA", remedy
        return f"on the CPU only: {nvidia.NO_DEVICE}", nvidia.NEEDS_DEVICE

    def asarray(self, array: npt.NDArray[Any]) -> Array:
        import jax

        with self.scope():
            return jax.device_put(array, self._jax_device())

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        self.synchronize(array)
        return np.asarray(array)

    def device_name(self) -> str:
        return self.device if self.device == "cpu" else f"{self.device} ({self._jax_device().device_kind})"

    def thread_count(self) -> int | None:
        threads = os.environ.get(THREADS_VARIABLE, "")
        if self.device != "cpu":
            return None
        return int(threads) if threads.isdecimal() else _schedulable_cpus()

    def synchronize(self, values: Any) -> None:
        import jax

        started = time.perf_counter()
        for array in jax.tree.leaves(values):
            while not array.is_ready():  # JAX's own way to wait does not hear Ctrl-C
                time.sleep((time.perf_counter() - started) * POLL)
        jax.block_until_ready(values)

    @contextmanager
    def scope(self) -> Iterator[None]:
        import jax

        precision = "tensorfloat32" if self.precision == "tf32" else "highest"
        try:
            with (
                jax.enable_x64(self.dtype == "float64"),
                jax.default_matmul_precision(precision),
                np.errstate(over="ignore"),  # of a learning rate that float32 cannot hold: the cost tells
            ):
                yield
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" in str(error):
                raise MemoryError(str(error).splitlines()[0]) from error
            raise

    def compile(self, function: Callable[..., Any]) -> Program:
        import jax

        return JaxProgram(jax.jit(function), self.scope)

    def piece_length(self, samples: int, weights: int) -> int:
        return even(samples, LONGEST) if self.device == "cpu" else samples

    def allocate(self, pieces: int, features: int, samples: int) -> Array:
        import jax

        with self.scope():
            return jax.numpy.empty((pieces, features, samples), self.dtype, device=self._jax_device())

    def writing(self, function: Callable[..., Array]) -> Program:
        import jax

        def write(X: Array, index: int, *arguments: Array) -> Array:
            return jax.lax.dynamic_update_index_in_dim(X, function(*arguments), index, axis=0)

        return JaxProgram(jax.jit(write, donate_argnums=0), self.scope)

    def repeat(self, gradients: Gradients, update: Update, k: int) -> Callable[..., Any]:
        import jax

        def iterations(network: Any, X: Array, Y: Array, weight: Array, learning_rate: Array) -> Any:
            def iteration(network: Any, _: None) -> tuple[Any, Array]:
                def add(total: Any, piece: Piece) -> tuple[Any, None]:
                    return jax.tree.map(operator.add, total, gradients(network, *piece)), None

                a_piece = X[0], Y[0], weight[0]
                nothing = jax.tree.map(jax.numpy.zeros_like, jax.eval_shape(gradients, network, *a_piece))
                (gradient, cost), _ = jax.lax.scan(add, nothing, (X, Y, weight))
                return update(network, gradient, learning_rate), cost

            return jax.lax.scan(iteration, network, length=k)

        return iterations

    def _jax_device(self) -> Any:
        import jax

        kind, _, index = self.device.partition(":")
        return jax.devices(kind)[int(index or 0)]


def _devices(kind: str) -> list[Any]:
    import jax

    try:
        return list(jax.devices(kind))
    except (RuntimeError, AssertionError):  # the latter where JAX_PLATFORMS names what is not there
        return []


def _schedulable_cpus() -> int | None:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
