"""PyTorch on the CPU or an NVIDIA GPU, through array-api-compat and without its autograd."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from ssnn.backends import nvidia
from ssnn.backends.accumulation import MAX_FLOAT_BATCH, Accumulation, even_size
from ssnn.backends.base import Backend
from ssnn.backends.options import Description
from ssnn.typing import Array, Tree

MAX_MICROBATCH = 1600  # samples in a microbatch on the CPU: with fewer, calls cost more than what caches save


class TorchBackend(Backend):
    """PyTorch in inference mode: the gradients are ours."""

    name = "torch"
    library = "torch"
    device_kinds = ("cpu", "cuda")

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
            return torch.tensor(array, device=self.device)

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

    @contextmanager
    def library_config(self) -> Iterator[None]:
        import torch

        threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
        torch.set_num_threads(self.threads or threads)
        torch.set_float32_matmul_precision("high" if self.precision == "tf32" else "highest")
        try:
            with torch.inference_mode():
                yield
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
                raise MemoryError(str(error).splitlines()[0]) from error
            raise
        finally:
            torch.set_num_threads(threads)
            torch.set_float32_matmul_precision(precision)

    def _cpu_threads(self) -> int:
        import torch

        return self.threads or int(torch.get_num_threads())


@contextmanager
def _one_thread() -> Iterator[None]:
    """One of our threads computes on its own; `library_config` gives PyTorch its threads back."""
    import torch

    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
