"""Turn result files into the page and the charts of the benchmarks: `python -m benchmarks.report FILES`.

Each file is a machine and a run of its own: no table or chart takes rows from two. Every figure comes from the files,
and nothing is written before all of it is there.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import linear_regression
from textwrap import fill
from typing import Any, TypeVar

from benchmarks.charts import Line, Panel, svg
from benchmarks.records import MEASURE, Comparison, Growth, Iteration, Machine, Results, device_kind, read
from ssnn.command import Parser, check_writable, command, leave, write_text
from ssnn.errors import SsnnError, UsageError

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
ARTICLE = "article"  # a peer to compare with, but no framework
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

Row = TypeVar("Row")
Key = TypeVar("Key")


@command("benchmarks.report")
def main(argv: Sequence[str]) -> None:
    """Read all files, make everything, and only then write."""
    parser = Parser(prog="python -m benchmarks.report", description="Write the page of the benchmarks and its charts.")
    parser.add_argument("files", nargs="+", metavar="FILE", help=f"a result: {MEASURE}")
    parser.add_argument("--output", default=str(ROOT), metavar="DIR", help="a checkout; by default this one")
    options = parser.parse_args(argv)
    results = [read(path) for path in options.files]
    stems = [_stem(one) for one in results]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise UsageError(f"two files are named {twice[0]}, and so would be their charts; rename one")
    output = Path(options.output)
    charts = {name: content for one in results for name, content in draw(one).items()}
    contents = {output / "benchmarks" / "charts" / name: content for name, content in charts.items()}
    contents[output / "benchmarks" / "README.md"] = page(results, charts)
    contents[output / "README.md"] = insert(output / "README.md", summary(results, charts))
    _write(contents)
    print("\n".join(f"{path} written" for path in contents))


def _write(contents: dict[Path, str]) -> None:
    for folder in {path.parent for path in contents}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SsnnError(f"{folder} cannot be made ({error.strerror})") from None
    for path in contents:
        check_writable(str(path))
    for path, content in contents.items():
        write_text(str(path), content)


def insert(readme: Path, text: str) -> str:
    """Return a README with this between its markers, and all else as it was.

    Raises
    ------
    UsageError
        If it cannot be read, or does not have each marker once.
    """
    try:
        content = readme.read_bytes().decode()
    except OSError as error:
        raise UsageError(f"{readme} cannot be read ({error.strerror}); --output names a checkout") from None
    except UnicodeDecodeError:
        raise UsageError(f"{readme} is not UTF-8") from None
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or content.count(BEGIN) > 1 or content.count(END) > 1:
        raise UsageError(f"{readme} needs a line {BEGIN} and below it a line {END}, each once, for the summary")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def exponent(points: Iterable[tuple[float, float]]) -> float:
    """Fit y ∝ x^e by least squares on logarithms, and return e."""
    x, y = zip(*((math.log(x), math.log(y)) for x, y in points), strict=True)
    return linear_regression(x, y).slope


def summary(results: Sequence[Results], charts: dict[str, str]) -> str:
    """What the README of the project says: our best and the fastest peer on each machine, and the first chart."""
    blocks, pictured = [], False
    for one in results:
        for key, rows in _comparisons(one):
            if key.dtype != "float32":
                continue
            blocks += [f"{_text(_device(one.machine, key.kind))}; {key}:", overview(rows)]
            if (name := _chart(one, "iteration", key)) in charts and not pictured:
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
    blocks = [f"## {_text(' + '.join([_device(results.machine, 'CPU'), *results.machine.gpu]))}", _about(results)]
    comparisons = _comparisons(results)
    for key, rows in comparisons:
        if key.dtype == "float32":
            blocks += [f"### In short: {key}", overview(rows)]
            if (name := _chart(results, "iteration", key)) in charts:
                blocks.append(_image(f"Time of one iteration over the number of neurons, {key}", f"charts/{name}"))
    if figures := headlines(results):
        blocks += ["### Other figures", _table(("figure", "value"), figures)]
    for key, rows in comparisons:
        blocks += [f"### One iteration: {key}", _calls(rows)]
        for hidden, same in _by(rows, lambda row: row.hidden):
            blocks += [f"#### {_neurons(hidden)}", _iterations(same)]
    if results.limits:
        blocks += [
            "### Limits",
            "The best that was seen: products of large matrices, and reading more than a cache holds.",
            _limits(results),
        ]
    for key, rows in _by(results.growth, _growth_key):
        blocks += [f"### Growth: {', '.join(key)}", *_growth(rows)]
        if (name := _chart(results, "growth", key)) in charts:
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
    for hidden, same in _by(rows, lambda row: row.hidden):
        best, peer = _fastest(same, ours=True), _fastest(same, ours=False)
        line = [_layers(hidden)]
        for row in (best, peer):
            line += [_label(row, rows), _figure(row.ms_per_iteration)] if row else [NONE, NONE]
        lines.append((*line, _over_peer(best, peer), _over_limit(best)))
    return _table(("neurons", "ssnn's best", "ms", "fastest peer", "ms", "÷ peer", "÷ limit"), lines)


def _fastest(rows: Sequence[Iteration], ours: bool) -> Iteration | None:
    """The fastest of those in full precision; the article's program is not asked."""
    fit = [row for row in rows if row.ours is ours and row.full_precision and row.name != ARTICLE]
    return min(fit, key=lambda row: row.ms_per_iteration, default=None)


def _over_peer(row: Iteration | None, peer: Iteration | None) -> str:
    if not (row and peer):
        return NONE
    ratio = _figure(row.ms_per_iteration / peer.ms_per_iteration, 2)
    return f"≈ {ratio}" if row is not peer and (_within(row, peer) or _within(peer, row)) else ratio


def _within(row: Iteration, other: Iteration) -> bool:
    low, high = other.range_ms
    return low <= row.ms_per_iteration <= high


def _over_limit(row: Iteration | None) -> str:
    return _figure(row.ms_per_iteration / row.limit_ms, 2) if row and row.limit_ms else NONE


def headlines(results: Results) -> list[tuple[str, str]]:
    """What else can be said in one figure each: against the article, of whole runs, of growth."""
    found = []
    numpy = [row for row in results.iterations if row.ours and row.name == "numpy" and row.dtype == "float32"]
    articles = [row for row in results.iterations if row.name == ARTICLE]
    for row, article in ((row, article) for row in numpy for article in articles):
        if row.hidden == article.hidden and row.comparison == article.comparison._replace(dtype=row.dtype):
            what = f"one iteration, {_neurons(row.hidden)}: {_label(row, numpy)} in {row.dtype} ÷ the article's program"
            found.append((what, _ratio(row.ms_per_iteration, article.ms_per_iteration, "ms")))
    processes = {(row.name, row.data): row for row in results.startup}
    for (name, data), row in processes.items():
        if name == "ssnn.train" and (article := processes.get((ARTICLE, data))):
            what = "the whole default run, start to end: ssnn.train ÷ the article's program"
            found.append((what, _ratio(row.median, article.median, "s")))
    for key, rows in _by(results.growth, _growth_key):
        for what, over, some in _series(rows):
            if over == "images":
                what, last = f"{what} ({', '.join(key)})", some[-1]
                found += [
                    (f"{what}: exponent of time over images", f"{_exponent(over, some):.2f}"),
                    (f"{what}: bytes per input value at {last.samples:,} images", _figure(last.bytes_per_value)),
                ]
    return found


def _ratio(ours: float, theirs: float, unit: str) -> str:
    return f"{_figure(ours / theirs, 2)} ({_figure(ours)} {unit} ÷ {_figure(theirs)} {unit})"


def _iterations(rows: Sequence[Iteration]) -> str:
    """All programs on one network, the fastest first."""
    peer = _fastest(rows, ours=False)
    lines = [
        (
            _label(row, rows),
            str(row.features),
            _figure(row.ms_per_iteration),
            "–".join(map(_figure, row.range_ms)),
            _over_peer(row, peer),
            _over_limit(row),
            _seconds(row.compile_seconds),
            _seconds(row.transfer_seconds),
            NONE if row.disagreement is None else f"{row.disagreement:.1g}",
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
    lines = [(*names, _figure(gflops), _figure(gbs)) for *names, gflops, gbs in sorted(found)]
    return _table(("device", "dtype", "best library", "products, GFLOP/s", "memory, GB/s"), lines, texts=3)


def _growth(rows: Sequence[Growth]) -> list[str]:
    """Every size, and how time grows with it."""
    lines = [
        (
            _program(row),
            f"{row.samples:,}",
            _layers(row.hidden),
            _figure(row.ms_per_iteration),
            _seconds(row.transfer_seconds),
            f"{row.peak_bytes / 2**20:,.0f}",
            _figure(row.bytes_per_value),
        )
        for row in sorted(rows, key=lambda row: (row.name, row.samples, row.hidden))
    ]
    heads = ("program", "images", "neurons", "ms", "transfer s", "peak MiB", "bytes per input value")
    blocks = ["Memory is the peak of the whole process, libraries and all.", _table(heads, lines)]
    if fits := [(what, over, f"{_exponent(over, some):.2f}") for what, over, some in _series(rows)]:
        blocks += [
            "Time is proportional to the size to the power of the exponent (least squares on logarithms).",
            _table(("program", "over", "exponent"), fits, texts=2),
        ]
    return blocks


def _growth_key(row: Growth) -> tuple[str, str, str]:
    """What the rows of a table of growth have in common."""
    return device_kind(row.device), row.dtype, row.data


def _series(rows: Iterable[Growth]) -> list[tuple[str, str, list[Growth]]]:
    """Rows of which nothing but one size differs: what they are, over what they grow, and two or more of them."""
    found = []
    for (*_, hidden), some in _by(rows, lambda row: (*_growth_key(row), row.name, row.device, row.hidden)):
        if len({row.samples for row in some}) > 1:
            what = f"{_program(some[0])}, {_neurons(hidden)}"
            found.append((what, "images", sorted(some, key=lambda row: row.samples)))
    single = [row for row in rows if len(row.hidden) == 1]
    for (*_, samples), some in _by(single, lambda row: (*_growth_key(row), row.name, row.device, row.samples)):
        if len({row.hidden for row in some}) > 1:
            what = f"{_program(some[0])}, {samples:,} images"
            found.append((what, "neurons", sorted(some, key=lambda row: row.hidden)))
    return found


def _exponent(over: str, rows: Iterable[Growth]) -> float:
    return exponent((row.samples if over == "images" else row.hidden[0], row.ms_per_iteration) for row in rows)


def _startup(results: Results) -> str:
    """Whole processes, each over the article's on the same data."""
    articles = {row.data: row.median for row in results.startup if row.name == ARTICLE}
    lines = [
        (
            row.name,
            row.data or NONE,
            _figure(row.median),
            f"{_figure(row.min)}–{_figure(row.max)}",
            _figure(row.median / articles[row.data], 2) if row.data in articles else NONE,
        )
        for row in sorted(results.startup, key=lambda row: (row.data or "", row.median))
    ]
    return _table(("process", "data", "s", "min–max", "÷ article"), lines, texts=2)


def draw(results: Results) -> dict[str, str]:
    """The charts of one file, as SVG by name."""
    drawn = {}
    for key, rows in _comparisons(results):
        if key.dtype == "float32" and (panel := _iteration_panel(rows)):
            where = f"{_device(results.machine, key.kind)}, {results.date}"
            drawn[_chart(results, "iteration", key)] = svg(f"One iteration: {key}", where, [panel])
    for key, rows in _by(results.growth, _growth_key):
        if panels := _growth_panels(rows):
            where = f"{_device(results.machine, key[0])}, {results.date}"
            drawn[_chart(results, "growth", key)] = svg(f"Growth: {', '.join(key)}", where, panels)
    return drawn


def _iteration_panel(rows: Sequence[Iteration]) -> Panel | None:
    """Time over the width of the only hidden layer."""
    single = sorted((row for row in rows if len(row.hidden) == 1), key=lambda row: row.hidden)
    if len({row.hidden for row in single}) < 2:
        return None
    lines = [
        Line(label, some[0].library, some[0].ours, [(row.hidden[0], row.ms_per_iteration) for row in some])
        for label, some in _by(single, lambda row: _label(row, rows))
    ]
    limited = _by((row for row in single if row.limit_ms), lambda row: row.hidden[0])
    limit = [(size, min(row.limit_ms for row in some)) for size, some in limited]
    y = "milliseconds per iteration; dashed: other frameworks"
    return Panel("neurons in the hidden layer", y, lines, limit, "least possible")


def _growth_panels(rows: Sequence[Growth]) -> list[Panel]:
    """Time and memory over the number of images."""
    series = [(what, some) for what, over, some in _series(rows) if over == "images"]
    if not series:
        return []
    networks = {some[0].hidden for _, some in series}
    x = "training images"
    if len(networks) == 1:
        series = [(_program(some[0]), some) for _, some in series]
        x += f" ({_neurons(*networks)})"
    time = [Line(name, some[0].name, True, [(r.samples, r.ms_per_iteration) for r in some]) for name, some in series]
    memory = [Line(name, some[0].name, True, [(r.samples, r.bytes_per_value) for r in some]) for name, some in series]
    return [Panel(x, "milliseconds per iteration", time), Panel(x, "bytes of memory per input value", memory)]


def _stem(results: Results) -> str:
    return re.sub(r"[^\w.-]+", "-", Path(results.file).stem, flags=re.ASCII)


def _chart(results: Results, what: str, key: Iterable[Any]) -> str:
    """The name of a chart."""
    return re.sub(r"[^\w.-]+", "-", "-".join(map(str, (_stem(results), what, *key))), flags=re.ASCII) + ".svg"


def _image(text: str, path: str) -> str:
    return f"![{_text(text)}]({path})"


def _comparisons(results: Results) -> list[tuple[Comparison, list[Iteration]]]:
    return _by(results.iterations, lambda row: row.comparison)


def _by(rows: Iterable[Row], key: Callable[[Row], Key]) -> list[tuple[Key, list[Row]]]:
    """Rows that share a key, in the order of the keys."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return sorted(groups.items(), key=lambda group: group[0])


def _label(row: Iteration, among: Iterable[Iteration]) -> str:
    """The name of a program, with what tells it from the others of its name."""
    same = [other for other in among if (other.name, other.ours, other.hidden) == (row.name, row.ours, row.hidden)]
    parts = [_program(row) if row.ours else row.name]
    if not row.full_precision:
        parts.append(row.precision)
    if len({other.threads for other in same}) > 1:
        parts.append(f"{row.threads} threads")
    if len({other.device for other in same}) > 1:
        parts.append(row.device)
    return ", ".join(parts)


def _program(row: Iteration | Growth) -> str:
    return f"ssnn {row.name}"


def _layers(hidden: Sequence[int]) -> str:
    return ", ".join(map(str, hidden)) or "none"


def _neurons(hidden: Sequence[int]) -> str:
    return f"{_layers(hidden)} hidden neurons" if hidden else "no hidden layer"


def _device(machine: Machine, kind: str) -> str:
    """The processor or the GPUs, by the names of their makers."""
    if kind == "GPU":
        return ", ".join(machine.gpu) or "a GPU"
    return machine.cpu + (f", {machine.cores} cores" if machine.cores else "")


def _figure(value: float, digits: int = 3) -> str:
    """So many significant digits, but all those before the point."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    decimals = digits - 1 - math.floor(math.log10(rounded))
    return f"{rounded:.{decimals}f}" if decimals > 0 else f"{value:,.0f}"


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


if __name__ == "__main__":
    leave(main())
