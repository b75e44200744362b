"""What the rows of a result file say together: which of them compare, what they are called, how a figure is written."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import linear_regression
from typing import Any, TypeVar

from benchmarks.report.results import Comparison, Growth, Iteration, Machine, Results, device_kind

ARTICLE = "article"  # a peer to compare with, but no framework

Row = TypeVar("Row")
Key = TypeVar("Key")


def exponent(points: Iterable[tuple[float, float]]) -> float:
    """Fit y ∝ x^e by least squares on logarithms, and return e."""
    x, y = zip(*((math.log(x), math.log(y)) for x, y in points), strict=True)
    return linear_regression(x, y).slope


def fastest(rows: Sequence[Iteration], ours: bool) -> Iteration | None:
    """The fastest of those in full precision; the article's program is not asked."""
    fit = [row for row in rows if row.ours is ours and row.full_precision and row.name != ARTICLE]
    return min(fit, key=lambda row: row.ms_per_iteration, default=None)


def comparisons(results: Results) -> list[tuple[Comparison, list[Iteration]]]:
    return grouped(results.iterations, lambda row: row.comparison)


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> list[tuple[Key, list[Row]]]:
    """Rows that share a key, in the order of the keys."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return sorted(groups.items(), key=lambda group: group[0])


def growth_key(row: Growth) -> tuple[str, str, str]:
    """What the rows of a table of growth have in common."""
    return device_kind(row.device), row.dtype, row.data


def series(rows: Iterable[Growth]) -> list[tuple[str, str, list[Growth]]]:
    """Rows of which nothing but one size differs: what they are, over what they grow, and two or more of them."""
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
    return exponent((row.samples if over == "images" else row.hidden[0], row.ms_per_iteration) for row in rows)


def label(row: Iteration, among: Iterable[Iteration]) -> str:
    """The name of a program, with what tells it from the others of its name."""
    same = [other for other in among if (other.name, other.ours, other.hidden) == (row.name, row.ours, row.hidden)]
    parts = [program(row) if row.ours else row.name]
    if not row.full_precision:
        parts.append(row.precision)
    if len({other.threads for other in same}) > 1:
        parts.append(f"{row.threads} threads")
    if len({other.device for other in same}) > 1:
        parts.append(row.device)
    return ", ".join(parts)


def program(row: Iteration | Growth) -> str:
    return f"ssnn {row.name}"


def layers(hidden: Sequence[int]) -> str:
    return ", ".join(map(str, hidden)) or "none"


def neurons(hidden: Sequence[int]) -> str:
    return f"{layers(hidden)} hidden neurons" if hidden else "no hidden layer"


def device_name(machine: Machine, kind: str) -> str:
    """The processor or the GPUs, by the names of their makers."""
    if kind == "GPU":
        return ", ".join(machine.gpu) or "a GPU"
    return machine.cpu + (f", {machine.cores} cores" if machine.cores else "")


def figure(value: float, digits: int = 3) -> str:
    """So many significant digits, but all those before the point."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    decimals = digits - 1 - math.floor(math.log10(rounded))
    return f"{rounded:.{decimals}f}" if decimals > 0 else f"{value:,.0f}"


def stem(results: Results) -> str:
    return re.sub(r"[^\w.-]+", "-", Path(results.file).stem, flags=re.ASCII)


def chart_name(results: Results, what: str, key: Iterable[Any]) -> str:
    """The name of a chart."""
    return re.sub(r"[^\w.-]+", "-", "-".join(map(str, (stem(results), what, *key))), flags=re.ASCII) + ".svg"
