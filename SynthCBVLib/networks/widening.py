"""Networks that grow: a wide network that begins as what a narrow one has learnt."""

from __future__ import annotations

import fnmatch

import torch
from torch import Tensor, nn

#: Layers whose input is two maps laid together, the skip's channels first.
_OF_TWO_MAPS = (
    "up.*.0.weight",
    "rcbv.blocks.*.body.0.0.weight", "rcbv.blocks.*.skip.weight",
    "mask.blocks.*.body.0.0.weight", "mask.blocks.*.skip.weight",
    "conditioning.*.learnt",  # scales and shifts
)  # fmt: skip
#: What a network may have beyond the narrower one, as it begins with zeros and so changes no map.
_BEGINS_AS_NOTHING = "conditioning.*.learnt"


def widen(wide: nn.Module, narrow: nn.Module) -> None:
    """Give a network the weights of a narrower one of its kind, so that it computes the same maps.

    The narrow network's channels come first in every layer and see none of the others, which keep their own
    weights and are learnt from there (Chen, Goodfellow, Shlens: Net2Net, ICLR 2016, with new channels drawn
    anew instead of copied).

    Parameters
    ----------
    wide : nn.Module
        A network of `networks`; changed in place.
    narrow : nn.Module
        Of the same class and arguments, but for a smaller ``width``; it may lack what begins as nothing.

    Raises
    ------
    ValueError
        If a layer of the one is missing in the other, or is smaller in the wide network.
    """
    grown, own = wide.state_dict(), narrow.state_dict()
    new = [name for name in grown if name not in own]
    if not own.keys() <= grown.keys() or len(fnmatch.filter(new, _BEGINS_AS_NOTHING)) < len(new):
        raise ValueError("networks of different kinds")
    for name, small in own.items():
        tensor = grown[name]
        if tensor.dim() != small.dim() or any(a < b for a, b in zip(tensor.shape, small.shape, strict=True)):
            raise ValueError(f"{name}: {tuple(tensor.shape)} cannot hold {tuple(small.shape)}")
        halves = 2 if any(fnmatch.fnmatchcase(name, pattern) for pattern in _OF_TWO_MAPS) else 1
        _lay(tensor, small, halves)
    wide.load_state_dict(grown)


def _lay(tensor: Tensor, small: Tensor, halves: int) -> None:
    """Lay a layer's values into those of a wider layer; its own outputs take nothing from new inputs."""
    with torch.no_grad():
        if small.dim() < 2:
            tensor[tuple(slice(size) for size in small.shape)] = small
            return
        rows = small.shape[0]
        tensor[:rows] = 0
        wide, narrow = tensor.shape[1] // halves, small.shape[1] // halves
        for half in range(halves):
            tensor[:rows, half * wide : half * wide + narrow] = small[:, half * narrow : (half + 1) * narrow]
