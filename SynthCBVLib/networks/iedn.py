"""The 3D incrementable encoder-decoder network (IEDN) of the ASL paper (Pan et al., Figure 1).

One encoder for each modality; at every level the latent maps are averaged with weights over the modalities
that are present (weight 0 = absent); one decoder gives rCBV, another the brain mask.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from SynthCBVLib.networks.estimate import Estimate, estimate, pad_to_multiple, two_maps
from SynthCBVLib.networks.synchronised import anywhere


def _convolution(in_channels: int, out_channels: int, kernel: tuple[int, int, int]) -> nn.Sequential:
    padding = tuple(size // 2 for size in kernel)
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel, padding=padding, bias=False),
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )


class ResidualBlock(nn.Module):
    """2.5D residual block: in-plane 3×3, in-plane 3×3, through-plane 3, added to its (projected) input."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(in_channels, out_channels, (1, 3, 3)),
            _convolution(out_channels, out_channels, (1, 3, 3)),
            nn.Conv3d(out_channels, out_channels, (3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.BatchNorm3d(out_channels),
        )
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv3d(in_channels, out_channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Give (N, out_channels, D, H, W) of (N, in_channels, D, H, W)."""
        return functional.relu(self.body(maps) + self.skip(maps))


class Encoder(nn.Module):
    """Encoder of one modality: one residual block a level, in-plane pooling between levels."""

    def __init__(self, channels: int, widths: list[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ResidualBlock(channels if level == 0 else widths[level - 1], width)
            for level, width in enumerate(widths)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Give the latent maps of every level, finest first."""
        latents = []
        for level, block in enumerate(self.blocks):
            images = block(images if level == 0 else functional.max_pool3d(images, (1, 2, 2)))
            latents.append(images)
        return latents


class Decoder(nn.Module):
    """Decoder from the averaged latent maps of all levels to `out_channels` maps."""

    def __init__(self, widths: list[int], out_channels: int, scale_alone: bool = False) -> None:
        super().__init__()
        self.scale_alone = scale_alone
        self.squeeze = nn.ModuleList(
            nn.Conv3d(deep, shallow, 1) for shallow, deep in itertools.pairwise(widths)
        )
        self.blocks = nn.ModuleList(ResidualBlock(2 * width, width) for width in widths[:-1])
        self.head = nn.Conv3d(widths[0], out_channels, 1)

    def forward(self, latents: list[Tensor]) -> Tensor:
        """Give (N, out_channels, D, H, W)."""
        maps = latents[-1]
        for level in reversed(range(len(self.blocks))):
            maps = functional.interpolate(
                self.squeeze[level](maps), scale_factor=(1.0, 2.0, 2.0), mode="nearest"
            )
            maps = self.blocks[level](torch.cat([latents[level], maps], dim=1))
        return two_maps(self.head, maps, self.scale_alone)


class Conditioning(nn.Module):
    """Scales and shifts of a level's channels for the modalities present; none before it has learnt."""

    def __init__(self, modalities: int, channels: int) -> None:
        super().__init__()
        self.learnt = nn.Parameter(torch.zeros(modalities, 2 * channels))

    def forward(self, maps: Tensor, present: Tensor) -> Tensor:
        """Give (N, channels, D, H, W) for (N, M) modalities, those above 0 present."""
        learnt = (present > 0).to(self.learnt.dtype) @ self.learnt
        scale, shift = learnt.to(maps.dtype).reshape(*learnt.shape, 1, 1, 1).chunk(2, dim=1)
        return maps * (1 + scale) + shift


class IEDN(nn.Module):
    """Incrementable encoder-decoder network.

    Parameters
    ----------
    modalities : int
        Number of inputs, one channel each.
    width : int
        Channels of the first level; doubled at each level.
    levels : int
        Resolution levels.
    scale_alone : bool
        See `estimate.two_maps`.
    conditioned : bool
        Tell the decoders which modalities are present: every channel of the averaged latent maps is scaled
        and shifted by what is learnt for each of them (Perez et al.: FiLM, AAAI 2018). Not in the paper.
    """

    def __init__(
        self,
        modalities: int,
        width: int = 8,
        levels: int = 4,
        scale_alone: bool = False,
        conditioned: bool = False,
    ) -> None:
        super().__init__()
        if modalities < 1 or width < 1 or levels < 2:
            raise ValueError("modalities and width must be at least 1, levels at least 2")
        widths = [width * 2**level for level in range(levels)]
        self.multiple = 2 ** (levels - 1)
        self.conditioning = nn.ModuleList(Conditioning(modalities, size) for size in widths if conditioned)
        self.encoders = nn.ModuleList(Encoder(1, widths) for _ in range(modalities))
        self.rcbv = Decoder(widths, 2, scale_alone)
        self.mask = Decoder(widths, 1)

    def forward(self, images: Tensor, present: Tensor | None = None) -> Estimate:
        """Estimate rCBV and the brain mask.

        Parameters
        ----------
        images : Tensor
            (N, M, D, H, W), one channel a modality; the values of absent modalities do not matter.
        present : Tensor, optional
            (N, M), weight of each modality, 0 = absent; all present by default.

        Raises
        ------
        ValueError
            If a sample has no modality, or the number of channels is not that of the encoders.
        """
        if images.shape[1] != len(self.encoders):
            raise ValueError(f"{images.shape[1]} channels for {len(self.encoders)} encoders")
        if present is None:
            present = images.new_ones(images.shape[:2])
        if bool((present.sum(1) <= 0).any()):
            raise ValueError("every sample needs at least one modality with a weight above 0")
        images, (height, width) = pad_to_multiple(images, self.multiple)
        weights = present / present.sum(1, keepdim=True)
        averaged = self.tell(self._averaged_latents(images, weights), present)
        crop = (..., slice(height), slice(width))
        return estimate(self.rcbv(averaged)[crop], self.mask(averaged)[crop])

    def tell(self, averaged: list[Tensor], present: Tensor) -> list[Tensor]:
        """Scale and shift the averaged latent maps of all levels for the modalities present, (N, M)."""
        if not self.conditioning:
            return averaged
        return [level(maps, present) for level, maps in zip(self.conditioning, averaged, strict=True)]

    def _averaged_latents(self, images: Tensor, weights: Tensor) -> list[Tensor]:
        """Average the latent maps of the modalities present; absent ones are not encoded at all."""
        averaged: list[Tensor] = []
        encoded = (weights > 0).any(0)
        if self.training:
            # Processes that train together share batch statistics: each runs what any of them needs, if need
            # be on no sample at all.
            encoded = anywhere(encoded)
        for m, encoder in enumerate(self.encoders):
            if not encoded[m]:
                continue
            members = torch.nonzero(weights[:, m] > 0).flatten()
            latents = encoder(images[members, m : m + 1])
            if not averaged:
                averaged = [latent.new_zeros(images.shape[0], *latent.shape[1:]) for latent in latents]
            share = weights[members, m].reshape(-1, 1, 1, 1, 1)
            averaged = [
                total.index_add(0, members, (latent * share).to(total.dtype))
                for total, latent in zip(averaged, latents, strict=True)
            ]
        return averaged
