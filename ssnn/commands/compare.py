"""A comparison of all backends in a shell: each in a process of its own, and all held against NumPy float64."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ssnn import backends, data, machine
from ssnn.advice import Advice, advise
from ssnn.backends import Availability
from ssnn.backends.numpy import LONGEST
from ssnn.command import Parser, table
from ssnn.data.stored import store, stored
from ssnn.errors import DisagreementError, SsnnError, UsageError
from ssnn.files import check_writable, write_json
from ssnn.measure import Measurement, Trial, iterations_per_call, reference
from ssnn.network import Network
from ssnn.processes import in_a_process
from ssnn.records import LARGEST, Settings

HEADINGS = ("hidden", "backend", "device", "ms/iteration", "min … max", "x NumPy", "compile", "earned back", "apart")
NUMBERS = {0, 3, 5, 6, 7, 8}


@dataclass(frozen=True)
class Failure:
    """Why a backend has no time for a size."""

    backend: str
    hidden: int
    reason: str
    disagrees: bool


def run(argv: Sequence[str]) -> int:
    """Parse, measure, print; the exit code is 4 where backends disagree."""
    options = _parse(argv)
    if options.json is not None:
        check_writable(options.json)
    _check_memory(options.samples, max(options.hidden))
    digits = data.load(options.data, options.data_dir or None, progressbar=sys.stderr.isatty())
    if options.samples is not None:
        digits = data.with_samples(digits, options.samples)
    if options.data == "auto" and digits.name == "synthetic":
        print(f"synthetic digits: {digits.origin}", file=sys.stderr)
    offered = list(in_a_process(_offered))
    measured, failures = _measure_all(digits, [backend.name for backend in offered if backend.usable], options)
    advice = advise(measured, options.iterations)
    if options.json != "-":
        print(_report(digits, options.dtype, measured, failures, advice, offered), flush=True)
    for failure in failures:
        if failure.disagrees:
            print(f"ssnn compare: error: {failure.reason}", file=sys.stderr)
    if options.json is not None:
        write_json(options.json, _to_json(measured, failures, advice, offered))
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
    add("--data", default="auto", metavar="SOURCE", help="mnist, synthetic or auto, as for training")
    add("--data-dir", default=os.environ.get("SSNN_DATA_DIR"), metavar="DIR", help="folder of MNIST's four files")
    add("--json", nargs="?", const="-", metavar="FILE", help="everything as one JSON object; - is standard output")
    options = parser.parse_args(argv)
    for name in ("hidden", "samples", "iterations"):
        for value in np.atleast_1d(getattr(options, name)):
            if value is not None and not 1 <= value <= LARGEST:
                raise UsageError(f"--{name} {value}: choose 1 … {LARGEST}")
    options.hidden = sorted(set(options.hidden))
    if options.dtype not in backends.DTYPES:
        raise UsageError(f"unknown dtype {options.dtype!r}; choose one of {', '.join(backends.DTYPES)}")
    return options


def _check_memory(samples: int | None, hidden: int) -> None:
    """Refuse what cannot fit: raw pixels here and in another process; float64 inputs, weights and activations there."""
    m, pixels = samples or sum(data.MNIST_COUNTS["train"]), 28 * 28
    needed = m * pixels * (2 + 8) + 8 * hidden * (6 * pixels + 8 * min(m, 2 * LONGEST))
    free = machine.free_memory()
    if needed > free:
        sizes = f"{m:,} samples and {hidden:,} hidden neurons"
        raise MemoryError(f"{sizes} need {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free")


def _measure_all(digits: data.Digits, names: Sequence[str], options: Any) -> tuple[list[Measurement], list[Failure]]:
    """Every backend on every size, in processes one after the other."""
    measured: list[Measurement] = []
    failures: list[Failure] = []
    samples, pixels = digits.train.pixels.shape
    settings = [
        Settings(
            hidden=(h,),
            iterations=min(options.iterations, iterations_per_call(samples, pixels, h)),
            # With that of training a very wide network oscillates, and its rounding grows; time does not depend on it.
            learning_rate=min(Settings().learning_rate, 100 / h),
        )
        for h in options.hidden
    ]
    total = (1 + len(names)) * len(settings)
    with tempfile.TemporaryDirectory() as folder, _progress(total) as bar:
        store(digits, Path(folder))
        shared = (folder, digits.name, settings)
        bar.set_description("reference")
        references = []
        for network in in_a_process(_references, *shared):
            references.append(network)
            bar.update()
        for name in names:
            bar.set_description(name)
            left = list(options.hidden)
            try:
                for outcome in in_a_process(_outcomes, name, options.dtype, references, *shared):
                    hidden = left.pop(0)
                    if isinstance(outcome, Measurement):
                        measured.append(outcome)
                    else:
                        failures.append(Failure(name, hidden, *outcome))
                    bar.update()
            except (SsnnError, MemoryError) as error:
                failures += [Failure(name, hidden, str(error), disagrees=False) for hidden in left]
                bar.update(len(left))
    return measured, failures


def _progress(total: int) -> "tqdm[Any]":
    return tqdm(total=total, disable=not sys.stderr.isatty(), dynamic_ncols=True, leave=False, unit="size")


def _offered() -> Iterator[Availability]:
    """In a process of its own too: asking imports every library."""
    yield from backends.available()


def _references(folder: str, name: str, settings: Sequence[Settings]) -> Iterator[Network]:
    digits = stored(Path(folder), name)
    for each in settings:
        yield reference(digits, each)


def _outcomes(
    backend: str, dtype: str, references: Sequence[Network], folder: str, name: str, settings: Sequence[Settings]
) -> Iterator[Measurement | tuple[str, bool]]:
    """For each size the measurement, or why there is none and whether that is because the backend disagrees."""
    started = time.perf_counter()
    opened = backends.open_backend(backend, dtype=dtype)
    opening = time.perf_counter() - started
    digits = stored(Path(folder), name)
    for each, network in zip(settings, references, strict=True):
        try:
            yield replace(Trial(opened, digits, each).measure(network), opening=opening)
        except DisagreementError as error:
            yield f"{error} (hidden {each.hidden[0]})", True
        except MemoryError as error:
            yield f"not enough memory: {error}", False


def _report(
    digits: data.Digits,
    dtype: str,
    measured: Sequence[Measurement],
    failures: Sequence[Failure],
    advice: Sequence[Advice],
    offered: Sequence[Availability],
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
    lines += [str(sentence) for sentence in advice]
    lines += [f"{failure.backend}, hidden {failure.hidden}: {failure.reason}" for failure in failures]
    for backend in offered:
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
    advice: Sequence[Advice],
    offered: Sequence[Availability],
) -> dict[str, Any]:
    return {
        "schema": "ssnn.compare/1",
        "machine": machine.describe(),
        "measurements": [asdict(m) | {"ms_per_iteration": m.ms_per_iteration} for m in measured],
        "failures": [asdict(failure) for failure in failures],
        "advice": [asdict(sentence) | {"text": str(sentence)} for sentence in advice],
        "not_usable": [asdict(backend) for backend in offered if not backend.usable],
    }
