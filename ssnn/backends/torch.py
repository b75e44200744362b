"""PyTorch on the CPU or an NVIDIA GPU, through array-api-compat and without its autograd."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt

from ssnn.backends import nvidia
from ssnn.backends.contract import Backend
from ssnn.backends.pieces import Array, even

LONGEST = 3200  # samples in a piece on the CPU: with fewer, calls cost more than what caches save


class TorchBackend(Backend):
    """PyTorch in inference mode: the gradients are ours."""

    name = "torch"
    library = "torch"
    device_kinds = ("cpu", "cuda")

    @classmethod
    def install(cls) -> str:
        return "python -m pip install torch"

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        import torch

        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return (*(f"cuda:{index}" for index in range(gpus)), "cpu")

    @classmethod
    def lacks(cls) -> tuple[str, str] | None:
        import torch

        if torch.cuda.is_available():
            return None
        if torch.version.cuda is None:
            remedy = nvidia.remedy("python -m pip install --force-reinstall torch")
            return "on the CPU only: this build of torch has no CUDA", remedy
        return f"on the CPU only: {nvidia.NO_DEVICE}", nvidia.NEEDS_DEVICE

    def asarray(self, array: npt.NDArray[Any]) -> Array:
        import torch

        with self.scope():
            return torch.tensor(array, device=self.device)

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        host: npt.NDArray[Any] = array.cpu().numpy()
        return host

    def device_name(self) -> str:
        import torch

        return self.device if self.device == "cpu" else f"{self.device} ({torch.cuda.get_device_name(self.device)})"

    def thread_count(self) -> int | None:
        import torch

        return self.threads or torch.get_num_threads() if self.device == "cpu" else None

    def synchronize(self, values: Any) -> None:
        import torch

        if self.device != "cpu":
            torch.cuda.synchronize(self.device)

    def allocate(self, pieces: int, features: int, samples: int) -> Array:
        import torch

        with self.scope():
            return torch.empty((pieces, samples, features), dtype=getattr(torch, self.dtype), device=self.device).mT

    def piece_length(self, samples: int, weights: int) -> int:
        return even(samples, LONGEST, self.workers()) if self.device == "cpu" else samples

    def workers(self) -> int:
        return self.thread_count() or 1

    @contextmanager
    def thread_scope(self) -> Iterator[None]:
        import torch

        if self.device == "cpu":
            torch.set_num_threads(1)  # until `scope` ends; a thread of ours computes on its own
        with torch.inference_mode():
            yield

    @contextmanager
    def scope(self) -> Iterator[None]:
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
