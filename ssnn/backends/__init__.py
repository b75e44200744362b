"""Array libraries behind one small contract, which asks for nothing but what the standard leaves open.

The maths comes as functions written in the Array API standard; a backend brings arrays in and out, makes a
function ready to run (`compile`, `loop`), waits for it and says what it ran on. A backend knows one library,
imports it only inside functions, and sets a library's switches only around its own calls.

Another package adds a backend by a subclass of `Backend` and an entry point in the group `ssnn.backends`:

    [project.entry-points."ssnn.backends"]
    mylibrary = "mypackage.ssnn_backend:MyBackend"
"""

import importlib
from importlib.metadata import entry_points

from ssnn.backends.contract import DTYPES, PRECISIONS, Availability, Backend, Description, Program
from ssnn.errors import BackendError, UsageError

__all__ = [
    "DTYPES",
    "PRECISIONS",
    "Availability",
    "Backend",
    "BackendError",
    "Description",
    "Program",
    "available",
    "names",
    "open_backend",
]

BUILT_IN = {
    "numpy": "ssnn.backends.numpy:NumpyBackend",
    "cupy": "ssnn.backends.cupy:CupyBackend",
    "jax": "ssnn.backends.jax:JaxBackend",
    "torch": "ssnn.backends.torch:TorchBackend",
    "strict": "ssnn.backends.strict:StrictBackend",
}
ENTRY_POINTS = "ssnn.backends"


def names() -> list[str]:
    """The names of all backends, our own first."""
    return list(_registry())


def available() -> list[Availability]:
    """What every backend offers on this machine, or why it offers nothing. Imports every library it finds."""
    return [_probe(name) for name in names()]


def open_backend(
    name: str = "numpy",
    device: str | None = None,
    dtype: str = "float32",
    precision: str = "highest",
    threads: int | None = None,
) -> Backend:
    """Open a backend.

    Parameters
    ----------
    name : str
        One of `names()`.
    device : str, optional
        "cpu", "gpu", "cuda" or one of several as in "cuda:1"; by default a GPU where the library has one.
    dtype : {"float32", "float64"}
        Of every floating-point array.
    precision : {"highest", "tf32"}
        "tf32" lets a GPU round the factors of float32 matrix products to 10 bits.
    threads : int, optional
        How many threads matrix products may use on a CPU; by default the library's own choice.

    Raises
    ------
    UsageError
        If no backend has this name, or the library never has what is asked of it.
    BackendError
        If the backend, the device or the precision is not usable on this machine.
    """
    if name not in BUILT_IN and name not in _registry():
        raise UsageError(f"unknown backend {name!r}; choose one of {', '.join(names())}")
    if dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}; choose one of {', '.join(DTYPES)}")
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}; choose one of {', '.join(PRECISIONS)}")
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads: at least 1 is needed")
    return _load(name)(device, dtype, precision, threads)


def _registry() -> dict[str, str]:
    found = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return BUILT_IN | {name: target for name, target in found.items() if name not in BUILT_IN}


def _load(name: str) -> type[Backend]:
    target = BUILT_IN.get(name) or _registry()[name]
    module, _, attribute = target.partition(":")
    try:
        backend = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # somebody else's code: whatever is wrong with it must not break our own backends
        raise BackendError(f"backend {name!r} cannot be loaded: {target}: {error}") from error
    if not (isinstance(backend, type) and issubclass(backend, Backend)):
        raise BackendError(f"backend {name!r} cannot be loaded: {target} is not a subclass of ssnn.backends.Backend")
    return backend


def _probe(name: str) -> Availability:
    try:
        return _load(name).probe()
    except BackendError as error:
        return Availability(name, reason=str(error), remedy="update the package that adds this backend")
