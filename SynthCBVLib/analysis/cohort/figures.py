"""Charts drawn with matplotlib: sharp, readable in print, on figures of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from SynthCBVLib.analysis.cohort.plots import Chart, Series
from SynthCBVLib.analysis.report.canvas import new_figure
from SynthCBVLib.analysis.report.figures import png
from SynthCBVLib.analysis.report.montage import FOOTER
from SynthCBVLib.imaging.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
_MARKS = {"circle": "o", "square": "s", "diamond": "D", "cross": "x", "plus": "+", "none": ""}
_LINES = {"solid": "-", "dash": (0, (5, 3)), "dot": (0, (1.5, 2)), "none": ""}


def draw_chart(chart: Chart) -> Figure:
    """Draw a chart on a figure of its own.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    figure = new_figure(figsize=(7.4, 5.4) if chart.equal else (7.8, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for series in chart.series:
        _draw(axes, series)
    if chart.band is not None:
        low, high = (chart.series[i] for i in chart.band)
        axes.fill_between(low.x, low.y, high.y, color=low.colour, alpha=0.10, linewidth=0)
    axes.set_xlim(*chart.x_range)
    axes.set_ylim(*chart.y_range)
    if chart.equal:
        axes.set_aspect("equal")
    if chart.ticks:
        axes.set_xticks([place for place, _ in chart.ticks], [_plain(name) for _, name in chart.ticks])
        axes.tick_params(axis="x", length=0)
    axes.set_title(_plain(chart.title), fontsize=13, fontweight="bold", loc="left")
    axes.set_xlabel(_plain(chart.x_title), fontsize=11)
    axes.set_ylabel(_plain(chart.y_title), fontsize=11)
    axes.tick_params(labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e3e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    if any(series.name for series in chart.series):
        figure.legend(fontsize=9, loc="outside right upper", frameon=False)  # never over the points
    figure.text(0.995, 0.005, FOOTER, fontsize=7, ha="right", va="bottom", color="#a02020")
    figure.get_layout_engine().set(rect=(0.005, 0.035, 0.99, 0.955))
    return figure


def chart_png(chart: Chart, dpi: int = DPI) -> bytes:
    """Give a chart as PNG; the same chart gives the same bytes."""
    return png(draw_chart(chart), dpi)


def save_chart(chart: Chart, path: str | os.PathLike[str], dpi: int = DPI) -> Path:
    """Write a chart as PNG, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written, or matplotlib is not installed.
    """
    content = chart_png(chart, dpi)
    with written_whole(path) as (temporary,):
        temporary.write_bytes(content)
    return Path(path)


def _draw(axes: Axes, series: Series) -> None:
    crowded = series.x.size > 400
    filled = series.mark in ("circle", "square", "diamond")
    axes.plot(
        series.x,
        series.y,
        color=series.colour,
        marker=_MARKS[series.mark] or None,
        markersize=3 if crowded else 6,
        markeredgecolor="white" if filled and not crowded else series.colour,
        markeredgewidth=0.6 if filled else 1.4,
        alpha=0.5 if crowded and series.mark != "none" else 1.0,
        linestyle=_LINES[series.line],
        linewidth=1.6,
        label=_plain(series.name) or "_nolegend_",
        clip_on=series.line != "none",
        zorder=3 if series.mark != "none" else 4 if series.line == "solid" else 2,
        rasterized=crowded,
    )


def _plain(text: str) -> str:
    """Give a text that matplotlib does not take for mathematics, or for a name to be left out of legends."""
    shown = text.replace("$", r"\$")
    return "\u200b" + shown if shown.startswith("_") else shown
