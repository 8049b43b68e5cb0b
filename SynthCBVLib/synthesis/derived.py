"""Inputs that are computed from an image instead of being the image itself."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.motion import VolumeMotion
from SynthCBVLib.imaging.study import DiffusionSeries, like, volume_of
from SynthCBVLib.physiology import ivim
from SynthCBVLib.synthesis.b_values import head_of, members_of, only_measured, plan
from SynthCBVLib.synthesis.card import InputSpec
from SynthCBVLib.synthesis.diffusion import diffusion_channels


def derived_image(series: DiffusionSeries, spec: InputSpec, motion: tuple[VolumeMotion, ...]) -> sitk.Image:
    """Compute the map that an input asks for ("ivim-f": perfusion fraction) on the series' own grid.

    Parameters
    ----------
    series : DiffusionSeries
        With b-values that serve those of `spec`.
    spec : InputSpec
        Whose `derived` is set; the fit takes its b-values alone, or all of the series where some are missing.
    motion : tuple of VolumeMotion
        As for `diffusion_channels`.

    Returns
    -------
    sitk.Image
        f from 0 to 1, 0 in air.

    Raises
    ------
    InputError
        If the b-values cannot determine the model.
    """
    spec = only_measured(spec, plan(series, spec))
    grid = volume_of(series.image, 0)
    volumes = diffusion_channels(series, spec, motion, grid, sitk.Transform(3, sitk.sitkIdentity))
    signals = np.stack([sitk.GetArrayFromImage(volume) for volume in volumes], axis=-1)
    counts = [len(members_of(series, b)) for b in spec.b_values]
    inside = head_of(signals)
    fraction = np.zeros(inside.shape, dtype=np.float32)
    if inside.any():
        fraction[inside] = ivim.fit(signals[inside], spec.b_values, counts).f
    return like(fraction, grid)
