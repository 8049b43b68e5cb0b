"""Inputs that are computed from an image instead of being the image itself."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.motion import VolumeMotion
from SynthCBVLib.imaging.quality import B_TOLERANCE, B_TOLERANCE_ABSOLUTE
from SynthCBVLib.imaging.study import DiffusionSeries, like, volume_of
from SynthCBVLib.physiology import ivim
from SynthCBVLib.synthesis.card import InputSpec
from SynthCBVLib.synthesis.diffusion import diffusion_channels

#: Voxels with less than this share of the brightest signal at b = 0 are air, and not fitted.
_AIR = 0.1


def derived_image(series: DiffusionSeries, spec: InputSpec, motion: tuple[VolumeMotion, ...]) -> sitk.Image:
    """Compute the map that an input asks for ("ivim-f": perfusion fraction) on the series' own grid.

    Parameters
    ----------
    series : DiffusionSeries
        With all the b-values of `spec`.
    spec : InputSpec
        Whose `derived` is set; the fit takes its b-values alone.
    motion : tuple of VolumeMotion
        As for `diffusion_channels`.

    Returns
    -------
    sitk.Image
        f from 0 to 1, 0 in air.

    Raises
    ------
    InputError
        If a b-value is missing or the b-values cannot determine the model.
    """
    grid = volume_of(series.image, 0)
    volumes = diffusion_channels(series, spec, motion, grid, sitk.Transform(3, sitk.sitkIdentity))
    signals = np.stack([sitk.GetArrayFromImage(volume) for volume in volumes], axis=-1)
    available = np.asarray(series.b_values)
    counts = [
        int((np.abs(available - b) <= max(B_TOLERANCE * b, B_TOLERANCE_ABSOLUTE)).sum())
        for b in spec.b_values
    ]
    inside = signals[..., 0] > _AIR * np.percentile(signals[..., 0], 99.5)
    fraction = np.zeros(inside.shape, dtype=np.float32)
    if inside.any():
        fraction[inside] = ivim.fit(signals[inside], spec.b_values, counts).f
    return like(fraction, grid)
