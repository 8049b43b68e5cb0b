"""T/WM ratios of maps in the scene, from regions drawn there, with the intervals of their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import SimpleITK as sitk

from SynthCBVLib.analysis.regions import RatioRow, ratio_row, split_regions
from SynthCBVLib.analysis.regions.findings import check_regions
from SynthCBVLib.analysis.regions.uncertainty import ratio_uncertainty
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.study import same_grid
from SynthCBVLib.scene.regions import region_masks
from SynthCBVLib.scene.results import (
    add_ratio_table,
    keep_findings,
    mask_of,
    provenance_of,
    uncertainty_of,
)
from SynthCBVLib.scene.volumes import volume_to_image
from SynthCBVLib.synthesis.normalisation import NORMALISATIONS

if TYPE_CHECKING:
    import slicer

#: Level of a ratio's interval.
LEVEL = 0.9


@dataclass(frozen=True)
class MeasuredRatios:
    """Ratios of maps, and what speaks against trusting them.

    Attributes
    ----------
    rows : tuple of RatioRow
        One a map, in the order given; with an interval where the map has an uncertainty map.
    findings : tuple of Finding
        About the regions, each once.
    """

    rows: tuple[RatioRow, ...]
    findings: tuple[Finding, ...]


def measure_ratios(
    regions: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode,
    maps: Mapping[str, slicer.vtkMRMLScalarVolumeNode],
    uncertainties: Mapping[str, slicer.vtkMRMLScalarVolumeNode] | None = None,
    level: float = LEVEL,
) -> MeasuredRatios:
    """Measure the T/WM ratio of maps, each on its own grid.

    Parameters
    ----------
    regions : vtkMRMLSegmentationNode or vtkMRMLLabelMapVolumeNode
        Regions whose names start with Tumour and White matter.
    maps : Mapping
        Map by the name that its row gets.
    uncertainties : Mapping, optional
        Uncertainty map (standard deviation in each voxel) by the map's name; by default that which a
        synthesis left with its map.
    level : float
        Level of the intervals.

    Raises
    ------
    InputError
        If there is no map, a region is missing, empty or outside a map, or an uncertainty map lies on another
        grid than its map.
    """
    if not maps:
        raise InputError("Regions", "no map", "at least one map", "Choose the synthetic rCBV map.")
    rows, findings = [], []
    for name, node in maps.items():
        map = volume_to_image(node)
        tumour, white_matter = split_regions(region_masks(regions, map))
        row = ratio_row(name, map, tumour, white_matter)
        spread = (uncertainties or {}).get(name) or uncertainty_of(node)
        if spread is not None:
            try:
                interval = ratio_uncertainty(
                    map, volume_to_image(spread), tumour, white_matter, level, name=name
                )
                row = replace(row, interval=interval)
            except InputError as error:
                if name in (uncertainties or {}):
                    raise
                # The map's own uncertainty was changed since it was made: no reason to lose the ratio.
                findings.append(Finding("warning", None, f"{name}: no interval ({error})", ""))
        rows.append(row)
        findings += check_regions(
            map, tumour, white_matter, mask=_mask(node, map), slice_normalised=_by_slice(node)
        )
    said: dict[str, Finding] = {}
    for finding in findings:
        said.setdefault(finding.what, finding)
    return MeasuredRatios(tuple(rows), tuple(said.values()))


def ratio_table(
    regions: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode,
    maps: Mapping[str, slicer.vtkMRMLScalarVolumeNode],
    name: str,
    uncertainties: Mapping[str, slicer.vtkMRMLScalarVolumeNode] | None = None,
    level: float = LEVEL,
) -> slicer.vtkMRMLTableNode:
    """Measure T/WM ratios and put them into the scene as a table; parameters and errors as `measure_ratios`.

    Returns
    -------
    vtkMRMLTableNode
        Columns "Map", "T/WM", an interval such as "90 % interval" if a map has an uncertainty map, "Tumour",
        "White matter", "Regions"; the findings are on the node (`SynthCBVLib.scene.results.findings_of`).
    """
    measured = measure_ratios(regions, maps, uncertainties, level)
    sure = any(row.interval is not None for row in measured.rows)
    rows = []
    for row in measured.rows:
        cells: dict[str, float | str] = {"Map": row.map, "T/WM": row.ratio.ratio}
        if sure:
            found = row.interval
            cells[f"{level:.0%}".replace("%", " %") + " interval"] = (
                "" if found is None else f"{found.lower:.2f} – {found.upper:.2f}"
            )
        cells |= {
            "Tumour": row.ratio.tumour,
            "White matter": row.ratio.white_matter,
            "Regions": f"{row.ratio.n.tumour} + {row.ratio.n.white_matter}",
        }
        rows.append(cells)
    node = add_ratio_table(rows, name)
    keep_findings(node, measured.findings)
    return node


def _mask(node: slicer.vtkMRMLScalarVolumeNode, map: sitk.Image) -> sitk.Image | None:
    """Give the brain that came with a map, if it still fits."""
    found = mask_of(node)
    if found is None:
        return None
    mask = volume_to_image(found)
    return mask if same_grid(mask, map) else None


def _by_slice(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Tell whether a map has no common scale from slice to slice."""
    return provenance_of(node).get("unit") == NORMALISATIONS["slice-maximum"].unit
