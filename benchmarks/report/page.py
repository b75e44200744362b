"""The page of the benchmarks, and its summary for the README of the project."""

import re
from collections.abc import Iterable, Sequence
from textwrap import fill

from benchmarks.report.results import COMMAND, Growth, Iteration, Results
from benchmarks.report.rows import (
    ARTICLE,
    chart_name,
    comparisons,
    device_name,
    epochs,
    fastest,
    fitted,
    format_figure,
    grouped,
    growth_key,
    label,
    layers,
    neurons,
    program,
    series,
)

EMPTY = "–"
OVERVIEW_HEADS = (
    "hidden neurons",
    "fastest of ssnn",
    "ms",
    "fastest other library",
    "ms",
    "ssnn ÷ other",
    "ssnn ÷ hardware limit",
)

EQUAL_TERMS = (
    "Every program trains the same network on the same data from the same initial parameters by the same full-batch "
    "gradient descent, and its time counts only if its result agrees with NumPy in float64; other libraries are "
    "measured with all pixels and without those that never vary, and the faster of the two counts."
)

EPOCH_TERMS = (
    "One epoch is a pass over all training images in mini-batches, with an update by Adam after each. Every program "
    "takes the same batches in the same order from the same initial parameters, and the rest is as above. Other "
    "libraries run as suits them best: JAX + optax does all batches in one jitted scan, Keras in one execution, and "
    "PyTorch uses one thread."
)

PROCESSES = fill(
    "Seconds of whole processes from nothing: imports, the four files, standardisation, one such epoch, and the test "
    "images that are still wrong. ssnn is `python -m ssnn.train --preset dolphin`, in float64; other libraries are "
    "`benchmarks/dolphin.py`, in float32.",
    120,
)

INTRODUCTION = f"""# Benchmarks

{fill(EQUAL_TERMS, 120)}

Written by `python -m benchmarks.report` from result files; change those, not this page. To measure your machine and
see its page:

```
pip install -e ".[jax,torch,peers,test,report]"
{COMMAND}
python -m benchmarks.report FILE --output DIR
```

**What is timed.** One iteration is a pass over all training images, forward and back, and the update of the parameters.
A call does many iterations and waits for the device once, at its end; its time divided by the number of iterations is
the time of one. Loading, transfer, compilation and a warm-up call come before and are not part of it. The calls of all
programs of a table alternate in shuffled order, so that a slow spell of the machine affects all alike.

{fill(f"**One epoch.** {EPOCH_TERMS} A call does one pass, and its time is divided by the number of updates.", 120)}

**What counts.** *Disagreement* is the largest difference from NumPy float64 of the network, relative to the largest
parameter of the layer, and for other libraries of the costs, relative to the largest: the cost of every update, or of
every pass where a library gives only that (scikit-learn and Keras). A program that exceeds the tolerance has no row.

**How to read it.** Times are medians; the range from the fastest call to the slowest is their noise. *÷ fastest other*
is the time over that of the fastest other library: below 1 is faster, and ≈ marks two programs of which one has its
median in the range of the other. *÷ limit* is the time over the hardware limit (roofline): the time of the arithmetic
or of the memory traffic of one iteration, whichever is longer, at the best rates that were measured on the machine.
*Inputs* is the number of pixels that enter the network: ssnn leaves out those that never vary; the limit is that of a
program's own inputs. Names that begin with ssnn are this project's backends. The article's program is shown, but does
not count as a library."""


def summary(results: Sequence[Results], charts: dict[str, str]) -> str:
    """The README's summary: the first run in short with its chart, the others folded away."""
    first, *others = results
    blocks = [fill(EQUAL_TERMS, 120), *_in_short(first)]
    for key, _ in comparisons(first):
        if (name := chart_name(first, "iteration", key)) in charts:
            blocks.append(_image(f"One iteration, {key}", f"benchmarks/charts/{name}"))
    if others:
        folded = [block for one in others for block in _in_short(one)]
        blocks += ["<details><summary>Further runs</summary>", *folded, "</details>"]
    files = ", ".join(f"{_text(one.file)} ({one.date}, commit {_text(one.commit)})" for one in results)
    explained = (
        "Times are milliseconds per iteration. A quotient below 1 means that ssnn is faster; ≈ marks times that are "
        "hard to distinguish. The hardware limit is the least time that the arithmetic and the memory traffic of an "
        f"iteration need on the machine. From {files}; [benchmarks/README.md](benchmarks/README.md) has "
        "every row, those of mini-batches too, and how to measure your machine."
    )
    blocks.append(fill(explained, 120, break_long_words=False, break_on_hyphens=False))
    return "\n\n".join(blocks)


def _in_short(results: Results) -> list[str]:
    """The overview of every float32 comparison of a file, each below its machine."""
    return [
        block
        for key, rows in comparisons(results)
        if key.dtype == "float32"
        for block in (f"{_text(device_name(results.machine, key.kind))}; {key}:", overview(rows))
    ]


def page(results: Sequence[Results], charts: dict[str, str]) -> str:
    """The whole page of the benchmarks."""
    return "\n\n".join([INTRODUCTION, *(block for one in results for block in _section(one, charts))]) + "\n"


def _section(results: Results, charts: dict[str, str]) -> list[str]:
    """One file: its machine, an overview, and every row."""
    blocks = [f"## {_text(' + '.join([device_name(results.machine, 'CPU'), *results.machine.gpu]))}", _about(results)]
    compared = comparisons(results)
    for key, rows in compared:
        if fastest(rows, ours=False):
            blocks += [f"### In short: {key}", overview(rows)]
            if (name := chart_name(results, "iteration", key)) in charts:
                blocks.append(_image(f"Time of one iteration over the number of neurons, {key}", f"charts/{name}"))
    if figures := headlines(results):
        blocks += ["### Other figures", _table(("figure", "value"), figures)]
    for key, rows in compared:
        blocks += [f"### One iteration: {key}", _calls(rows)]
        for hidden, same in grouped(rows, lambda row: row.hidden):
            blocks += [f"#### {neurons(hidden)}", _iterations(same)]
    for (key, batch_size, optimizer, hidden), rows in epochs(results):
        title = f"### One epoch: {_epoch_title(batch_size, optimizer, hidden)}; {key}"
        blocks += [
            title,
            f"{_span(row.rounds for row in rows)} calls of {rows[0].updates} updates each.",
            _iterations(rows),
        ]
    if results.limits:
        blocks += [
            "### Limits",
            "The best rates that were measured: products of large matrices, and reading more than a cache holds.",
            _limits(results),
        ]
    for key, rows in grouped(results.growth, growth_key):
        blocks += [f"### Growth: {', '.join(key)}", *_growth(rows)]
        if (name := chart_name(results, "growth", key)) in charts:
            blocks.append(_image("Time of one iteration and memory over the number of images", f"charts/{name}"))
    if results.startup:
        blocks += [
            "### Start to end",
            "Seconds of whole processes, imports included.",
            _startup(results),
        ]
    if results.processes:
        blocks += ["### Start to end: one epoch", PROCESSES, _processes(results)]
    return blocks


def _about(results: Results) -> str:
    """The machine and the software of a file."""
    machine = results.machine
    blas = [
        f"{pool.name} {pool.version or ''}{f' ({pool.architecture})' * bool(pool.architecture)}, {pool.threads} threads"
        for pool in results.blas
    ]
    items = {
        "file": f"{results.file}, {results.date}, commit {results.commit}",
        "memory": f"{machine.memory_bytes / 2**30:,.0f} GiB",
        "BLAS": "; ".join(dict.fromkeys(blas)),
        "GPU": ", ".join(machine.gpu) + (f"; driver {machine.driver}" if machine.driver else ""),
        "software": ", ".join(
            [f"Python {machine.python}", *(f"{name} {version}" for name, version in machine.libraries.items())]
        ),
        "system": machine.system,
    }
    return "\n".join(f"- {name}: {_text(item)}" for name, item in items.items() if item)


def overview(rows: Sequence[Iteration]) -> str:
    """Our fastest backend and the fastest other library for each size of network."""
    lines = []
    for hidden, same in grouped(rows, lambda row: row.hidden):
        best, peer = fastest(same, ours=True), fastest(same, ours=False)
        line = [layers(hidden)]
        for row in (best, peer):
            line += [label(row, rows, with_inputs=True), format_figure(row.ms_per_iteration)] if row else [EMPTY, EMPTY]
        lines.append((*line, _over_peer(best, peer), _over_limit(best)))
    return _table(OVERVIEW_HEADS, lines)


def _epoch_title(batch_size: int, optimizer: str, hidden: Sequence[int]) -> str:
    return f"mini-batches of {batch_size}, {optimizer.capitalize()}, {neurons(hidden)}"


def _over_peer(row: Iteration | None, peer: Iteration | None) -> str:
    if not (row and peer):
        return EMPTY
    ratio = format_figure(row.ms_per_iteration / peer.ms_per_iteration, 2)
    return f"≈ {ratio}" if row is not peer and (_within(row, peer) or _within(peer, row)) else ratio


def _within(row: Iteration, other: Iteration) -> bool:
    low, high = other.range_ms
    return low <= row.ms_per_iteration <= high


def _over_limit(row: Iteration | None) -> str:
    return format_figure(row.ms_per_iteration / row.limit_ms, 2) if row and row.limit_ms else EMPTY


def headlines(results: Results) -> list[tuple[str, str]]:
    """Single figures: compared with the article and other libraries, of whole runs, of growth."""
    found = []
    numpy = [row for row in results.iterations if row.ours and row.name == "numpy" and row.dtype == "float32"]
    articles = [row for row in results.iterations if row.name == ARTICLE]
    for row, article in ((row, article) for row in numpy for article in articles):
        if row.hidden == article.hidden and row.comparison == article.comparison._replace(dtype=row.dtype):
            what = f"one iteration, {neurons(row.hidden)}: {label(row, numpy)} in {row.dtype} ÷ the article's program"
            found.append((what, _ratio(row.ms_per_iteration, article.ms_per_iteration, "ms")))
    for (key, batch_size, optimizer, hidden), epoch_rows in epochs(results):
        peer = fastest(epoch_rows, ours=False)
        for epoch in (row for row in epoch_rows if peer and row.ours):
            title = f"one epoch, {_epoch_title(batch_size, optimizer, hidden)} ({key.kind}, {key.dtype})"
            times = (row.in_unit(row.ms_per_iteration) for row in (peer, epoch))
            found.append((f"{title}: fastest other library ÷ {label(epoch, epoch_rows)}", _ratio(*times, "µs")))
    processes = {(row.name, row.data): row for row in results.startup}
    for (name, data), row in processes.items():
        if name == "ssnn.train" and (article := processes.get((ARTICLE, data))):
            what = "the whole default run, start to end: ssnn.train ÷ the article's program"
            found.append((what, _ratio(row.median, article.median, "s")))
    for data, whole in grouped(results.processes, lambda row: row.data):
        other = min((row for row in whole if not row.ours), key=lambda row: row.median, default=None)
        for process in (row for row in whole if other and row.ours):
            what = f"a whole process with one epoch ({data}): fastest other library ÷ {process.name}"
            found.append((what, _ratio(other.median, process.median, "s")))
    for key, rows in grouped(results.growth, growth_key):
        for what, over, some in series(rows):
            if over == "images":
                what, last = f"{what} ({', '.join(key)})", some[-1]
                found += [
                    (f"{what}: exponent of time over images", f"{fitted(over, some):.2f}"),
                    (f"{what}: bytes per input value at {last.samples:,} images", format_figure(last.bytes_per_value)),
                ]
    return found


def _ratio(ours: float, theirs: float, unit: str) -> str:
    return f"{format_figure(ours / theirs, 2)} ({format_figure(ours)} {unit} ÷ {format_figure(theirs)} {unit})"


def _iterations(rows: Sequence[Iteration]) -> str:
    """All programs on one network, the fastest first; times are in the unit of the rows."""
    peer = fastest(rows, ours=False)
    lines = [
        (
            label(row, rows),
            str(row.features),
            format_figure(row.in_unit(row.ms_per_iteration)),
            "–".join(format_figure(row.in_unit(ms)) for ms in row.range_ms),
            _over_peer(row, peer),
            _over_limit(row),
            _seconds(row.compile_seconds),
            _seconds(row.transfer_seconds),
            f"{row.disagreement:.1g}",
        )
        for row in sorted(rows, key=lambda row: (row.ms_per_iteration, row.name))
    ]
    heads = (
        "program",
        "inputs",
        rows[0].unit,
        "min–max",
        "÷ fastest other",
        "÷ limit",
        "compile s",
        "transfer s",
        "disagreement",
    )
    return _table(heads, lines)


def _calls(rows: Iterable[Iteration]) -> str:
    """The number of calls and of iterations per call."""
    calls, iterations = _span(row.rounds for row in rows), _span(row.iterations for row in rows)
    return f"{calls} calls of {iterations} iterations each."


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _limits(results: Results) -> str:
    found = {(row.device, row.dtype, row.library, row.matmul_gflops, row.bandwidth_gbs) for row in results.limits}
    lines = [(*names, format_figure(gflops), format_figure(gbs)) for *names, gflops, gbs in sorted(found)]
    return _table(("device", "dtype", "best library", "products, GFLOP/s", "memory, GB/s"), lines, texts=3)


def _growth(rows: Sequence[Growth]) -> list[str]:
    """Every size, and how time grows with it."""
    lines = [
        (
            program(row),
            f"{row.samples:,}",
            layers(row.hidden),
            format_figure(row.ms_per_iteration),
            _seconds(row.transfer_seconds),
            f"{row.peak_bytes / 2**20:,.0f}",
            format_figure(row.bytes_per_value),
        )
        for row in sorted(rows, key=lambda row: (row.name, row.samples, row.hidden))
    ]
    heads = ("program", "images", "neurons", "ms", "transfer s", "peak MiB", "bytes per input value")
    blocks = ["Memory is the peak of the whole process, libraries included.", _table(heads, lines)]
    if fits := [(what, over, f"{fitted(over, some):.2f}") for what, over, some in series(rows)]:
        blocks += [
            "Time is proportional to the size to the power of the exponent (least squares on logarithms).",
            _table(("program", "over", "exponent"), fits, texts=2),
        ]
    return blocks


def _startup(results: Results) -> str:
    """Whole processes, each divided by the article's on the same data."""
    articles = {row.data: row.median for row in results.startup if row.name == ARTICLE}
    lines = [
        (
            row.name,
            row.data or EMPTY,
            format_figure(row.median),
            f"{format_figure(row.min)}–{format_figure(row.max)}",
            format_figure(row.median / articles[row.data], 2) if row.data in articles else EMPTY,
        )
        for row in sorted(results.startup, key=lambda row: (row.data or "", row.median))
    ]
    return _table(("process", "data", "s", "min–max", "÷ article"), lines, texts=2)


def _processes(results: Results) -> str:
    """Whole processes that do one epoch, each divided by the fastest of another library on the same data."""
    lines = []
    for data, rows in grouped(results.processes, lambda row: row.data):
        peer = min((row.median for row in rows if not row.ours), default=None)
        lines += [
            (
                row.name,
                data,
                format_figure(row.median),
                f"{format_figure(row.min)}–{format_figure(row.max)}",
                format_figure(row.median / peer, 2) if peer else EMPTY,
                f"{row.wrong} of {row.test_images:,}",
            )
            for row in sorted(rows, key=lambda row: row.median)
        ]
    return _table(("process", "data", "s", "min–max", "÷ fastest other", "wrong test images"), lines, texts=2)


def _image(text: str, path: str) -> str:
    return f"![{_text(text)}]({path})"


def _seconds(value: float | None) -> str:
    return EMPTY if value is None else f"{value:.3f}"


def _text(text: str) -> str:
    """Text in which Markdown finds no markup."""
    return re.sub(r"([\\`*_|\[\]<>])", r"\\\1", " ".join(text.split()))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table; the first columns are text, the others numbers, aligned to the right."""
    lines = [heads, ["---"] * texts + ["---:"] * (len(heads) - texts)]
    lines += [[_text(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
