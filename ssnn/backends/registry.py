"""The backends by name: our own, and those that other packages add.

Another package adds a backend by a subclass of `Backend` and an entry point in the group `ssnn.backends`:

    [project.entry-points."ssnn.backends"]
    mylibrary = "mypackage.ssnn_backend:MyBackend"
"""

import importlib
import re
from importlib.metadata import entry_points
from operator import attrgetter

from ssnn.backends.base import Backend
from ssnn.backends.options import Availability, Options
from ssnn.errors import BackendError, SsnnError, UsageError
from ssnn.printable import printable

BUILT_IN = {
    "numpy": "ssnn.backends.numpy:NumpyBackend",
    "cupy": "ssnn.backends.cupy:CupyBackend",
    "jax": "ssnn.backends.jax:JaxBackend",
    "torch": "ssnn.backends.torch:TorchBackend",
    "strict": "ssnn.backends.strict:StrictBackend",
}
ENTRY_POINTS = "ssnn.backends"
TARGET = re.compile(r"([\w.]+)\s*:\s*([\w.]+)\s*(\[.*\])?")  # of an entry point: module, attribute, extras
REMEDY = "a repaired version of the package that adds it"


def names() -> list[str]:
    """The names of all backends, our own first.

    Raises
    ------
    BackendError
        If the packages that are installed cannot be asked for theirs.
    """
    return [*BUILT_IN, *_others()]


def available_backends() -> list[Availability]:
    """What every backend offers on this machine, or why it offers nothing. Imports every library it finds."""
    try:
        others = [_probe(name, target) for name, target in _others().items()]
    except BackendError as error:
        others = [Availability("others", reason=str(error), remedy="to reinstall that package")]
    return [_probe(name, target) for name, target in BUILT_IN.items()] + others


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
    if name in BUILT_IN:
        return _load(name, BUILT_IN[name])(options)
    others = _others()
    if name not in others:
        raise UsageError(f"unknown backend {name!r}; choose one of {', '.join([*BUILT_IN, *others])}")
    try:
        backend = _load(name, others[name])
    except BackendError as error:
        raise BackendError(f"{error}; what would help: {REMEDY}") from error
    try:
        return backend(options)
    except (SsnnError, MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # third-party code, which may fail in any way, and call sys.exit
        raise BackendError(f"backend {name!r} cannot be opened: {_told(error)}; what would help: {REMEDY}") from error


def _others() -> dict[str, str]:
    """Where the backends of other packages are, by name; our names cannot be overridden."""
    try:
        points = entry_points(group=ENTRY_POINTS)
    except Exception as error:  # one package whose list is damaged takes those of all others with it
        raise BackendError(f"a list of entry points, of a package that is installed, is damaged: {error}") from error
    return {point.name: point.value for point in points if point.name not in BUILT_IN}


def _load(name: str, target: str) -> type[Backend]:
    found = TARGET.fullmatch(target)
    if found is None:
        raise _not_loaded(name, f"{target!r} is not of the form package.module:Class")
    try:
        backend = attrgetter(found[2])(importlib.import_module(found[1]))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _not_loaded(name, f"{target}: {_told(error)}") from error
    if not (isinstance(backend, type) and issubclass(backend, Backend)):
        raise _not_loaded(name, f"{target} is not a subclass of ssnn.backends.Backend")
    missing = [*sorted(backend.__abstractmethods__), *({"name", "library"} - set(dir(backend)))]
    if missing:
        raise _not_loaded(name, f"{target} lacks {', '.join(missing)}")
    if backend.name != name:
        raise _not_loaded(name, f"{target} calls itself {backend.name!r}")
    return backend


def _not_loaded(name: str, why: str) -> BackendError:
    return BackendError(f"backend {name!r} cannot be loaded: {why}")


def _probe(name: str, target: str) -> Availability:
    try:
        return _plain(name, _load(name, target).probe())
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever is wrong with one backend must not hide the others
        return Availability(printable(name), reason=printable(_told(error)), remedy=REMEDY)


def _plain(name: str, found: Availability) -> Availability:
    """What a backend says of itself, of the types that it should have and safe to show."""
    library, version, reason, remedy = (
        None if text is None else printable(text) for text in (found.library, found.version, found.reason, found.remedy)
    )
    devices = tuple(map(printable, found.devices))
    return Availability(printable(name), bool(found.usable), library, version, devices, reason, remedy)


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, SsnnError) else f"{type(error).__name__}: {text}"
