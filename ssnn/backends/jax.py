"""JAX on the CPU or a GPU: the iterations between two progress lines are one compiled program."""

import functools
import importlib.util
import operator
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ssnn.backends import nvidia
from ssnn.backends.accumulation import Accumulation, Microbatch, even_size
from ssnn.backends.base import Backend, Program, plain, take_samples
from ssnn.backends.options import Availability, Description, Options
from ssnn.errors import BackendError
from ssnn.system import machine
from ssnn.system.environment import environment_variable
from ssnn.system.threads import no_threads
from ssnn.tree import tree_map
from ssnn.typing import Array, Gradients, Tree, Update

MAX_MICROBATCH = 1600  # samples in a microbatch on the CPU: what is computed from it is still in the cache when used
AXIS = "shard"  # the name of the mesh's only axis
FLAGS_VARIABLE = "XLA_FLAGS"
DEVICES_FLAG = "xla_force_host_platform_device_count"
THREADS_VARIABLE = "NPROC"  # what XLA's CPU client takes its number of threads from, once, when it starts
OTHER_THREADS = 17  # that JAX and we start besides two for each of those
PREALLOCATION_VARIABLE = "XLA_PYTHON_CLIENT_PREALLOCATE"


class JaxProgram(Program):
    """A jitted function. What `compile` compiled, a call of the same shapes and dtypes finds in JAX's cache."""

    function: Any

    def compile(self, *arguments: Any) -> None:
        with self.config():
            self.function.lower(*arguments).compile()


class JaxMeshProgram(JaxProgram):
    """Iterations on several devices, each with a copy of the network; what comes out is on the first device."""

    def __init__(self, function: Any, config: Callable[[], AbstractContextManager[None]], mesh: Any) -> None:
        super().__init__(function, config)
        self._mesh = mesh

    def compile(self, *arguments: Any) -> None:
        super().compile(*self._replicated(*arguments))

    def __call__(self, *arguments: Any) -> Any:
        import jax

        outputs = super().__call__(*self._replicated(*arguments))
        return jax.device_put(outputs, self._mesh.devices[0])

    def _replicated(self, network: Tree, X: Array, Y: Array, sample_weight: Array, learning_rate: Any) -> Any:
        import jax

        everywhere = jax.NamedSharding(self._mesh, jax.P())
        with self.config():  # where a number of Python's keeps its 64 bits
            network, learning_rate = jax.device_put((network, learning_rate), everywhere)
        return network, X, Y, sample_weight, learning_rate


class JaxBackend(Backend):
    """JAX. Neither 64-bit numbers nor the precision of products is switched outside our own calls.

    All cores of the CPU are devices, and so are all GPUs unless one is chosen: they share the microbatches, and add up
    their gradients once per iteration.
    """

    name = "jax"
    library = "jax"
    device_kinds = ("cpu", "cuda")
    thread_variables = (THREADS_VARIABLE,)

    _starting: ClassVar = threading.RLock()
    _started: ClassVar[int | None] = None  # with how many threads, once one of us is open

    def __init__(self, options: Options) -> None:
        with self._starts(options.threads):
            super().__init__(options)
        self._mesh = self._make_mesh(options.device)

    @classmethod
    def probe(cls) -> Availability:
        with cls._starts(None):
            availability = super().probe()
            if availability.usable and JaxBackend._started is None:
                JaxBackend._started = _threads()
        return availability

    @classmethod
    @contextmanager
    def _starts(cls, threads: int | None) -> Iterator[None]:
        """The context in which JAX may start: with this number of threads, which it takes from the environment once."""
        with cls._starting:
            before = os.environ.get(THREADS_VARIABLE)
            found = before if cls._started is None else str(cls._started)
            if threads is not None and str(threads) != found and "jax" in sys.modules:
                raise BackendError("jax takes its threads once, and has been imported already: use a new process")
            with environment_variable(THREADS_VARIABLE, str(threads or before or machine.cores())):
                yield

    @classmethod
    def hindrance(cls) -> tuple[str, str] | None:
        if found := super().hindrance():
            return found
        if cls._started is not None:
            return None
        if fault := _flags_fault(os.environ.get(FLAGS_VARIABLE, "")):
            return fault, f"{FLAGS_VARIABLE} corrected, or left unset"
        reason = no_threads(OTHER_THREADS + 2 * _threads())
        return (reason, "a higher limit (ulimit -u), or NumPy (--backend numpy --threads 1)") if reason else None

    @classmethod
    def install_command(cls) -> str:
        return "python -m pip install jax"

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        _make_cores_devices()
        gpus = tuple(f"cuda:{index}" for index in range(len(_devices("gpu"))))
        return (*gpus, "cpu") if _devices("cpu") else gpus

    @classmethod
    def missing(cls) -> tuple[str, str] | None:
        if _devices("gpu"):
            return None
        if not _devices("cpu"):
            return "it finds no device", cls._remedy("JAX_PLATFORMS, JAX_NUM_CPU_DEVICES")
        if importlib.util.find_spec("jax_plugins") is None:
            remedy = nvidia.remedy('python -m pip install --upgrade "jax[cuda{cuda}]"')
            return "on the CPU only: jax is installed without CUDA", remedy
        return f"on the CPU only: {nvidia.NO_DEVICE}", nvidia.NEEDS_DEVICE

    def asarray(self, array: npt.NDArray[Any]) -> Array:
        import jax

        with self.library_config():
            return jax.device_put(plain(array), self._jax_device())

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        self.synchronize(array)
        return np.asarray(array)

    def describe(self) -> Description:
        notes = [self._jax_device().device_kind] if self.device != "cpu" else []
        notes += [f"{self._mesh.size} devices"] if self._mesh.size > 1 else []
        device = f"{self.device} ({', '.join(notes)})" if notes else self.device
        return replace(super().describe(), device=device, threads=self._started if self.device == "cpu" else None)

    def synchronize(self, tree: Tree) -> None:
        import jax

        if all(array.is_ready() for array in jax.tree.leaves(tree)):
            jax.block_until_ready(tree)  # which raises what may have gone wrong
            return
        # JAX's way to wait does not hear Ctrl-C, so another thread takes it, and this one waits for that thread.
        # To look again and again whether all is ready would take a core from the computation each time.
        waited: Future[None] = Future()

        def wait() -> None:
            try:
                jax.block_until_ready(tree)
            except BaseException as error:
                waited.set_exception(error)
            else:
                waited.set_result(None)

        threading.Thread(target=wait, daemon=True).start()
        waited.result()

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

    def shard(self, count: int, part: Callable[[int, int], Tree]) -> Tree:
        import jax

        if self._mesh.size == 1:
            return super().shard(count, part)
        sharding = jax.NamedSharding(self._mesh, jax.P(AXIS))
        share = count // self._mesh.size

        def joined(*shards: Array) -> Array:
            shape = (count, *shards[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, sharding, list(shards))

        with self.library_config():  # one share after the other, so that the host holds no more than one
            shards = [
                tree_map(lambda a, device=device: jax.device_put(plain(self._in_dtype(a)), device), part(i, i + share))
                for i, device in zip(range(0, count, share), self._mesh.devices, strict=True)
            ]
            return tree_map(joined, *shards)

    def free_memory(self) -> int:
        stats = self._jax_device().memory_stats() if self.device != "cpu" else None
        if stats is None:
            return super().free_memory()
        return int(stats["bytes_limit"] - stats["bytes_in_use"]) * int(self._mesh.size)

    def accumulation(self, samples: int, features: int, weights: int, is_stack: bool = False) -> Accumulation:
        devices = self._mesh.size
        largest = MAX_MICROBATCH if self.device == "cpu" else samples
        # Raw pixels are standardised on the way into the product, which costs nothing.
        return Accumulation(even_size(samples, largest, devices), devices=devices, feature_major=True)

    def loop(self, gradients: Gradients, update: Update, k: int, accumulation: Accumulation) -> Program:
        import jax

        mesh = self._mesh

        def iterations(
            network: Tree, X: Array, Y: Array, sample_weight: Array, learning_rate: float | Array
        ) -> tuple[Tree, Array]:
            def iteration(network: Tree, _: None) -> tuple[Tree, Array]:
                total = _accumulate(gradients, network, (X, Y, sample_weight))
                gradient, cost = jax.lax.psum(total, AXIS) if mesh.size > 1 else total
                return update(network, gradient, learning_rate), cost

            trained: tuple[Tree, Array] = jax.lax.scan(iteration, network, length=k)
            return trained

        if mesh.size == 1:
            return self.program(iterations)
        shards, copies = jax.P(AXIS), jax.P()
        on_mesh = jax.shard_map(
            iterations, mesh=mesh, in_specs=(copies, shards, shards, shards, copies), out_specs=copies, check_vma=False
        )
        return JaxMeshProgram(jax.jit(on_mesh), self.library_config, mesh)

    def minibatch_loop(self, gradients: Gradients, update: Update, accumulation: Accumulation) -> Program:
        import jax

        def updates(
            network: Tree, X: Array, Y: Array, places: Array, sample_weight: Array, learning_rate: float | Array
        ) -> tuple[Tree, Array]:
            def step(network: Tree, minibatch: Microbatch) -> tuple[Tree, Array]:
                gradient, cost = _accumulate(gradients, network, minibatch)
                return update(network, gradient, learning_rate), cost

            trained: tuple[Tree, Array] = jax.lax.scan(step, network, (*take_samples(X, Y, places), sample_weight))
            return trained

        return self.program(updates)

    def _make_mesh(self, wanted: str | None) -> Any:
        """The devices that share a batch: all cores, all GPUs, or the one GPU that was named."""
        import jax

        kind, _, _ = self.device.partition(":")
        devices = _devices(kind)
        if kind == "cpu":
            devices = devices[: min(self.threads or machine.cores(), machine.cores())]
        elif wanted is not None and ":" in wanted:
            devices = [self._jax_device()]
        return jax.sharding.Mesh(np.array(devices), (AXIS,))

    def _jax_device(self) -> Any:
        kind, _, index = self.device.partition(":")
        return _devices(kind)[int(index or 0)]


def _accumulate(gradients: Gradients, network: Tree, batch: Microbatch) -> Any:
    """The sum of gradient and cost over the microbatches of X (p, n0, s), Y and sample_weight."""
    import jax

    def add(total: Tree, microbatch: Microbatch) -> tuple[Tree, None]:
        return jax.tree.map(operator.add, total, gradients(network, *microbatch)), None

    first = [array[0, ...] for array in batch]
    if batch[0].shape[0] == 1:
        return gradients(network, *first)
    zero = jax.tree.map(jax.numpy.zeros_like, jax.eval_shape(gradients, network, *first))
    total, _ = jax.lax.scan(add, zero, batch)
    return total


def _devices(kind: str) -> list[Any]:
    import jax

    try:
        return list(jax.devices(kind))
    except (RuntimeError, AssertionError):  # the latter where JAX_PLATFORMS names what is not there
        return []


def _make_cores_devices() -> None:
    """Let JAX take each core for a device, where it has not started and no number of devices was set.

    Else it hands each small product to its threads and back, which takes longer than the product.
    """
    import jax

    if jax.config.jax_num_cpu_devices != -1 or DEVICES_FLAG in os.environ.get(FLAGS_VARIABLE, ""):
        return
    with suppress(RuntimeError):  # it has started
        jax.config.update("jax_num_cpu_devices", min(_threads(), machine.cores()))


def _threads() -> int:
    """The threads that JAX is started with."""
    return int(os.environ[THREADS_VARIABLE])


@functools.cache
def _flags_fault(flags: str) -> str | None:
    """What is wrong with these flags of XLA, which would end this process: found by ending another one."""
    if not flags:
        return None
    variables = {**os.environ, FLAGS_VARIABLE: flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", "import jax; jax.devices()"]
    try:
        told = subprocess.run(command, env=variables, capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    fault = re.search(r"^[EF]\d{4} [^]]*\] (.*?)\.?$", told.stderr, re.MULTILINE)
    return f"it does not take {FLAGS_VARIABLE}: {fault[1]}" if told.returncode and fault else None


def allocate_on_demand() -> None:
    """Let JAX take the memory of a GPU as it needs it, unless the user has said otherwise; before JAX starts.

    Else it takes most of it at once. This holds for the whole process.
    """
    os.environ.setdefault(PREALLOCATION_VARIABLE, "false")
