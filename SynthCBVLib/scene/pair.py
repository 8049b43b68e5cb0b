"""A registered pair for the eye: an image of a synthesis laid over the reference, without touching either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.results import input_of, provenance_of
from SynthCBVLib.scene.volumes import LPS_RAS, view_volume, vtk_matrix
from SynthCBVLib.worker.handover import Volume

if TYPE_CHECKING:
    import slicer

#: Marks the nodes that show a pair; they are made anew when needed and not saved.
PAIR_ATTRIBUTE = "SynthCBV.Pair"


@dataclass(frozen=True)
class Registered:
    """How one image was brought to the reference.

    Parameters
    ----------
    modality : str
        Of the image.
    before, after : float or None
        Mutual information with the reference in nats, higher is better; None where it was not measured.
    applied : bool
        Whether the image was moved; else the position of the file was kept.
    shift, angle : float
        How far, in mm at the middle of the image and in degrees.
    matrix : ndarray or None
        (4, 4), points of the reference to points of the image (LPS, mm).
    """

    modality: str
    before: float | None
    after: float | None
    applied: bool
    shift: float
    angle: float
    matrix: np.ndarray | None


def registrations_of(map: slicer.vtkMRMLScalarVolumeNode) -> list[Registered]:
    """Give how the images of a synthesised map were registered; empty for other maps."""
    entries = provenance_of(map).get("registration")
    if not isinstance(entries, dict):
        return []
    middle = _middle(map)
    return [_registered(name, entry, middle) for name, entry in entries.items()]


def show_pair(map: slicer.vtkMRMLScalarVolumeNode, modality: str) -> tuple[str, str] | None:
    """Make the node that shows an image in the reference's place.

    Parameters
    ----------
    map : vtkMRMLScalarVolumeNode
        A synthesised map.
    modality : str
        Which of its images.

    Returns
    -------
    tuple or None
        Ids of the reference node and of the image's copy; None if a node is gone, or the matrix is unknown.
    """
    hide_pair()
    found = next((one for one in registrations_of(map) if one.modality == modality), None)
    reference, node = input_of(map, provenance_of(map).get("reference", "")), input_of(map, modality)
    if found is None or found.matrix is None or reference is None or node is None:
        return None
    scene = current_scene()
    # The matrix leads from the reference to the image; the image has to come the other way.
    to_reference = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", f"{modality} as registered")
    to_reference.SetMatrixTransformToParent(vtk_matrix(LPS_RAS @ np.linalg.inv(found.matrix) @ LPS_RAS))
    copy = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"{modality} as registered")
    for made in (to_reference, copy):
        made.SetAttribute(PAIR_ATTRIBUTE, modality)
        made.SetHideFromEditors(True)
        made.SetSaveWithScene(False)
    _show(copy, node)
    copy.SetAndObserveTransformNodeID(to_reference.GetID())
    return reference.GetID(), copy.GetID()


def hide_pair() -> None:
    """Take the nodes of an earlier pair out of the scene."""
    scene = current_scene()
    for kind in ("vtkMRMLScalarVolumeNode", "vtkMRMLLinearTransformNode"):
        for i in reversed(range(scene.GetNumberOfNodesByClass(kind))):
            node = scene.GetNthNodeByClass(i, kind)
            if node.GetAttribute(PAIR_ATTRIBUTE):
                scene.RemoveNode(node.GetDisplayNode()) if node.GetDisplayNode() is not None else None
                scene.RemoveNode(node)


def _show(copy: slicer.vtkMRMLScalarVolumeNode, node: slicer.vtkMRMLNode) -> None:
    """Give a copy the voxels that show an image: its own, or those of the first volume of a series."""
    from SynthCBVLib.scene.prepared import prepare

    if node.IsA("vtkMRMLSequenceNode"):
        node = node.GetNthDataNode(0)
    volume = view_volume(node)
    if volume.array.ndim == 4:
        volume = Volume(volume.name, volume.array[..., 0], volume.spacing, volume.origin, volume.direction)
    prepared = prepare(volume)
    copy.SetIJKToRASMatrix(prepared.matrix)
    copy.CreateDefaultDisplayNodes()
    low, high = np.percentile(volume.array[::2, ::4, ::4], [1.0, 99.5])
    copy.GetDisplayNode().SetAutoWindowLevel(0)
    copy.GetDisplayNode().SetWindowLevelMinMax(float(low), float(max(high, low + 1e-6)))
    copy.SetAndObserveImageData(prepared.data)


def _middle(map: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """Give the middle of a map (LPS, mm)."""
    volume = view_volume(map)
    half = (np.array(volume.array.shape[2::-1]) - 1) / 2
    return np.array(volume.origin) + np.reshape(volume.direction, (3, 3)) @ (half * volume.spacing)


def _registered(modality: str, entry: Mapping[str, Any], middle: np.ndarray) -> Registered:
    before, after = (None if entry.get(key) is None else -float(entry[key]) for key in ("before", "after"))
    matrix = None if "matrix" not in entry else np.array(entry["matrix"], dtype=float)
    shift = angle = 0.0
    if matrix is not None:
        shift = float(np.linalg.norm(matrix[:3, :3] @ middle + matrix[:3, 3] - middle))
        turn, _scales, other = np.linalg.svd(matrix[:3, :3])
        angle = float(np.degrees(np.arccos(np.clip((np.trace(turn @ other) - 1) / 2, -1.0, 1.0))))
    return Registered(modality, before, after, bool(entry.get("applied", False)), shift, angle, matrix)
