"""Batch normalisation over the joint batch of several processes; torch's own does so on GPUs alone."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn


def together() -> bool:
    """Tell whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def anywhere(flags: Tensor) -> Tensor:
    """Tell where a flag is set in any of the processes.

    Parameters
    ----------
    flags : Tensor
        bool, of one shape everywhere.
    """
    if not together():
        return flags
    counts = flags.to(torch.int32)
    distributed.all_reduce(counts, distributed.ReduceOp.MAX)
    return counts > 0


class _Sum(torch.autograd.Function):
    """Sum over the processes, whose gradient is the sum of the processes' gradients."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        value = value.clone()
        distributed.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient


class _Joint(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation with the statistics of the joint batch while training."""

    def _check_input_dim(self, maps: Tensor) -> None:
        pass

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise (N, C, ...); N may be 0 here as long as it is not everywhere."""
        if not (self.training and together()):
            return super().forward(maps)
        values = maps.float()
        axes = [0, *range(2, maps.dim())]
        count = torch.full((1,), float(maps.numel() // max(1, maps.shape[1])), device=maps.device)
        # In two passes: a variance as the difference of two large sums would lose its digits.
        sums = _Sum.apply(torch.cat([values.sum(axes), count]))
        total = sums[-1].detach().clamp(min=1.0)
        mean = sums[:-1] / total
        shape = (1, -1, *[1] * (maps.dim() - 2))
        centred = values - mean.reshape(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / total
        with torch.no_grad():
            self.num_batches_tracked += 1
            unbiased = variance * (total / (total - 1).clamp(min=1.0))
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        gain = (self.weight * torch.rsqrt(variance + self.eps)).reshape(shape)
        return (centred * gain + self.bias.reshape(shape)).to(maps.dtype)


def synchronised(network: nn.Module) -> nn.Module:
    """Make all batch normalisation of a network take the joint batch's statistics; names of weights stay.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.__class__ = _Joint
    return network
