"""The images that a map was made of, copied for the tumour's outline to be proposed from them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from SynthCBVLib.analysis.regions.fluid_dark import FluidDark
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.scene.b_values import series_b_values
from SynthCBVLib.scene.results import input_of, provenance_of
from SynthCBVLib.scene.volumes import copy_steps, view_member
from SynthCBVLib.worker.handover import Volume

if TYPE_CHECKING:
    import slicer

#: What is handed over beside the anatomical image. CBF is not: its node may be the control image of a
#: labelling series, and the map says what it says.
USED = (Modality.T2W, Modality.FLAIR, Modality.T1W, Modality.T1C, Modality.ADC, Modality.DWI)


@dataclass(frozen=True)
class OutlineImage:
    """One image, copied.

    Parameters
    ----------
    volume : Volume
        Its voxels; of a diffusion series the image in which fluid is dark.
    matrix : ndarray
        (4, 4), points of the reference to points of the image (LPS, mm).
    """

    volume: Volume
    matrix: np.ndarray


def copy_outline_images(
    map: slicer.vtkMRMLScalarVolumeNode,
    anatomy: slicer.vtkMRMLScalarVolumeNode,
    b_values: Sequence[float] | None = None,
) -> Generator[None, None, dict[Modality, OutlineImage]]:
    """Copy the images that a map was made of, as far as they are of use, in short steps.

    Where the map was not made on the grid of `anatomy`, nothing is known of how its images lie, and none is
    copied; neither is an image that is gone or cannot be read: the outline does without it.

    Parameters
    ----------
    map : vtkMRMLScalarVolumeNode
        A synthesised map.
    anatomy : vtkMRMLScalarVolumeNode
        The anatomical image, which is left out.
    b_values : sequence of float, optional
        Of the DWI, s/mm²; those of its node by default.
    """
    provenance = provenance_of(map)
    found: dict[Modality, OutlineImage] = {}
    reference = input_of(map, str(provenance.get("reference") or "-"))
    if reference is None or reference.GetID() != anatomy.GetID():
        return found
    entries = provenance.get("registration")
    for modality in USED:
        node = input_of(map, modality.value)
        if node is None or node.GetID() == anatomy.GetID():
            continue
        matrix = _matrix(entries.get(modality.value) if isinstance(entries, dict) else None)
        if matrix is None:
            continue
        try:
            if modality is Modality.DWI:
                volume = yield from _fluid_dark(node, b_values)
            else:
                volume = yield from copy_steps(node)
        except InputError:
            continue
        if volume.array.ndim == 3:
            found[modality] = OutlineImage(volume, matrix)
    return found


def _matrix(entry: Any) -> np.ndarray | None:
    """Read how an image was registered; None if it is not known."""
    if not isinstance(entry, Mapping) or "matrix" not in entry:
        return None
    matrix = np.array(entry["matrix"], dtype=float)
    return matrix if matrix.shape == (4, 4) and np.isfinite(matrix).all() else None


def _fluid_dark(node: slicer.vtkMRMLNode, b_values: Sequence[float] | None) -> Generator[None, None, Volume]:
    """Make the image of a series in which fluid is dark, a volume a step."""
    way = FluidDark.of(series_b_values(node, b_values))
    means = []
    for weights in way.weights:
        mean: np.ndarray | None = None
        for i in np.flatnonzero(weights):
            volume = view_member(node, int(i))
            own = np.float32(weights[i]) * volume.array
            mean = own if mean is None else mean + own
            yield
        means.append(mean)
    return Volume(volume.name, way.image(means), volume.spacing, volume.origin, volume.direction)
