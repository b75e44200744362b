"""The records of a result file, validated as they are read.

The file is pytest-benchmark's JSON; what our benchmarks add to it is the machine, in `machine_info["ssnn"]`, and the
`extra_info` of each row, whose `kind` says what was measured. Rows of other benchmarks are ignored.
"""

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_type_hints

from ssnn.errors import DataError

COMMAND = "pytest --benchmark-only --benchmark-json=FILE"
MAY_BE_ZERO = {"transfer_seconds", "compile_seconds", "disagreement", "wrong"}

Number = float | int  # JSON writes 5.0 as 5.0, but others may not
Record = TypeVar("Record")


def device_kind(device: str) -> str:
    """CPU or GPU, which are not compared with each other."""
    return "CPU" if device.startswith("cpu") else "GPU"


class Comparison(NamedTuple):
    """What the rows of a table have in common: only such rows are compared."""

    kind: str
    data: str
    samples: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.kind}, {self.dtype}, {self.samples:,} images ({self.data})"


@dataclass(frozen=True)
class Iteration:
    """The time of one iteration in one program, a backend of ours or a peer."""

    kind: str
    name: str
    library: str
    device: str
    dtype: str
    precision: str | None
    threads: int | None
    data: str
    samples: int
    features: int
    hidden: tuple
    iterations: int
    ms_per_iteration: Number
    limit_ms: Number | None
    transfer_seconds: Number | None
    compile_seconds: Number | None
    disagreement: Number
    tolerance: Number
    min: Number
    max: Number
    rounds: int

    unit = "ms"

    @property
    def ours(self) -> bool:
        """Whether it is a backend of ssnn."""
        return self.kind in ("iteration", "epoch")

    @property
    def full_precision(self) -> bool:
        """Whether its matrix products have the precision of its dtype."""
        return self.precision in (None, "highest")

    @property
    def comparison(self) -> Comparison:
        """What it shares with the rows that it is compared with, other than the hidden layers."""
        return Comparison(device_kind(self.device), self.data, self.samples, self.dtype)

    @property
    def range_ms(self) -> tuple[float, float]:
        """The fastest and the slowest call, per iteration."""
        return 1e3 * self.min / self.iterations, 1e3 * self.max / self.iterations

    def in_unit(self, ms: float) -> float:
        """The milliseconds of an iteration, in the unit in which they are shown."""
        return ms


@dataclass(frozen=True)
class Epoch(Iteration):
    """The time of one pass in mini-batches; an iteration is a pass."""

    optimizer: str
    batch_size: int
    updates: int  # in a pass

    unit = "µs per update"

    def in_unit(self, ms: float) -> float:
        """The microseconds of an update."""
        return 1e3 * ms / self.updates


@dataclass(frozen=True)
class Limit:
    """The best rates of a device, and the libraries that reached them."""

    device: str
    dtype: str
    library: str
    matmul_gflops: Number
    bandwidth_gbs: Number


@dataclass(frozen=True)
class Growth:
    """One point of a growth curve over samples or neurons."""

    name: str
    device: str
    dtype: str
    data: str
    samples: int
    hidden: tuple
    ms_per_iteration: Number
    transfer_seconds: Number | None
    peak_bytes: int
    input_values: int
    disagreement: Number
    tolerance: Number

    @property
    def bytes_per_value(self) -> float:
        """Peak memory of the process by the number of pixels that it trains on."""
        return self.peak_bytes / self.input_values


@dataclass(frozen=True)
class Startup:
    """The run time of a whole process."""

    name: str
    data: str | None
    median: Number
    min: Number
    max: Number


@dataclass(frozen=True)
class EpochProcess:
    """The run time of a whole process that does one pass in mini-batches, and what it gets wrong in the end."""

    name: str
    data: str
    wrong: int
    test_images: int
    median: Number
    min: Number
    max: Number

    @property
    def ours(self) -> bool:
        """Whether it is ssnn's command."""
        return self.name.startswith("ssnn ")


@dataclass(frozen=True)
class Blas:
    """One BLAS library that the process had loaded."""

    name: str
    version: str | None
    threads: int | None
    architecture: str | None


@dataclass(frozen=True)
class Machine:
    """The machine and its software."""

    cpu: str
    cores: int | None
    memory_bytes: int
    blas: tuple
    gpu: tuple
    driver: str | None
    libraries: dict
    python: str
    system: str


@dataclass(frozen=True)
class Results:
    """The content of one result file; `file` is its name without the folder."""

    file: str
    machine: Machine
    blas: list[Blas]
    commit: str
    date: str
    iterations: list[Iteration]
    limits: list[Limit]
    growth: list[Growth]
    startup: list[Startup]
    epochs: list[Epoch]
    processes: list[EpochProcess]


KINDS: dict[str, type] = {
    "iteration": Iteration,
    "peer": Iteration,
    "limit": Limit,
    "growth": Growth,
    "startup": Startup,
    "epoch": Epoch,
    "peer epoch": Epoch,
    "epoch process": EpochProcess,
}


def read_results(path: str) -> Results:
    """Read one result file.

    Raises
    ------
    DataError
        If it cannot be read, was not written by these benchmarks, or holds a row whose result was wrong.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {COMMAND} writes one") from None
    except (ValueError, RecursionError):  # the former also where it is not UTF-8
        raise DataError(f"{path} is not JSON; {COMMAND} writes one") from None
    try:
        results = _results(Path(path).name, content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path} is not a result of these benchmarks ({why}); {COMMAND} writes one") from None
    measured = results.iterations, results.limits, results.growth, results.startup, results.epochs, results.processes
    if not any(measured):
        raise DataError(f"{path} holds no row of these benchmarks; {COMMAND} measures some")
    for row in (*results.iterations, *results.growth, *results.epochs):
        if not row.disagreement <= row.tolerance:
            raise DataError(
                f"{path}: {row.name} {row.dtype} differs from NumPy float64 by {row.disagreement}; measure again"
            )
    return results


def _results(name: str, content: dict[str, Any]) -> Results:
    machine = _record(Machine, content["machine_info"]["ssnn"])
    rows = defaultdict(list)
    for row in content["benchmarks"]:
        if cls := KINDS.get(row["extra_info"].get("kind")):
            rows[cls].append(_record(cls, row["stats"] | row["extra_info"]))
    commit = content.get("commit_info") or {}
    return Results(
        name,
        machine,
        [_record(Blas, pool) for pool in machine.blas],
        str(commit.get("id") or "unknown")[:10] + (", with uncommitted changes" if commit.get("dirty") else ""),
        str(content["datetime"])[:10],
        *(rows[cls] for cls in (Iteration, Limit, Growth, Startup, Epoch, EpochProcess)),
    )


def _record(cls: type[Record], values: dict[str, Any]) -> Record:
    """A record from the values that it has fields for; a missing value counts as null."""
    fields = {}
    for name, kind in get_type_hints(cls).items():
        value = values.get(name)
        value = tuple(value) if isinstance(value, list) else value
        if not (isinstance(value, kind) and all(_plausible(name, n) for n in (value if name == "hidden" else [value]))):
            raise ValueError(f"{cls.__name__.lower()}: {name} is {json.dumps(value)}")
        fields[name] = value
    return cls(**fields)


def _plausible(name: str, value: Any) -> bool:
    """Whether a number can have been measured; values of other types always pass."""
    if name == "hidden":
        return isinstance(value, int) and value > 0
    if not isinstance(value, Number):
        return True
    return math.isfinite(value) and (value > 0 or (value == 0 and name in MAY_BE_ZERO))
