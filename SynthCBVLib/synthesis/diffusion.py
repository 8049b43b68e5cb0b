"""The diffusion series on a card's grid: volumes that moved are laid back, in one resampling in total."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.motion import VolumeMotion, mean_of
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, volume_of
from SynthCBVLib.progress import Progress
from SynthCBVLib.synthesis.b_values import BValues, members_of, plan, predicted_volumes
from SynthCBVLib.synthesis.card import InputSpec

#: More motion between the volumes than this (mm) is told.
TOLD_MOTION = 2.0


def diffusion_channels(
    series: DiffusionSeries,
    spec: InputSpec,
    motion: tuple[VolumeMotion, ...],
    card_grid: sitk.Image,
    transform: sitk.Transform,
    planned: BValues | None = None,
    progress: Progress | None = None,
) -> list[sitk.Image]:
    """Average the volumes of each of the card's b-values on the card's grid; predict what was not measured.

    Volumes that did not move are averaged before they are resampled; each of the others is resampled once,
    by its motion and the series' transform together.

    Parameters
    ----------
    series : DiffusionSeries
        With b-values that serve the card's (`SynthCBVLib.synthesis.b_values.plan`).
    spec : InputSpec
        The card's input.
    motion : tuple of VolumeMotion
        One a volume, or none at all.
    card_grid : sitk.Image
        Where to.
    transform : sitk.Transform
        Points of the grid to points of the series' first volume of the lowest b-value.
    planned : BValues, optional
        The series' plan, if it is known.
    progress : Progress, optional
        Told of the fit where b-values are predicted.

    Raises
    ------
    InputError
        If a b-value is missing and the others cannot carry the fit.
    """
    planned = planned or plan(series, spec)
    predicted = predicted_volumes(series, planned, motion, progress) if planned.predicted else {}
    chosen = []
    for b in spec.b_values:
        if b in predicted:
            chosen.append(resample(predicted[b], card_grid, transform))
            continue
        members = members_of(series, b)
        still = [int(i) for i in members if not (motion and motion[i].applied)]
        total: sitk.Image | None = None
        if still:
            total = resample(_sum([volume_of(series.image, i) for i in still]), card_grid, transform)
        for i in (int(i) for i in members if int(i) not in still):
            # A composite applies the transform that was added last first.
            both = sitk.CompositeTransform([motion[i].transform, transform])
            moved = resample(sitk.Cast(volume_of(series.image, i), sitk.sitkFloat32), card_grid, both)
            total = moved if total is None else total + moved
        chosen.append(total / float(len(members)))
    return chosen


def _sum(volumes: list[sitk.Image]) -> sitk.Image:
    total = sitk.Cast(volumes[0], sitk.sitkFloat32)
    for volume in volumes[1:]:
        total = total + sitk.Cast(volume, sitk.sitkFloat32)
    return total


def still_b0(series: DiffusionSeries, motion: tuple[VolumeMotion, ...]) -> sitk.Image:
    """Give the mean of the lowest b-value in the place of the first of its volumes."""
    rounded = np.round(np.asarray(series.b_values), 1)
    members = [int(i) for i in np.flatnonzero(rounded == rounded.min())]
    return mean_of(series.volumes(), motion, members)


def motion_findings(series: DiffusionSeries, motion: tuple[VolumeMotion, ...]) -> tuple[Finding, ...]:
    """Tell of motion that was large, and of motion that was seen but not undone."""
    large = [i for i, each in enumerate(motion) if each.displacement > TOLD_MOTION]
    if not large:
        return ()
    most = max(large, key=lambda i: motion[i].displacement)
    left = [i for i in large if not motion[i].applied]
    what = (
        f"The head moved by up to {motion[most].displacement:.1f} mm between volumes "
        f"(b = {series.b_values[most]:g}, volume {most + 1} of {len(motion)}; {len(large)} beyond "
        f"{TOLD_MOTION:g} mm)"
    )
    undone = "The volumes were aligned, but signal lost to motion does not come back: look at the images."
    kept = f"Volume {', '.join(str(i + 1) for i in left)} could not be aligned: look at it, and leave it out."
    return (Finding("warning", Modality.DWI, what, kept if left else undone),)
