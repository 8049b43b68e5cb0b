"""Torch modules; importing this package does not import torch.

Every network takes ``images`` (N, C, D, H, W) and ``present`` (N, M), one weight for each input of the
model card, and gives an `Estimate`; so one pipeline serves them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from SynthCBVLib.errors import InputError

if TYPE_CHECKING:
    from torch import nn

#: Name on the model card -> (module, class).
NETWORKS: dict[str, tuple[str, str]] = {
    "unet2d": ("SynthCBVLib.networks.unet", "UNet2d"),
    "iedn": ("SynthCBVLib.networks.iedn", "IEDN"),
    "encoder-decoder-3d": ("SynthCBVLib.networks.plain3d", "EncoderDecoder3d"),
}


def build(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a network by its name on the model card.

    Parameters
    ----------
    name : str
        A key of `NETWORKS`.
    arguments : Mapping
        Keyword arguments of its constructor.

    Raises
    ------
    InputError
        If the name is unknown or the arguments do not fit.
    """
    import importlib

    if name not in NETWORKS:
        raise InputError("model card", f"network {name!r}", f"one of {', '.join(NETWORKS)}")
    module, cls = NETWORKS[name]
    constructor = getattr(importlib.import_module(module), cls)
    try:
        return constructor(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(
            "model card", f"arguments {dict(arguments)} for {name} ({error})", f"arguments of {cls}"
        ) from error
