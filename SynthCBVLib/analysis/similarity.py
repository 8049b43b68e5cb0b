"""Likeness of a synthetic map to the real one: SSIM and PSNR over the brain's bounding box.

SSIM is that of Wang et al. (2004, doi:10.1109/TIP.2003.819861) as scikit-image computes it: Gaussian
window of sigma 1.5 voxels cut at 11 x 11, K1 0.01, K2 0.03, population covariance. Both maps must be on one
scale: neither measure rescales them, and SSIM and PSNR of maps on different scales mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.arrays import Volume, check_grid, inside_of, values_of
from SynthCBVLib.errors import InputError

#: Width of the SSIM window, voxels, and sigma of its Gaussian, voxels (Wang et al. 2004).
WINDOW, SIGMA = 11, 1.5

Mode = Literal["slices", "volume"]


class SliceValues(NamedTuple):
    """A value for each slice.

    Attributes
    ----------
    slices : ndarray of int (n,)
        Index of each slice in the volume given (in axial order if that is an image).
    values : ndarray of float (n,)
        Its value.
    """

    slices: np.ndarray
    values: np.ndarray


class SliceSimilarity(NamedTuple):
    """SSIM and PSNR of one slice.

    Attributes
    ----------
    slice : int
        Index in the volume given (in axial order if that is an image).
    ssim, psnr : float
        2D SSIM, and PSNR over the slice's part of the box, dB; both with the volume's data range.
    """

    slice: int
    ssim: float
    psnr: float


@dataclass(frozen=True)
class Similarity:
    """SSIM and PSNR of a pair of maps with all that is needed to repeat them.

    Attributes
    ----------
    ssim : float
        Mean SSIM of the slices (mode "slices") or SSIM of the box as a volume.
    ssim_sd : float
        Sample SD of the slices' SSIM; NaN for one slice or mode "volume".
    psnr : float
        Peak signal-to-noise ratio over the box, dB.
    data_range : float
        L in SSIM and the peak in PSNR, map units.
    mode : str
        "slices" or "volume".
    n_slices : int
        Slices of the box that hold brain.
    box : tuple of slice
        The brain's bounding box, (z, y, x), in axial order if the maps came as images.
    window, sigma : int, float
        Width and sigma of the Gaussian window, voxels.
    per_slice : tuple of SliceSimilarity
        Each slice with brain, whatever the mode; empty where the box is narrower than the window.
    """

    ssim: float
    ssim_sd: float
    psnr: float
    data_range: float
    mode: Mode
    n_slices: int
    box: tuple[slice, slice, slice]
    window: int = WINDOW
    sigma: float = SIGMA
    per_slice: tuple[SliceSimilarity, ...] = ()


@dataclass(frozen=True)
class _Pair:
    """Both maps and the mask, cut to the mask's bounding box."""

    real: np.ndarray
    synthetic: np.ndarray
    inside: np.ndarray
    data_range: float
    box: tuple[slice, slice, slice]


def ssim(
    real: Volume, synthetic: Volume, mask: Volume, *, data_range: float | None = None, mode: Mode = "slices"
) -> float:
    """Give the structural similarity over the bounding box of a mask.

    Parameters
    ----------
    real, synthetic, mask : sitk.Image or ndarray (z, y, x)
        Maps on one grid and one scale, and the brain mask (not zero inside). Voxels of the box outside the
        mask count as they are. Images are put in axial order (axes swapped or flipped, not resampled);
        arrays are taken as axial slices.
    data_range : float, optional
        L of the stabilising constants, map units; by default maximum - minimum of `real` in the box.
    mode : str
        "slices": 2D SSIM of each slice with brain, averaged, as the papers' "mean SSIM of all slices";
        right for thick slices. "volume": one 3D SSIM with an 11 x 11 x 11 window.

    Returns
    -------
    float
        1 for equal maps, lower otherwise.

    Raises
    ------
    InputError
        If the grids differ, the mask is empty, the box has NaN or infinity, is smaller than the window, or
        `real` is constant and no range is given.
    """
    pair = _prepare(real, synthetic, mask, data_range)
    return float(_slice_values(pair).values.mean()) if _checked(mode) == "slices" else _volume_ssim(pair)


def ssim_slices(
    real: Volume, synthetic: Volume, mask: Volume, *, data_range: float | None = None
) -> SliceValues:
    """Give the 2D SSIM of each slice with brain; parameters and errors as `ssim`.

    The data range is one for all slices.
    """
    return _slice_values(_prepare(real, synthetic, mask, data_range))


def psnr_slices(
    real: Volume, synthetic: Volume, mask: Volume, *, data_range: float | None = None
) -> SliceValues:
    """Give the PSNR of each slice with brain over the box, dB; parameters and errors as `psnr`.

    The data range is one for all slices; infinity for equal slices.
    """
    return _slice_psnr(_prepare(real, synthetic, mask, data_range))


def psnr(real: Volume, synthetic: Volume, mask: Volume, *, data_range: float | None = None) -> float:
    """Give the peak signal-to-noise ratio over the bounding box of a mask, dB.

    10 log10(L² / MSE), L being `data_range`, MSE over all voxels of the box; parameters and errors as
    `ssim`, but for boxes smaller than the window.

    Returns
    -------
    float
        Infinity for equal maps.
    """
    return _psnr(_prepare(real, synthetic, mask, data_range))


def compare(
    real: Volume, synthetic: Volume, mask: Volume, *, data_range: float | None = None, mode: Mode = "slices"
) -> Similarity:
    """Give SSIM and PSNR with their settings; parameters and errors as `ssim`."""
    pair = _prepare(real, synthetic, mask, data_range)
    n_slices = int(pair.inside.any(axis=(1, 2)).sum())
    spread = float("nan")
    slices: SliceValues | None = None
    if _checked(mode) == "slices" or min(pair.real.shape[1:]) >= WINDOW:
        slices = _slice_values(pair)
    per_slice = ()
    if slices is not None:
        each = zip(*slices, _slice_psnr(pair).values, strict=True)
        per_slice = tuple(SliceSimilarity(int(k), float(one), float(noise)) for k, one, noise in each)
    if mode == "slices":
        values = slices.values
        value = float(values.mean())
        if values.size > 1:
            spread = float(values.std(ddof=1))
    else:
        value = _volume_ssim(pair)
    return Similarity(
        value, spread, _psnr(pair), pair.data_range, mode, n_slices, pair.box, per_slice=per_slice
    )


def bounding_box(mask: Volume, name: str = "mask") -> tuple[slice, slice, slice]:
    """Give the smallest box (z, y, x) that holds a 3D mask.

    Raises
    ------
    InputError
        If the mask is empty or not 3D.
    """
    return _box(inside_of(mask, name, (3,)))


def _box(inside: np.ndarray) -> tuple[slice, slice, slice]:
    box = []
    for axis in range(3):
        hit = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return box[0], box[1], box[2]


def _prepare(real: Volume, synthetic: Volume, mask: Volume, data_range: float | None) -> _Pair:
    check_grid(synthetic, "synthetic map", real, "real map")
    check_grid(mask, "brain mask", real, "real map")
    volumes = [real, synthetic, mask]
    if all(isinstance(volume, sitk.Image) and volume.GetDimension() == 3 for volume in volumes):
        volumes = [sitk.DICOMOrient(volume, "LPS") for volume in volumes]
    inside = inside_of(volumes[2], "brain mask", (3,))
    box = _box(inside)
    cut = {}
    for name, volume in zip(("real map", "synthetic map"), volumes, strict=False):
        cut[name] = values_of(volume, name, (3,))[box]
        n_bad = int((~np.isfinite(cut[name])).sum())
        if n_bad:
            raise InputError(
                name,
                f"{n_bad} of {cut[name].size} voxels in the brain's bounding box are NaN or infinite",
                "finite values in the whole box",
                "Set voxels outside the brain to 0 in both maps, and repair those inside.",
            )
    if data_range is None:
        data_range = float(np.ptp(cut["real map"]))
        if data_range == 0:
            raise InputError(
                "real map", "a constant in the brain's bounding box", "a map that varies, or a data range"
            )
    if not (np.isfinite(data_range) and data_range > 0):
        raise InputError("data range", f"{data_range}", "a positive number in map units")
    return _Pair(cut["real map"], cut["synthetic map"], inside[box], float(data_range), box)


def _checked(mode: str) -> str:
    if mode not in ("slices", "volume"):
        raise InputError("SSIM mode", repr(mode), "'slices' or 'volume'")
    return mode


def _structural_similarity(real: np.ndarray, synthetic: np.ndarray, data_range: float) -> float:
    from skimage.metrics import structural_similarity  # slow to load, and few need it

    return float(
        structural_similarity(
            real,
            synthetic,
            data_range=data_range,
            gaussian_weights=True,
            sigma=SIGMA,
            use_sample_covariance=False,
        )
    )


def _slice_values(pair: _Pair) -> SliceValues:
    shape = pair.real.shape[1:]
    if min(shape) < WINDOW:
        raise InputError(
            "brain mask", f"a bounding box of {shape[1]} x {shape[0]} voxels in the slice",
            f"at least {WINDOW} x {WINDOW}, the width of the SSIM window",
        )  # fmt: skip
    with_brain = np.flatnonzero(pair.inside.any(axis=(1, 2)))
    values = [_structural_similarity(pair.real[k], pair.synthetic[k], pair.data_range) for k in with_brain]
    return SliceValues(with_brain + pair.box[0].start, np.asarray(values))


def _volume_ssim(pair: _Pair) -> float:
    if min(pair.real.shape) < WINDOW:
        raise InputError(
            "brain mask",
            f"a bounding box of {' x '.join(map(str, reversed(pair.real.shape)))} voxels",
            f"at least {WINDOW} voxels a side, the width of the SSIM window",
            'Use mode "slices" for volumes of few slices.',
        )
    return _structural_similarity(pair.real, pair.synthetic, pair.data_range)


def _psnr(pair: _Pair) -> float:
    return _decibels(pair.real - pair.synthetic, pair.data_range)


def _slice_psnr(pair: _Pair) -> SliceValues:
    with_brain = np.flatnonzero(pair.inside.any(axis=(1, 2)))
    values = [_decibels(pair.real[k] - pair.synthetic[k], pair.data_range) for k in with_brain]
    return SliceValues(with_brain + pair.box[0].start, np.asarray(values))


def _decibels(difference: np.ndarray, data_range: float) -> float:
    error = float(np.mean(difference**2))
    return float("inf") if error == 0 else 10.0 * float(np.log10(data_range**2 / error))
