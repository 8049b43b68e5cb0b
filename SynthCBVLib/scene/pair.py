"""A registered pair for the eye: an image of a synthesis laid over the reference, without touching either.

For a checkerboard, the copy that is laid over has a threshold below which Slicer shows what is under it, and
every other square of the copy lies below.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.prepared import empty_data, index_to_ras, lps_matrix
from SynthCBVLib.scene.results import input_of, provenance_of
from SynthCBVLib.scene.volumes import LPS_RAS, view_member, view_volume, vtk_matrix
from SynthCBVLib.worker.handover import Volume

if TYPE_CHECKING:
    import slicer

#: Marks the nodes that show a pair; they are made anew when needed and not saved.
PAIR_ATTRIBUTE = "SynthCBV.Pair"
#: Width of the checkerboard's squares, mm.
SQUARE = 20.0
#: Value of the voxels through which the reference is seen; below that of any image.
SEEN_THROUGH = -1e30
#: Voxels of a copy that are made in a step of some milliseconds.
VOXELS_A_STEP = 250_000


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


def pair_steps(
    map: slicer.vtkMRMLScalarVolumeNode, modality: str, checkerboard: bool = False
) -> Generator[None, None, tuple[str, str] | None]:
    """Make the node that shows an image in the reference's place, in short steps; an earlier one goes.

    Parameters
    ----------
    map : vtkMRMLScalarVolumeNode
        A synthesised map.
    modality : str
        Which of its images.
    checkerboard : bool
        Leave out every other square of `SQUARE` along the reference's axes, for the reference to be seen.

    Returns
    -------
    tuple or None
        Ids of the reference node and of the image's copy; None if a node is gone, or the matrix is unknown.

    Raises
    ------
    InputError
        If one of the nodes holds no volume any more.
    """
    found = next((one for one in registrations_of(map) if one.modality == modality), None)
    reference, node = input_of(map, provenance_of(map).get("reference", "")), input_of(map, modality)
    if found is None or found.matrix is None or reference is None or node is None:
        hide_pair()
        return None
    volume = view_member(node, 0)
    squares = _squares(volume, found.matrix, view_volume(reference)) if checkerboard else None
    kind = np.dtype(np.float32) if checkerboard else volume.array.dtype
    data, voxels = empty_data(volume.array.shape, kind)
    lowest, slices = np.inf, max(1, VOXELS_A_STEP // volume.array[0].size)
    for start in range(0, voxels.shape[0], slices):
        part = volume.array[start : start + slices]
        voxels[start : start + slices] = part
        if squares is not None:
            lowest = min(lowest, float(part.min()))
            voxels[start : start + slices][_is_reference(squares, start, part.shape)] = SEEN_THROUGH
        yield
    window = np.percentile(volume.array[::2, ::4, ::4], [1.0, 99.5])
    yield
    hide_pair()
    if reference.GetScene() is None or node.GetScene() is None:
        return None
    scene = current_scene()
    # The matrix leads from the reference to the image; the image has to come the other way.
    to_reference = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", f"{modality} as registered")
    to_reference.SetMatrixTransformToParent(vtk_matrix(LPS_RAS @ np.linalg.inv(found.matrix) @ LPS_RAS))
    copy = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"{modality} as registered")
    copy.SetIJKToRASMatrix(index_to_ras(volume))
    copy.CreateDefaultDisplayNodes()
    display = copy.GetDisplayNode()
    display.SetSaveWithScene(False)
    for made in (to_reference, copy):
        made.SetAttribute(PAIR_ATTRIBUTE, modality)
        made.SetHideFromEditors(True)
        made.SetSaveWithScene(False)
    display.SetAutoWindowLevel(0)
    display.SetWindowLevelMinMax(float(window[0]), float(max(window[1], window[0] + 1e-6)))
    if checkerboard:
        display.SetInterpolate(0)  # between slices of which one is seen through there would be nothing
        display.SetAutoThreshold(0)
        display.SetThreshold(lowest, float(np.finfo(np.float32).max))
        display.SetApplyThreshold(1)
    copy.SetAndObserveImageData(data)
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


def _squares(volume: Volume, matrix: np.ndarray, reference: Volume) -> np.ndarray:
    """Give the matrix (3, 4) from a volume's indices to places along the reference's axes, in squares."""
    to_axes = np.eye(4)
    to_axes[:3, :3] = np.reshape(reference.direction, (3, 3)).T / SQUARE
    to_axes[:3, 3] = -to_axes[:3, :3] @ reference.origin
    return (to_axes @ np.linalg.inv(matrix) @ lps_matrix(volume))[:3]


def _is_reference(squares: np.ndarray, start: int, shape: tuple[int, ...]) -> np.ndarray:
    """Tell for a volume's slices (z, y, x) from `start` on where the reference is to be seen."""
    k, j, i = (np.arange(size, dtype=np.float32) for size in shape)
    number = np.zeros(shape, np.int32)
    for across, down, through, origin in squares.astype(np.float32):
        place = (through * (k + start) + origin)[:, None, None] + (down * j)[:, None] + across * i
        number += np.floor(place).astype(np.int32)
    return number % 2 == 1


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
