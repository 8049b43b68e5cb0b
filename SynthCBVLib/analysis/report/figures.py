"""Pictures of maps: axial slices side by side with regions, colour bars and positions.

Drawn with matplotlib's Agg canvas on figures of their own, so that no window opens and nothing of
matplotlib's global state is touched. Radiological convention: the patient's right is on the viewer's left.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.arrays import check_grid, inside_of, values_of
from SynthCBVLib.analysis.report.montage import Panel, draw
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colour maps: perfusion maps in "turbo" (perceptually smoother kin of the usual "jet").
PERFUSION, UNCERTAINTY, DIFFERENCE, ANATOMY = "turbo", "magma", "RdBu_r", "gray"


def overview(
    anatomy: sitk.Image,
    synthetic: sitk.Image,
    real: sitk.Image | None = None,
    uncertainty: sitk.Image | None = None,
    f_map: sitk.Image | None = None,
    mask: sitk.Image | None = None,
    regions: Mapping[str, sitk.Image] | None = None,
    *,
    n_slices: int = 3,
    title: str = "",
    anatomy_name: str = "Anatomy",
    unit: str = "rCBV (relative units)",
) -> Figure:
    """Draw anatomy, real and synthetic rCBV, uncertainty, difference and f in a few axial slices.

    Slices are those of the voxel grid nearest to axial (axes swapped or flipped, never resampled), drawn
    with their true aspect. Real and synthetic rCBV share one window, from 0 to the largest of their 99.5th
    percentiles in the brain and 1.15 times their region means, so that no region saturates.

    Parameters
    ----------
    anatomy, synthetic : sitk.Image
        3D images on one grid.
    real, uncertainty, f_map : sitk.Image, optional
        Further maps on that grid; what is missing has no column. f is shown in percent.
    mask : sitk.Image, optional
        Brain; maps are shown inside it. By default where the synthetic map is finite and not zero.
    regions : mapping of str to sitk.Image, optional
        Regions outlined on every panel: names starting with "Tum" in magenta, with "W" or "N" (white
        matter, NAWM) in white.
    n_slices : int
        How many slices; those with regions come first, then the largest part of the brain.
    title : str
        Heading of the figure.
    anatomy_name : str
        Heading of the first column, such as "T2w".
    unit : str
        Label of the rCBV colour bar.

    Returns
    -------
    matplotlib.figure.Figure
        With an Agg canvas; see `png` and `save_png`.

    Raises
    ------
    InputError
        If an image is on another grid than `anatomy`, or a mask or region is empty.
    """
    maps = {"synthetic map": synthetic, "real map": real, "uncertainty": uncertainty, "f map": f_map}
    for name, image in (*maps.items(), ("brain mask", mask), *(regions or {}).items()):
        if image is not None:
            check_grid(image, name, anatomy, anatomy_name)
    grid = sitk.DICOMOrient(anatomy, "LPS")
    arrays = {name: _axial(image, name) for name, image in maps.items() if image is not None}
    if mask is not None:
        brain = inside_of(sitk.DICOMOrient(mask, "LPS"), "brain mask", (3,))
    else:
        brain = np.isfinite(arrays["synthetic map"]) & (arrays["synthetic map"] != 0)
        if not brain.any():
            raise InputError("synthetic map", "zero everywhere", "a map with values")
    outlines = {
        name: inside_of(sitk.DICOMOrient(region, "LPS"), name, (3,))
        for name, region in (regions or {}).items()
    }
    panels = _panels(
        _axial(anatomy, anatomy_name), arrays, brain, list(outlines.values()), anatomy_name, unit
    )
    chosen = choose_slices(brain, list(outlines.values()), n_slices)
    return draw(panels, outlines, brain, grid, chosen, title)


def choose_slices(brain: np.ndarray, regions: Sequence[np.ndarray], n_slices: int) -> list[int]:
    """Choose the slices to show, from the top of the head down.

    Parameters
    ----------
    brain : ndarray of bool (z, y, x)
        Axial order, feet first.
    regions : sequence of ndarray of bool (z, y, x)
        Their slices come first, the one with most region voxels before all.
    n_slices : int
        How many at most, at least 1.

    Returns
    -------
    list of int
        Slice indices, descending; the rest is spread over the middle 60 % of the brain, away from
        those that are there.
    """
    counts = np.zeros(brain.shape[0], int)
    for region in regions:
        counts += region.sum(axis=(1, 2))
    order = [int(k) for k in np.argsort(-counts, kind="stable") if counts[k] > 0]
    chosen = order[: max(1, n_slices)]
    present = np.flatnonzero(brain.any(axis=(1, 2)))
    low, high = np.quantile(present, (0.2, 0.8), method="nearest")
    candidates = [int(k) for k in present if low <= k <= high and k not in chosen]
    if not chosen and candidates:
        chosen.append(candidates.pop(len(candidates) // 2))
    while len(chosen) < n_slices and candidates:
        farthest = max(candidates, key=lambda k: min(abs(k - c) for c in chosen))
        candidates.remove(farthest)
        chosen.append(farthest)
    return sorted(chosen, reverse=True)


def png(figure: Figure, dpi: int = 120) -> bytes:
    """Give a figure as PNG, without time stamp, so that the same data gives the same bytes."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes: no reason to write on the user's terminal.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def save_png(figure: Figure, path: str | os.PathLike[str], dpi: int = 120) -> Path:
    """Write a figure as PNG, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    content = png(figure, dpi)
    with written_whole(path) as (temporary,):
        temporary.write_bytes(content)
    return Path(path)


def _axial(image: sitk.Image, name: str) -> np.ndarray:
    values = values_of(image, name, (3,))
    return values_of(sitk.DICOMOrient(image, "LPS"), name, (3,)) if values.size else values


def _panels(
    anatomy: np.ndarray,
    maps: Mapping[str, np.ndarray],
    brain: np.ndarray,
    outlines: Sequence[np.ndarray],
    anatomy_name: str,
    unit: str,
) -> list[Panel]:
    inner = anatomy[brain & np.isfinite(anatomy)]
    low, high = np.percentile(inner, (1, 99.5)) if inner.size else (0.0, 1.0)
    panels = [Panel(anatomy_name, "", anatomy, float(min(low, 0.0)), _above(high, low), ANATOMY)]
    shown = {name: np.where(brain, values, np.nan) for name, values in maps.items()}
    rcbv = [shown[name] for name in ("real map", "synthetic map") if name in shown]
    hot = [1.15 * float(np.nanmean(values[o])) for values in rcbv for o in outlines if (o & brain).any()]
    top = _above(
        max([_percentile(values) for values in rcbv] + [value for value in hot if np.isfinite(value)])
    )
    if "real map" in shown:
        panels.append(Panel("Real rCBV", unit, shown["real map"], 0.0, top, PERFUSION))
    panels.append(Panel("Synthetic rCBV", unit, shown["synthetic map"], 0.0, top, PERFUSION))
    if "real map" in shown:
        difference = shown["synthetic map"] - shown["real map"]
        span = _above(_percentile(np.abs(difference)))
        panels.append(Panel("Synthetic – real", unit, difference, -span, span, DIFFERENCE))
    if "uncertainty" in shown:
        span = _above(_percentile(shown["uncertainty"]))
        panels.append(Panel("Uncertainty", unit, shown["uncertainty"], 0.0, span, UNCERTAINTY))
    if "f map" in shown:
        percent = 100.0 * shown["f map"]
        span = _above(_percentile(percent, 98.0))
        panels.append(Panel("IVIM f", "perfusion fraction (%)", percent, 0.0, span, PERFUSION))
    return panels


def _percentile(values: np.ndarray, percent: float = 99.5) -> float:
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, percent)) if finite.size else 0.0


def _above(high: float, low: float = 0.0) -> float:
    return float(high) if high > low else float(low) + 1.0
