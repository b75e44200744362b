"""JAX on the CPU or a GPU: the iterations between two progress lines are one compiled program."""

import importlib.util
import operator
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.backends import nvidia
from ssnn.backends.accumulation import Accumulation, Microbatch, even_size
from ssnn.backends.base import Backend, Program
from ssnn.backends.options import Description, Options
from ssnn.errors import BackendError
from ssnn.typing import Array, Gradients, Tree, Update

MAX_MICROBATCH = 1600  # samples in a microbatch on the CPU: what is computed from it is still in the cache when used
POLL_SHARE = 0.01  # of the time waited so far: how long to sleep before looking again
THREADS_VARIABLE = "NPROC"  # what XLA's CPU client takes its number of threads from, once, when it starts


class JaxProgram(Program):
    """A jitted function. What `compile` compiled, a call of the same shapes and dtypes finds in JAX's cache."""

    function: Any

    def compile(self, *arguments: Any) -> None:
        with self.config():
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
    def install_command(cls) -> str:
        return "python -m pip install jax"

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        gpus = tuple(f"cuda:{index}" for index in range(len(_devices("gpu"))))
        return (*gpus, "cpu") if _devices("cpu") else gpus

    @classmethod
    def missing(cls) -> tuple[str, str] | None:
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

        with self.library_config():
            return jax.device_put(array, self._jax_device())

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        self.synchronize(array)
        return np.asarray(array)

    def describe(self) -> Description:
        if self.device != "cpu":
            return replace(super().describe(), device=f"{self.device} ({self._jax_device().device_kind})")
        threads = os.environ.get(THREADS_VARIABLE, "")
        return replace(super().describe(), threads=int(threads) if threads.isdecimal() else _schedulable_cpus())

    def synchronize(self, tree: Tree) -> None:
        import jax

        started = time.perf_counter()
        for array in jax.tree.leaves(tree):
            while not array.is_ready():  # JAX's own way to wait does not hear Ctrl-C
                time.sleep((time.perf_counter() - started) * POLL_SHARE)
        jax.block_until_ready(tree)

    @contextmanager
    def library_config(self) -> Iterator[None]:
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

    def program(self, function: Callable[..., Any]) -> Program:
        import jax

        return JaxProgram(jax.jit(function), self.library_config)

    def accumulation(self, samples: int, weights: int, is_stack: bool = False) -> Accumulation:
        size = even_size(samples, MAX_MICROBATCH) if self.device == "cpu" else samples
        return Accumulation(size, raw_pixels=True)  # standardised on the way into the product, for nothing

    def loop(self, gradients: Gradients, update: Update, k: int, accumulation: Accumulation) -> Program:
        import jax

        def iterations(
            network: Tree, X: Array, Y: Array, sample_weight: Array, learning_rate: float | Array
        ) -> tuple[Tree, Array]:
            def iteration(network: Tree, _: None) -> tuple[Tree, Array]:
                def add(total: Tree, microbatch: Microbatch) -> tuple[Tree, None]:
                    return jax.tree.map(operator.add, total, gradients(network, *microbatch)), None

                first = X[0, ...], Y[0, ...], sample_weight[0, ...]
                zero = jax.tree.map(jax.numpy.zeros_like, jax.eval_shape(gradients, network, *first))
                (gradient, cost), _ = jax.lax.scan(add, zero, (X, Y, sample_weight))
                return update(network, gradient, learning_rate), cost

            trained: tuple[Tree, Array] = jax.lax.scan(iteration, network, length=k)
            return trained

        return self.program(iterations)

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
