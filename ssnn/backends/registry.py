"""The backends by name: our own, and those that other packages add.

Another package adds a backend by a subclass of `Backend` and an entry point in the group `ssnn.backends`:

    [project.entry-points."ssnn.backends"]
    mylibrary = "mypackage.ssnn_backend:MyBackend"
"""

import importlib
from importlib.metadata import entry_points

from ssnn.backends.base import Backend
from ssnn.backends.options import Availability, Options
from ssnn.errors import BackendError, UsageError

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


def available_backends() -> list[Availability]:
    """What every backend offers on this machine, or why it offers nothing. Imports every library it finds."""
    return [_probe(name, target) for name, target in _registry().items()]


def open_backend(
    name: str = "numpy",
    device: str | None = None,
    dtype: str = "float32",
    precision: str = "highest",
    threads: int | None = None,
) -> Backend:
    """Open the backend of this name, with what `Options` describes.

    Raises
    ------
    UsageError
        If no backend has this name, or the library never has what is asked of it.
    BackendError
        If the backend, the device or the precision is not usable on this machine.
    """
    options = Options(device, dtype, precision, threads)
    registry = _registry()
    if name not in registry:
        raise UsageError(f"unknown backend {name!r}; choose one of {', '.join(registry)}")
    return _load(name, registry[name])(options)


def _registry() -> dict[str, str]:
    """Where every backend is, by name: ours first, and their names cannot be overridden."""
    found = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return BUILT_IN | found | BUILT_IN


def _load(name: str, target: str) -> type[Backend]:
    module, _, attribute = target.partition(":")
    try:
        backend = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # third-party code, which may fail in any way
        raise BackendError(f"backend {name!r} cannot be loaded: {target}: {error}") from error
    if not (isinstance(backend, type) and issubclass(backend, Backend)):
        raise BackendError(f"backend {name!r} cannot be loaded: {target} is not a subclass of ssnn.backends.Backend")
    missing = [*sorted(backend.__abstractmethods__), *({"name", "library"} - set(dir(backend)))]
    if missing:
        raise BackendError(f"backend {name!r} cannot be loaded: {target} lacks {', '.join(missing)}")
    if backend.name != name:
        raise BackendError(f"backend {name!r} cannot be loaded: {target} calls itself {backend.name!r}")
    return backend


def _probe(name: str, target: str) -> Availability:
    try:
        return _load(name, target).probe()
    except Exception as error:  # whatever is wrong with one backend must not hide the others
        return Availability(name, reason=str(error), remedy="a repaired version of the package that adds it")
