"""The page of the benchmarks, and the summary of it that stands in the README of the project."""

import re
from collections.abc import Iterable, Sequence
from textwrap import fill

from benchmarks.report.results import MEASURE, Growth, Iteration, Results
from benchmarks.report.rows import (
    ARTICLE,
    chart_name,
    comparisons,
    device_name,
    fastest,
    figure,
    fitted,
    grouped,
    growth_key,
    label,
    layers,
    neurons,
    program,
    series,
)

NONE = "–"

INTRODUCTION = f"""# Benchmarks

Written by `python -m benchmarks.report` from result files; change those, not this page. To measure your machine and
see its page:

```
pip install -e ".[jax,torch,peers,test,report]"
{MEASURE}
python -m benchmarks.report FILE --output DIR
```

**What is timed.** One iteration is a pass over all training images, forward and back, and the update of the weights.
A call runs the training loop for many iterations and waits for the device once, at its end; its time divided by the
number of iterations is the time of one. Loading, transfer and compiling come before and are told apart.

**What counts.** All programs start from the same weights and are run once as a warm-up. Only if what a program computed
agrees with NumPy in float64 does its time count; *disagreement* is the largest difference that was left.

**How to read it.** Times are medians, and the range from the fastest call to the slowest is their noise. *÷ peer* is
the time over that of the fastest other framework: below 1 is faster, and ≈ marks two programs of which one has its
median in the range of the other. *÷ limit* is the time over the least possible: what one iteration has to multiply and
what it has to read, at the best speeds that were seen on the same machine. *Inputs* are the pixels that a program
multiplies: ssnn leaves out those that never vary, which is part of its speed, and ÷ limit is for each program's own
inputs. Names that begin with ssnn are this project's backends. The article's program is shown, but does not count as a
framework."""


def summary(results: Sequence[Results], charts: dict[str, str]) -> str:
    """What the README of the project says: our best and the fastest peer on each machine, and the first chart."""
    blocks, pictured = [], False
    for one in results:
        for key, rows in comparisons(one):
            if key.dtype != "float32":
                continue
            blocks += [f"{_text(device_name(one.machine, key.kind))}; {key}:", overview(rows)]
            if (name := chart_name(one, "iteration", key)) in charts and not pictured:
                blocks.append(_image(f"One iteration, {key}", f"benchmarks/charts/{name}"))
                pictured = True
    files = ", ".join(f"{_text(one.file)} ({one.date}, commit {_text(one.commit)})" for one in results)
    explained = (
        "Milliseconds per iteration. ÷ peer: our time over that of the fastest other framework, ≈ where they are hard "
        f"to tell apart; ÷ limit: over the least that the machine could need. From {files}; "
        "[benchmarks/README.md](benchmarks/README.md) has every row, and how to measure your machine."
    )
    blocks.append(fill(explained, 120, break_long_words=False, break_on_hyphens=False))
    return "\n\n".join(blocks)


def page(results: Sequence[Results], charts: dict[str, str]) -> str:
    """The whole page of the benchmarks."""
    return "\n\n".join([INTRODUCTION, *(block for one in results for block in _section(one, charts))]) + "\n"


def _section(results: Results, charts: dict[str, str]) -> list[str]:
    """One file: its machine, what it comes to, and every row."""
    blocks = [f"## {_text(' + '.join([device_name(results.machine, 'CPU'), *results.machine.gpu]))}", _about(results)]
    compared = comparisons(results)
    for key, rows in compared:
        if key.dtype == "float32":
            blocks += [f"### In short: {key}", overview(rows)]
            if (name := chart_name(results, "iteration", key)) in charts:
                blocks.append(_image(f"Time of one iteration over the number of neurons, {key}", f"charts/{name}"))
    if figures := headlines(results):
        blocks += ["### Other figures", _table(("figure", "value"), figures)]
    for key, rows in compared:
        blocks += [f"### One iteration: {key}", _calls(rows)]
        for hidden, same in grouped(rows, lambda row: row.hidden):
            blocks += [f"#### {neurons(hidden)}", _iterations(same)]
    if results.limits:
        blocks += [
            "### Limits",
            "The best that was seen: products of large matrices, and reading more than a cache holds.",
            _limits(results),
        ]
    for key, rows in grouped(results.growth, growth_key):
        blocks += [f"### Growth: {', '.join(key)}", *_growth(rows)]
        if (name := chart_name(results, "growth", key)) in charts:
            blocks.append(_image("Time of one iteration and memory over the number of images", f"charts/{name}"))
    if results.startup:
        blocks += [
            "### Start to end",
            "Seconds of whole processes, imports and all.",
            _startup(results),
        ]
    return blocks


def _about(results: Results) -> str:
    """What the rows of a file were measured on, and with."""
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
    """Our best and the fastest peer for each size of network."""
    lines = []
    for hidden, same in grouped(rows, lambda row: row.hidden):
        best, peer = fastest(same, ours=True), fastest(same, ours=False)
        line = [layers(hidden)]
        for row in (best, peer):
            line += [label(row, rows), figure(row.ms_per_iteration)] if row else [NONE, NONE]
        lines.append((*line, _over_peer(best, peer), _over_limit(best)))
    return _table(("neurons", "ssnn's best", "ms", "fastest peer", "ms", "÷ peer", "÷ limit"), lines)


def _over_peer(row: Iteration | None, peer: Iteration | None) -> str:
    if not (row and peer):
        return NONE
    ratio = figure(row.ms_per_iteration / peer.ms_per_iteration, 2)
    return f"≈ {ratio}" if row is not peer and (_within(row, peer) or _within(peer, row)) else ratio


def _within(row: Iteration, other: Iteration) -> bool:
    low, high = other.range_ms
    return low <= row.ms_per_iteration <= high


def _over_limit(row: Iteration | None) -> str:
    return figure(row.ms_per_iteration / row.limit_ms, 2) if row and row.limit_ms else NONE


def headlines(results: Results) -> list[tuple[str, str]]:
    """What else can be said in one figure each: against the article, of whole runs, of growth."""
    found = []
    numpy = [row for row in results.iterations if row.ours and row.name == "numpy" and row.dtype == "float32"]
    articles = [row for row in results.iterations if row.name == ARTICLE]
    for row, article in ((row, article) for row in numpy for article in articles):
        if row.hidden == article.hidden and row.comparison == article.comparison._replace(dtype=row.dtype):
            what = f"one iteration, {neurons(row.hidden)}: {label(row, numpy)} in {row.dtype} ÷ the article's program"
            found.append((what, _ratio(row.ms_per_iteration, article.ms_per_iteration, "ms")))
    processes = {(row.name, row.data): row for row in results.startup}
    for (name, data), row in processes.items():
        if name == "ssnn.train" and (article := processes.get((ARTICLE, data))):
            what = "the whole default run, start to end: ssnn.train ÷ the article's program"
            found.append((what, _ratio(row.median, article.median, "s")))
    for key, rows in grouped(results.growth, growth_key):
        for what, over, some in series(rows):
            if over == "images":
                what, last = f"{what} ({', '.join(key)})", some[-1]
                found += [
                    (f"{what}: exponent of time over images", f"{fitted(over, some):.2f}"),
                    (f"{what}: bytes per input value at {last.samples:,} images", figure(last.bytes_per_value)),
                ]
    return found


def _ratio(ours: float, theirs: float, unit: str) -> str:
    return f"{figure(ours / theirs, 2)} ({figure(ours)} {unit} ÷ {figure(theirs)} {unit})"


def _iterations(rows: Sequence[Iteration]) -> str:
    """All programs on one network, the fastest first."""
    peer = fastest(rows, ours=False)
    lines = [
        (
            label(row, rows),
            str(row.features),
            figure(row.ms_per_iteration),
            "–".join(map(figure, row.range_ms)),
            _over_peer(row, peer),
            _over_limit(row),
            _seconds(row.compile_seconds),
            _seconds(row.transfer_seconds),
            f"{row.disagreement:.1g}",
        )
        for row in sorted(rows, key=lambda row: (row.ms_per_iteration, row.name))
    ]
    heads = ("program", "inputs", "ms", "min–max", "÷ peer", "÷ limit", "compile s", "transfer s", "disagreement")
    return _table(heads, lines)


def _calls(rows: Iterable[Iteration]) -> str:
    """How often the programs were called."""
    calls, iterations = _span(row.rounds for row in rows), _span(row.iterations for row in rows)
    return f"{calls} calls of {iterations} iterations each."


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _limits(results: Results) -> str:
    found = {(row.device, row.dtype, row.library, row.matmul_gflops, row.bandwidth_gbs) for row in results.limits}
    lines = [(*names, figure(gflops), figure(gbs)) for *names, gflops, gbs in sorted(found)]
    return _table(("device", "dtype", "best library", "products, GFLOP/s", "memory, GB/s"), lines, texts=3)


def _growth(rows: Sequence[Growth]) -> list[str]:
    """Every size, and how time grows with it."""
    lines = [
        (
            program(row),
            f"{row.samples:,}",
            layers(row.hidden),
            figure(row.ms_per_iteration),
            _seconds(row.transfer_seconds),
            f"{row.peak_bytes / 2**20:,.0f}",
            figure(row.bytes_per_value),
        )
        for row in sorted(rows, key=lambda row: (row.name, row.samples, row.hidden))
    ]
    heads = ("program", "images", "neurons", "ms", "transfer s", "peak MiB", "bytes per input value")
    blocks = ["Memory is the peak of the whole process, libraries and all.", _table(heads, lines)]
    if fits := [(what, over, f"{fitted(over, some):.2f}") for what, over, some in series(rows)]:
        blocks += [
            "Time is proportional to the size to the power of the exponent (least squares on logarithms).",
            _table(("program", "over", "exponent"), fits, texts=2),
        ]
    return blocks


def _startup(results: Results) -> str:
    """Whole processes, each over the article's on the same data."""
    articles = {row.data: row.median for row in results.startup if row.name == ARTICLE}
    lines = [
        (
            row.name,
            row.data or NONE,
            figure(row.median),
            f"{figure(row.min)}–{figure(row.max)}",
            figure(row.median / articles[row.data], 2) if row.data in articles else NONE,
        )
        for row in sorted(results.startup, key=lambda row: (row.data or "", row.median))
    ]
    return _table(("process", "data", "s", "min–max", "÷ article"), lines, texts=2)


def _image(text: str, path: str) -> str:
    return f"![{_text(text)}]({path})"


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _text(text: str) -> str:
    """Words of a file as Markdown shows them."""
    return re.sub(r"([\\`*_|\[\]<>])", r"\\\1", " ".join(text.split()))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table whose first columns are text and the others numbers."""
    lines = [heads, ["---"] * texts + ["---:"] * (len(heads) - texts)]
    lines += [[_text(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
