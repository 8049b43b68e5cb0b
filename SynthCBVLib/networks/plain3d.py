"""The plain 3D encoder-decoder that the ASL paper compares its network with: all inputs enter together."""

from __future__ import annotations

from torch import Tensor, nn

from SynthCBVLib.networks.estimate import Estimate, estimate, pad_to_multiple
from SynthCBVLib.networks.iedn import Decoder, Encoder


class EncoderDecoder3d(nn.Module):
    """3D encoder-decoder of a fixed set of inputs.

    Its encoder and decoders are built of the same blocks as those of `iedn.IEDN`; the inputs are the channels
    of one encoder. An input that is absent is a channel of zeros.

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
    """

    def __init__(self, modalities: int, width: int = 8, levels: int = 4, scale_alone: bool = False) -> None:
        super().__init__()
        if modalities < 1 or width < 1 or levels < 2:
            raise ValueError("modalities and width must be at least 1, levels at least 2")
        widths = [width * 2**level for level in range(levels)]
        self.multiple = 2 ** (levels - 1)
        self.encoder = Encoder(modalities, widths)
        self.rcbv = Decoder(widths, 2, scale_alone)
        self.mask = Decoder(widths, 1)

    def forward(self, images: Tensor, present: Tensor | None = None) -> Estimate:
        """Estimate rCBV and the brain mask.

        Parameters
        ----------
        images : Tensor
            (N, M, D, H, W), one channel a modality.
        present : Tensor, optional
            (N, M), 0 = absent; all present by default.
        """
        if present is not None:
            images = images * (present > 0).to(images.dtype).reshape(*present.shape, 1, 1, 1)
        images, (height, width) = pad_to_multiple(images, self.multiple)
        latents = self.encoder(images)
        crop = (..., slice(height), slice(width))
        return estimate(self.rcbv(latents)[crop], self.mask(latents)[crop])
