"""A look at a volume that is quick enough for an event loop: whether there is an image that can be used.

What needs all voxels, or several images together, is for `SynthCBVLib.imaging.quality` in the worker.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality.finding import listed
from SynthCBVLib.imaging.quality.values import MOST_NEGATIVE
from SynthCBVLib.scene.volumes import node_name, view_volume
from SynthCBVLib.worker.handover import Volume

if TYPE_CHECKING:
    import slicer

#: Voxels of a node that are looked at; of larger volumes, some spread evenly.
LOOKED_AT = 200_000
#: Points along each axis at which it is looked whether two volumes overlap.
POINTS = 8
#: Fewest voxels along each axis of a head that networks can work on.
FEWEST_VOXELS = (16, 16, 2)
#: Voxel sizes in mm beyond which a header is not believed.
VOXEL_SIZES = (0.1, 20.0)


@dataclass(frozen=True)
class Glance:
    """What a quick look at a volume shows.

    Parameters
    ----------
    what : str
        Size and voxel size, in words.
    problem : str
        What is wrong, as a full sentence; "" if nothing is.
    note : str
        What may be wrong, likewise.
    """

    what: str
    problem: str = ""
    note: str = ""


def glance(node: slicer.vtkMRMLNode, series: bool = False, signal: bool = False) -> Glance:
    """Look at a node.

    Parameters
    ----------
    node : vtkMRMLVolumeNode or vtkMRMLSequenceNode
        What was chosen.
    series : bool
        Whether it may have several volumes.
    signal : bool
        Whether it is a signal as scanned, which cannot be below 0.
    """
    count, name = 1, node_name(node)
    if node.IsA("vtkMRMLSequenceNode"):
        count = node.GetNumberOfDataNodes()
        if count == 0:
            return Glance("", f"{name}: an empty sequence; needed: a sequence of volumes.")
    try:
        volumes = list(_volumes(node))
    except InputError as error:
        return Glance("", str(error))
    volume = volumes[0]
    array = volume.array
    components = array.shape[3] if array.ndim == 4 else 1
    size = array.shape[2::-1]
    what = f"{size[0]} × {size[1]} × {size[2]} voxels of "
    what += " × ".join(f"{length:.3g}" for length in volume.spacing) + " mm"
    if max(components, count) > 1:
        what = f"{max(components, count)} volumes, {what}"
    problem = _shape_problem(volume.name, array, volume.spacing, components > 1 and not series)
    if problem:
        return Glance(what, problem)
    return Glance(what, *_values(name, volumes, max(components, count), signal))


def overlap(node: slicer.vtkMRMLNode, reference: slicer.vtkMRMLNode) -> float:
    """Tell what share of the middle of a reference lies in a volume, by the positions in the scene.

    Raises
    ------
    InputError
        If one of the two holds no volume.
    """
    place, other = next(_volumes(reference)), next(_volumes(node))
    axes = [np.linspace(0.2, 0.8, POINTS) * (size - 1) for size in place.array.shape[2::-1]]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    world = points * place.spacing @ np.reshape(place.direction, (3, 3)).T + place.origin
    inner = (world - other.origin) @ np.reshape(other.direction, (3, 3)) / other.spacing
    size = np.array(other.array.shape[2::-1])
    return float(((inner >= -0.5) & (inner <= size - 0.5)).all(1).mean())


def _volumes(node: slicer.vtkMRMLNode) -> Iterator[Volume]:
    """Give a node's volume, or those of a sequence, without a copy."""
    if not node.IsA("vtkMRMLSequenceNode"):
        yield view_volume(node)
        return
    for i in range(node.GetNumberOfDataNodes()):
        yield view_volume(node.GetNthDataNode(i), f"{node_name(node)} item {i + 1}")


def _shape_problem(name: str, array: np.ndarray, spacing: tuple[float, ...], too_many: bool) -> str:
    size = array.shape[2::-1]
    if too_many:
        return f"{name}: {array.shape[3]} volumes; needed: one volume."
    if any(have < need for have, need in zip(sorted(size), sorted(FEWEST_VOXELS), strict=True)):
        return f"{name}: only {size[0]} × {size[1]} × {size[2]} voxels; needed: an image of the whole head."
    if min(spacing) < VOXEL_SIZES[0] or max(spacing) > VOXEL_SIZES[1]:
        sizes = " × ".join(f"{length:.3g}" for length in spacing)
        return f"{name}: voxels of {sizes} mm; needed: {VOXEL_SIZES[0]:g} to {VOXEL_SIZES[1]:g} mm."
    return ""


def _values(name: str, volumes: list[Volume], count: int, signal: bool) -> tuple[str, str]:
    """Look at some voxels of each of `count` volumes; give the problem and the note."""
    empty, negative, level = [], [], 0.0
    number = 0
    for volume in volumes:
        for values in _some(volume.array, LOOKED_AT // count):
            number += 1
            if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
                return f"{name}: voxels that are not numbers (NaN or infinite); needed: finite values.", ""
            low, high = values.min(), values.max()
            if low == high:
                empty.append(number)
                level = float(low)
            elif signal and low < 0 and np.mean(values < -0.02 * np.percentile(values, 99)) > MOST_NEGATIVE:
                negative.append(number)
    if empty:
        which = name if count == 1 else f"{name}, volume {listed(empty)} of {count}"
        return f"{which}: the value {level:g} everywhere; needed: an image of the head.", ""
    if negative:
        which = name if count == 1 else f"{name}, volume {listed(negative)} of {count}"
        return "", (
            f"{which}: negative values where a signal cannot be. "
            "Was the slope or the offset of the scanner's export lost?"
        )
    return "", ""


def _some(array: np.ndarray, wanted: int) -> Iterator[np.ndarray]:
    """Give voxels spread evenly over a volume (z, y, x) or those of each component (z, y, x, component)."""
    components = array.shape[3] if array.ndim == 4 else 1
    voxels = array.reshape(-1, components)
    step = max(1, voxels.shape[0] // max(1, wanted))
    while math.gcd(step, array.shape[2]) > 1:  # else all of them might lie at one edge
        step += 1
    yield from voxels[::step].T
