"""Charts as SVG in the fonts and colours of the page, which change between light and dark."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean, stdev
from typing import Any

import numpy as np

from ssnn.explain.cost_curve import CostCurve
from ssnn.explain.records import CalibrationBin, CurvePoint, Values

# Placeholder colours, which matplotlib draws with, and the CSS variables that replace them.
TEXT, QUIET, LINE, BLUE, ORANGE = "#010101", "#020202", "#030303", "#040404", "#050505"
PAGE = {
    TEXT: "var(--text)",
    QUIET: "var(--quiet)",
    LINE: "var(--line)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
}
WIDTH = 4.9  # inches, at 72 CSS pixels each: text is still readable when a phone shrinks it
HISTOGRAM_BINS = 60
MAX_DEVIATIONS = 6  # standard deviations from the median; margins beyond count in the outermost bin
MAX_STRETCH = (
    3  # factor by which the range may grow to show the worst image; beyond, too few bins are left for the rest
)
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": QUIET,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": QUIET,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": TEXT,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.facecolor": "none",
    "font.size": 10.5,
    "grid.color": LINE,
    "svg.fonttype": "none",  # text stays text, in the fonts of the page
    "text.color": TEXT,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
}


def cost(curve: CostCurve) -> str:
    """The cost by updates on a logarithmic scale: the mean and the range of each group of updates."""
    with _drawing("cost", height=2.6 if curve.is_of_iterations else 3.1) as drawing:
        axes = drawing.subplots()
        axes.plot(curve.update, curve.mean, color=BLUE, linewidth=2)
        _logarithmic(axes)
        if curve.size > 1:
            axes.fill_between(curve.update, curve.low, curve.high, color=BLUE, alpha=0.25, linewidth=0)
            lowest = min(curve.mean[curve.mean > 0], default=1.0)  # single mini-batches may have almost no cost
            axes.set_ylim(0.1 * lowest, 2 * max(lowest, curve.high.max()))
        _whole(axes)
        axes.set(xlabel=curve.unit, ylabel="cost")
        if not curve.is_of_iterations:
            per_pass = curve.updates_per_iteration
            passes = axes.secondary_xaxis("top", functions=(lambda n: n / per_pass, lambda n: n * per_pass))
            passes.set_xlabel("passes over the training images")
            _whole(passes)
        return _svg(drawing)


def margins(train: Values, test: Values) -> str:
    """Histograms of the margins (m,) of training and test images, the wrong ones in orange."""
    low, high = margin_range(train, test)
    width = (high - low) / HISTOGRAM_BINS
    edges = width * np.arange(math.floor(low / width), math.ceil(high / width) + 1)  # 0 is an edge
    with _drawing("margins", height=3.6) as drawing:
        for axes, (name, values) in zip(
            drawing.subplots(2, 1, sharex=True), (("training", train), ("test", test)), strict=True
        ):
            counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
            colours = [ORANGE if edge < 0 else BLUE for edge in edges[:-1]]
            axes.bar(edges[:-1], counts, width, align="edge", color=colours, edgecolor="none")
            axes.axvline(0, color=TEXT, linewidth=1)
            _logarithmic(axes)
            axes.set_ylim(0.7, 2 * max(1, counts.max()))  # a single image is visible
            axes.set_title(f"{name} images")
        axes.set_xlabel("margin: wrong ← 0 → right")
        return _svg(drawing)


def margin_range(train: Values, test: Values) -> tuple[float, float]:
    """The range of the histogram: all margins but outliers."""
    values = np.concatenate([train, test])
    first, middle, third = np.quantile(values, [0.25, 0.5, 0.75])
    far = MAX_DEVIATIONS * max(
        (third - first) / 1.349, 1e-3
    )  # 1.349 standard deviations lie between a normal's quartiles
    low, high = max(values.min(), middle - far), min(values.max(), middle + far)
    if values.min() > middle - MAX_STRETCH * far:
        low = values.min()  # show how wrong the worst image is, if that leaves room for the others
    return float(min(low, -far / HISTOGRAM_BINS)), float(max(high, far / HISTOGRAM_BINS))


def calibration(bins: Sequence[CalibrationBin], digit: int) -> str:
    """Reliability diagram: the share of class 1 by predicted probability, and the number of images below it."""
    with _drawing("calibration", height=4.4) as drawing:
        above, below = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.plot([0, 1], [0, 1], color=QUIET, linewidth=1.2, linestyle=(0, (4, 3)))
        above.plot(
            [b.mean_probability for b in bins],
            [b.share_of_ones for b in bins],
            color=BLUE,
            marker="o",
            linestyle="none",
            markersize=7,
        )
        above.set(ylabel=f"share that is a {digit}", ylim=(-0.05, 1.05), xlim=(-0.02, 1.02))
        bars = below.bar(
            [b.low for b in bins],
            [b.count for b in bins],
            [0.94 * (b.high - b.low) for b in bins],
            align="edge",
            color=BLUE,
            edgecolor="none",
        )
        below.bar_label(bars, [f"{b.count:,}" for b in bins], fontsize=9, padding=2, color=QUIET)
        _logarithmic(below)
        below.set(xlabel=f"probability of {digit}, by the network", ylabel="images")
        below.set_ylim(0.7, 8 * max(b.count for b in bins))
        below.set_yticks([])
        return _svg(drawing)


def learning_curve(points: Sequence[CurvePoint]) -> str:
    """Error rates by number of training images: of every network, their mean, and one standard deviation around it."""
    samples = np.array([point.samples for point in points])
    rates = [100 * np.array(point.error_rates) for point in points]
    mean, deviation = (np.array([statistic(r) for r in rates]) for statistic in (fmean, stdev))
    with _drawing("curve", height=3.0) as drawing:
        axes = drawing.subplots()
        low, high = np.maximum(mean - deviation, 0), mean + deviation
        axes.fill_between(samples, low, high, color=BLUE, alpha=0.18, linewidth=0)
        axes.plot(samples, mean, color=BLUE, linewidth=2, marker="o", markersize=4)
        for n, single in zip(samples, rates, strict=True):
            axes.plot([n] * len(single), single, color=ORANGE, marker="o", markersize=4, linestyle="none", alpha=0.7)
        axes.set_xscale("log")
        axes.set_xticks(samples, [f"{n:,}" for n in samples])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set(xlabel="training images", ylabel="wrong test images, %")
        return _svg(drawing)


@contextmanager
def _drawing(name: str, height: float) -> Iterator[Any]:
    """A figure in this style, whatever the user's matplotlibrc says."""
    from matplotlib import figure, style

    # Ids of reused elements are random without a salt; one per chart keeps them unique within a page.
    with style.context(["default", STYLE, {"svg.hashsalt": name}]):
        yield figure.Figure(figsize=(WIDTH, height), layout="constrained")


def _logarithmic(axes: Any) -> None:
    """A logarithmic y axis, with its numbers written out."""
    axes.set_yscale("log", nonpositive="clip")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.minorticks_off()


def _whole(axes: Any) -> None:
    """An x axis of whole numbers."""
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _svg(drawing: Any) -> str:
    """The <svg> element for HTML: no XML header, repeated ids or fonts, and the colours of the page."""
    content = io.StringIO()
    drawing.savefig(content, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = content.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'(<(?:g|svg)\b[^>]*?) id="[^"]*"', r"\1", text)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"font-family: [^;\"]*; ", "", text)
    text = re.sub(r"#0[1-5]0[1-5]0[1-5]", lambda match: PAGE[match[0]], text)
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg class="chart" aria-hidden="true" \1>', text, count=1)
    return re.sub(r"\s*\n\s*", "\n", text)
