"""Charts as SVG: lines over two logarithmic axes, each with its name beside its end."""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ssnn.errors import BackendError

Points = Sequence[tuple[float, float]]

# Okabe and Ito's colours, which remain apart for the colour-blind; their yellow is lost on white.
COLOURS = {
    "numpy": "#0072B2",
    "jax": "#009E73",
    "torch": "#D55E00",
    "cupy": "#CC79A7",
    "array_api_strict": "#56B4E9",
}
OTHERS = ("#E69F00", "#000000", "#7F7F7F")
MARKERS = "osD^vP*X"
QUIET = "#666666"
STYLE = {
    "axes.edgecolor": QUIET,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.size": 9,
    "grid.color": "#E6E6E6",
    "svg.fonttype": "path",  # the letters look the same wherever the chart is seen
    "svg.hashsalt": "ssnn",  # and its names, which matplotlib otherwise draws at random, whenever it is made
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Line:
    """What was measured of one program; those of one library have one colour."""

    label: str
    library: str
    ours: bool
    points: Points


@dataclass(frozen=True)
class Panel:
    """One pair of axes, with a dashed line to compare with."""

    x: str
    y: str
    lines: Sequence[Line]
    reference: Points = ()
    reference_label: str = ""


def svg(title: str, footnote: str, panels: Sequence[Panel]) -> str:
    """Draw panels side by side; the same panels give the same bytes.

    Raises
    ------
    BackendError
        If matplotlib is not installed.
    """
    with _matplotlib() as (figure, ticker):
        drawing = figure.Figure(figsize=(6 + 2 * len(panels), 4.6), layout="constrained", facecolor="white")
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        drawing.supxlabel(footnote, x=0.01, ha="left", fontsize=8, color=QUIET)
        for axes, panel in zip(drawing.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw(axes, panel, ticker)
        content = io.StringIO()
        drawing.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in content.getvalue().splitlines()) + "\n"


@contextmanager
def _matplotlib() -> Iterator[tuple[Any, Any]]:
    """Two modules of matplotlib, with our style and nothing of the user's."""
    try:
        from matplotlib import figure, style, ticker
    except ImportError:
        remedy = 'python -m pip install -e ".[report]"'
        raise BackendError(f"the charts need matplotlib, which is not installed; {remedy} brings it") from None
    with style.context(["default", STYLE]):
        yield figure, ticker


def _draw(axes: Any, panel: Panel, ticker: Any) -> None:
    axes.set(xscale="log", yscale="log", xlabel=panel.x)
    axes.set_title(panel.y)
    colours = _colours(panel.lines)
    if panel.reference:
        axes.plot(*zip(*panel.reference, strict=True), color=QUIET, linestyle=(0, (1, 1.5)), linewidth=1.5, zorder=1)
    for i, line in enumerate(panel.lines):
        colour = colours[line.library]
        axes.plot(
            *zip(*line.points, strict=True),
            color=colour,
            marker=MARKERS[i % len(MARKERS)],
            markersize=5.5,
            markerfacecolor=colour if line.ours else "white",
            linestyle="-" if line.ours else "--",
            linewidth=1.8 if line.ours else 1.2,
            zorder=3 if line.ours else 2,
        )
    _ticks(axes, panel, ticker)
    ends = [(line.points[-1], line.label, colours[line.library], line.ours) for line in panel.lines]
    if panel.reference:
        ends.append((panel.reference[-1], panel.reference_label, QUIET, False))
    _name(axes, sorted(ends, key=lambda end: end[0][1]))


def _colours(lines: Sequence[Line]) -> dict[str, str]:
    others = sorted({line.library for line in lines} - set(COLOURS))
    return COLOURS | {library: OTHERS[i % len(OTHERS)] for i, library in enumerate(others)}


def _ticks(axes: Any, panel: Panel, ticker: Any) -> None:
    """Label sizes that were measured, as many as have room, and up the side 1, 2, 5 unless that is too many."""
    sizes = sorted({x for line in panel.lines for x, _ in line.points})
    room = (sizes[-1] / sizes[0]) ** 0.2
    shown = sizes[:1]
    for size in sizes[1:]:
        if size >= shown[-1] * room:
            shown.append(size)
    axes.set_xticks(shown)
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if high / low < 1e3 else (1,)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_locator(ticker.NullLocator())
    axes.set_ylim(low, high)


def _name(axes: Any, ends: Sequence[tuple[tuple[float, float], str, str, bool]]) -> None:
    """Write each name to the right of the axes, at the height of its line's end unless another is there."""
    low, high = (math.log(limit) for limit in axes.get_ylim())
    heights = spread([(math.log(y) - low) / (high - low) for (_, y), *_ in ends], gap=0.052)
    for (point, label, colour, ours), height in zip(ends, heights, strict=True):
        axes.annotate(
            label,
            point,
            (1.04, height),
            textcoords="axes fraction",
            va="center",
            color=colour,
            fontweight="bold" if ours else "normal",
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.5,
                "shrinkA": 1,
                "shrinkB": 5,
                "relpos": (0, 0.5),
            },
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move ascending heights as little as leaves a gap between them, and none above 1."""
    groups: list[list[float]] = []  # of heights that touch, less the gaps below them: they share their mean
    for i, height in enumerate(heights):
        groups.append([height - i * gap])
        while len(groups) > 1 and fmean(groups[-2]) > fmean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    highest = 1 - gap * (len(heights) - 1)
    levels = [min(fmean(group), highest) for group in groups for _ in group]
    return [level + i * gap for i, level in enumerate(levels)]
