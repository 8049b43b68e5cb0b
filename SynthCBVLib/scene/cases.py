"""A case in the scene: its maps and regions, and all that is measured on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.cohort.case import case_row
from SynthCBVLib.analysis.cohort.table import Cell
from SynthCBVLib.analysis.regions import RatioRow
from SynthCBVLib.analysis.similarity import Similarity, compare
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import like, same_grid
from SynthCBVLib.scene.ratios import measure_ratios
from SynthCBVLib.scene.results import findings_of, mask_of, provenance_of, uncertainty_of
from SynthCBVLib.scene.volumes import volume_to_image
from SynthCBVLib.synthesis.card import OutputSpec
from SynthCBVLib.synthesis.normalisation import NORMALISATIONS
from SynthCBVLib.synthesis.preprocess import coverage, normalised_rcbv

if TYPE_CHECKING:
    import slicer

#: Names of the maps in tables and reports; the cohort table knows its columns by them.
SYNTHETIC, REAL, FRACTION = "Synthetic rCBV", "Real rCBV", "IVIM f"


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


@dataclass(frozen=True)
class MeasuredCase:
    """All that is measured on a case.

    Attributes
    ----------
    synthetic, mask : sitk.Image
        Synthetic rCBV, and the brain on its grid.
    uncertainty, real : sitk.Image or None
        On the same grid; real rCBV in the synthetic map's unit if that is known.
    rows : tuple of RatioRow
        Ratios, each map measured on its own grid.
    similarity : Similarity or None
        Synthetic against real; None without a real map in the same unit.
    mean_uncertainty : float or None
        In the brain, map units.
    provenance : Mapping
        Of the synthetic map.
    findings : tuple of Finding
        Of the synthesis, the regions and the comparison.
    """

    synthetic: sitk.Image
    mask: sitk.Image
    uncertainty: sitk.Image | None = None
    real: sitk.Image | None = None
    rows: tuple[RatioRow, ...] = ()
    similarity: Similarity | None = None
    mean_uncertainty: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def row(
        self, subject: str, group: str | None = None, scores: Mapping[str, float] | None = None
    ) -> dict[str, Cell]:
        """Give the case's row in the cohort table."""
        sure = next((row.interval for row in self.rows if row.map == SYNTHETIC), None)
        return case_row(
            subject,
            group=group,
            ratios=self.rows,
            similarity=self.similarity,
            uncertainty=self.mean_uncertainty,
            ratio_uncertainty=None if sure is None else sure.ratio * sure.relative_sd,
            scores=scores,
            provenance=self.provenance,
        )


def measure_case(case: CaseNodes) -> MeasuredCase:
    """Measure a case: ratios, likeness to the real map, mean uncertainty.

    The maps are taken to be aligned as they lie in the scene.

    Raises
    ------
    InputError
        If there is no synthetic map, a region is missing, empty or outside a map, or a map is no volume.
    """
    synthetic = volume_to_image(case.synthetic)
    provenance, findings = provenance_of(case.synthetic), findings_of(case.synthetic)
    mask = brain_of(case.synthetic, synthetic)
    rows: tuple[RatioRow, ...] = ()
    if case.regions is not None:
        measured = measure_ratios(case.regions, case.maps())
        rows, findings = measured.rows, [*findings, *measured.findings]
    uncertainty, mean = None, None
    node = uncertainty_of(case.synthetic)
    if node is not None and same_grid(found := volume_to_image(node), synthetic):
        uncertainty = found
        inner = sitk.GetArrayViewFromImage(found)[sitk.GetArrayViewFromImage(mask) != 0]
        inner = inner[np.isfinite(inner)]
        mean = float(inner.mean()) if inner.size else None
    real = likeness = None
    if case.real is not None:
        real, compared, in_unit = _beside(volume_to_image(case.real), synthetic, mask, provenance)
        if in_unit:
            try:
                likeness = compare(real, synthetic, compared)
            except InputError as error:
                findings.append(Finding("warning", None, f"No SSIM and PSNR ({error})", ""))
        else:
            what = "No SSIM and PSNR: the synthetic map does not say in which unit it is."
            findings.append(Finding("info", None, what, "Compare maps that SynthCBV has made."))
    return MeasuredCase(
        synthetic, mask, uncertainty, real, rows, likeness, mean, provenance, tuple(findings)
    )  # fmt: skip


def brain_of(node: slicer.vtkMRMLScalarVolumeNode, image: sitk.Image) -> sitk.Image:
    """Give the brain that came with a map; where there is none, where the map has a value that is not 0.

    Raises
    ------
    InputError
        If the map has no value.
    """
    found = mask_of(node)
    if found is not None and same_grid(mask := volume_to_image(found), image):
        return sitk.Cast(mask != 0, sitk.sitkUInt8)
    array = sitk.GetArrayViewFromImage(image)
    inside = np.isfinite(array) & (array != 0)
    if not inside.any():
        raise InputError(node.GetName(), "a map that is zero everywhere", "a map with values")
    return like(inside.astype(np.uint8), image)


@dataclass(frozen=True)
class _Output:
    """The part of a model card that tells a map's unit."""

    output: OutputSpec


def _beside(
    real: sitk.Image, synthetic: sitk.Image, mask: sitk.Image, provenance: Mapping[str, Any]
) -> tuple[sitk.Image, sitk.Image, bool]:
    """Bring a real map to the synthetic one's grid and unit; give where both are, and whether units agree."""
    array = sitk.GetArrayFromImage(real)
    bad = ~np.isfinite(array)
    if bad.any():  # scanners write NaN outside the brain
        real = like(np.where(bad, 0, array), real)
    identity = sitk.Transform(3, sitk.sitkIdentity)
    compared = sitk.Mask(mask, coverage(real, synthetic, identity))
    moved = sitk.Mask(resample(real, synthetic), compared)
    unit = provenance.get("unit")
    name = next((key for key, known in NORMALISATIONS.items() if known.unit == unit), None)
    if name is None:
        return moved, compared, False
    return normalised_rcbv(moved, compared, _Output(OutputSpec("rCBV", name))), compared, True
