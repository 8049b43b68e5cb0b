"""Bring a study onto a model card's grid: register, resample once, normalise, stack.

The same function serves training and use, so that a network sees in use what it saw in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.brainmask import brain_mask
from SynthCBVLib.imaging.distortion import Distortion
from SynthCBVLib.imaging.motion import VolumeMotion, estimate_motion
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.registration import Registration, register
from SynthCBVLib.imaging.resampling import grid, resample
from SynthCBVLib.imaging.study import (
    AslSeries,
    DiffusionSeries,
    Modality,
    Study,
    like,
    settled,
    shown_contrast,
)
from SynthCBVLib.physiology import maps
from SynthCBVLib.progress import Progress, part
from SynthCBVLib.synthesis.b_values import BValues, findings_of, plan
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.synthesis.derived import derived_image
from SynthCBVLib.synthesis.diffusion import diffusion_channels, motion_findings, still_b0
from SynthCBVLib.synthesis.normalisation import NORMALISATIONS
from SynthCBVLib.synthesis.straightening import straighten


@dataclass(frozen=True)
class Prepared:
    """A study on a model card's grid.

    Attributes
    ----------
    channels : ndarray
        (C, z, y, x) float32, normalised, zeros where an input is absent.
    present : ndarray
        (M,) float32, 1 for each input that the study has, else 0.
    grid : sitk.Image
        Empty image with the geometry of `channels`.
    reference : sitk.Image
        The reference image on its own grid (`settled`).
    reference_modality : Modality
        Which image that is.
    mask : sitk.Image
        uint8 brain mask on `grid`.
    registrations : Mapping
        Registration of each other image to the reference; None where the transform was given.
    transforms : Mapping
        Transform of each image (points of the reference to points of the image, as if not distorted).
    findings : tuple of Finding
        What was noticed on the way.
    motion : tuple of VolumeMotion
        Motion of each volume of the DWI, in the series' order; empty without DWI or where not looked for.
    b_values : BValues or None
        Which of the card's b-values were measured and which predicted; None without DWI.
    distortion : Distortion or None
        Displacement of the DWI, behind its transform; None where it was not looked for.
    """

    channels: np.ndarray
    present: np.ndarray
    grid: sitk.Image
    reference: sitk.Image
    reference_modality: Modality
    mask: sitk.Image
    registrations: Mapping[Modality, Registration | None]
    transforms: Mapping[Modality, sitk.Transform]
    findings: tuple[Finding, ...]
    motion: tuple[VolumeMotion, ...] = ()
    b_values: BValues | None = None
    distortion: Distortion | None = None


def prepare(
    study: Study,
    card: ModelCard,
    transforms: Mapping[Modality, sitk.Transform] | None = None,
    brain: sitk.Image | None = None,
    progress: Progress | None = None,
    motion: bool = True,
    distortion: bool = False,
) -> Prepared:
    """Register, resample and normalise a study for a network.

    Parameters
    ----------
    study : Study
        Checked by `SynthCBVLib.imaging.quality.check`.
    card : ModelCard
        The network's card.
    transforms : Mapping, optional
        Known transforms (points of the reference to points of the image); the others are registered.
    brain : sitk.Image, optional
        Known brain mask on the reference image's grid; found on the reference image by default.
    progress : Progress, optional
        Told of each image.
    motion : bool
        Follow the head through the volumes of the DWI; those that moved are resampled once, by their motion
        and the DWI's transform together.
    distortion : bool
        Look for the DWI's distortion along its phase direction, against T2w; it is resampled once, by the
        displacement, its motion and its transform together.

    Raises
    ------
    InputError
        If no reference image is there, images do not overlap, or b-values cannot serve the card.
    """
    reference_modality = reference_of(study, card)
    reference = settled(sitk.Cast(study.scalar(reference_modality), sitk.sitkFloat32))
    # Networks have seen axial slices, nose up: a sagittal T1w is turned (axes permuted, nothing resampled).
    card_grid = grid(sitk.DICOMOrient(reference, "LPS"), card.spacing)
    specs = [spec for spec in card.inputs if spec.modality in study.images]
    findings: list[Finding] = []
    registrations: dict[Modality, Registration | None] = {}
    used: dict[Modality, sitk.Transform] = {}
    blocks: dict[Modality, np.ndarray] = {}
    covered: dict[Modality, np.ndarray] = {}
    followed: tuple[VolumeMotion, ...] = ()
    planned: BValues | None = None
    bent: Distortion | None = None
    if distortion and all(spec.modality is not Modality.DWI for spec in specs):
        what = "Distortion was not corrected: the model takes no DWI"
        findings.append(Finding("warning", None, what, "Nothing needs to be done.", "distortion"))

    for index, spec in enumerate(specs):
        step = part(progress, index / (len(specs) + 1), (index + 1) / (len(specs) + 1))
        image = study.images[spec.modality]
        shown = study.scalar(spec.modality)
        moved: tuple[VolumeMotion, ...] = ()
        if isinstance(image, DiffusionSeries):
            planned = plan(image, spec)
            findings.extend(findings_of(planned))
        if motion and isinstance(image, DiffusionSeries):
            moved = followed = estimate_motion(image, part(step, 0.0, 0.3))
            findings.extend(motion_findings(image, moved))
            shown = still_b0(image, moved)
        if spec.modality is reference_modality:
            transform: sitk.Transform = sitk.Transform(3, sitk.sitkIdentity)
        elif transforms is not None and spec.modality in transforms:
            transform, registrations[spec.modality] = transforms[spec.modality], None
        else:
            step(0.3, f"Registering {spec.modality} to {reference_modality}")
            registration = register(
                shown,
                reference,
                moving_name=spec.modality.value,
                fixed_name=reference_modality.value,
            )
            transform, registrations[spec.modality] = registration.transform, registration
        if distortion and isinstance(image, DiffusionSeries):
            step(0.5, "Looking for distortion of the DWI")
            if brain is None and reference_modality is not Modality.DWI:
                brain = brain_mask(
                    reference, shown_contrast(study.images[reference_modality], reference_modality)
                )
            bent, noticed = straighten(
                study, reference_modality, shown, transform, brain, part(step, 0.5, 0.7)
            )
            findings.extend(noticed)
        used[spec.modality] = transform
        if bent is not None and isinstance(image, DiffusionSeries):
            used[spec.modality] = bent.aligned(transform)
            transform = bent.warped(used[spec.modality])
        step(0.7, f"Resampling {spec.modality}")
        covered[spec.modality] = sitk.GetArrayFromImage(coverage(shown, card_grid, transform))
        if isinstance(image, DiffusionSeries) and spec.derived:
            volumes = [resample(derived_image(image, spec, moved), card_grid, transform)]
        elif isinstance(image, DiffusionSeries):
            volumes = diffusion_channels(
                image, spec, moved, card_grid, transform, planned, part(step, 0.7, 1.0)
            )
        else:
            native, noticed = _channel(image)
            findings.extend(noticed)
            volumes = [resample(native, card_grid, transform)]
        blocks[spec.modality] = np.stack([sitk.GetArrayFromImage(volume) for volume in volumes])

    part(progress, len(specs) / (len(specs) + 1), 1.0)(0.0, "Finding the brain")
    if brain is None:
        shown = shown_contrast(study.images[reference_modality], reference_modality)
        brain = brain_mask(reference, shown)
    mask = resample(brain, card_grid, interpolation="nearest")
    mask = sitk.Cast(mask > 0, sitk.sitkUInt8)
    mask_array = sitk.GetArrayViewFromImage(mask)
    if not mask_array.any():
        raise InputError(
            f"{reference_modality} of subject {study.subject}", "no brain found in it",
            "an image of the head", "Check that the right image was given.",
        )  # fmt: skip
    channels = np.zeros((card.channels, *mask_array.shape), dtype=np.float32)
    present = np.zeros(len(card.inputs), dtype=np.float32)
    first = 0
    for index, spec in enumerate(card.inputs):
        if spec.modality in blocks:
            normalise = NORMALISATIONS[spec.normalisation]
            channels[first : first + spec.channels] = normalise(
                blocks[spec.modality], mask_array * covered[spec.modality]
            )
            present[index] = 1.0
        first += spec.channels
    return Prepared(
        channels, present, card_grid, reference, reference_modality, mask, registrations, used,
        tuple(findings), followed, planned, bent,
    )  # fmt: skip


def reference_of(study: Study, card: ModelCard) -> Modality:
    """Give the modality whose grid the map gets: the first of the card's references that the study has."""
    for modality in card.reference:
        if modality in study.images:
            return modality
    raise InputError(
        f"subject {study.subject}", f"only {', '.join(study.images) or 'no images'}",
        f"a reference image, one of {', '.join(card.reference)}",
    )  # fmt: skip


def coverage(image: sitk.Image, reference: sitk.Image, transform: sitk.Transform) -> sitk.Image:
    """Tell where a 3D image's field of view covers a grid: uint8, 1 inside, 0 outside.

    Parameters
    ----------
    image : sitk.Image
        Whose field of view counts.
    reference : sitk.Image
        The grid.
    transform : sitk.Transform
        Points of the reference to points of the image.
    """
    ones = sitk.Image(image.GetSize(), sitk.sitkUInt8) + 1
    ones.CopyInformation(image)
    return resample(ones, reference, transform, interpolation="nearest")


def normalised_rcbv(rcbv: sitk.Image, mask: sitk.Image, card: ModelCard) -> sitk.Image:
    """Bring a real rCBV map into the unit of a card's synthetic map, to compare or to train.

    Parameters
    ----------
    rcbv, mask : sitk.Image
        Map and brain mask on one grid; the map is set to 0 outside the mask and where negative.
    card : ModelCard
        Whose output normalisation is applied.
    """
    # Slices are axial ones, as in `prepare`, however the image is stored.
    own = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(rcbv.GetDirection())
    axial, axial_mask = (sitk.DICOMOrient(image, "LPS") for image in (rcbv, mask))
    inside = sitk.GetArrayViewFromImage(axial_mask) > 0
    array = np.maximum(np.where(inside, sitk.GetArrayViewFromImage(axial), 0.0), 0.0)
    normalised = like(NORMALISATIONS[card.output.normalisation](array[None], inside)[0], axial)
    result = sitk.DICOMOrient(normalised, own)
    result.CopyInformation(rcbv)
    return result


def cbf_image(series: AslSeries) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Quantify ASL, or give relative perfusion (control - label)/M0 where timing is not recorded.

    Returns
    -------
    tuple
        CBF in ml/100 g/min (or relative perfusion, no unit), 0 where M0 shows no tissue; findings.

    Raises
    ------
    InputError
        If the images cannot be perfusion (swapped, empty, other units).
    """
    missing = [
        words
        for words, value in (
            ("label duration", series.label_duration),
            ("post-labelling delay", series.post_label_delay),
        )
        if value is None
    ]
    if not missing:
        return maps.cbf_map(series), ()
    finding = Finding(
        "warning",
        Modality.CBF,
        f"No {' and no '.join(missing)} recorded: perfusion is relative, not in ml/100 g/min",
        "Give the timing if it is known; the rCBV map is relative in any case.",
    )
    return maps.relative_perfusion(series), (finding,)


def _channel(image: sitk.Image | AslSeries) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Give the scalar volume of one input on its own grid."""
    if isinstance(image, AslSeries):
        return cbf_image(image)
    return sitk.Cast(image, sitk.sitkFloat32), ()
