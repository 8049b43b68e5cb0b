"""Volume nodes <-> SimpleITK images, with exact geometry.

MRML holds a matrix from voxel indices to RAS; SimpleITK holds origin, spacing and direction in LPS. The two
differ by the sign of the first two axes and by the parent transform, which MRML keeps apart.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.worker.handover import Volume

if TYPE_CHECKING:
    import slicer
    import vtk

#: LPS <-> RAS, the same both ways.
LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Largest cosine between two image axes that is still rounding of a file and not a shear.
SHEAR_TOLERANCE = 1e-4
#: Voxels are copied in steps of this size, of some milliseconds each.
BYTES_A_STEP = 4_000_000


def copy_steps(node: slicer.vtkMRMLVolumeNode, name: str = "") -> Generator[None, None, Volume]:
    """Copy a volume node's voxels and geometry in world space, some megabytes a step.

    Parameters
    ----------
    node : vtkMRMLVolumeNode
        Scalar volume or labelmap, or a volume with several components such as diffusion-weighted, vector and
        multi-volume nodes; its linear parent transform becomes part of the geometry.
    name : str
        How messages call it; the node's name by default.

    Raises
    ------
    InputError
        If the node is not a volume, holds no voxels, or its axes are sheared or warped in world space.
    """
    volume = view_volume(node, name)
    source = volume.array.reshape(-1)
    copy = np.empty_like(source)
    length = max(1, BYTES_A_STEP // source.itemsize)
    for start in range(0, source.size, length):
        copy[start : start + length] = source[start : start + length]
        yield
    return replace(volume, array=copy.reshape(volume.array.shape))


def view_volume(node: slicer.vtkMRMLVolumeNode, name: str = "") -> Volume:
    """Give a volume node's own voxels, which change with it; geometry and errors as for `copy_steps`."""
    from vtk.util.numpy_support import vtk_to_numpy

    name = name or node_name(node)
    if node is None or not node.IsA("vtkMRMLVolumeNode"):
        kind = "no node" if node is None else f"a {node.GetClassName()}"
        raise InputError(name, kind, "a volume node", "Choose a volume.")
    data = node.GetImageData()
    if data is None or data.GetNumberOfPoints() == 0 or data.GetPointData().GetScalars() is None:
        raise InputError(name, "a volume without image data", "a loaded volume with voxels", "Load it again.")
    nx, ny, nz = data.GetDimensions()
    components = data.GetNumberOfScalarComponents()
    array = vtk_to_numpy(data.GetPointData().GetScalars())
    array = array.reshape((nz, ny, nx) if components == 1 else (nz, ny, nx, components))
    matrix = LPS_RAS @ ijk_to_world(node)
    extent = data.GetExtent()
    matrix[:3, 3] = (matrix @ [extent[0], extent[2], extent[4], 1.0])[:3]
    return Volume(name, array, *geometry(matrix, name))


def view_member(node: slicer.vtkMRMLNode, number: int) -> Volume:
    """Give a volume of a series as `view_volume` does; one that is no series is its only one."""
    volume = view_volume(node.GetNthDataNode(number) if node.IsA("vtkMRMLSequenceNode") else node)
    return volume if volume.array.ndim < 4 else replace(volume, array=volume.array[..., number])


def volume_to_image(node: slicer.vtkMRMLVolumeNode) -> sitk.Image:
    """Copy a volume node into an image in world space: mm, LPS; several components make a vector image.

    Parameters and errors as for `copy_steps`.
    """
    return view_volume(node).image()


def image_to_volume(
    image: sitk.Image,
    name: str,
    node: slicer.vtkMRMLVolumeNode | None = None,
    *,
    labelmap: bool = False,
    colours: slicer.vtkMRMLColorNode | None = None,
    window: tuple[float, float] | None = None,
    scene: slicer.vtkMRMLScene | None = None,
) -> slicer.vtkMRMLVolumeNode:
    """Put a 3D image into the scene as a volume node with a display node.

    Parameters
    ----------
    image : sitk.Image
        3D image; several components make a vector volume.
    name : str
        Name of the node.
    node : vtkMRMLVolumeNode, optional
        Node to fill instead of a new one; its parent transform is taken off, since images are in world space.
    labelmap : bool
        Make a labelmap; the image must hold whole numbers.
    colours : vtkMRMLColorNode, optional
        Colour table to show the volume with.
    window : (float, float), optional
        Lowest and highest value of the display; automatic if not given.
    scene : vtkMRMLScene, optional
        Scene to add the node to; the current one by default.

    Returns
    -------
    vtkMRMLVolumeNode
        Scalar volume, labelmap or vector volume node.

    Raises
    ------
    InputError
        If the image is not 3D, is no labelmap where one is asked for, or does not fit the node's class.
    """
    if image.GetDimension() != 3:
        raise InputError(name, f"a {image.GetDimension()}D image {image.GetSize()}", "a 3D image")
    components = image.GetNumberOfComponentsPerPixel()
    array = sitk.GetArrayFromImage(image)
    if labelmap and (components > 1 or not np.issubdtype(array.dtype, np.integer)):
        raise InputError(name, f"a {image.GetPixelIDTypeAsString()} image", "whole numbers for a labelmap")
    kind = "vtkMRMLLabelMapVolumeNode" if labelmap else "vtkMRMLScalarVolumeNode"
    if components > 1:
        kind = "vtkMRMLVectorVolumeNode"
    if node is None:
        node = (scene or current_scene()).AddNewNodeByClass(kind, name)
    elif node.GetClassName() != kind:
        raise InputError(node_name(node), f"a {node.GetClassName()}", f"a {kind} to hold this image")
    else:
        node.SetName(name)
        node.SetAndObserveTransformNodeID(None)
    fill(node, image)
    display = ensure_display(node)
    if colours is not None:
        display.SetAndObserveColorNodeID(colours.GetID())
    if window is not None and not labelmap:
        display.SetAutoWindowLevel(0)
        display.SetWindowLevelMinMax(float(window[0]), float(window[1]))
    return node


def fill(node: slicer.vtkMRMLVolumeNode, image: sitk.Image) -> None:
    """Give a volume node the voxels and the geometry of a 3D image."""
    from vtk.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    array = np.ascontiguousarray(sitk.GetArrayFromImage(image))
    components = image.GetNumberOfComponentsPerPixel()
    scalars = numpy_to_vtk(array.reshape(-1, components) if components > 1 else array.ravel(), deep=True)
    scalars.SetName("ImageScalars")
    data = vtkImageData()
    data.SetDimensions(image.GetSize())
    data.GetPointData().SetScalars(scalars)
    modified = node.StartModify()
    node.SetIJKToRASMatrix(vtk_matrix(LPS_RAS @ image_matrix(image)))
    node.SetAndObserveImageData(data)
    node.EndModify(modified)


def ensure_display(node: slicer.vtkMRMLDisplayableNode) -> slicer.vtkMRMLDisplayNode:
    """Give a node's display node, made if there is none."""
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node.GetDisplayNode()


def image_matrix(image: sitk.Image) -> np.ndarray:
    """Give the matrix (4, 4) from voxel indices to LPS mm of a 3D image."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return matrix


def geometry(matrix: np.ndarray, name: str) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Give spacing, origin and direction of a matrix (4, 4) from indices to LPS mm.

    Raises
    ------
    InputError
        If the axes are not at right angles, or one of them has no length; SimpleITK has no place for these.
    """
    axes = matrix[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.isfinite(matrix).all() or (spacing <= 0).any():
        raise InputError(
            name, f"voxel axes of {np.round(spacing, 6).tolist()} mm", "finite axes longer than 0 mm"
        )
    direction = axes / spacing
    skew = np.abs(direction.T @ direction - np.eye(3)).max()
    if skew > SHEAR_TOLERANCE:
        raise InputError(
            name, f"sheared voxel axes (cosine {skew:.3g} between two of them)", "axes at right angles",
            "Harden its transform and resample the volume to an unsheared grid (Resample Scalar Volume).",
        )  # fmt: skip
    return tuple(spacing.tolist()), tuple(matrix[:3, 3].tolist()), tuple(direction.ravel().tolist())


def set_geometry(image: sitk.Image, matrix: np.ndarray, name: str) -> sitk.Image:
    """Set an image's geometry from a matrix (4, 4) from indices to LPS mm; errors as for `geometry`."""
    spacing, origin, direction = geometry(matrix, name)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    image.SetOrigin(origin)
    return image


def ijk_to_world(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Give the matrix (4, 4) from voxel indices to world RAS mm, parent transforms included."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return parent_matrix(node) @ numpy_matrix(matrix)


def parent_matrix(node: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """Give the matrix (4, 4) from a node's own RAS to world RAS.

    Raises
    ------
    InputError
        If the node is under a transform that is not linear.
    """
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise InputError(
            node_name(node), f"the non-linear transform {node_name(parent)} above it",
            "a linear transform or none",
            "Harden the transform (Transforms module) and try again.",
        )  # fmt: skip
    matrix = vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return numpy_matrix(matrix)


def numpy_matrix(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """Copy a VTK matrix into an array (4, 4)."""
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


def vtk_matrix(array: np.ndarray) -> vtk.vtkMatrix4x4:
    """Copy an array (4, 4) into a VTK matrix."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, dtype=float).ravel().tolist())
    return matrix


def node_name(node: slicer.vtkMRMLNode | None) -> str:
    """Name a node as messages do."""
    return "volume" if node is None else (node.GetName() or node.GetID() or node.GetClassName())
