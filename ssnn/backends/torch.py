"""PyTorch on the CPU or an NVIDIA GPU, through array-api-compat and without its autograd.

Its number of threads and the precision of its products are settings of the whole process. They are changed while one
of our functions runs, and those that run at the same time count each other, so that none saves what another has set.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy.typing as npt

from ssnn.backends import nvidia
from ssnn.backends.accumulation import MAX_FLOAT_BATCH, Accumulation, even_size
from ssnn.backends.base import Backend, Program, plain
from ssnn.backends.options import Description, Options
from ssnn.errors import BackendError
from ssnn.system.threads import FEWER, no_threads
from ssnn.typing import Array, Gradients, Tree, Update

MAX_MICROBATCH = 1600  # samples in a microbatch on the CPU: with fewer, calls cost more than what caches save


class TorchBackend(Backend):
    """PyTorch in inference mode: the gradients are ours."""

    name = "torch"
    library = "torch"
    device_kinds = ("cpu", "cuda")
    thread_variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        # Ours and PyTorch's, whose OpenMP ends the process where it cannot start one.
        if self.device == "cpu" and (reason := no_threads(2 * (self._cpu_threads() - 1))):
            raise BackendError(f"{reason}; what would help: {FEWER}")

    @classmethod
    def install_command(cls) -> str:
        return "python -m pip install torch"

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        import torch

        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return (*(f"cuda:{index}" for index in range(gpus)), "cpu")

    @classmethod
    def missing(cls) -> tuple[str, str] | None:
        import torch

        if torch.cuda.is_available():
            return None
        if torch.version.cuda is None:
            remedy = nvidia.remedy("python -m pip install --force-reinstall torch")
            return "on the CPU only: this build of torch has no CUDA", remedy
        return f"on the CPU only: {nvidia.NO_DEVICE}", nvidia.NEEDS_DEVICE

    def asarray(self, array: npt.NDArray[Any]) -> Array:
        import torch

        with self.library_config():
            return torch.tensor(plain(array), device=self.device)

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        host: npt.NDArray[Any] = array.cpu().numpy()
        return host

    def synchronize(self, tree: Tree) -> None:
        import torch

        if self.device != "cpu":
            torch.cuda.synchronize(self.device)

    def describe(self) -> Description:
        import torch

        if self.device == "cpu":
            return replace(super().describe(), threads=self._cpu_threads())
        return replace(super().describe(), device=f"{self.device} ({torch.cuda.get_device_name(self.device)})")

    def free_memory(self) -> int:
        import torch

        if self.device == "cpu":
            return super().free_memory()
        free, _ = torch.cuda.mem_get_info(self.device)
        return int(free)

    def accumulation(self, samples: int, features: int, weights: int, is_stack: bool = False) -> Accumulation:
        if self.device != "cpu":
            return Accumulation(samples, raw_pixels=self._float_bytes(samples, features) > self.free_memory() // 2)
        threads = self._cpu_threads()
        size = even_size(samples, MAX_MICROBATCH, threads)
        raw_pixels = self._float_bytes(samples, features) > MAX_FLOAT_BATCH
        return Accumulation(size, threads=threads, thread_config=_one_thread, raw_pixels=raw_pixels)

    def loop(self, gradients: Gradients, update: Update, k: int, accumulation: Accumulation) -> Program:
        return self._sharing(super().loop(gradients, update, k, accumulation).function)

    def minibatch_loop(self, gradients: Gradients, update: Update, accumulation: Accumulation) -> Program:
        return self._sharing(super().minibatch_loop(gradients, update, accumulation).function)

    def library_config(self) -> AbstractContextManager[None]:
        return self._config(self.threads)

    def _sharing(self, function: Callable[..., Any]) -> Program:
        """On the CPU it is our threads that share the work, each with one of PyTorch's."""
        return Program(function, partial(self._config, 1 if self.device == "cpu" else None))

    @contextmanager
    def _config(self, threads: int | None) -> Iterator[None]:
        import torch

        products = _on_cpu if self.device == "cpu" else _on_gpu
        precision = "tf32" if self.precision == "tf32" else "ieee"
        try:
            with _threads.limited(threads), products.held(precision), torch.inference_mode():
                yield
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
                raise MemoryError(str(error).splitlines()[0]) from error
            raise

    def _cpu_threads(self) -> int:
        return self.threads or _threads.usual()


class _Threads:
    """How many threads PyTorch uses: a number of each thread, which a new thread takes from where it was set last."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may come back here
        self._limits: dict[object, int] = {}
        self._before = 0  # any of them

    def usual(self) -> int:
        """The number outside of our limits."""
        import torch

        with self._lock:
            found = int(torch.get_num_threads())
            return self._before if found in self._limits.values() else found

    @contextmanager
    def limited(self, count: int | None) -> Iterator[None]:
        """Let the products of this thread use this number of threads within the block; None changes nothing."""
        if count is None:
            yield
            return
        import torch

        limit, usual = object(), self.usual()
        try:
            with self._lock:
                self._before = self._before if self._limits else usual
                self._limits[limit] = count
                torch.set_num_threads(count)
            yield
        finally:
            with self._lock:
                torch.set_num_threads(usual)
                self._limits.pop(limit, None)


class _Precision:
    """The precision of float32 products: those that want the same one share it, and who wants another one waits."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._changed = threading.Condition()
        self._holders: set[object] = set()
        self._value = self._before = ""

    @contextmanager
    def held(self, value: str) -> Iterator[None]:
        """Have this precision within the block."""
        import torch

        products = getattr(torch.backends, self._module).matmul
        holder = object()
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._holders or self._value == value)
                if not self._holders:
                    self._value, self._before = value, products.fp32_precision
                self._holders.add(holder)
                products.fp32_precision = value
            yield
        finally:
            with self._changed:
                if self._holders == {holder}:
                    products.fp32_precision = "none"  # which lets it follow a more general setting
                    if products.fp32_precision != self._before:
                        products.fp32_precision = self._before
                self._holders.discard(holder)
                self._changed.notify_all()


_threads = _Threads()
_on_cpu, _on_gpu = _Precision("mkldnn"), _Precision("cuda")


@contextmanager
def _one_thread() -> Iterator[None]:
    """One of our threads computes on its own; what `loop` runs in gives PyTorch its threads back."""
    import torch

    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
