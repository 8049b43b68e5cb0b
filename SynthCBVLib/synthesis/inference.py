"""Run a network over whole slices or volumes, on the best device at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.progress import Progress, silent

if TYPE_CHECKING:
    import torch
    from torch import nn

    from SynthCBVLib.networks.estimate import Estimate


@dataclass(frozen=True)
class Inference:
    """What a network gave for one study.

    Attributes
    ----------
    location, scale : ndarray
        (z, y, x) float32, Laplace location and scale.
    mask : ndarray or None
        (z, y, x) bool, the network's brain mask, if it has a mask decoder.
    device : str
        Where it ran.
    findings : tuple of Finding
        A fall-back, if one was needed.
    """

    location: np.ndarray
    scale: np.ndarray
    mask: np.ndarray | None
    device: str
    findings: tuple[Finding, ...]


def infer(
    network: nn.Module,
    channels: np.ndarray,
    present: np.ndarray,
    device: str = "auto",
    progress: Progress | None = None,
) -> Inference:
    """Run a network on one study.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, on the CPU; stays there (a copy goes to another device).
    channels : ndarray
        (C, z, y, x) float32.
    present : ndarray
        (M,) weight of each input.
    device : str
        "auto", "cpu", "cuda" or "mps". A device that runs out of memory is left for the CPU, and that is
        a finding.
    progress : Progress, optional
        Asked once before the network runs and once after.
    """
    import torch

    progress = progress or silent
    target = choose_device(device)
    findings: tuple[Finding, ...] = ()
    progress(0.1, f"Computing the rCBV map on {target}")
    try:
        result = _run(network, channels, present, target)
    except torch.OutOfMemoryError:
        if target.type == "cpu":
            raise
        findings = (
            Finding(
                "warning",
                None,
                f"{target} ran out of memory: the map was computed on the CPU",
                "Close other programs that use the GPU, or choose the CPU.",
            ),
        )
        target = torch.device("cpu")
        result = _run(network, channels, present, target)
    progress(1.0, "rCBV map computed")
    location, scale = (
        maps[0, 0].cpu().numpy().astype(np.float32) for maps in (result.location, result.log_scale.exp())
    )
    mask = None if result.mask_logits is None else (result.mask_logits[0, 0] > 0).cpu().numpy()
    return Inference(location, scale, mask, str(target), findings)


def choose_device(device: str) -> torch.device:
    """Give the torch device: CUDA, then MPS, then the CPU for "auto".

    Raises
    ------
    InputError
        If the device asked for is not there.
    """
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    count = torch.cuda.device_count() if chosen is not None and chosen.type == "cuda" else 1
    if chosen is None or not available.get(chosen.type, False) or (chosen.index or 0) >= count:
        there = ", ".join(name for name, there in available.items() if there)
        raise InputError("device", repr(device), f"one of auto, {there} on this computer")
    return chosen


def _run(network: nn.Module, channels: np.ndarray, present: np.ndarray, target: torch.device) -> Estimate:
    import copy

    import torch

    runner = network if target.type == "cpu" else copy.deepcopy(network).to(target)
    with torch.inference_mode():
        return runner(
            torch.from_numpy(np.ascontiguousarray(channels))[None].to(target),
            torch.from_numpy(present)[None].to(target),
        )
