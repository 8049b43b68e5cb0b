"""Run a network over whole slices or volumes, on the best device at hand; in tiles where memory asks."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.progress import Progress, part, silent
from SynthCBVLib.synthesis.fused import fused
from SynthCBVLib.synthesis.memory import (
    SHARE,
    bytes_per_voxel,
    free_memory,
    is_out_of_memory,
    needed_memory,
)
from SynthCBVLib.synthesis.tiles import Tiling, plan_tiles, reach_of, run_tiles

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Voxels that a processor's caches and allocator like to have at once, where slices do not see each other.
_PIECE = 150_000
#: Tiles that did not fit either are cut smaller by this, so often.
_SMALLER, _TRIES = 0.4, 3


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
        Every fall-back that was needed.
    tiles : int
        In how many parts; 1 is the whole volume at once.
    """

    location: np.ndarray
    scale: np.ndarray
    mask: np.ndarray | None
    device: str
    findings: tuple[Finding, ...]
    tiles: int = 1


def infer(
    network: nn.Module,
    channels: np.ndarray,
    present: np.ndarray,
    device: str = "auto",
    progress: Progress | None = None,
) -> Inference:
    """Run a network on one study.

    The whole volume is run at once where its estimated need fits what the device has free. What does not fit,
    or runs out of memory after all, is run in tiles, then on the CPU, whole and in tiles; each step is a
    finding.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, on the CPU; stays there (a copy goes to another device).
    channels : ndarray
        (C, z, y, x) float32.
    present : ndarray
        (M,) weight of each input.
    device : str
        "auto", "cpu", "cuda" or "mps".
    progress : Progress, optional
        Asked before each attempt, between tiles, and once after.

    Raises
    ------
    InputError
        If the device is not there, or no way fits the memory.
    """
    import torch

    progress = progress or silent
    targets = [choose_device(device)]
    if targets[0].type != "cpu":
        targets.append(torch.device("cpu"))
    channels = np.ascontiguousarray(channels, dtype=np.float32)
    runner = fused(network)
    findings: list[Finding] = []
    for target in targets:
        for tiling in _ways(network, runner, channels, len(present), target, findings):
            count = 1 if tiling is None else tiling.count
            progress(0.1, f"Computing the rCBV map on {target}" + (f" in {count} parts" if count > 1 else ""))
            try:
                maps = _attempt(runner, channels, present, target, tiling, progress)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                how = "in one piece" if tiling is None else f"in {count} parts"
                findings.append(_ran_out(target, how))
                _release(target)
                continue
            progress(1.0, "rCBV map computed")
            if target is not targets[0]:
                findings.append(_told(f"the map was computed on the CPU instead of {targets[0]}"))
            if tiling is not None:
                findings.append(_told(_of_parts(tiling)))
            mask = maps[2] > 0 if len(maps) > 2 else None
            return Inference(maps[0], maps[1], mask, str(target), tuple(findings), count)
    need = needed_memory(network, len(channels), len(present), channels[0].size) / 1e9
    free = free_memory(torch.device("cpu"))
    raise InputError(
        "memory", "too little, even in small parts" if free is None else f"{free / 1e9:.1f} GB free",
        f"about {need:.1f} GB for the whole volume, or a part of that",
        "Close other programs, or use a computer with more memory.",
    )  # fmt: skip


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


def _ways(
    network: nn.Module,
    runner: nn.Module,
    channels: np.ndarray,
    inputs: int,
    target: torch.device,
    findings: list[Finding],
) -> Iterator[Tiling | None]:
    """Give the ways to run a volume on a device, each after the one before failed: None is whole."""
    count, shape = len(channels), channels.shape[1:]
    multiple = getattr(network, "multiple", 1)
    padded = shape[0] * (shape[1] + -shape[1] % multiple) * (shape[2] + -shape[2] % multiple)
    at_once = padded * _slices_at_once(network, shape, target) // shape[0]
    free = free_memory(target)
    # The estimate is that of the network as it is: it is known by that, and the fused copy needs no more.
    need = needed_memory(network, count, inputs, at_once)
    room = float(padded)
    if free is None or need <= SHARE * free:
        yield None
        room = _SMALLER * at_once
    else:
        findings.append(
            _told(
                f"the whole volume needs about {need / 1e9:.1f} GB and {target} has {free / 1e9:.1f} GB free"
            )
        )
        fixed = needed_memory(network, count, inputs, 0)
        room = max(SHARE * free - fixed, 0.0) / bytes_per_voxel(network, count, inputs)
    reach = reach_of(runner, count, inputs)
    for _ in range(_TRIES):
        tiling = plan_tiles(shape, reach, multiple, room)
        if tiling is None:
            findings.append(_told(f"{target} has no room for even a small part of the volume"))
            return
        yield tiling
        room = min(room, tiling.largest) * _SMALLER


def _attempt(
    runner: nn.Module,
    channels: np.ndarray,
    present: np.ndarray,
    target: torch.device,
    tiling: Tiling | None,
    progress: Progress,
) -> np.ndarray:
    if tiling is None:
        return _run(runner, channels, present, target)
    run = functools.partial(_run_part, runner, present, target)
    return run_tiles(run, channels, tiling, part(progress, 0.1, 1.0))


def _run_part(runner: nn.Module, present: np.ndarray, target: torch.device, box: np.ndarray) -> np.ndarray:
    return _run(runner, box, present, target)


def _run(network: nn.Module, channels: np.ndarray, present: np.ndarray, target: torch.device) -> np.ndarray:
    """Give location, scale and, where the network has them, mask logits, (k, z, y, x) float32 on the CPU."""
    import copy

    import torch

    runner = network if target.type == "cpu" else copy.deepcopy(network).to(target)
    step = _slices_at_once(network, channels.shape[1:], target)
    found = []
    with torch.inference_mode():
        weights = torch.from_numpy(np.asarray(present, dtype=np.float32))[None].to(target)
        for first in range(0, channels.shape[1], step):
            piece = np.ascontiguousarray(channels[:, first : first + step])
            result = runner(torch.from_numpy(piece)[None].to(target), weights)
            maps = [result.location, result.log_scale.exp()]
            if result.mask_logits is not None:
                maps.append(result.mask_logits)
            found.append(torch.cat([each[0] for each in maps]).float().cpu().numpy())
    return found[0] if len(found) == 1 else np.concatenate(found, axis=1)


def _slices_at_once(network: nn.Module, shape: tuple[int, ...], target: torch.device) -> int:
    """Give how many slices to run together: all of them, unless they can be run apart and that is faster."""
    from torch import nn

    if target.type != "cpu" or any(isinstance(module, nn.Conv3d) for module in network.modules()):
        return shape[0]
    return max(1, min(shape[0], _PIECE // (shape[1] * shape[2])))


def _release(target: torch.device) -> None:
    """Give back what a failed attempt left in a device's cache."""
    import gc

    import torch

    gc.collect()
    if target.type == "cuda" and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif target.type == "mps" and torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _ran_out(target: torch.device, how: str) -> Finding:
    return _told(f"{target} ran out of memory with the volume {how}")


def _of_parts(tiling: Tiling) -> str:
    if tiling.exact:
        return f"the volume was computed in {tiling.count} parts that fit together as if it had been whole"
    return (
        f"the volume was computed in {tiling.count} parts, each with less around it than the model looks at: "
        "values differ slightly from those of the whole volume"
    )


def _told(what: str) -> Finding:
    return Finding(
        "warning", None, what, "Close other programs that use memory; the map itself is sound.", "memory"
    )
