"""A look at a volume that is quick enough for an event loop: whether there is an image that can be used.

What needs all voxels, or several images together, is for `SynthCBVLib.imaging.quality` in the worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.scene.volumes import node_name, view_volume

if TYPE_CHECKING:
    import slicer

#: Voxels that are looked at; of larger volumes, some spread evenly.
LOOKED_AT = 200_000
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
    """

    what: str
    problem: str = ""


def glance(node: slicer.vtkMRMLNode, series: bool = False) -> Glance:
    """Look at a node.

    Parameters
    ----------
    node : vtkMRMLVolumeNode or vtkMRMLSequenceNode
        What was chosen; of a sequence, the first volume is looked at.
    series : bool
        Whether it may have several volumes.
    """
    count = 1
    if node.IsA("vtkMRMLSequenceNode"):
        count = node.GetNumberOfDataNodes()
        if count == 0:
            return Glance("", f"{node_name(node)}: an empty sequence; needed: a sequence of volumes.")
        node = node.GetNthDataNode(0)
    try:
        volume = view_volume(node)
    except InputError as error:
        return Glance("", str(error))
    array = volume.array
    components = array.shape[3] if array.ndim == 4 else 1
    size = array.shape[2::-1]
    what = f"{size[0]} × {size[1]} × {size[2]} voxels of "
    what += " × ".join(f"{length:.3g}" for length in volume.spacing) + " mm"
    if max(components, count) > 1:
        what = f"{max(components, count)} volumes, {what}"
    return Glance(what, _problem(volume.name, array, volume.spacing, components > 1 and not series))


def _problem(name: str, array: np.ndarray, spacing: tuple[float, ...], too_many: bool) -> str:
    size = array.shape[2::-1]
    if too_many:
        return f"{name}: {array.shape[3]} volumes; needed: one volume."
    if any(have < need for have, need in zip(sorted(size), sorted(FEWEST_VOXELS), strict=True)):
        return f"{name}: only {size[0]} × {size[1]} × {size[2]} voxels; needed: an image of the whole head."
    if min(spacing) < VOXEL_SIZES[0] or max(spacing) > VOXEL_SIZES[1]:
        sizes = " × ".join(f"{length:.3g}" for length in spacing)
        return f"{name}: voxels of {sizes} mm; needed: {VOXEL_SIZES[0]:g} to {VOXEL_SIZES[1]:g} mm."
    seen = array.reshape(-1)[:: max(1, array.size // LOOKED_AT)]
    if np.issubdtype(seen.dtype, np.floating) and not np.isfinite(seen).all():
        return f"{name}: voxels that are not numbers (NaN or infinite); needed: finite values."
    if seen.min() == seen.max():
        return f"{name}: the value {seen[0]:g} everywhere; needed: an image of the head."
    return ""
