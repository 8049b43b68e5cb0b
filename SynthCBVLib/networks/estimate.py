"""What every network gives: location and scale of a Laplace distribution in each voxel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Bounds of log(scale): keeps exp() and the likelihood finite; 0.0025 to 7.4 in the card's output unit.
LOG_SCALE_BOUNDS = (-6.0, 2.0)


class Estimate(NamedTuple):
    """A network's estimate of the rCBV map.

    Attributes
    ----------
    location : Tensor
        (N, 1, D, H, W), median of rCBV in the unit of the model card's output.
    log_scale : Tensor
        (N, 1, D, H, W), log of the Laplace scale (mean absolute error to expect), clamped.
    mask_logits : Tensor or None
        (N, 1, D, H, W), brain mask logits where the network has a mask decoder.
    """

    location: Tensor
    log_scale: Tensor
    mask_logits: Tensor | None = None


def estimate(maps: Tensor, mask_logits: Tensor | None = None) -> Estimate:
    """Make an `Estimate` of a two-channel output (N, 2, D, H, W)."""
    location, log_scale = maps.float().split(1, dim=1)
    return Estimate(
        location, log_scale.clamp(*LOG_SCALE_BOUNDS), None if mask_logits is None else mask_logits.float()
    )


def two_maps(head: nn.Module, features: Tensor, scale_alone: bool) -> Tensor:
    """Give location and log scale as two channels.

    Parameters
    ----------
    head : torch.nn.Module
        Convolution of kernel size 1 to two channels.
    features : Tensor
        (N, C, ...).
    scale_alone : bool
        No gradient flows from the scale into the features, so that they serve the location alone.
    """
    maps = head(features)
    if not scale_alone:
        return maps
    return torch.cat([maps[:, :1], head(features.detach())[:, 1:]], dim=1)


def pad_to_multiple(images: Tensor, multiple: int) -> tuple[Tensor, tuple[int, int]]:
    """Pad height and width (the last two axes) at their ends to a multiple, by replication.

    Returns
    -------
    tuple
        The padded images and the (height, width) to crop the result to.
    """
    height, width = images.shape[-2:]
    pad_h, pad_w = -height % multiple, -width % multiple
    if pad_h or pad_w:
        flat = images.flatten(0, -4) if images.dim() > 4 else images
        flat = functional.pad(flat, (0, pad_w, 0, pad_h), mode="replicate")
        images = flat.reshape(*images.shape[:-2], height + pad_h, width + pad_w)
    return images, (height, width)


def laplace_loss(
    result: Estimate, target: Tensor, weight: Tensor, total: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """L1 loss of the location, and Laplace negative log-likelihood of the scale.

    The scale is fitted to the residual of the location as it stands (no gradient flows from it to the
    location), so that the location's loss stays the mean absolute error of both papers
    (Wang et al., Eq. 3; Pan et al., training by mean absolute error).

    Parameters
    ----------
    result : Estimate
        The network's estimate.
    target : Tensor
        (N, 1, D, H, W), rCBV in the unit of the card's output.
    weight : Tensor
        (N, 1, D, H, W), weight of each voxel, at least 0.
    total : Tensor, optional
        What the weighted sums are divided by; the sum of `weight` by default.

    Returns
    -------
    tuple of Tensor
        Weighted mean of |target - location|, and of |target - location| / scale + log(2 scale).
    """
    total = (weight.sum() if total is None else total).clamp(min=1.0)
    residual = (target - result.location).abs()
    l1 = (weight * residual).sum() / total
    nll = residual.detach() * torch.exp(-result.log_scale) + result.log_scale + torch.log(torch.tensor(2.0))
    return l1, (weight * nll).sum() / total
