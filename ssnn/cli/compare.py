"""The compare command: time one iteration on each, verify the results, and recommend one."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from ssnn import backends
from ssnn.backends import Availability
from ssnn.cli.arguments import add_data, load_data
from ssnn.cli.program import Parser
from ssnn.cli.streams import keep_going
from ssnn.cli.tables import table, wrapped
from ssnn.data import data_files
from ssnn.errors import UsageError
from ssnn.settings import MAX_INT32
from ssnn.system import machine
from ssnn.system.files import check_outputs, check_writable, write_json
from ssnn.timing.comparison import Comparison, ComparisonCallback, check_memory, compare, probe_backends
from ssnn.timing.recommendation import Recommendation, break_even, recommend
from ssnn.timing.trial import Measurement

HEADINGS = ("hidden", "backend", "ms/iter", "min … max", "speed-up", "break-even", "disagreement")
NUMBERS = {0, 2, 4, 5, 6}  # columns


def run(argv: Sequence[str]) -> int:
    """Parse, measure, print; the exit code is 4 where backends disagree."""
    options = _parse(argv)
    if options.json is not None:
        check_outputs([options.json], data_files(options.data_dir))
        check_writable(options.json)
    if options.json not in (None, "-"):
        keep_going()
    check_memory(options.samples, max(options.hidden))
    dataset = load_data(options, bar=sys.stderr.isatty(), samples=options.samples)
    available = probe_backends()
    usable = [backend.name for backend in available if backend.usable]
    with _progress_bar() as report:
        comparison = compare(dataset, usable, options.hidden, options.iterations, options.dtype, report)
    recommendations = recommend(comparison.measurements, options.iterations)
    disagreements = [failure for failure in comparison.failures if failure.disagrees]
    if options.json != "-":
        heading = f"{len(dataset.train):,} {dataset.name} digits, {options.dtype}, on {_machine_name()}"
        print(_report(heading, comparison, recommendations, available), flush=True)
    for failure in disagreements:
        print(f"ssnn compare: error: {failure.reason} (hidden {failure.hidden})", file=sys.stderr)
    if options.json is not None:
        write_json(options.json, _to_json(comparison, recommendations, available))
    return 4 if disagreements else int(bool(comparison.failures))


def _parse(argv: Sequence[str]) -> Any:
    options = parser().parse_args(argv)
    _check_sizes("hidden", options.hidden)
    _check_sizes("samples", [] if options.samples is None else [options.samples])
    _check_sizes("iterations", [options.iterations])
    if options.dtype not in backends.DTYPES:
        raise UsageError(f"unknown dtype {options.dtype!r}; choose one of {', '.join(backends.DTYPES)}")
    options.hidden = sorted(set(options.hidden))
    return options


def parser() -> Parser:
    """The arguments."""
    parser = Parser(
        prog="ssnn compare",
        description="Time one iteration on every backend that can run here, and check that all compute the same.",
    )
    add = parser.add_argument
    add("--hidden", type=int, nargs="+", default=[10], metavar="N", help="sizes of the hidden layer (default: 10)")
    add("--samples", type=int, metavar="N", help="training images (default: all there are; more are drawn)")
    add("--dtype", default="float32", help=f"{' or '.join(backends.DTYPES)} (default: %(default)s)")
    add("--iterations", type=int, default=500, metavar="N", help="to recommend a backend for (default: %(default)s)")
    add("--json", nargs="?", const="-", metavar="FILE", help="everything as one JSON object; - is standard output")
    add_data(parser)
    return parser


def _check_sizes(name: str, values: Sequence[int]) -> None:
    for value in values:
        if not 1 <= value <= MAX_INT32:
            raise UsageError(f"--{name} {value}: choose 1 … {MAX_INT32}")


@contextmanager
def _progress_bar() -> Iterator[ComparisonCallback]:
    """A bar on a terminal."""
    with tqdm(file=sys.stderr, disable=not sys.stderr.isatty(), dynamic_ncols=True, leave=False, unit="step") as bar:

        def report(what: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description(what)
            bar.update(done - bar.n)

        yield report


def _machine_name() -> str:
    here = machine.describe()
    return ", ".join([here["cpu"], f"{here['cores']} cores", *here["gpu"]])


def _report(
    heading: str,
    comparison: Comparison,
    recommendations: Sequence[Recommendation],
    available: Sequence[Availability],
) -> str:
    lines = [wrapped(heading), ""]
    if comparison.measurements:
        ranked = sorted(comparison.measurements, key=lambda m: (m.hidden, m.ms_per_iteration))
        numpy = {m.hidden: m for m in ranked if m.backend.name == "numpy"}
        lines += [table([HEADINGS, *(_row(m, numpy.get(m.hidden)) for m in ranked)], NUMBERS), ""]
    said = [str(recommendation) for recommendation in recommendations]
    said += [f"{failure.backend}, hidden {failure.hidden}: {failure.reason}" for failure in comparison.failures]
    said += [
        f"{backend.name} cannot run here: {backend.reason}; what would help: {backend.remedy}"
        for backend in available
        if not backend.usable
    ]
    lines += map(wrapped, said)
    return "\n".join(lines)


def _row(m: Measurement, numpy: Measurement | None) -> tuple[str, ...]:
    fastest, slowest = (1e3 * seconds / m.iterations for seconds in (min(m.calls), max(m.calls)))
    return (
        str(m.hidden[0]),
        m.backend.name if m.backend.device.startswith("cpu") else f"{m.backend.name} {m.backend.device.split()[0]}",
        _milliseconds(m.ms_per_iteration),
        f"{_milliseconds(fastest)} … {_milliseconds(slowest)}",
        f"{numpy.ms_per_iteration / m.ms_per_iteration:.2f}" if numpy else "",
        _break_even(m, numpy),
        f"{m.disagreement:.0e}",
    )


def _break_even(m: Measurement, numpy: Measurement | None) -> str:
    """The number of iterations from which on it is faster than NumPy, import and compilation included."""
    if numpy is None or m is numpy:
        return ""
    if m.ms_per_iteration >= numpy.ms_per_iteration:
        return "never"
    return f"{max(0, break_even(m, numpy)):,}"


def _milliseconds(value: float) -> str:
    """Three significant digits, and no exponent."""
    return f"{value:#.3g}" if value < 100 else f"{value:.0f}"


def _to_json(
    comparison: Comparison, recommendations: Sequence[Recommendation], available: Sequence[Availability]
) -> dict[str, Any]:
    return {
        "schema": "ssnn.compare/2",
        "machine": machine.describe(),
        "measurements": [asdict(m) | {"ms_per_iteration": m.ms_per_iteration} for m in comparison.measurements],
        "failures": [asdict(failure) for failure in comparison.failures],
        "recommendations": [asdict(each) | {"text": str(each)} for each in recommendations],
        "not_usable": [asdict(backend) for backend in available if not backend.usable],
    }
