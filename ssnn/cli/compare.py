"""A comparison of all backends in a shell: each in a process of its own, and all held against NumPy float64."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from tqdm import tqdm

from ssnn import backends, data
from ssnn.backends import Availability
from ssnn.cli.arguments import add_data, load_data
from ssnn.cli.program import Parser, table
from ssnn.errors import UsageError
from ssnn.settings import MAX_INT32
from ssnn.system import machine
from ssnn.system.files import check_writable, write_json
from ssnn.timing.comparison import Failure, Progress, check_memory, compare, offered
from ssnn.timing.recommendation import Recommendation, recommend
from ssnn.timing.trial import Measurement

HEADINGS = (
    "hidden",
    "backend",
    "device",
    "ms/iteration",
    "min … max",
    "x NumPy",
    "compile",
    "earned back",
    "disagreement",
)
NUMBERS = {0, 3, 5, 6, 7, 8}


def run(argv: Sequence[str]) -> int:
    """Parse, measure, print; the exit code is 4 where backends disagree."""
    options = _parse(argv)
    if options.json is not None:
        check_writable(options.json)
    check_memory(options.samples, max(options.hidden))
    digits = load_data(options, bar=sys.stderr.isatty())
    if options.samples is not None:
        digits = data.with_samples(digits, options.samples)
    available = offered()
    usable = [backend.name for backend in available if backend.usable]
    with _progress((1 + len(usable)) * len(options.hidden)) as report:
        outcomes = compare(digits, usable, options.hidden, options.iterations, options.dtype, report)
    measured = [outcome for outcome in outcomes if isinstance(outcome, Measurement)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    recommendations = recommend(measured, options.iterations)
    if options.json != "-":
        print(_report(digits, options.dtype, measured, failures, recommendations, available), flush=True)
    for failure in failures:
        if failure.disagrees:
            print(f"ssnn compare: error: {failure.reason}", file=sys.stderr)
    if options.json is not None:
        write_json(options.json, _to_json(measured, failures, recommendations, available))
    return 4 if any(failure.disagrees for failure in failures) else int(bool(failures))


def _parse(argv: Sequence[str]) -> Any:
    parser = Parser(
        prog="ssnn compare",
        description="Time one iteration on every backend that can run here, and check that all compute the same.",
    )
    add = parser.add_argument
    add("--hidden", type=int, nargs="+", default=[10], metavar="N", help="sizes of the hidden layer (default: 10)")
    add("--samples", type=int, metavar="N", help="training images (default: all there are; more are drawn)")
    add("--dtype", default="float32", help=f"{' or '.join(backends.DTYPES)} (default: %(default)s)")
    add("--iterations", type=int, default=500, metavar="N", help="to choose a backend for (default: %(default)s)")
    add("--json", nargs="?", const="-", metavar="FILE", help="everything as one JSON object; - is standard output")
    add_data(parser)
    options = parser.parse_args(argv)
    for name in ("hidden", "samples", "iterations"):
        for value in np.atleast_1d(getattr(options, name)):
            if value is not None and not 1 <= value <= MAX_INT32:
                raise UsageError(f"--{name} {value}: choose 1 … {MAX_INT32}")
    options.hidden = sorted(set(options.hidden))
    if options.dtype not in backends.DTYPES:
        raise UsageError(f"unknown dtype {options.dtype!r}; choose one of {', '.join(backends.DTYPES)}")
    return options


@contextmanager
def _progress(total: int) -> Iterator[Progress]:
    """A bar on a terminal."""
    with tqdm(total=total, disable=not sys.stderr.isatty(), dynamic_ncols=True, leave=False, unit="size") as bar:

        def report(what: str, done: int) -> None:
            bar.set_description(what)
            bar.update(done)

        yield report


def _report(
    digits: data.Dataset,
    dtype: str,
    measured: Sequence[Measurement],
    failures: Sequence[Failure],
    recommendations: Sequence[Recommendation],
    available: Sequence[Availability],
) -> str:
    here = machine.describe()
    lines = [
        f"{len(digits.train):,} {digits.name} digits, {dtype}, on {here['cpu']}, {here['cores']} cores"
        + "".join(f", {gpu}" for gpu in here["gpu"]),
        "",
    ]
    if measured:
        ranked = sorted(measured, key=lambda m: (m.hidden, m.ms_per_iteration))
        lines += [table([HEADINGS, *(_row(m, measured) for m in ranked)], NUMBERS), ""]
    lines += [str(sentence) for sentence in recommendations]
    lines += [f"{failure.backend}, hidden {failure.hidden}: {failure.reason}" for failure in failures]
    for backend in available:
        if not backend.usable:
            lines.append(f"{backend.name} cannot run here: {backend.reason}; what would help: {backend.remedy}")
    return "\n".join(lines)


def _row(m: Measurement, measured: Sequence[Measurement]) -> tuple[str, ...]:
    numpy = next((n for n in measured if n.backend.name == "numpy" and n.hidden == m.hidden), None)
    fastest, slowest = (1e3 * seconds / m.iterations for seconds in (min(m.calls), max(m.calls)))
    saved = (numpy.ms_per_iteration - m.ms_per_iteration) / 1e3 if numpy else 0.0
    if m is numpy:
        earned = ""
    elif saved <= 0:
        earned = "never"
    else:
        earned = f"{m.compile / saved:,.0f} iterations"
    return (
        str(m.hidden[0]),
        m.backend.name,
        m.backend.device,
        _milliseconds(m.ms_per_iteration),
        f"{_milliseconds(fastest)} … {_milliseconds(slowest)}",
        f"{numpy.ms_per_iteration / m.ms_per_iteration:.2f}" if numpy else "",
        f"{m.compile:.2f} s",
        earned,
        f"{m.disagreement:.0e}",
    )


def _milliseconds(value: float) -> str:
    """Three significant digits, and no exponent."""
    return f"{value:#.3g}" if value < 100 else f"{value:,.0f}"


def _to_json(
    measured: Sequence[Measurement],
    failures: Sequence[Failure],
    recommendations: Sequence[Recommendation],
    available: Sequence[Availability],
) -> dict[str, Any]:
    return {
        "schema": "ssnn.compare/2",
        "machine": machine.describe(),
        "measurements": [asdict(m) | {"ms_per_iteration": m.ms_per_iteration} for m in measured],
        "failures": [asdict(failure) for failure in failures],
        "recommendations": [asdict(sentence) | {"text": str(sentence)} for sentence in recommendations],
        "not_usable": [asdict(backend) for backend in available if not backend.usable],
    }
