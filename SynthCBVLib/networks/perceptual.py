"""Perceptual loss: mean absolute difference of a pre-trained VGG network's feature maps (Wang et al., Eq. 4).

The paper takes VGG19 and does not say which of its maps; here they are those after the last ReLU of each of
the first three blocks. The network's file is the user's: nothing is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from SynthCBVLib.errors import InputError

#: Blocks whose last ReLU is compared.
BLOCKS = 3
#: Index of each convolution in torchvision's ``features``, block by block.
_TORCHVISION = {
    "VGG16": ((0, 2), (5, 7), (10, 12, 14)),
    "VGG19": ((0, 2), (5, 7), (10, 12, 14, 16)),
}
#: What the weights expect of an image with values 0 to 1: mean and standard deviation of each channel.
_RGB = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
#: The Oxford group's own weights take BGR, 0 to 255, less the mean.
_BGR = ((103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255, 1 / 255, 1 / 255))
_OXFORD_NAME = re.compile(r"block(\d)_conv(\d)\.(w|b)")


@dataclass(frozen=True)
class _Weights:
    name: str
    blocks: tuple[tuple[tuple[Tensor, Tensor], ...], ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]


class PerceptualLoss(nn.Module):
    """Mean absolute difference of VGG feature maps of two sets of maps.

    Parameters
    ----------
    path : path-like
        Weights of VGG19 or VGG16 trained on ImageNet: torchvision's ``.pth`` file, the same tensors as
        ``.safetensors``, or the Oxford group's convolutions as ``.npz`` (``block1_conv1.w``, ...).

    Attributes
    ----------
    name : str
        "VGG19" or "VGG16", for the model card.

    Raises
    ------
    InputError
        If the file is none of these.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        weights = _read(Path(path))
        self.name = weights.name
        self.blocks = nn.ModuleList(
            nn.ModuleList(_convolution(kernel, bias) for kernel, bias in block) for block in weights.blocks
        )
        mean, sd = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (weights.mean, weights.sd))
        self.register_buffer("mean", mean)
        self.register_buffer("sd", sd)
        # Activations grow with the input's scale: divided by it, both kinds of weights give losses alike.
        self.gain = float(0.226 / sd.mean())
        self.requires_grad_(False)
        self.eval()

    def forward(self, maps: Tensor, target: Tensor) -> Tensor:
        """Give the mean absolute difference over feature maps, averaged over blocks.

        Parameters
        ----------
        maps, target : Tensor
            (N, 1, D, H, W), not negative; each slice is taken relative to the maximum of `target` in it.
        """
        peak = target.amax(dim=(-2, -1), keepdim=True).clamp(min=1e-3)
        both = torch.cat([maps / peak, target / peak]).transpose(1, 2).flatten(0, 1)
        images = (both.clamp(0, 1.5) - self.mean) / self.sd
        losses = []
        for number, block in enumerate(self.blocks):
            if number:
                images = functional.max_pool2d(images, 2)
            for convolution in block:
                images = functional.relu(convolution(images))
            own, wanted = images.float().chunk(2)
            losses.append((own - wanted).abs().mean() / self.gain)
        return torch.stack(losses).mean()


def _convolution(kernel: Tensor, bias: Tensor) -> nn.Conv2d:
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
    with torch.no_grad():
        layer.weight.copy_(kernel)
        layer.bias.copy_(bias)
    return layer


def _read(path: Path) -> _Weights:
    if not path.is_file():
        raise InputError(path, "no such file", "weights of VGG19 (torchvision's .pth, .safetensors or .npz)")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                named = {name: torch.from_numpy(archive[name].astype(np.float32)) for name in archive.files}
            return _checked(path, *_oxford(named), _BGR)
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors: Mapping[str, Tensor] = load_file(path)
        else:
            # torchvision's own format; restricted to tensors, so that nothing in it can run.
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        return _checked(path, *_of_torchvision(tensors), _RGB)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            path, f"not readable as VGG weights ({type(error).__name__})",
            "torchvision's VGG19 file (.pth), the same as .safetensors, or the Oxford convolutions as .npz",
        ) from error  # fmt: skip


Blocks = tuple[tuple[tuple[Tensor, Tensor], ...], ...]


def _oxford(named: Mapping[str, Tensor]) -> tuple[str, Blocks]:
    last = max(
        int(match[2]) for match in map(_OXFORD_NAME.fullmatch, named) if match and int(match[1]) == BLOCKS
    )
    counts = (2, 2, last)
    blocks = tuple(
        tuple(
            (named[f"block{b}_conv{c}.w"], named[f"block{b}_conv{c}.b"]) for c in range(1, counts[b - 1] + 1)
        )
        for b in range(1, BLOCKS + 1)
    )
    return "VGG19" if last == 4 else "VGG16", blocks


def _of_torchvision(tensors: Mapping[str, Tensor]) -> tuple[str, Blocks]:
    # In VGG16 the layer at 16 is pooling and at 17 begins block 4.
    name = "VGG19" if "features.16.weight" in tensors else "VGG16"
    blocks = tuple(
        tuple((tensors[f"features.{i}.weight"], tensors[f"features.{i}.bias"]) for i in block)
        for block in _TORCHVISION[name]
    )
    return name, blocks


def _checked(path: Path, name: str, blocks: Blocks, expects: tuple[tuple[float, ...], ...]) -> _Weights:
    channels = 3
    for kernel, bias in (pair for block in blocks for pair in block):
        if kernel.shape[1:] != (channels, 3, 3) or bias.shape != kernel.shape[:1]:
            raise InputError(path, f"a kernel of shape {tuple(kernel.shape)}", f"(n, {channels}, 3, 3)")
        if not bool(kernel.isfinite().all() and bias.isfinite().all()):
            raise InputError(path, "values that are not finite", "the published weights")
        channels = kernel.shape[0]
    return _Weights(name, blocks, *expects)
