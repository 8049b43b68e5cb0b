"""A volume in overlapping tiles, for a device that cannot hold it whole.

A tile is a core with the surroundings that the network looks at, so that cores fit together as if the volume
had been run whole. Where memory does not allow that, a tile has less around it and overlaps are blended.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from SynthCBVLib.progress import Progress, silent

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]
Run = Callable[[np.ndarray], np.ndarray]
#: How often the surroundings of a tile are halved, once the work is more than so many times the volume's.
_HALVINGS, _DEAREST = 3, 12.0


@dataclass(frozen=True)
class Tiling:
    """How a volume is cut, in voxels (z, y, x).

    Attributes
    ----------
    shape : tuple of int
        Of the volume.
    core : tuple of int
        Distance from tile to tile.
    context : tuple of int
        Voxels on each side whose values count for nothing but the rest of the tile.
    blend : tuple of int
        Voxels beyond the core over which neighbouring tiles pass into one another.
    exact : bool
        Whether `context` is all that the network looks at.
    """

    shape: Shape
    core: Shape
    context: Shape
    blend: Shape
    exact: bool

    @property
    def count(self) -> int:
        """Number of tiles."""
        return int(np.prod([-(-size // core) for size, core in zip(self.shape, self.core, strict=True)]))

    @property
    def largest(self) -> int:
        """Voxels of the largest tile."""
        return max(int(np.prod([stop - start for start, stop in box])) for box, _ in self.boxes())

    def boxes(self) -> Iterator[tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
        """Give each tile's ends on each axis, and those of its core."""
        axes = []
        for size, core, context, blend in zip(self.shape, self.core, self.context, self.blend, strict=True):
            around = context + blend
            axes.append(
                [
                    ((max(0, at - around), min(size, at + core + around)), (at, min(size, at + core)))
                    for at in range(0, size, core)
                ]
            )
        for chosen in itertools.product(*axes):
            yield [tile for tile, _ in chosen], [core for _, core in chosen]


def plan_tiles(shape: Shape, reach: Shape, multiple: int, most: float) -> Tiling | None:
    """Cut a volume so that no tile has more than a number of voxels, with the least work.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x).
    reach : tuple of int
        How far the network looks, of `reach_of`.
    multiple : int
        Rows and columns at which the network's grid repeats.
    most : float
        Voxels that fit.

    Returns
    -------
    Tiling or None
        None if not even the smallest tile fits.
    """
    found = []
    for halving in range(_HALVINGS + 1):
        context = (
            -(-reach[0] // 2**halving),
            *(_up(reach[axis] / 2**halving, multiple) if reach[axis] else 0 for axis in (1, 2)),
        )
        best = _cheapest(shape, context, multiple, most, exact=halving == 0)
        if best is not None:
            found.append(best)
            if best[0] <= _DEAREST * np.prod(shape):
                break
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _cheapest(
    shape: Shape, context: Shape, multiple: int, most: float, exact: bool
) -> tuple[float, Tiling] | None:
    """Give the tiling with the least work in voxels, and of equal ones that with the fewest tiles."""
    best: tuple[tuple[float, int], Tiling] | None = None
    steps = (1, multiple, multiple)
    choices = [
        sorted({_up(size / parts, step) for parts in range(1, -(-size // step) + 1)})
        for size, step in zip(shape, steps, strict=True)
    ]
    for core in itertools.product(*choices):
        # What is not cut needs no surroundings, and slices that do not see each other no blending.
        around = tuple(c if size > own else 0 for c, size, own in zip(context, shape, core, strict=True))
        blend = tuple(min(s, own) if c else 0 for c, own, s in zip(around, core, steps, strict=True))
        extents = [
            min(size, own + 2 * (c + b)) for size, own, c, b in zip(shape, core, around, blend, strict=True)
        ]
        if np.prod([_up(e, s) for e, s in zip(extents, steps, strict=True)]) > most:
            continue
        tiling = Tiling(shape, core, around, blend, exact)
        work = tiling.count * float(np.prod(extents)), tiling.count
        if best is None or work < best[0]:
            best = work, tiling
    return None if best is None else (best[0][0], best[1])


def run_tiles(run: Run, channels: np.ndarray, tiling: Tiling, progress: Progress | None = None) -> np.ndarray:
    """Run a network tile by tile.

    Parameters
    ----------
    run : callable
        Gives maps (k, d, h, w) of channels (C, d, h, w).
    channels : ndarray
        (C, z, y, x).
    tiling : Tiling
        Of this volume.
    progress : Progress, optional
        Told of each tile; may raise `Cancelled`.

    Returns
    -------
    ndarray
        (k, z, y, x) float32.
    """
    progress = progress or silent
    total: np.ndarray | None = None
    weights = np.zeros(tiling.shape, dtype=np.float32)
    for index, (tile, core) in enumerate(tiling.boxes()):
        progress(index / tiling.count, f"Computing part {index + 1} of {tiling.count}")
        box = tuple(slice(start, stop) for start, stop in tile)
        maps = run(np.ascontiguousarray(channels[(slice(None), *box)]))
        weight = np.ones((1, 1, 1), dtype=np.float32)
        for axis, (ends, own) in enumerate(zip(tile, core, strict=True)):
            ramp = _ramp(ends, own, tiling.blend[axis])
            weight = weight * ramp.reshape([-1 if a == axis else 1 for a in range(3)])
        if total is None:
            total = np.zeros((len(maps), *tiling.shape), dtype=np.float32)
        total[(slice(None), *box)] += maps * weight
        weights[box] += weight
    assert total is not None, "a volume has at least one tile"
    return total / weights


def reach_of(network: nn.Module, channels: int, inputs: int, longest: int = 1024) -> Shape:
    """Find how far a network looks along each axis, by following one voxel through a copy of it.

    The copy has all weights 1 and no offsets, so that nothing cancels: what the voxel can change, it changes.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    channels, inputs : int
        Channels of its images, and number of its inputs.
    longest : int
        Voxels at most that are looked at.
    """
    import torch

    probe = copy.deepcopy(network).cpu().double().eval()
    with torch.no_grad():
        for name, value in itertools.chain(probe.named_parameters(), probe.named_buffers()):
            if value.is_floating_point():
                value.fill_(0.0 if name.endswith(("bias", "running_mean")) else 1.0)
    multiple = getattr(network, "multiple", 1)
    found = []
    for axis in range(3):
        size, reach = 8 * multiple if axis else 16, 0
        while True:
            shape = [1, multiple, multiple]
            shape[axis] = size
            reach = 0
            middle = size // 2 // multiple * multiple
            for at in {middle, middle + multiple - 1} if axis else {middle}:
                images = torch.zeros(1, channels, *shape, dtype=torch.float64)
                images.select(axis + 2, at).fill_(1.0)
                with torch.inference_mode():
                    changed = probe(images, torch.ones(1, inputs, dtype=torch.float64)).location[0, 0] != 0
                where = torch.nonzero(changed.movedim(axis, 0).flatten(1).any(1)).flatten()
                if len(where):
                    reach = max(reach, at - int(where[0]), int(where[-1]) - at)
            if reach < size // 2 - multiple or size >= longest:
                break
            size *= 2
        found.append(reach)
    return found[0], found[1], found[2]


def _ramp(tile: tuple[int, int], core: tuple[int, int], blend: int) -> np.ndarray:
    """Weights along one axis: 1 in the core, falling to 0 over `blend` voxels, 0 in the surroundings."""
    at = np.arange(*tile)
    outside = np.maximum(core[0] - at, at - (core[1] - 1))
    return np.clip(1.0 - np.maximum(outside, 0) / (blend + 1), 0.0, 1.0).astype(np.float32)


def _up(size: float, step: int) -> int:
    """Round up to a multiple of a step, which is the least."""
    return max(1, -(-int(np.ceil(size)) // step)) * step
