"""Line charts as SVG, on logarithmic axes, each line labelled at its end."""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ssnn.errors import BackendError

Points = Sequence[tuple[float, float]]

# Okabe and Ito's colours, which colour-blind readers can distinguish, without the yellow: it is too light on white.
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
    "svg.fonttype": "path",  # letters look the same everywhere
    "svg.hashsalt": "ssnn",  # else matplotlib draws names of elements at random
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Line:
    """The points of one program; lines of one library share a colour."""

    label: str
    library: str
    ours: bool
    points: Points


@dataclass(frozen=True)
class Panel:
    """One pair of axes, with a dotted reference line."""

    x: str
    y: str
    lines: Sequence[Line]
    reference: Points = ()
    reference_label: str = ""


def draw_svg(title: str, footnote: str, panels: Sequence[Panel]) -> str:
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
    """Modules of matplotlib, in our style whatever the user's settings are."""
    try:
        from matplotlib import figure, style, ticker
    except ImportError:
        raise BackendError(
            'the charts need matplotlib, which is not installed: python -m pip install -e ".[report]"'
        ) from None
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
    _label_ends(axes, sorted(ends, key=lambda end: end[0][1]))


def _colours(lines: Sequence[Line]) -> dict[str, str]:
    others = sorted({line.library for line in lines} - set(COLOURS))
    return COLOURS | {library: OTHERS[i % len(OTHERS)] for i, library in enumerate(others)}


def _ticks(axes: Any, panel: Panel, ticker: Any) -> None:
    """Ticks at the sizes that were measured, as far as there is room, and at 1, 2, 5 on the vertical axis."""
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


def _label_ends(axes: Any, ends: Sequence[tuple[tuple[float, float], str, str, bool]]) -> None:
    """Write each label to the right of the axes, at the height of its line's end or, if taken, near it."""
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
    """Move ascending heights as little as possible so that no gap is smaller than `gap` and none is above 1.

    Isotonic regression of the heights less the gaps below them: heights that would overlap share their mean.
    """
    groups: list[list[float]] = []
    for i, height in enumerate(heights):
        groups.append([height - i * gap])
        while len(groups) > 1 and fmean(groups[-2]) > fmean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    highest = 1 - gap * (len(heights) - 1)
    levels = [min(fmean(group), highest) for group in groups for _ in group]
    return [level + i * gap for i, level in enumerate(levels)]
