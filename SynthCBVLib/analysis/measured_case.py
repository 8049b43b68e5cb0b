"""All that is measured on one case: ratios, likeness to the real map, mean uncertainty; and its report.

Works on images alone, so that a worker process can do it as well as Slicer's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.cohort.case import case_row
from SynthCBVLib.analysis.cohort.table import Cell
from SynthCBVLib.analysis.measured_ratio import (
    FRACTION,
    REAL,
    SYNTHETIC,
    MapPart,
    each_once,
    is_by_slice,
    measured_ratio,
)
from SynthCBVLib.analysis.region_parts import on_grid, part_around
from SynthCBVLib.analysis.regions import RatioRow
from SynthCBVLib.analysis.report.content import CaseReport
from SynthCBVLib.analysis.similarity import Similarity, compare
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import like, same_grid
from SynthCBVLib.progress import Progress, silent
from SynthCBVLib.synthesis.card import OutputSpec
from SynthCBVLib.synthesis.normalisation import NORMALISATIONS
from SynthCBVLib.synthesis.preprocess import coverage, normalised_rcbv


@dataclass(frozen=True)
class CaseImages:
    """The images of one case, aligned as they lie, each on a grid of its own.

    Parameters
    ----------
    synthetic : sitk.Image
        Synthetic rCBV.
    regions : Mapping of str to sitk.Image
        Tumour and white-matter masks by name; may be cut to their own extent.
    uncertainty, brain : sitk.Image, optional
        What came with the synthetic map; left aside where they are on another grid.
    real, fraction, anatomy : sitk.Image, optional
        Real rCBV, IVIM perfusion fraction, and the image to show beside them.
    provenance : Mapping
        How the synthetic map was made.
    findings : tuple of Finding
        What was noticed then.
    """

    synthetic: sitk.Image
    regions: Mapping[str, sitk.Image] = field(default_factory=dict)
    uncertainty: sitk.Image | None = None
    brain: sitk.Image | None = None
    real: sitk.Image | None = None
    fraction: sitk.Image | None = None
    anatomy: sitk.Image | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


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


def measure(case: CaseImages, progress: Progress | None = None) -> MeasuredCase:
    """Measure a case.

    Raises
    ------
    InputError
        If a kind of region is missing, or a region or the map cannot be measured.
    """
    report = silent if progress is None else progress
    synthetic, provenance = case.synthetic, case.provenance
    findings = list(case.findings)
    mask = brain_of(case)
    report(0.0, "Measuring the ratios")
    rows = []
    if case.regions:
        said: list[Finding] = []
        for name, part in _parts(case).items():
            row, found = measured_ratio(name, case.regions, part)
            rows.append(row)
            said += found
        findings += each_once(said)
    uncertainty, mean = None, None
    if case.uncertainty is not None and same_grid(case.uncertainty, synthetic):
        uncertainty = case.uncertainty
        inside = sitk.GetArrayViewFromImage(mask) != 0
        inner = sitk.GetArrayViewFromImage(uncertainty)[inside]
        inner = inner[np.isfinite(inner)]
        mean = float(inner.mean()) if inner.size else None
    real = likeness = None
    if case.real is not None:
        report(0.3, "Comparing with the real map")
        real, compared, in_unit = _beside(case.real, synthetic, mask, provenance)
        if in_unit:
            try:
                likeness = compare(real, synthetic, compared)
            except InputError as error:
                findings.append(Finding("warning", None, f"No SSIM and PSNR ({error})", ""))
        else:
            what = "No SSIM and PSNR: the synthetic map does not say in which unit it is."
            findings.append(Finding("info", None, what, "Compare maps that SynthCBV has made."))
    report(1.0, "Measured")
    return MeasuredCase(
        synthetic, mask, uncertainty, real, tuple(rows), likeness, mean, provenance, tuple(findings)
    )


def report_of(case: CaseImages, measured: MeasuredCase, subject: str | None = None) -> CaseReport:
    """Bring all that a report shows of a measured case to the synthetic map's grid."""
    grid, model = case.synthetic, case.provenance.get("model")
    name = str(model.get("name", "")) if isinstance(model, Mapping) else ""
    anatomy = case.anatomy
    if anatomy is None:  # the map itself, in grey, carries the outlines
        shown: str | None = SYNTHETIC
    elif same_grid(anatomy, grid):  # the map got its grid from it, and its provenance says what it is
        shown = None
    else:
        shown = "Anatomy"
    return CaseReport(
        title=f"{name.upper()} workflow" if name else "Case",
        reference=grid if anatomy is None else _on(anatomy, grid),
        synthetic=grid,
        uncertainty=measured.uncertainty,
        real=measured.real,
        f_map=None if case.fraction is None else _on(case.fraction, grid),
        mask=measured.mask,
        regions=on_grid(case.regions, grid, SYNTHETIC),
        ratios=measured.rows,
        similarity=measured.similarity,
        findings=measured.findings,
        provenance=measured.provenance,
        subject=subject,
        reference_name=shown,
    )


def brain_of(case: CaseImages) -> sitk.Image:
    """Give the brain that came with the synthetic map; without it, where the map has a value that is not 0.

    Raises
    ------
    InputError
        If the map has no value.
    """
    if case.brain is not None and same_grid(case.brain, case.synthetic):
        return sitk.Cast(case.brain != 0, sitk.sitkUInt8)
    array = sitk.GetArrayViewFromImage(case.synthetic)
    inside = np.isfinite(array) & (array != 0)
    if not inside.any():
        raise InputError(SYNTHETIC, "a map that is zero everywhere", "a map with values")
    return like(inside.astype(np.uint8), case.synthetic)


def _parts(case: CaseImages) -> dict[str, MapPart]:
    """Give the maps there are by their names, cut to where the regions are."""
    regions = list(case.regions.values())

    def cut(image: sitk.Image | None, name: str) -> sitk.Image | None:
        return None if image is None else part_around(image, regions, name)

    parts = {
        SYNTHETIC: MapPart(
            cut(case.synthetic, SYNTHETIC), _cut_with(case.uncertainty, case, regions),
            _cut_with(case.brain, case, regions), is_by_slice(case.provenance),
        )
    }  # fmt: skip
    for name, image in ((REAL, case.real), (FRACTION, case.fraction)):
        if image is not None:
            parts[name] = MapPart(cut(image, name))
    return parts


def _cut_with(image: sitk.Image | None, case: CaseImages, regions: list[sitk.Image]) -> sitk.Image | None:
    """Cut what came with the synthetic map as the map itself; None if it does not fit any more."""
    if image is None or not same_grid(image, case.synthetic):
        return None
    return part_around(image, regions, SYNTHETIC)


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


def _on(image: sitk.Image, grid: sitk.Image) -> sitk.Image:
    return image if same_grid(image, grid) else resample(image, grid)
