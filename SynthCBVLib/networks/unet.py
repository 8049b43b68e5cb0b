"""The 5-level 2D U-Net of the IVIM paper (Wang et al., Figure 2; Ronneberger et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from SynthCBVLib.networks.estimate import Estimate, estimate, pad_to_multiple, two_maps


class DoubleConvolution(nn.Sequential):
    """Two times 3×3 convolution, batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class UNet2d(nn.Module):
    """2D U-Net that treats each slice of a volume on its own.

    Parameters
    ----------
    in_channels : int
        Channels of all inputs together (b-values + T2w).
    width : int
        Channels of the first level; doubled at each level.
    levels : int
        Resolution levels; the paper's network has 5.
    scale_alone : bool
        See `estimate.two_maps`.
    """

    def __init__(self, in_channels: int, width: int = 32, levels: int = 5, scale_alone: bool = False) -> None:
        super().__init__()
        if in_channels < 1 or width < 1 or levels < 2:
            raise ValueError("in_channels and width must be at least 1, levels at least 2")
        widths = [width * 2**level for level in range(levels)]
        self.multiple = 2 ** (levels - 1)
        self.scale_alone = scale_alone
        self.down = nn.ModuleList(
            DoubleConvolution(in_channels if level == 0 else widths[level - 1], widths[level])
            for level in range(levels)
        )
        self.squeeze = nn.ModuleList(
            nn.Conv2d(widths[level + 1], widths[level], 1) for level in range(levels - 1)
        )
        self.up = nn.ModuleList(
            DoubleConvolution(2 * widths[level], widths[level]) for level in range(levels - 1)
        )
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, images: Tensor, present: Tensor | None = None) -> Estimate:
        """Estimate rCBV.

        Parameters
        ----------
        images : Tensor
            (N, C, D, H, W); any H and W (padded inside).
        present : Tensor, optional
            Not used: this network needs all of its inputs.
        """
        n, channels, depth = images.shape[:3]
        slices = images.transpose(1, 2).reshape(n * depth, channels, *images.shape[3:])
        slices, (height, width) = pad_to_multiple(slices, self.multiple)
        slices = slices.contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            slices = block(slices if level == 0 else functional.max_pool2d(slices, 2))
            skips.append(slices)
        for level in reversed(range(len(self.up))):
            # A 1×1 convolution may change places with bilinear interpolation: few channels are quicker.
            slices = self.squeeze[level](slices)
            slices = functional.interpolate(slices, scale_factor=2.0, mode="bilinear", align_corners=False)
            slices = self.up[level](torch.cat([skips[level], slices], dim=1))
        maps = two_maps(self.head, slices, self.scale_alone)[..., :height, :width]
        return estimate(maps.reshape(n, depth, 2, height, width).transpose(1, 2))
