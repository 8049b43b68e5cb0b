"""Volumes made ready for the scene: the slow part apart from it, so that a thread can do it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.volumes import LPS_RAS, vtk_matrix
from SynthCBVLib.worker.handover import Volume

if TYPE_CHECKING:
    import slicer
    import vtk


@dataclass(frozen=True)
class PreparedVolume:
    """Voxels as VTK keeps them, with their place.

    Parameters
    ----------
    name : str
        Of the node to be.
    data : vtkImageData
        Voxels, one or several components.
    matrix : vtkMatrix4x4
        From voxel indices to RAS mm.
    """

    name: str
    data: vtk.vtkImageData
    matrix: vtk.vtkMatrix4x4


def empty_data(shape: tuple[int, ...], dtype: np.dtype) -> tuple[vtk.vtkImageData, np.ndarray]:
    """Make VTK's image data of a shape (z, y, x[, component]), with an array to fill its voxels through."""
    from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkDataArray
    from vtkmodules.vtkCommonDataModel import vtkImageData

    components = shape[3] if len(shape) == 4 else 1
    scalars = vtkDataArray.CreateDataArray(get_vtk_array_type(dtype))
    scalars.SetName("ImageScalars")
    scalars.SetNumberOfComponents(components)
    scalars.SetNumberOfTuples(math.prod(shape) // components)
    data = vtkImageData()
    data.SetDimensions(shape[2], shape[1], shape[0])
    data.GetPointData().SetScalars(scalars)
    return data, vtk_to_numpy(scalars).reshape(shape)


def prepare(volume: Volume, name: str = "") -> PreparedVolume:
    """Copy a volume's voxels into VTK; nothing of the scene is touched."""
    data, voxels = empty_data(volume.array.shape, volume.array.dtype)
    voxels[...] = volume.array  # leaves Python's lock alone
    return PreparedVolume(name or volume.name, data, index_to_ras(volume))


def index_to_ras(volume: Volume) -> vtk.vtkMatrix4x4:
    """Give the matrix from a volume's voxel indices to RAS mm."""
    return vtk_matrix(LPS_RAS @ lps_matrix(volume))


def lps_matrix(volume: Volume) -> np.ndarray:
    """Give the matrix (4, 4) from a volume's indices to LPS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(volume.direction, (3, 3)) * np.asarray(volume.spacing)
    matrix[:3, 3] = volume.origin
    return matrix


def put(
    prepared: PreparedVolume,
    *,
    labelmap: bool = False,
    diffusion: bool = False,
    colours: slicer.vtkMRMLColorNode | None = None,
    window: tuple[float, float] | None = None,
    scene: slicer.vtkMRMLScene | None = None,
) -> slicer.vtkMRMLVolumeNode:
    """Make a node of a prepared volume, whose voxels it shares.

    Parameters
    ----------
    prepared : PreparedVolume
        Voxels, place and name.
    diffusion : bool
        Make a diffusion-weighted volume, whose b-values are still to be told.
    labelmap, colours, window, scene
        As for `image_to_volume`.
    """
    scene = scene or current_scene()
    kind = "vtkMRMLLabelMapVolumeNode" if labelmap else "vtkMRMLScalarVolumeNode"
    if diffusion:
        kind = "vtkMRMLDiffusionWeightedVolumeNode"
    elif prepared.data.GetNumberOfScalarComponents() > 1:
        kind = "vtkMRMLVectorVolumeNode"
    node = scene.AddNewNodeByClass(kind, prepared.name)
    node.SetIJKToRASMatrix(prepared.matrix)
    # The display comes before the voxels: a window that is given is then not searched for.
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    if colours is not None:
        display.SetAndObserveColorNodeID(colours.GetID())
    if window is not None and not labelmap:
        display.SetAutoWindowLevel(0)
        display.SetWindowLevelMinMax(float(window[0]), float(window[1]))
    node.SetAndObserveImageData(prepared.data)
    return node
