"""The rows of a result file: which are compared, by what names, and how their figures are formatted."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import linear_regression
from typing import Any, TypeVar

from benchmarks.report.results import Comparison, Epoch, Growth, Iteration, Machine, Results, device_kind

ARTICLE = "article"  # a peer, but no library

Row = TypeVar("Row")
Timing = TypeVar("Timing", bound=Iteration)
Key = TypeVar("Key")


def exponent(points: Iterable[tuple[float, float]]) -> float:
    """Fit y ∝ x^e by least squares on logarithms, and return e."""
    x, y = zip(*((math.log(x), math.log(y)) for x, y in points), strict=True)
    return linear_regression(x, y).slope


def fastest(rows: Sequence[Timing], ours: bool) -> Timing | None:
    """The fastest row in full precision, without the article's program."""
    eligible = [row for row in rows if row.ours is ours and row.full_precision and row.name != ARTICLE]
    return min(eligible, key=lambda row: row.ms_per_iteration, default=None)


def at_faster_inputs(rows: Iterable[Timing]) -> list[Timing]:
    """Each program on each network once: with all features, or with those that vary, whichever is faster."""
    programs = grouped(rows, lambda row: (row.hidden, row.ours, row.name, row.device, str(row.precision), row.threads))
    return [min(same, key=lambda row: row.ms_per_iteration) for _, same in programs]


def comparisons(results: Results) -> list[tuple[Comparison, list[Iteration]]]:
    """The rows by what is compared."""
    return grouped(results.iterations, lambda row: row.comparison)


def epochs(results: Results) -> list[tuple[tuple[Comparison, int, str, tuple[int, ...]], list[Epoch]]]:
    """The passes in mini-batches by what is compared: comparison, batch size, optimizer and hidden layers."""
    return grouped(results.epochs, lambda row: (row.comparison, row.batch_size, row.optimizer, row.hidden))


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> list[tuple[Key, list[Row]]]:
    """Rows that share a key, in the order of the keys."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return sorted(groups.items(), key=lambda group: group[0])


def growth_key(row: Growth) -> tuple[str, str, str]:
    """What the rows of a growth table have in common: kind of device, dtype and data."""
    return device_kind(row.device), row.dtype, row.data


def series(rows: Iterable[Growth]) -> list[tuple[str, str, list[Growth]]]:
    """Growth curves, of two points or more: a description, "images" or "neurons", and the rows in ascending order."""
    found = []
    for (*_, hidden), some in grouped(rows, lambda row: (*growth_key(row), row.name, row.device, row.hidden)):
        if len({row.samples for row in some}) > 1:
            what = f"{program(some[0])}, {neurons(hidden)}"
            found.append((what, "images", sorted(some, key=lambda row: row.samples)))
    single = [row for row in rows if len(row.hidden) == 1]
    for (*_, samples), some in grouped(single, lambda row: (*growth_key(row), row.name, row.device, row.samples)):
        if len({row.hidden for row in some}) > 1:
            what = f"{program(some[0])}, {samples:,} images"
            found.append((what, "neurons", sorted(some, key=lambda row: row.hidden)))
    return found


def fitted(over: str, rows: Iterable[Growth]) -> float:
    """The exponent of time over images or neurons."""
    return exponent((row.samples if over == "images" else row.hidden[0], row.ms_per_iteration) for row in rows)


def label(row: Iteration, among: Iterable[Iteration], with_inputs: bool = False) -> str:
    """The name of a program, with what distinguishes it from others of its name: `with_inputs` the features too."""
    same = [other for other in among if (other.name, other.ours, other.hidden) == (row.name, row.ours, row.hidden)]
    parts = [program(row) if row.ours else row.name]
    if not row.full_precision:
        parts.append(row.precision)
    if len({other.threads for other in same}) > 1:
        parts.append(f"{row.threads} threads")
    if len({other.device for other in same}) > 1:
        parts.append(row.device)
    if with_inputs and len({other.features for other in same}) > 1:
        parts.append(f"{row.features} inputs")
    return ", ".join(parts)


def program(row: Iteration | Growth) -> str:
    """The name of a backend of ours."""
    return f"ssnn {row.name}"


def layers(hidden: Sequence[int]) -> str:
    """The sizes of the hidden layers."""
    return ", ".join(map(str, hidden)) or "none"


def neurons(hidden: Sequence[int]) -> str:
    """The hidden layers in words."""
    return f"{layers(hidden)} hidden neurons" if hidden else "no hidden layer"


def device_name(machine: Machine, kind: str) -> str:
    """The model of the processor or of the GPUs."""
    if kind == "GPU":
        return ", ".join(machine.gpu) or "a GPU"
    return machine.cpu + (f", {machine.cores} cores" if machine.cores else "")


def format_figure(value: float, digits: int = 3) -> str:
    """Rounded to significant digits, and never before the decimal point."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    decimals = digits - 1 - math.floor(math.log10(rounded))
    return f"{rounded:.{decimals}f}" if decimals > 0 else f"{value:,.0f}"


def stem(results: Results) -> str:
    """The name of the file without its suffix, safe in the name of a chart."""
    return re.sub(r"[^\w.-]+", "-", Path(results.file).stem, flags=re.ASCII)


def chart_name(results: Results, what: str, key: Iterable[Any]) -> str:
    """The file name of a chart."""
    return re.sub(r"[^\w.-]+", "-", "-".join(map(str, (stem(results), what, *key))), flags=re.ASCII) + ".svg"
