"""A case in the scene: its maps and regions, copied to where they are measured."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from SynthCBVLib.analysis.measured_ratio import FRACTION, REAL, SYNTHETIC
from SynthCBVLib.analysis.regions import split_regions
from SynthCBVLib.scene.drawn_regions import drawn_regions
from SynthCBVLib.scene.results import findings_of, input_of, mask_of, provenance_of, uncertainty_of
from SynthCBVLib.scene.steps import finished
from SynthCBVLib.scene.volumes import copy_steps
from SynthCBVLib.worker.case import REGION, HandedCase
from SynthCBVLib.worker.handover import Volume

if TYPE_CHECKING:
    import slicer

    from SynthCBVLib.analysis.measured_case import MeasuredCase


@dataclass(frozen=True)
class CaseNodes:
    """The nodes of one case.

    Parameters
    ----------
    synthetic : vtkMRMLScalarVolumeNode
        Synthetic rCBV; knows its uncertainty, brain mask and provenance if a synthesis made it.
    regions : vtkMRMLSegmentationNode or vtkMRMLLabelMapVolumeNode, optional
        Regions whose names start with Tumour and White matter; without them there are no ratios.
    real, fraction, anatomy : vtkMRMLScalarVolumeNode, optional
        Real rCBV and IVIM perfusion fraction (0 to 1), aligned with the synthetic map, on any grid; and the
        image to show beside them.
    """

    synthetic: slicer.vtkMRMLScalarVolumeNode
    regions: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode | None = None
    real: slicer.vtkMRMLScalarVolumeNode | None = None
    fraction: slicer.vtkMRMLScalarVolumeNode | None = None
    anatomy: slicer.vtkMRMLScalarVolumeNode | None = None

    def maps(self) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
        """Give the maps there are by their names."""
        named = {SYNTHETIC: self.synthetic, REAL: self.real, FRACTION: self.fraction}
        return {name: node for name, node in named.items() if node is not None}


def measure_case(case: CaseNodes) -> MeasuredCase:
    """Measure a case: ratios, likeness to the real map, mean uncertainty.

    The maps are taken to be aligned as they lie in the scene; segments that are still empty are left out.

    Raises
    ------
    InputError
        If there is no synthetic map, a kind of region is missing, a region is outside a map, or a map is no
        volume.
    """
    from SynthCBVLib.analysis.measured_case import measure

    return measure(finished(copy_case(case)).images())


def copy_case(case: CaseNodes) -> Generator[None, None, HandedCase]:
    """Copy what measuring a case needs of the scene, in short steps; errors as `measure_case`."""
    nodes = {
        "synthetic": (case.synthetic, SYNTHETIC),
        "uncertainty": (uncertainty_of(case.synthetic), ""),
        "brain": (mask_of(case.synthetic), ""),
        "real": (case.real, REAL),
        "fraction": (case.fraction, FRACTION),
        "anatomy": (case.anatomy, ""),
    }
    volumes: dict[str, Volume] = {}
    for key, (node, name) in nodes.items():
        if node is not None:
            volumes[key] = yield from copy_steps(node, name)
    if case.regions is not None:
        drawn = {}
        for name, mask in drawn_regions(case.regions, case.synthetic):
            drawn[name] = mask
            yield
        split_regions(drawn)  # refuses what is not enough
        volumes |= {f"{REGION}{name}": Volume.of(mask, name) for name, mask in drawn.items()}
    return HandedCase(volumes, provenance_of(case.synthetic), tuple(findings_of(case.synthetic)))


def anatomy_of(
    map: slicer.vtkMRMLScalarVolumeNode,
) -> tuple[slicer.vtkMRMLScalarVolumeNode | None, str | None]:
    """Give the anatomical image on whose grid a map was made, and its modality; None where not known."""
    modality = str(provenance_of(map).get("reference") or "")
    node = input_of(map, modality) if modality else None
    return (None, None) if node is None else (node, modality)
