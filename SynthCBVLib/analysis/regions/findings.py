"""Findings about regions: a ratio that can be computed may still not deserve trust."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.arrays import Volume, check_grid, values_of
from SynthCBVLib.analysis.regions.ratios import Regions, named_regions, region_statistics
from SynthCBVLib.analysis.regions.stamp import AREA as PAPER_AREA_MM2
from SynthCBVLib.analysis.regions.stamp import slice_axis

if TYPE_CHECKING:
    from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane
    from SynthCBVLib.imaging.quality import Finding

#: Shares below this (of a region) are the rim's partial voxels, not a misplaced region.
_RIM = 0.02
#: A region with more than this share on each side of the mid-plane crosses it.
_CROSSING = 0.1


def check_regions(
    map: Volume,
    tumour: Regions,
    white_matter: Regions,
    *,
    mask: Volume | None = None,
    plane: SagittalPlane | None = None,
    slice_normalised: bool = False,
) -> list[Finding]:
    """Look for regions that give no ratio, or one which should not be trusted though it can be computed.

    Parameters
    ----------
    map : sitk.Image or ndarray
        Scalar map.
    tumour, white_matter : sequence or mapping of masks
        Regions on the map's grid.
    mask : sitk.Image or ndarray, optional
        Brain; without it, the brain ends where the map is exactly zero.
    plane : SagittalPlane, optional
        Mid-sagittal plane, to check the sides; needs a map with geometry.
    slice_normalised : bool
        Whether the map has no common scale from slice to slice, as that of the IVIM card.

    Returns
    -------
    list of Finding
        Errors: a region that is empty or reaches voxels without a value. Warnings: less than three regions
        a kind; a region of half the papers' area or less; one that reaches out of the brain; overlap of any
        two; white matter on the tumour's side; a region across the mid-plane; regions of a
        slice-normalised map in several slices.

    Raises
    ------
    InputError
        If there is no region of a kind, or one lies on another grid.
    """
    values = values_of(map, "map")
    brain = None
    if mask is not None:
        check_grid(mask, "brain mask", map, "map")
        brain = values_of(mask, "brain mask") != 0
    findings: list[Finding] = []
    inside: dict[str, dict[str, np.ndarray]] = {}
    for kind, regions in (("Tumour", tumour), ("White matter", white_matter)):
        masks = named_regions(regions, kind)
        if len(masks) < 3:
            findings.append(
                _warn(
                    f"Only {len(masks)} {kind.lower()} region{'s' if len(masks) > 1 else ''}.",
                    "Draw three regions of each kind.",
                )
            )
        inside[kind] = {}
        for name, region in masks.items():
            check_grid(region, name, map, "map")
            where = np.nan_to_num(values_of(region, name)) != 0
            findings += _of_one(name, where, region, map, values, brain)
            if where.any():
                inside[kind][name] = where
    findings += _overlaps({name: where for masks in inside.values() for name, where in masks.items()})
    if plane is not None and isinstance(map, sitk.Image):
        findings += _sides(inside, plane.distance_map(map))
    if slice_normalised:
        findings += _slices(inside, map)
    return findings


def narrow_segment(wanted: int, got: int, at_border: bool) -> list[Finding]:
    """Tell of a tumour segment without room for all hot spots, or for such as keep off its border."""
    findings = []
    if got < wanted:
        findings.append(
            _warn(
                f"The tumour segment has room for {got} of {wanted} hot spots.",
                "Look whether the segment holds the whole solid tumour.",
            )
        )
    if at_border:
        findings.append(
            _warn(
                "The tumour segment is so narrow that a hot spot touches its border.",
                "Look whether the hot spots lie in solid tumour.",
            )
        )
    return findings


def _of_one(
    name: str, where: np.ndarray, region: Volume, map: Volume, values: np.ndarray, brain: np.ndarray | None
) -> list[Finding]:
    if not where.any():
        return [_error(f"{name} is empty.", "Draw the region or leave it out.")]
    inner = values[where]
    unknown = float((~np.isfinite(inner)).mean())
    if unknown > 0:
        return [
            _error(f"{unknown:.0%} of {name} lies where the map has no value.", "Move it to where it has.")
        ]
    findings = []
    (statistic,) = region_statistics(map, {name: region})
    if statistic.area_mm2 is not None and statistic.area_mm2 <= PAPER_AREA_MM2 / 2:
        findings.append(
            _warn(
                f"{name} covers {statistic.area_mm2:.1f} mm² in its largest slice.",
                f"Draw regions of about {PAPER_AREA_MM2:.0f} mm².",
            )
        )
    zero = float((inner == 0).mean())
    if zero > 0:
        findings.append(
            _warn(f"{zero:.0%} of {name} lies where the map is zero.", "Move the region inside the brain.")
        )
    outside = 0.0 if brain is None else float((~brain[where]).mean())
    if outside > max(_RIM, zero):  # what is zero for being outside is said once
        findings.append(
            _warn(f"{outside:.0%} of {name} lies outside the brain.", "Move the region inside the brain.")
        )
    return findings


def _overlaps(inside: dict[str, np.ndarray]) -> list[Finding]:
    names = list(inside)
    findings = []
    for i, name in enumerate(names):
        for other in names[i + 1 :]:
            common = int((inside[name] & inside[other]).sum())
            if common:
                findings.append(_warn(f"{name} and {other} share {common} voxels.", "Draw them apart."))
    return findings


def _sides(inside: dict[str, dict[str, np.ndarray]], distances: np.ndarray) -> list[Finding]:
    findings = []
    for masks in inside.values():
        for name, where in masks.items():
            left = float((distances[where] > 0).mean())
            if min(left, 1 - left) > _CROSSING:
                findings.append(
                    _warn(f"{name} lies across the mid-line.", "Draw each region on one side of the brain.")
                )
    if not inside["Tumour"]:
        return findings
    centres = [float(distances[where].mean()) for where in inside["Tumour"].values()]
    if min(centres) < 0 < max(centres):
        findings.append(
            _warn(
                "The tumour regions lie on both sides of the mid-line.",
                "White matter opposite one of them may be tumour; look whether it appears normal.",
            )
        )
        return findings
    side = 1.0 if np.mean(centres) > 0 else -1.0
    for name, where in inside["White matter"].items():
        if float(distances[where].mean()) * side > 0:
            findings.append(
                _warn(f"{name} lies on the tumour's side.", "Draw white matter on the other side.")
            )
    return findings


def _slices(inside: dict[str, dict[str, np.ndarray]], map: Volume) -> list[Finding]:
    axis = 2 - slice_axis(map) if isinstance(map, sitk.Image) and map.GetDimension() == 3 else 0
    used: set[int] = set()
    for where in (where for masks in inside.values() for where in masks.values() if where.ndim == 3):
        used |= {int(i) for i in np.flatnonzero(np.moveaxis(where, axis, 0).any(axis=(1, 2)))}
    if len(used) <= 1:
        return []
    return [
        _warn(
            f"The regions lie in {len(used)} slices of a map that is normalised slice by slice.",
            "Draw all regions in one slice.",
        )
    ]


def _warn(what: str, remedy: str) -> Finding:
    from SynthCBVLib.imaging.quality import Finding

    return Finding("warning", None, what, remedy)


def _error(what: str, remedy: str) -> Finding:
    from SynthCBVLib.imaging.quality import Finding

    return Finding("error", None, what, remedy)
