"""The charts of one result file: which rows become which lines."""

from collections.abc import Sequence

from benchmarks.report.charts import Line, Panel, draw_svg
from benchmarks.report.results import Growth, Iteration, Results
from benchmarks.report.rows import (
    at_faster_inputs,
    chart_name,
    comparisons,
    device_name,
    grouped,
    growth_key,
    label,
    neurons,
    program,
    series,
)


def draw_charts(results: Results) -> dict[str, str]:
    """The charts of one file, as SVG by file name."""
    charts = {}
    for key, rows in comparisons(results):
        if key.dtype == "float32" and (panel := _iteration_panel(at_faster_inputs(rows))):
            where = f"{device_name(results.machine, key.kind)}, {results.date}"
            charts[chart_name(results, "iteration", key)] = draw_svg(f"One iteration: {key}", where, [panel])
    for key, rows in grouped(results.growth, growth_key):
        if panels := _growth_panels(rows):
            where = f"{device_name(results.machine, key[0])}, {results.date}"
            charts[chart_name(results, "growth", key)] = draw_svg(f"Growth: {', '.join(key)}", where, panels)
    return charts


def _iteration_panel(rows: Sequence[Iteration]) -> Panel | None:
    """Time over the size of the only hidden layer."""
    single = sorted((row for row in rows if len(row.hidden) == 1), key=lambda row: row.hidden)
    if len({row.hidden for row in single}) < 2:
        return None
    lines = [
        Line(name, some[0].library, some[0].ours, [(row.hidden[0], row.ms_per_iteration) for row in some])
        for name, some in grouped(single, lambda row: label(row, rows))
    ]
    limited = grouped((row for row in single if row.limit_ms), lambda row: row.hidden[0])
    limit = [(size, min(row.limit_ms for row in some)) for size, some in limited]
    y = "milliseconds per iteration; dashed: other libraries"
    return Panel("neurons in the hidden layer", y, lines, limit, "hardware limit")


def _growth_panels(rows: Sequence[Growth]) -> list[Panel]:
    """Time and memory over the number of images."""
    curves = [(what, some) for what, over, some in series(rows) if over == "images"]
    if not curves:
        return []
    networks = {some[0].hidden for _, some in curves}
    x = "training images"
    if len(networks) == 1:
        curves = [(program(some[0]), some) for _, some in curves]
        x += f" ({neurons(*networks)})"
    time = [Line(name, some[0].name, True, [(r.samples, r.ms_per_iteration) for r in some]) for name, some in curves]
    memory = [Line(name, some[0].name, True, [(r.samples, r.bytes_per_value) for r in some]) for name, some in curves]
    return [Panel(x, "milliseconds per iteration", time), Panel(x, "bytes of memory per input value", memory)]
