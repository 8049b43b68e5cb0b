"""The distortion of a study's DWI: which images to compare, and what to tell of it."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.distortion import Distortion, estimate_distortion, phase_axis
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.registration import register
from SynthCBVLib.imaging.resampling import matrix_of, resample
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, Study
from SynthCBVLib.progress import Progress


def straighten(
    study: Study,
    reference: Modality,
    shown: sitk.Image,
    transform: sitk.Transform,
    brain: sitk.Image | None,
    progress: Progress | None = None,
) -> tuple[Distortion | None, tuple[Finding, ...]]:
    """Find the distortion of a study's DWI against its T2w.

    Parameters
    ----------
    study : Study
        With a DWI.
    reference : Modality
        Whose grid the map gets.
    shown : sitk.Image
        The DWI's mean b = 0 image.
    transform : sitk.Transform
        Points of the reference to points of the DWI.
    brain : sitk.Image or None
        Brain mask in the space of the reference; None where the DWI is the reference.
    progress : Progress, optional
        Told of every step; may raise `Cancelled`.

    Returns
    -------
    tuple
        The distortion, None where there is nothing to compare with; what is to be told.
    """
    series = study.images[Modality.DWI]
    assert isinstance(series, DiffusionSeries)
    left = "The DWI is used as it was measured: trust the map less near the sinuses and the ears."
    if Modality.T2W not in study.images:
        return None, (_finding("warning", "Distortion was not corrected: there is no T2w", left),)
    if reference is Modality.DWI:
        what = "Distortion was not corrected: the map gets the grid of the DWI itself"
        return None, (_finding("warning", what, "Choose T2w as the reference, with a model that takes it."),)
    axis, assumed = phase_axis(series)
    findings = []
    if assumed:
        what = f"The phase direction is not recorded; axis {'ijk'[axis]} of the image was taken for it"
        remedy = "Compare with the protocol, and give PhaseEncodingDirection if it is another."
        findings.append(_finding("warning", what, remedy))
    fixed = sitk.Cast(study.scalar(Modality.T2W), sitk.sitkFloat32)
    try:
        if reference is not Modality.T2W:
            there = register(study.scalar(reference), fixed, moving_name=reference.value, fixed_name="T2w")
            if brain is not None:
                brain = resample(brain, fixed, there.transform, interpolation="nearest")
            # From T2w to the reference, and on by the transform that the small motion found here adds to.
            both = matrix_of(transform) @ matrix_of(there.transform)
            transform = sitk.AffineTransform(both[:3, :3].ravel().tolist(), both[:3, 3].tolist())
        found = estimate_distortion(shown, fixed, transform, axis, brain, progress)
    except (InputError, np.linalg.LinAlgError) as error:  # no reason to lose the map
        findings.append(_finding("warning", f"Distortion was not corrected ({error})", left))
        return None, tuple(findings)
    if found.applied:
        what = (
            f"Distortion along axis {'ijk'[axis]} was corrected: up to {found.largest:.1f} mm in the brain; "
            f"T2w left unexplained {found.before:.3f} before, {found.after:.3f} after"
        )
        findings.append(_finding("info", what, "Compare the DWI with T2w near the sinuses and the ears."))
    else:
        what = f"Distortion was not corrected: {found.reason} ({found.largest:.1f} mm found)"
        findings.append(_finding("info", what, "Nothing needs to be done if DWI and T2w agree by eye."))
    return found, tuple(findings)


def _finding(severity: str, what: str, remedy: str) -> Finding:
    return Finding(severity, Modality.DWI, what, remedy, "distortion")  # type: ignore[arg-type]
