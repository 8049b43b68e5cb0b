"""The loss and its parts: each a mean over the joint batch of all processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from SynthCBVLib.networks.estimate import Estimate, laplace_loss
from SynthCBVLib.networks.ssim import ssim_map, window_mean
from SynthCBVLib.training.config import TrainingConfig
from SynthCBVLib.training.parallel import ALONE, Team
from SynthCBVLib.training.sampling import Batch


@dataclass(frozen=True)
class Loss:
    """The loss of a batch.

    Attributes
    ----------
    total : Tensor
        Its gradients, averaged over the processes, are those of the joint batch's loss.
    parts : Mapping
        Each part before its weight, as this process sees it: their mean over the processes is the joint
        batch's. "l1" and "nll" always; "ssim", "perceptual" and "mask" where they count.
    """

    total: Tensor
    parts: Mapping[str, Tensor]


def loss_of(
    result: Estimate,
    batch: Batch,
    config: TrainingConfig,
    step: int,
    perceptual: nn.Module | None = None,
    team: Team = ALONE,
) -> Loss:
    """Compute the loss of a batch.

    Parameters
    ----------
    result : Estimate
        The network's estimate of the batch.
    batch : Batch
        This process's share of the joint batch.
    config : TrainingConfig
        Its weights.
    step : int
        For parts that do not count from the start.
    perceptual : PerceptualLoss, optional
        Needed where the perceptual term counts.
    team : Team
        The processes that train together.
    """
    inside = batch.mask * batch.known
    weight = batch.known * (batch.mask + config.background * (1 - batch.mask))
    l1, nll = laplace_loss(result, batch.target, weight, team.mean(weight.sum()))
    if config.emphasis:
        l1 = _emphasised(result.location, batch, weight, config.emphasis, team)
    parts = {"l1": l1, "nll": nll}
    weights = {"l1": config.l1_weight, "nll": config.scale_weight}
    if config.ssim_weight:
        parts["ssim"] = _dissimilarity(result.location, batch, inside, team)
        weights["ssim"] = config.ssim_weight
    if perceptual is not None and config.perceptual_weight and step >= config.perceptual_from:
        with torch.autocast(inside.device.type, torch.bfloat16, enabled=config.bf16):
            parts["perceptual"] = perceptual((result.location * inside).clamp(min=0), batch.target * inside)
        weights["perceptual"] = config.perceptual_weight
    if result.mask_logits is not None:
        parts["mask"] = functional.binary_cross_entropy_with_logits(result.mask_logits, batch.mask)
        weights["mask"] = config.mask_weight
    total = torch.stack([weights[name] * value for name, value in parts.items()]).sum()
    return Loss(total, {name: value.detach() for name, value in parts.items()})


def _emphasised(location: Tensor, batch: Batch, weight: Tensor, emphasis: float, team: Team) -> Tensor:
    """Give the mean absolute error in which voxels count the more, the more blood they hold.

    The scale keeps its own likelihood without it: it tells the error to expect, wherever the location lies.
    """
    share = batch.target / batch.data_range.reshape(-1, 1, 1, 1, 1)
    weight = weight * (1 + emphasis * share.square())
    return (weight * (batch.target - location).abs()).sum() / team.mean(weight.sum()).clamp(min=1.0)


def _dissimilarity(location: Tensor, batch: Batch, inside: Tensor, team: Team) -> Tensor:
    """Give 1 - mean SSIM over the windows that see brain, with zeros outside as maps are judged."""
    values = ssim_map(batch.target * inside, location * inside, batch.data_range)
    seen = (window_mean(inside) > 1e-6).float()
    return ((1 - values) * seen).sum() / team.mean(seen.sum()).clamp(min=1.0)
