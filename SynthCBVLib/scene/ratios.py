"""T/WM ratios of maps in the scene, from regions drawn there, with the intervals of their uncertainty."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import SimpleITK as sitk

from SynthCBVLib.analysis.calibrated_ratio import real_ratio_interval
from SynthCBVLib.analysis.measured_ratio import LEVEL, MapPart, each_once, is_by_slice, measured_ratio
from SynthCBVLib.analysis.regions import RatioRow, split_regions
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.scene.drawn_regions import drawn_regions, volume_part
from SynthCBVLib.scene.results import (
    add_ratio_table,
    keep_findings,
    mask_of,
    provenance_of,
    uncertainty_of,
)
from SynthCBVLib.scene.steps import finished

if TYPE_CHECKING:
    import slicer

    from SynthCBVLib.analysis.regions import RatioInterval
    from SynthCBVLib.synthesis.calibration import ConformalInterval

#: End of the name of the column with the intervals that hold the real ratio.
CONFORMAL = "interval (conformal)"


@dataclass(frozen=True)
class MeasuredRatios:
    """Ratios of maps, and what speaks against trusting them.

    Attributes
    ----------
    rows : tuple of RatioRow
        One a map, in the order given; with an interval where the map has an uncertainty map.
    findings : tuple of Finding
        About the regions, each once.
    expected : tuple of ConformalInterval or None
        For each row, the interval that holds the real ratio, where the map's model was calibrated for it.
    """

    rows: tuple[RatioRow, ...]
    findings: tuple[Finding, ...]
    expected: tuple[ConformalInterval | None, ...]


def measure_ratios(
    regions: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode,
    maps: Mapping[str, slicer.vtkMRMLScalarVolumeNode],
    uncertainties: Mapping[str, slicer.vtkMRMLScalarVolumeNode] | None = None,
    level: float = LEVEL,
) -> MeasuredRatios:
    """Measure the T/WM ratio of maps, each on its own grid; segments that are still empty are left out.

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
        If there is no map, a kind of region is missing, a region is outside a map, or an uncertainty map lies
        on another grid than its map.
    """
    return finished(ratio_steps(regions, maps, uncertainties, level))


def ratio_steps(
    regions: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode,
    maps: Mapping[str, slicer.vtkMRMLScalarVolumeNode],
    uncertainties: Mapping[str, slicer.vtkMRMLScalarVolumeNode] | None = None,
    level: float = LEVEL,
) -> Generator[None, None, MeasuredRatios]:
    """Measure as `measure_ratios` does, a region or a map a step."""
    if not maps:
        raise InputError("Regions", "no map", "at least one map", "Choose the synthetic rCBV map.")
    given = uncertainties or {}
    drawn = {}
    for name, mask in drawn_regions(regions, next(iter(maps.values()))):
        drawn[name] = mask
        yield
    split_regions(drawn)  # refuses what is not enough, before any map is looked at
    rows, findings, expected = [], [], []
    for name, node in maps.items():
        masks = drawn.values()
        spread = volume_part(given[name], masks) if name in given else _with_map(uncertainty_of(node), masks)
        part = MapPart(
            volume_part(node, masks, name),
            spread,
            _with_map(mask_of(node), masks),
            is_by_slice(provenance_of(node)),
            name in given,
        )
        row, found = measured_ratio(name, drawn, part, level)
        rows.append(row)
        findings += found
        # The calibration is one of the uncertainty map that came with the map, not of another.
        expected.append(None if name in given else real_ratio_interval(row, provenance_of(node)))
        yield
    return MeasuredRatios(tuple(rows), each_once(findings), tuple(expected))


def ratio_table(
    regions: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode,
    maps: Mapping[str, slicer.vtkMRMLScalarVolumeNode],
    name: str,
    uncertainties: Mapping[str, slicer.vtkMRMLScalarVolumeNode] | None = None,
    level: float = LEVEL,
    table: slicer.vtkMRMLTableNode | None = None,
) -> slicer.vtkMRMLTableNode:
    """Measure T/WM ratios and put them into the scene as a table; parameters and errors as `measure_ratios`.

    Parameters
    ----------
    table : vtkMRMLTableNode, optional
        Filled anew; by default a table called `name` is made.

    Returns
    -------
    vtkMRMLTableNode
        Columns "Map", "T/WM", an interval such as "90 % interval" if a map has an uncertainty map, another
        such as "90 % interval (conformal)" if its model was calibrated, "Tumour", "White matter", "Regions";
        the findings are on the node (`SynthCBVLib.scene.results.findings_of`).
    """
    return finished(table_steps(regions, maps, name, uncertainties, level, table))


def table_steps(
    regions: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode,
    maps: Mapping[str, slicer.vtkMRMLScalarVolumeNode],
    name: str,
    uncertainties: Mapping[str, slicer.vtkMRMLScalarVolumeNode] | None = None,
    level: float = LEVEL,
    table: slicer.vtkMRMLTableNode | None = None,
) -> Generator[None, None, slicer.vtkMRMLTableNode]:
    """Make the table as `ratio_table` does, a region or a map a step."""
    measured = yield from ratio_steps(regions, maps, uncertainties, level)
    sure = any(row.interval is not None for row in measured.rows)
    calibrated, percent = any(measured.expected), f"{level:.0%}".replace("%", " %")
    rows = []
    for row, expected in zip(measured.rows, measured.expected, strict=True):
        cells: dict[str, float | str] = {"Map": row.map, "T/WM": row.ratio.ratio}
        if sure:
            cells[f"{percent} interval"] = _from_to(row.interval)
        if calibrated:
            cells[f"{percent} {CONFORMAL}"] = _from_to(expected)
        cells |= {
            "Tumour": row.ratio.tumour,
            "White matter": row.ratio.white_matter,
            "Regions": f"{row.ratio.n.tumour} + {row.ratio.n.white_matter}",
        }
        rows.append(cells)
    node = add_ratio_table(rows, name, node=table)
    keep_findings(node, measured.findings)
    return node


def _from_to(interval: RatioInterval | ConformalInterval | None) -> str:
    return "" if interval is None else f"{interval.lower:.2f} – {interval.upper:.2f}"


def _with_map(node: slicer.vtkMRMLVolumeNode | None, masks: Iterable[sitk.Image]) -> sitk.Image | None:
    """Give the part of what came with a map; None if there is none, or it was moved away since."""
    if node is None:
        return None
    try:
        return volume_part(node, masks)
    except InputError:
        return None
