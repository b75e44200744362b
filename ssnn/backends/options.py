"""What a backend is opened with, what it offers here, and what it runs on: plain values."""

from dataclasses import dataclass

from ssnn.errors import UsageError

DTYPES = ("float32", "float64")
PRECISIONS = ("highest", "tf32")
MAX_THREADS = 1024  # with far more than there are cores, libraries crash or hang


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
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise UsageError(f"{self.threads} threads: choose 1 … {MAX_THREADS}")


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
    """What an open backend runs on, as it stands in every result.

    Attributes
    ----------
    device : str
        The device, a GPU with the name of its model.
    threads : int, optional
        How many threads compute on a CPU; None where that is not known.
    """

    name: str
    library: str
    version: str
    device: str
    dtype: str
    precision: str
    threads: int | None
