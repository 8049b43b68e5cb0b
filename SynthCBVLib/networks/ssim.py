"""SSIM that gradients flow through: Gaussian window of sigma 1.5 cut at 11 x 11, as maps are judged by.

Equal to `SynthCBVLib.analysis.similarity` (Wang et al. 2004, doi:10.1109/TIP.2003.819861) on whole slices.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Width of the window and sigma of its Gaussian, voxels.
WINDOW, SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


def ssim_map(real: Tensor, synthetic: Tensor, data_range: Tensor) -> Tensor:
    """Give the SSIM of each window that lies inside the slice.

    Parameters
    ----------
    real, synthetic : Tensor
        (N, 1, D, H, W), at least 11 voxels high and wide; each slice is taken alone.
    data_range : Tensor
        (N,), L of the stabilising constants, map units.

    Returns
    -------
    Tensor
        (N, 1, D, H - 10, W - 10).
    """
    real, synthetic = real.float(), synthetic.float()
    c1, c2 = ((k * data_range.float()).square().reshape(-1, 1, 1, 1, 1) for k in (_K1, _K2))
    moments = torch.stack(
        [real, synthetic, real.square() + synthetic.square(), real * synthetic]
    )  # the two variances are needed as their sum alone
    mean_r, mean_s, squares, product = window_mean(moments)
    means = mean_r.square() + mean_s.square()
    covariance = product - mean_r * mean_s
    return ((2 * mean_r * mean_s + c1) * (2 * covariance + c2)) / ((means + c1) * (squares - means + c2))


def window_mean(maps: Tensor) -> Tensor:
    """Give the Gaussian mean (..., H - 10, W - 10) of each window inside maps (..., H, W)."""
    if min(maps.shape[-2:]) < WINDOW:
        raise ValueError(f"maps of {tuple(maps.shape[-2:])} are smaller than the SSIM window")
    # Two products with banded matrices: faster on a CPU than convolutions of one channel.
    rows, columns = (_band(size, maps.device) for size in maps.shape[-2:])
    return rows @ maps @ columns.T


def _band(size: int, device: torch.device) -> Tensor:
    offsets = torch.arange(WINDOW, device=device, dtype=torch.float32) - WINDOW // 2
    kernel = torch.exp(-0.5 * (offsets / SIGMA).square())
    kernel = kernel / kernel.sum()
    band = torch.zeros(size - WINDOW + 1, size, device=device)
    for i, value in enumerate(kernel):
        band.diagonal(i).fill_(value)
    return band
