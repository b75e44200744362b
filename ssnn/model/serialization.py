"""Model files: everything about a model in one safetensors file, with a checksum, and nothing in it that runs.

The tensors are the parameters, W1, b1, W2, …, the state of the optimizer (velocity_W1, …; mean_W1, …, square_W1, … and
updates), the standardisation, the hyperplanes of novelty detection, and the costs.
The metadata are texts: the schema, JSON for settings, data and backend, the version of ssnn, and the SHA-256 of all
the rest. The same model gives the same bytes.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from itertools import pairwise, permutations
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from ssnn.backends import DTYPES, Description
from ssnn.data.dataset import SIDE
from ssnn.errors import ModelError
from ssnn.model.model import Model
from ssnn.model.novelty import Novelty
from ssnn.model.record import DataSummary
from ssnn.network import Layer, Network
from ssnn.optimizers import AdamState
from ssnn.printable import printable
from ssnn.settings import OPTIONS, Settings
from ssnn.standardize import Standardization
from ssnn.system.files import atomic_write, reason
from ssnn.system.machine import free_memory
from ssnn.typing import Tree
from ssnn.version import __version__

SCHEMA = "ssnn.model/2"
WITHOUT_OPTIMIZER = "ssnn.model/1"  # trained by gradient descent on the full batch, as everything was then
MAX_COUNT = {"float32": 2**24, "float64": 2**53}  # up to which adding 1 changes a number of this dtype
MAX_HEADER = 10**6  # bytes; ours takes about a thousand
COMMON = (
    "features",
    "mean",
    "std",
    "n_constant",
    "familiar_mean",
    "familiar_components",
    "familiar_limit",
    "costs",
)
ALL_OPTIONS = [name for options in OPTIONS.values() for name in options]
Tensors = dict[str, npt.NDArray[Any]]
Record = TypeVar("Record", Settings, DataSummary, Description)


def save_model(model: Model, path: str | Path) -> None:
    """Write a model, all but the `run` of a `TrainedModel`, to a safetensors file that `load_model` reads.

    A file that was there is replaced only by a whole one; see `ssnn.system.files.atomic_write`.

    Raises
    ------
    ModelError
        If `load_model` would refuse the model. A file that was there stays.
    SsnnError
        If the file cannot be written.
    """
    with _one_line(f"{path}: not written, for load_model would refuse it"):
        tensors, metadata = _parts(model)
        _model(tensors, metadata)
        header, data = _serialized(tensors, metadata | {"sha256": _checksum(tensors, metadata)})
    with atomic_write(path) as put:
        put(header)
        put(data)


def load_model(path: str | Path) -> Model:
    """Read a model.

    Returns
    -------
    Model
        To the bit as it was saved.

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, or is not an ssnn model.
    """
    tensors, metadata = _read(path)
    with _one_line(f"{path}: not a usable model"):
        return _model(tensors, metadata)


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    """Tell what does not fit together in a model."""
    try:
        yield
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise ModelError(f"{what}: {why}") from None


def _parts(model: Model) -> tuple[Tensors, dict[str, str]]:
    """What a model file holds, but for its checksum."""
    tensors: Tensors = {
        "features": model.standardization.features.astype(np.int64),
        "mean": model.standardization.mean,
        "std": model.standardization.std,
        "n_constant": np.array([model.standardization.n_constant], np.int64),
        "familiar_mean": model.novelty.mean,
        "familiar_components": model.novelty.components,
        "familiar_limit": model.novelty.limit,
        "costs": np.array(model.costs, np.float64),
    }
    tensors |= _named("", model.network) | _optimizer_tensors(model.settings.optimizer, model.optimizer_state)
    metadata = {
        "schema": SCHEMA,
        "ssnn": __version__,
        "settings": json.dumps(asdict(model.settings)),
        "data": json.dumps(asdict(model.data)),
        "backend": json.dumps(asdict(model.backend)),
    }
    return {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}, metadata


def _named(prefix: str, network: Network) -> Tensors:
    tensors: Tensors = {}
    for number, (W, b) in enumerate(network, start=1):
        tensors |= {f"{prefix}W{number}": W, f"{prefix}b{number}": b}
    return tensors


def _optimizer_tensors(optimizer: str, state: Tree) -> Tensors:
    if optimizer == "momentum":
        return _named("velocity_", state)
    if optimizer == "adam" and isinstance(state, AdamState):
        return _named("mean_", state.mean) | _named("square_", state.square) | {"updates": state.updates}
    return {}


def _optimizer_state(optimizer: str, tensors: Tensors, sizes: tuple[int, ...], dtype: str) -> Tree:
    if optimizer == "momentum":
        return _network(tensors, sizes, dtype, "velocity_")
    if optimizer == "adam":
        mean, square = (_network(tensors, sizes, dtype, prefix) for prefix in ("mean_", "square_"))
        updates = _shaped("updates", tensors, dtype)
        if updates < 0 or any(np.any(parameters < 0) for layer in square for parameters in layer):
            raise ValueError("the state of its optimizer holds a negative square or number")
        return AdamState(mean, square, updates)
    return ()


def _serialized(tensors: Tensors, metadata: Mapping[str, str]) -> tuple[bytes, memoryview]:
    """Header and data of a safetensors file, the metadata in their order: the library writes them in a random one."""
    from safetensors.numpy import save

    content = memoryview(save(tensors, dict(metadata)))
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8:start]))
    header["__metadata__"] = dict(metadata)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data are aligned
    if len(text) > MAX_HEADER:
        raise ValueError(f"a header of {len(text):,} bytes, and {MAX_HEADER:,} are read: too many layers")
    return len(text).to_bytes(8, "little") + text, content[start:]


def _read(path: str | Path) -> tuple[Tensors, dict[str, str]]:
    """The content of a file whose checksum is right."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ModelError(f"{path or repr(path)}: not a file")
        with open(path, "rb") as file:
            length = file.read(8)
            header = file.read(min(int.from_bytes(length, "little"), MAX_HEADER))
            metadata = _metadata(path, header)
            size, free = os.fstat(file.fileno()).st_size, free_memory()
            if 2 * size > free:
                raise ModelError(f"{path}: {size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of memory are free")
            content = length + header + file.read()
    except FileNotFoundError:
        raise ModelError(f"{path or repr(path)}: missing") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({reason(error)})") from None
    try:
        tensors = load_tensors(content)
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: damaged: {' '.join(str(error).split())}") from None
    if metadata.pop("sha256", None) != _checksum(tensors, metadata):
        raise ModelError(f"{path}: damaged: its content does not have the checksum that it should have")
    return tensors, metadata


def _metadata(path: str | Path, header: bytes) -> dict[str, str]:
    """The texts in a safetensors header, if it is one of ours; before anything large is read."""
    try:
        metadata = json.loads(header)["__metadata__"]
        schema = metadata["schema"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ModelError(f"{path}: not a model of ssnn, or damaged") from None
    if schema not in (SCHEMA, WITHOUT_OPTIMIZER):
        raise ModelError(f"{path}: a model of schema {str(schema)[:40]!r}; this version of ssnn reads {SCHEMA}")
    return dict(metadata)


def _checksum(tensors: Tensors, metadata: Mapping[str, str]) -> str:
    """SHA-256 of names, dtypes, shapes, values and texts."""
    shapes = [(name, str(tensor.dtype), tensor.shape) for name, tensor in sorted(tensors.items())]
    checksum = hashlib.sha256(json.dumps([shapes, sorted(metadata.items())]).encode())
    for _, tensor in sorted(tensors.items()):
        checksum.update(tensor.tobytes())
    return checksum.hexdigest()


def _model(tensors: Tensors, metadata: Mapping[str, str]) -> Model:
    """The model, if everything in it fits together: the checksum protects from accidents, not from people."""
    of_then: dict[str, object] = {}
    if metadata["schema"] == WITHOUT_OPTIMIZER:
        of_then = {name: getattr(Settings(), name) for name in ("optimizer", "batch_size", "order", *ALL_OPTIONS)}
    settings = _record(Settings, metadata["settings"], of_then)
    data = _record(DataSummary, metadata["data"])
    if data.digits not in permutations(range(10), 2):
        raise ValueError(f"digits {data.digits}")
    n0 = SIDE**2
    mean = _shaped("familiar_mean", tensors, np.float32, 2, n0)
    features = _shaped("features", tensors, np.int64, None)
    n = len(features)
    if n == 0 or features[0] < 0 or features[-1] >= n0 or np.any(np.diff(features) <= 0):
        raise ValueError(f"features are not ascending numbers of its {n0} pixels")
    standardization = Standardization(
        features.astype(np.intp),
        _shaped("mean", tensors, np.float64, n),
        _shaped("std", tensors, np.float64, n),
        int(_shaped("n_constant", tensors, np.int64, 1)[0]),
    )
    novelty = Novelty(
        mean,
        _shaped("familiar_components", tensors, np.float32, 2, n0, None),
        _shaped("familiar_limit", tensors, np.float32, 2),
    )
    sizes, dtype = (n, *settings.hidden, 1), str(tensors["W1"].dtype)
    if dtype not in DTYPES:
        raise ValueError(f"W1 is of {dtype}")
    network = _network(tensors, sizes, dtype)
    state = _optimizer_state(settings.optimizer, tensors, sizes, dtype)
    backend = _record(Description, metadata["backend"])
    if np.any(standardization.std.astype(dtype) <= 0) or np.any(novelty.limit <= 0):
        raise ValueError("std and novelty limits must be positive")
    costs = _shaped("costs", tensors, np.float64, None)
    if len(costs) > (updates := settings.iterations * settings.updates_per_iteration(data.train)):
        raise ValueError(f"{len(costs)} costs of {updates} updates")
    if settings.optimizer == "adam" and state.updates != min(len(costs), MAX_COUNT[dtype]):
        raise ValueError(f"{len(costs)} costs, and its optimizer counts {state.updates:g} updates")
    if np.any(costs < 0):
        raise ValueError("a cost is negative")
    if set(tensors) != {*COMMON, *_named("", network), *_optimizer_tensors(settings.optimizer, state)}:
        raise ValueError("unexpected tensors")
    if backend.dtype != dtype:
        raise ValueError(f"its parameters are {dtype}, and its record says {backend.dtype}")
    if min(data.train, data.test) < 0 or data.features != n or data.constant_features != standardization.n_constant:
        raise ValueError("its record of the data does not fit its standardisation")
    return Model(network, standardization, novelty, settings, data, backend, tuple(costs.tolist()), state)


def _network(tensors: Tensors, sizes: tuple[int, ...], dtype: str, prefix: str = "") -> Network:
    return tuple(
        Layer(
            _shaped(f"{prefix}W{number}", tensors, dtype, n_out, n_in),
            _shaped(f"{prefix}b{number}", tensors, dtype, n_out, 1),
        )
        for number, (n_in, n_out) in enumerate(pairwise(sizes), start=1)
    )


def _shaped(name: str, tensors: Tensors, dtype: npt.DTypeLike, *shape: int | None) -> npt.NDArray[Any]:
    """A tensor of this dtype and shape, None for any length, and of nothing but finite numbers."""
    tensor = tensors[name]
    fits = tensor.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, tensor.shape, strict=True))
    if tensor.dtype != dtype or not fits:
        wanted = ", ".join("…" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, not {np.dtype(dtype)} ({wanted})")
    if not np.all(np.isfinite(tensor)):
        raise ValueError(f"{name} holds numbers that are not finite")
    return tensor


def _record(kind: type[Record], text: str, also: Mapping[str, object] = MappingProxyType({})) -> Record:
    """A dataclass from its JSON and these values, if every value is of the type that the dataclass says."""
    values = json.loads(text)
    hints = get_type_hints(kind)
    if not isinstance(values, dict) or set(values) != {field.name for field in fields(kind)} - set(also):
        raise ValueError(f"missing or unexpected fields in {kind.__name__}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in {**values, **also}.items()}
    for name, value in values.items():
        if not _is_a(value, hints[name]):
            raise ValueError(f"{name} of {kind.__name__} is {str(value)[:40]!r}")
        if isinstance(value, str) and value != printable(value):  # it will be printed
            raise ValueError(f"{name} of {kind.__name__} is too long, or holds what cannot be printed")
    return kind(**values)


def _is_a(value: Any, hint: Any) -> bool:
    """Whether a value is of the type of a hint, as far as the records have types: bool is not int here."""
    kinds = get_args(hint) or (hint,)
    if get_origin(hint) is tuple:
        if not isinstance(value, tuple):
            return False
        of_each = kinds[:1] * len(value) if ... in kinds else kinds
        return len(value) == len(of_each) and all(map(_is_a, value, of_each))
    return type(value) in kinds or (float in kinds and type(value) is int)
