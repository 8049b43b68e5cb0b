"""Maps that a synthetic rCBV map is compared with, on its own grid: real rCBV and IVIM perfusion fraction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.distortion import Distortion
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.registration import register
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, Study, like, volume_of
from SynthCBVLib.physiology import maps
from SynthCBVLib.progress import Progress, part
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.synthesis.pipeline import Synthesis
from SynthCBVLib.synthesis.preprocess import coverage, normalised_rcbv


@dataclass(frozen=True)
class Companions:
    """Maps beside a synthetic one.

    Attributes
    ----------
    real : sitk.Image or None
        Real rCBV, registered to the reference, in its own unit, 0 outside the brain.
    real_normalised : sitk.Image or None
        The same in the synthetic map's unit, for SSIM and PSNR.
    compared : sitk.Image or None
        uint8 brain mask where real rCBV was measured: where the two can be compared.
    f : sitk.Image or None
        IVIM perfusion fraction, 0 outside the brain.
    findings : tuple of Finding
        Why a map is missing, or what was done to it.
    """

    real: sitk.Image | None = None
    real_normalised: sitk.Image | None = None
    compared: sitk.Image | None = None
    f: sitk.Image | None = None
    findings: tuple[Finding, ...] = ()


def companions(
    study: Study, result: Synthesis, card: ModelCard, progress: Progress | None = None
) -> Companions:
    """Make the maps that a study allows.

    Parameters
    ----------
    study : Study
        That was synthesised; real rCBV needs `Modality.RCBV`, f needs `Modality.DWI`.
    result : Synthesis
        Gives the reference grid, the brain mask and the transform of the DWI.
    card : ModelCard
        Of the model used; gives the unit.
    progress : Progress, optional
        Told of each map.
    """
    reference = study.scalar(result.reference)
    real = normalised = compared = f = None
    findings: list[Finding] = []
    if Modality.RCBV in study.images:
        part(progress, 0.0, 0.4)(0.0, "Registering the real rCBV map")
        image, noticed = _finite(study.scalar(Modality.RCBV))
        findings += noticed
        transform = register(
            image, reference, moving_name="real rCBV", fixed_name=result.reference.value
        ).transform
        compared = sitk.Mask(result.mask, coverage(image, reference, transform))
        real = sitk.Mask(resample(image, reference, transform), compared)
        normalised = normalised_rcbv(real, compared, card)
    series = study.images.get(Modality.DWI)
    if isinstance(series, DiffusionSeries):
        transform = result.transforms.get(Modality.DWI)
        bent = None
        if transform is not None and result.distortion is not None:
            bent = result.distortion.warped(transform)
        if transform is None:
            part(progress, 0.4, 0.5)(0.0, "Registering the DWI")
            transform = register(
                study.scalar(Modality.DWI), reference, moving_name="DWI", fixed_name=result.reference.value
            ).transform
        try:
            f = _perfusion_fraction(
                series, reference, transform, bent or transform, result.mask, part(progress, 0.5, 1.0),
                result.distortion,
            )  # fmt: skip
        except InputError as error:  # such as a clinical DWI of two b-values: no reason to lose the rCBV map
            findings.append(
                Finding("warning", Modality.DWI, f"no IVIM f map ({error})", "Compare without it.")
            )
    part(progress, 0.0, 1.0)(1.0, "Maps to compare with are ready")
    return Companions(real, normalised, compared, f, tuple(findings))


def _finite(image: sitk.Image) -> tuple[sitk.Image, list[Finding]]:
    """Give a map with NaN and infinity, which scanners write outside the brain, as 0."""
    array = sitk.GetArrayFromImage(image)
    bad = ~np.isfinite(array)
    if not bad.any():
        return image, []
    what = f"{int(bad.sum())} voxels are not finite and were taken as 0"
    remedy = "Nothing needs to be done if they lie outside the brain."
    return like(np.where(bad, 0, array), image), [Finding("info", Modality.RCBV, what, remedy)]


def _perfusion_fraction(
    series: DiffusionSeries,
    reference: sitk.Image,
    transform: sitk.Transform,
    bent: sitk.Transform,
    mask: sitk.Image,
    progress: Progress,
    distortion: Distortion | None = None,
) -> sitk.Image:
    """Fit f on the DWI's own grid, in the brain alone, and bring it to the reference, distortion undone."""
    brain = resample(mask, volume_of(series.image, 0), transform.GetInverse(), interpolation="nearest")
    if distortion is not None and distortion.applied:  # tissue lies by up to so much beside its place
        radius = [0, 0, 0]
        radius[distortion.axis] = math.ceil(distortion.largest / brain.GetSpacing()[distortion.axis])
        brain = sitk.Cast(sitk.BinaryDilate(brain > 0, radius), brain.GetPixelID())
    return sitk.Mask(resample(maps.ivim_maps(series, brain, progress=progress).f, reference, bent), mask)
