"""The T/WM ratio of one map, with its interval and what speaks against trusting it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import SimpleITK as sitk

from SynthCBVLib.analysis.region_parts import on_grid
from SynthCBVLib.analysis.regions import RatioRow, ratio_row, split_regions
from SynthCBVLib.analysis.regions.findings import check_regions
from SynthCBVLib.analysis.regions.uncertainty import ratio_uncertainty
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.study import same_grid

#: Names of the maps in tables and reports; the cohort table knows its columns by them.
SYNTHETIC, REAL, FRACTION = "Synthetic rCBV", "Real rCBV", "IVIM f"
#: Level of a ratio's interval.
LEVEL = 0.9
#: In the unit of maps that are normalised slice by slice (`SynthCBVLib.synthesis.normalisation`, which would
#: load much that a ratio does without).
_BY_SLICE = "slice's maximum"


@dataclass(frozen=True)
class MapPart:
    """A map, or the part of it around the regions, with what came with it, on one grid.

    Parameters
    ----------
    image : sitk.Image
        Values.
    uncertainty, brain : sitk.Image, optional
        Standard deviation in each voxel, and brain mask.
    by_slice : bool
        Whether the map has no common scale from slice to slice.
    sure_of_uncertainty : bool
        Whether an uncertainty map that does not fit is an error, rather than something to tell.
    """

    image: sitk.Image
    uncertainty: sitk.Image | None = None
    brain: sitk.Image | None = None
    by_slice: bool = False
    sure_of_uncertainty: bool = False


def measured_ratio(
    name: str, regions: Mapping[str, sitk.Image], part: MapPart, level: float = LEVEL
) -> tuple[RatioRow, list[Finding]]:
    """Measure one map's T/WM ratio.

    Parameters
    ----------
    name : str
        Of the map.
    regions : Mapping of str to sitk.Image
        Masks by name, on any grid.
    part : MapPart
        The map, at least where the regions are.
    level : float
        Of the interval, where there is an uncertainty map.

    Returns
    -------
    row : RatioRow
    findings : list of Finding
        What speaks against trusting it.

    Raises
    ------
    InputError
        If a kind of region is missing or a region beside the map.
    """
    findings: list[Finding] = []
    tumour, white_matter = split_regions(on_grid(regions, part.image, name))
    row = ratio_row(name, part.image, tumour, white_matter)
    if part.uncertainty is not None:
        try:
            interval = ratio_uncertainty(part.image, part.uncertainty, tumour, white_matter, level, name=name)
            row = replace(row, interval=interval)
        except InputError as error:
            if part.sure_of_uncertainty:
                raise
            # The map's own uncertainty was changed since it was made: no reason to lose the ratio.
            findings.append(Finding("warning", None, f"{name}: no interval ({error})", ""))
    brain = part.brain if part.brain is not None and same_grid(part.brain, part.image) else None
    findings += check_regions(part.image, tumour, white_matter, mask=brain, slice_normalised=part.by_slice)
    return row, findings


def each_once(findings: list[Finding]) -> tuple[Finding, ...]:
    """Leave out what several maps have in common."""
    said: dict[str, Finding] = {}
    for finding in findings:
        said.setdefault(finding.what, finding)
    return tuple(said.values())


def is_by_slice(provenance: Mapping[str, Any]) -> bool:
    """Tell whether a map has no common scale from slice to slice."""
    return _BY_SLICE in str(provenance.get("unit"))
