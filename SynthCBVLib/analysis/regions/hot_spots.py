"""Hot-spot proposals: where a map is highest within a tumour segment, over discs of about 0.25 cm²."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.analysis.arrays import check_grid, inside_of, values_of
from SynthCBVLib.analysis.regions.stamp import AREA, disc, disc_kernel, slice_axis
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import like

if TYPE_CHECKING:
    from SynthCBVLib.imaging.quality import Finding

#: Discs keep this far from the segment's border where it is wide enough (mm): a rough outline and the
#: map's blur both reach across it.
BORDER = 1.2
#: The map is smoothed by this (mm, standard deviation, through the slices too) to choose where discs go: a
#: hot spot has hot surroundings, noise has not. Without it the highest of many discs is high by its noise: in
#: digital patients some 5 % above the places that are hottest in truth, with it 1 %. Values are read from the
#: map as it is.
SMOOTHING = 5.0
#: What a disc must have inside the segment; tried in this order: (border kept, least share inside).
DEMANDS = ((BORDER, 0.99), (BORDER / 2, 0.99), (0.0, 0.99), (0.0, 0.9), (0.0, 0.8))
#: Centres of two discs lie at least this many radii apart.
APART = 2.3
#: Bright structures narrower than this (mm), so narrower than a region, are taken for vessels if they rise
#: above the map without them by more than `VESSEL_RISE` robust standard deviations of the segment (at least
#: `LEAST_SPREAD` of its median).
VESSEL_WIDTH = 5.5
VESSEL_RISE = 3.5
LEAST_SPREAD = 0.05


@dataclass(frozen=True)
class Spots:
    """Proposed regions of one kind.

    Attributes
    ----------
    masks : dict of str to sitk.Image
        8-bit mask of each region by its name, best first.
    indices : tuple of tuple of int
        Centres as voxel indices (i, j, k).
    findings : tuple of Finding
        What is not as it should be.
    doubted : tuple of str
        Names of the regions that may hold something else.
    """

    masks: dict[str, sitk.Image]
    indices: tuple[tuple[int, int, int], ...]
    findings: tuple[Finding, ...] = ()
    doubted: tuple[str, ...] = ()


def propose_tumour(
    map: sitk.Image,
    tumour_segment: sitk.Image,
    n: int = 3,
    area: float = AREA,
    mask: sitk.Image | None = None,
    slices: Literal["one", "any"] | int = "one",
) -> Spots:
    """Propose hot spots: the discs of highest mean inside a tumour segment.

    Discs do not overlap and keep off vessels and, where the segment is wide enough, off its border. The
    hottest disc of the smoothed map is taken first, then the hottest of those clear of it, and so on.

    Parameters
    ----------
    map : sitk.Image
        3D map, such as rCBV.
    tumour_segment : sitk.Image
        Solid tumour on the map's grid, inside wherever it is not zero; a rough outline will do.
    n : int
        Number of regions.
    area : float
        Area of each, mm².
    mask : sitk.Image, optional
        Brain; what lies outside is left out.
    slices : {"one", "any"} or int
        "one": all in the slice where the segment is largest, as maps need that are normalised slice by
        slice; "any": wherever the map is highest; a number: all in that slice.

    Raises
    ------
    InputError
        If there is no segment, it is empty or on another grid, or holds no disc.
    """
    from SynthCBVLib.analysis.regions.findings import narrow_segment

    if not isinstance(tumour_segment, sitk.Image):
        raise InputError(
            "tumour segment", "none", "a rough outline of the solid tumour to look for hot spots in",
            "Draw the tumour as one segment, or place the regions by hand.",
        )  # fmt: skip
    if n < 1 or area <= 0 or not (slices in ("one", "any") or isinstance(slices, int)):
        raise InputError(
            "hot spots", f"n={n}, area={area:g}, slices={slices!r}",
            "n >= 1, area > 0, slices one, any or a number",
        )  # fmt: skip
    plane = SlicePlane(map, "map")
    values, allowed = searched(plane, map, tumour_segment, mask)
    vessels = vessel_like(values, allowed, plane.pixel)
    sizes = allowed.sum((1, 2))
    if slices == "any":
        numbers = np.flatnonzero(sizes).tolist()
    else:
        numbers = [int(np.argmax(sizes)) if slices == "one" else slices]
        if not 0 <= numbers[0] < len(sizes):
            raise InputError("slice for hot spots", f"{numbers[0]}", f"0 to {len(sizes) - 1}")
    found: list[tuple[int, int, int]] = []
    demand = DEMANDS[0]
    free = allowed & ~vessels
    calm = _smoothed(values, free, (map.GetSpacing()[plane.axis], *plane.pixel))
    scores = {k: _Scores(calm[k], allowed[k], free[k], plane.pixel, area) for k in numbers}
    while len(found) < n:
        # Each further disc may lower the demand for itself, not for those that have been found.
        best, kept = _hottest(scores, found, plane.pixel, area)
        if best is None:
            break
        found.append(best)
        demand = DEMANDS[max(DEMANDS.index(demand), DEMANDS.index(kept))]
    if not found:
        raise InputError(
            "tumour segment", f"{_widest(allowed, plane.pixel):.0f} mm² in its largest slice, too narrow "
            "for a region beside its vessels", f"room for a disc of {area:g} mm²",
            "Draw the whole solid tumour, or place the regions by hand.",
        )  # fmt: skip
    return Spots(
        {f"Tumour {i}": plane.stamped(spot, area) for i, spot in enumerate(found, start=1)},
        tuple(plane.index(spot) for spot in found),
        tuple(narrow_segment(n, len(found), demand[0] == 0)),
    )


class SlicePlane:
    """The slices of a 3D image as arrays (slice, row, column), whichever axis counts them.

    Attributes
    ----------
    axis : int
        Axis of the image that counts slices (0: i, 1: j, 2: k).
    pixel : tuple of float
        Height and width of a pixel, mm.
    """

    def __init__(self, image: sitk.Image, name: str) -> None:
        if not isinstance(image, sitk.Image) or image.GetDimension() != 3:
            raise InputError(name, "not a 3D image", "a 3D image")
        self.image, self.axis = image, slice_axis(image)
        spacing = image.GetSpacing()
        height, width = (other for other in (2, 1, 0) if other != self.axis)
        self.pixel = (spacing[height], spacing[width])

    def slices_of(self, array: np.ndarray) -> np.ndarray:
        """Give an array (z, y, x) as (slice, row, column)."""
        return np.moveaxis(array, 2 - self.axis, 0)

    def index(self, spot: tuple[int, int, int]) -> tuple[int, int, int]:
        """Give the voxel index (i, j, k) of a slice, row and column."""
        rest = [spot[1], spot[2]]
        ordered = [spot[0] if axis == self.axis else rest.pop(0) for axis in (2, 1, 0)]
        return (ordered[2], ordered[1], ordered[0])

    def spot(self, index: Sequence[float]) -> tuple[float, float, float]:
        """Give slice, row and column of a voxel index (i, j, k)."""
        height, width = (other for other in (2, 1, 0) if other != self.axis)
        return (index[self.axis], index[height], index[width])

    def stamped(self, spot: tuple[int, int, int], area: float) -> sitk.Image:
        """Stamp a disc as a mask."""
        array = np.zeros(self.image.GetSize()[::-1], np.uint8)
        slices = self.slices_of(array)
        slices[spot[0]] = disc((spot[1], spot[2]), slices.shape[1:], self.pixel, area)
        return like(array, self.image)


def vessel_like(values: np.ndarray, inside: np.ndarray, pixel: tuple[float, float]) -> np.ndarray:
    """Find what looks like vessels in and around a segment.

    Parameters
    ----------
    values : ndarray (slice, row, column)
        Map.
    inside : ndarray of bool
        The segment; its values tell what is usual.
    pixel : tuple of float
        Height and width of a pixel, mm.

    Returns
    -------
    ndarray of bool
        Thin structures steeply above what is beside them. A wide bright area is a hot spot, however bright.
    """
    usual = values[inside]
    middle = float(np.median(usual))
    spread = max(1.4826 * float(np.median(np.abs(usual - middle))), LEAST_SPREAD * abs(middle))
    finite = np.where(np.isfinite(values), values, middle)
    half = [math.ceil(VESSEL_WIDTH / 2 / p) for p in pixel]
    rows, columns = np.ogrid[-half[0] : half[0] + 1, -half[1] : half[1] + 1]
    element = ((rows * pixel[0]) ** 2 + (columns * pixel[1]) ** 2) <= (VESSEL_WIDTH / 2) ** 2
    vessels = np.zeros(values.shape, bool)
    for number in np.flatnonzero(inside.any((1, 2))):
        flat = finite[number]
        vessels[number] = flat - ndimage.grey_opening(flat, footprint=element) > VESSEL_RISE * spread
    return vessels


def searched(
    plane: SlicePlane, map: sitk.Image, tumour_segment: sitk.Image, mask: sitk.Image | None
) -> tuple[np.ndarray, np.ndarray]:
    """Give the map's values, and where hot spots may lie, both (slice, row, column)."""
    check_grid(tumour_segment, "tumour segment", map, "map")
    inside = plane.slices_of(inside_of(tumour_segment, "tumour segment"))
    values = plane.slices_of(values_of(map, "map"))
    allowed = inside & np.isfinite(values) & (values != 0)
    if mask is not None:
        check_grid(mask, "brain mask", map, "map")
        allowed &= plane.slices_of(inside_of(mask, "brain mask"))
    if not allowed.any():
        raise InputError("tumour segment", "no voxel where the map has values", "a segment over the map",
                         "Draw it on the map or on an image registered to it.")  # fmt: skip
    return values, allowed


def _smoothed(values: np.ndarray, free: np.ndarray, voxel: tuple[float, float, float]) -> np.ndarray:
    """Smooth a map (slice, row, column) within a segment, so that its surroundings do not cool its border."""
    calm = np.zeros(values.shape)
    if not free.any():
        return calm
    sigma = [SMOOTHING / side for side in voxel]
    # Discs may reach beyond the segment, and so must the map.
    rims = [math.ceil(2 * each) for each in sigma]
    box = tuple(
        slice(max(0, at.min() - rim), at.max() + 1 + rim)
        for at, rim in zip(np.nonzero(free), rims, strict=True)
    )
    weight = ndimage.gaussian_filter(free[box].astype(float), sigma, mode="constant")
    total = ndimage.gaussian_filter(np.where(free, values, 0.0)[box], sigma, mode="constant")
    calm[box] = np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-3)
    return calm


class _Scores:
    """One slice's disc means, and how much of each disc lies inside the segment at each distance kept."""

    def __init__(
        self, calm: np.ndarray, allowed: np.ndarray, free: np.ndarray, pixel: tuple[float, float], area: float
    ) -> None:
        kernel = disc_kernel(pixel, area)
        self.mean = ndimage.convolve(calm, kernel, mode="constant")
        depth = ndimage.distance_transform_edt(np.pad(allowed, 1), sampling=pixel)[1:-1, 1:-1]
        # The distance is to the centre of the nearest pixel outside; the border lies half a pixel closer.
        depth = depth - min(pixel) / 2
        self.filled = {
            border: ndimage.convolve((free & (depth >= border)).astype(float), kernel, mode="constant")
            for border in {border for border, _ in DEMANDS}
        }
        self.free = free


def _hottest(
    scores: dict[int, _Scores], found: list[tuple[int, int, int]], pixel: tuple[float, float], area: float
) -> tuple[tuple[int, int, int] | None, tuple[float, float]]:
    radius = math.sqrt(area / math.pi)
    for border, share in DEMANDS:
        best, level = None, -np.inf
        for number, score in scores.items():
            taken = [(r, c) for k, r, c in found if k == number]
            clear = distance_from(score.mean.shape, taken, pixel) > APART * radius
            usable = (score.filled[border] >= share) & score.free & clear
            if usable.any():
                row, column = np.unravel_index(
                    int(np.argmax(np.where(usable, score.mean, -np.inf))), usable.shape
                )
                if score.mean[row, column] > level:
                    best, level = (number, int(row), int(column)), float(score.mean[row, column])
        if best is not None:
            return best, (border, share)
    return None, DEMANDS[-1]


def distance_from(
    shape: tuple[int, ...], spots: Sequence[tuple[float, float]], pixel: tuple[float, float]
) -> np.ndarray:
    """Give the distance (mm) of each pixel (row, column) from the nearest of some spots; inf without any."""
    rows, columns = np.indices(shape)
    nearest = np.full(shape, np.inf)
    for row, column in spots:
        np.minimum(nearest, np.hypot((rows - row) * pixel[0], (columns - column) * pixel[1]), out=nearest)
    return nearest


def _widest(allowed: np.ndarray, pixel: tuple[float, float]) -> float:
    return float(allowed.sum((1, 2)).max()) * pixel[0] * pixel[1]
