"""A montage: panels as columns, slices as rows, with outlines, colour bars, sides and positions."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.report.canvas import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

FOOTER = "Research demonstration – not for diagnosis"
TUMOUR_COLOUR, WHITE_MATTER_COLOUR, OTHER_COLOUR = "#ff4fd8", "#ffffff", "#7dff6b"

_MARGIN_MM = 6.0
_COLUMN_INCHES = 2.15


@dataclass(frozen=True)
class Panel:
    """One column of the overview: a map with its window and colours.

    Attributes
    ----------
    title, unit : str
        Heading, and label of the colour bar (empty for no bar).
    values : ndarray (z, y, x)
        Voxels in axial order; NaN is shown black.
    low, high : float
        Window, map units.
    colours : str
        Name of the matplotlib colour map.
    """

    title: str
    unit: str
    values: np.ndarray
    low: float
    high: float
    colours: str


def draw(
    panels: Sequence[Panel],
    outlines: Mapping[str, np.ndarray],
    brain: np.ndarray,
    grid: sitk.Image,
    chosen: Sequence[int],
    title: str,
) -> Figure:
    """Draw panels as columns and slices as rows.

    Parameters
    ----------
    panels : sequence of Panel
        Columns, all of the grid's shape.
    outlines : mapping of str to ndarray of bool (z, y, x)
        Regions to outline, by name.
    brain : ndarray of bool (z, y, x)
        The picture is cut to it and the regions, with a margin.
    grid : sitk.Image
        Gives spacing and position; its axes run right to left, front to back and up (LPS order).
    chosen : sequence of int
        Slices, top row first.
    title : str
        Heading, or empty.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    spacing = grid.GetSpacing()
    rows, columns = _window(brain, outlines.values(), spacing)
    height_mm = (rows.stop - rows.start) * spacing[1]
    width_mm = (columns.stop - columns.start) * spacing[0]
    cell = _COLUMN_INCHES * height_mm / width_mm
    top, bottom, left = (0.56 if title else 0.3), 0.98, 0.34
    width = left + _COLUMN_INCHES * len(panels) + 0.1
    height = top + cell * len(chosen) + bottom
    figure = new_figure(figsize=(width, height))
    for column, panel in enumerate(panels):
        x = (left + column * _COLUMN_INCHES) / width
        image = None
        for row, k in enumerate(chosen):
            y = (bottom + (len(chosen) - 1 - row) * cell) / height
            box = (x, y, (_COLUMN_INCHES - 0.06) / width, (cell - 0.06) / height)
            axes = figure.add_axes(box, facecolor="black")
            image = _show(axes, panel, k, rows, columns, spacing, outlines)
            if column == 0:
                axes.set_ylabel(_position(grid, k), fontsize=7.5)
            if row == 0:
                axes.set_title(panel.title, fontsize=10, fontweight="bold", pad=4)
        if panel.unit and image is not None:
            bar = figure.add_axes(
                (
                    x + 0.05 * _COLUMN_INCHES / width,
                    0.66 / height,
                    0.87 * _COLUMN_INCHES / width,
                    0.1 / height,
                )
            )
            figure.colorbar(
                image, cax=bar, orientation="horizontal", extend="both" if panel.low < 0 else "max"
            )
            bar.tick_params(labelsize=7, length=2, pad=1.5)
            bar.set_xlabel(textwrap.fill(panel.unit[:90], 34), fontsize=7.5, labelpad=1)
    if title:
        figure.text(left / width, 1 - 0.1 / height, title, fontsize=12, fontweight="bold", va="top")
    _legend(figure, outlines, left / width, 0.92 / height)
    figure.text(
        1 - 0.1 / width, 0.1 / height, FOOTER, fontsize=8, ha="right", fontweight="bold", color="#a02020"
    )
    return figure


def _show(
    axes: Axes,
    panel: Panel,
    k: int,
    rows: slice,
    columns: slice,
    spacing: Sequence[float],
    outlines: Mapping[str, np.ndarray],
) -> AxesImage:
    from matplotlib import colormaps, patheffects

    colours = colormaps[panel.colours].with_extremes(bad="black")
    image = axes.imshow(
        np.ma.masked_invalid(panel.values[k, rows, columns]),
        cmap=colours,
        vmin=panel.low,
        vmax=panel.high,
        aspect=spacing[1] / spacing[0],
        interpolation="nearest",
    )
    halo = [patheffects.withStroke(linewidth=2.2, foreground="black")]
    for name, region in outlines.items():
        x, y = _edges(region[k, rows, columns])
        if x:
            axes.plot(
                x, y, color=_colour(name), linewidth=1.0, path_effects=halo, solid_capstyle="projecting"
            )
    axes.set_xlim(-0.5, image.get_array().shape[1] - 0.5)
    axes.set_ylim(image.get_array().shape[0] - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for x, mark, side in ((0.03, "R", "left"), (0.97, "L", "right")):
        axes.text(
            x, 0.97, mark, color="white", fontsize=8, fontweight="bold", va="top", ha=side,
            transform=axes.transAxes, path_effects=halo,
        )  # fmt: skip
    return image


def _edges(inside: np.ndarray) -> tuple[list[float], list[float]]:
    """Give the outline of a 2D mask along voxel edges, as one line broken by NaN."""
    padded = np.pad(inside, 1).astype(np.int8)
    xs: list[float] = []
    ys: list[float] = []
    for y, x in np.argwhere(np.diff(padded[:, 1:-1], axis=0)):
        xs += [x - 0.5, x + 0.5, np.nan]
        ys += [y - 0.5, y - 0.5, np.nan]
    for y, x in np.argwhere(np.diff(padded[1:-1], axis=1)):
        xs += [x - 0.5, x - 0.5, np.nan]
        ys += [y - 0.5, y + 0.5, np.nan]
    return xs, ys


def _window(
    brain: np.ndarray, outlines: Iterable[np.ndarray], spacing: Sequence[float]
) -> tuple[slice, slice]:
    shown = brain.any(axis=0)
    for outline in outlines:
        shown |= outline.any(axis=0)
    cuts = []
    for axis, step in ((1, spacing[1]), (0, spacing[0])):
        hit = np.flatnonzero(shown.any(axis=axis))
        margin = int(np.ceil(_MARGIN_MM / step))
        cuts.append(slice(max(0, hit[0] - margin), min(shown.shape[1 - axis], hit[-1] + 1 + margin)))
    return cuts[0], cuts[1]


def _position(grid: sitk.Image, k: int) -> str:
    size = grid.GetSize()
    z = grid.TransformContinuousIndexToPhysicalPoint([(size[0] - 1) / 2, (size[1] - 1) / 2, float(k)])[2]
    return f"slice {k + 1} of {size[2]}   ·   {'S' if z >= 0 else 'I'} {abs(z):.1f} mm"


def _colour(name: str) -> str:
    start = name.strip().lower()
    if start.startswith("tum"):
        return TUMOUR_COLOUR
    return WHITE_MATTER_COLOUR if start.startswith(("w", "n")) else OTHER_COLOUR


def _legend(figure: Figure, outlines: Mapping[str, np.ndarray], x: float, y: float) -> None:
    from matplotlib.lines import Line2D

    kinds = {
        TUMOUR_COLOUR: "tumour region",
        WHITE_MATTER_COLOUR: "white-matter region",
        OTHER_COLOUR: "region",
    }
    colours = list(dict.fromkeys(_colour(name) for name in outlines))
    if colours:
        legend = figure.legend(
            [Line2D([], [], color=colour, linewidth=2) for colour in colours],
            [kinds[colour] for colour in colours],
            loc="upper left", bbox_to_anchor=(x, y), fontsize=7.5,
            facecolor="#606060", labelcolor="white", framealpha=1, borderpad=0.35, borderaxespad=0,
        )  # fmt: skip
        legend.get_frame().set_linewidth(0)
