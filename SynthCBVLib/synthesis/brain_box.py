"""Compute where the brain is: the air around a head takes time and memory, and no map is shown there."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from SynthCBVLib.progress import Progress, part
from SynthCBVLib.synthesis.inference import Inference, infer

if TYPE_CHECKING:
    from torch import nn

#: Voxels (z, y, x) kept at least around the brain's box, so that the network sees where the brain ends, as in
#: training.
MARGIN = (4, 8, 8)


def infer_brain(
    network: nn.Module,
    channels: np.ndarray,
    present: np.ndarray,
    mask: np.ndarray,
    device: str = "auto",
    progress: Progress | None = None,
    *,
    mirrored: bool = False,
) -> Inference:
    """Run a network on the brain of a study, with a rim of `MARGIN`.

    Parameters
    ----------
    network : torch.nn.Module
        As for `SynthCBVLib.synthesis.inference.infer`.
    channels : ndarray
        (C, z, y, x) float32.
    present : ndarray
        (M,) weight of each input.
    mask : ndarray
        (z, y, x), not 0 in the brain; without any brain the whole volume is run.
    device : str
        "auto", "cpu", "cuda" or "mps".
    progress : Progress, optional
        As for `infer`.
    mirrored : bool
        Give the mean of location and scale of the volume and of its mirror image (`ModelCard.mirrored`); the
        network's mask is the volume's own.

    Returns
    -------
    Inference
        Maps of the whole volume's shape: 0 (and False) beyond the rim.

    Raises
    ------
    InputError
        As `infer` does.
    """
    # Pooling starts where it would in the whole volume, so that the maps are those of the whole volume.
    box = brain_box(mask, getattr(network, "multiple", 1))
    inside = channels[(slice(None), *box)]
    result = infer(network, inside, present, device, part(progress, 0.0, 0.5 if mirrored else 1.0))
    if mirrored:
        other = infer(network, inside[..., ::-1], present, device, part(progress, 0.5, 1.0))
        result = dataclasses.replace(
            result,
            location=mean_with_mirror(result.location, other.location),
            scale=mean_with_mirror(result.scale, other.scale),
            findings=tuple(dict.fromkeys((*result.findings, *other.findings))),
        )
    if result.location.shape == mask.shape:
        return result

    def whole(maps: np.ndarray | None) -> np.ndarray | None:
        if maps is None:
            return None
        laid = np.zeros(mask.shape, dtype=maps.dtype)
        laid[box] = maps
        return laid

    return dataclasses.replace(
        result, location=whole(result.location), scale=whole(result.scale), mask=whole(result.mask)
    )


def mean_with_mirror(own: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Give the mean of a map (z, y, x) and the map of the mirror image (left and right exchanged)."""
    return (own + mirrored[..., ::-1]) / 2


def brain_box(mask: np.ndarray, multiple: int = 1) -> tuple[slice, ...]:
    """Give the box (z, y, x) around all that is not 0, with its rim; everything where all is 0.

    Parameters
    ----------
    mask : ndarray
        (z, y, x).
    multiple : int
        The box begins and ends at multiples of this many rows and columns.
    """
    box = []
    for axis, (margin, size) in enumerate(zip(MARGIN, mask.shape, strict=True)):
        held = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not held.size:
            return tuple(slice(0, size) for size in mask.shape)
        step = multiple if axis else 1
        start = max(0, int(held[0]) - margin) // step * step
        stop = -(-(int(held[-1]) + 1 + margin) // step) * step
        box.append(slice(start, min(stop, size)))
    return tuple(box)
