"""Segmentation nodes and labelmaps <-> masks on an image's grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.region_parts import region_on_grid
from SynthCBVLib.errors import InputError
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.segments import (
    BLUES,
    GREENS,
    REDS,
    add_segment,
    checked_labelmap,
    oriented_image,
    shades_of,
)
from SynthCBVLib.scene.volumes import (
    LPS_RAS,
    image_matrix,
    node_name,
    numpy_matrix,
    parent_matrix,
    set_geometry,
    volume_to_image,
    vtk_matrix,
)

if TYPE_CHECKING:
    import slicer

BINARY_LABELMAP = "Binary labelmap"


def segment_mask(
    node: slicer.vtkMRMLSegmentationNode, segment_id: str, reference: sitk.Image | slicer.vtkMRMLVolumeNode
) -> sitk.Image:
    """Give one segment as a mask on a reference grid.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        Segmentation; its linear parent transform is honoured.
    segment_id : str
        Id of the segment in the segmentation.
    reference : sitk.Image or vtkMRMLVolumeNode
        Grid of the mask.

    Returns
    -------
    sitk.Image
        8-bit image of the reference's grid, 1 inside; nearest neighbour where the grids differ.

    Raises
    ------
    InputError
        If there is no such segment, or it has no voxel, or none on the reference grid.
    """
    import slicer

    grid = reference if isinstance(reference, sitk.Image) else volume_to_image(reference)
    segment = node.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        raise InputError(node_name(node), f"no segment {segment_id}", "the id of one of its segments")
    where = f"{node_name(node)}, segment {segment.GetName()}"
    to_world = parent_matrix(node)
    if node.GetSegmentation().ContainsRepresentation(BINARY_LABELMAP):
        labelmap = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(segment_id, labelmap)
    else:
        labelmap = voxelised(node, segment_id, grid, to_world)
    mask = None if labelmap is None else _image(labelmap, to_world, where)
    if mask is None or not sitk.GetArrayViewFromImage(mask).any():
        raise InputError(where, "no voxels", "a drawn region", "Draw the region or delete the segment.")
    return region_on_grid(mask, grid, where)


def region_masks(
    node: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode,
    reference: sitk.Image | slicer.vtkMRMLVolumeNode,
) -> dict[str, sitk.Image]:
    """Give all segments, or all labels of a labelmap, as masks on a reference grid.

    Returns
    -------
    dict
        8-bit mask of each region by its name, in the node's order.

    Raises
    ------
    InputError
        If there are no regions, two share a name, or one is empty.
    """
    grid = reference if isinstance(reference, sitk.Image) else volume_to_image(reference)
    check_kind(node)
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        masks = _labels(node, grid)
    else:
        masks = {}
        segmentation = node.GetSegmentation()
        for i in range(segmentation.GetNumberOfSegments()):
            segment_id, name = segmentation.GetNthSegmentID(i), segmentation.GetNthSegment(i).GetName()
            if name in masks:
                raise InputError(node_name(node), f"two segments named {name}", "one name for each segment")
            masks[name] = segment_mask(node, segment_id, grid)
    if not masks:
        raise no_regions(node)
    return masks


def add_regions(
    regions: Mapping[str, sitk.Image],
    reference: slicer.vtkMRMLVolumeNode,
    name: str,
    scene: slicer.vtkMRMLScene | None = None,
) -> slicer.vtkMRMLSegmentationNode:
    """Put masks into the scene as the segments of one segmentation.

    Parameters
    ----------
    regions : Mapping
        Mask of each region by its name (non-zero inside); tumours become red, white matter blue.
    reference : vtkMRMLVolumeNode
        Volume whose grid the segmentation keeps.
    name : str
        Name of the node.
    scene : vtkMRMLScene, optional
        The current one by default.

    Raises
    ------
    InputError
        If there are no regions, or one is empty or not a 3D scalar image.
    """
    if not regions:
        raise InputError(name, "no regions", "at least one mask")
    labelmaps = {}
    for region, mask in regions.items():
        labelmaps[region] = checked_labelmap(mask, region, np.eye(4))
    node = (scene or current_scene()).AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    # Without a reference geometry Slicer writes only the segments' own extent.
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    node.CreateDefaultDisplayNodes()
    counts = {REDS: 0, BLUES: 0, GREENS: 0}
    for region, labelmap in labelmaps.items():
        shades = shades_of(region)
        colour = shades[counts[shades] % len(shades)]
        counts[shades] += 1
        add_segment(node, labelmap, region, colour)
    return node


def _labels(node: slicer.vtkMRMLLabelMapVolumeNode, grid: sitk.Image) -> dict[str, sitk.Image]:
    image = volume_to_image(node)
    masks: dict[str, sitk.Image] = {}
    for value, name in label_names(node, sitk.GetArrayViewFromImage(image)):
        mask = sitk.Cast(image == value, sitk.sitkUInt8)
        masks[name] = region_on_grid(mask, grid, f"{node_name(node)}, {name}")
    return masks


def label_names(node: slicer.vtkMRMLLabelMapVolumeNode, array: np.ndarray) -> list[tuple[int, str]]:
    """Give the labels that a labelmap has, with the names that its colours give them."""
    display = node.GetDisplayNode()
    colours = None if display is None else display.GetColorNode()
    found: dict[str, int] = {}
    for value in (int(one) for one in np.unique(array) if one != 0):
        listed = colours is not None and 0 <= value < colours.GetNumberOfColors()
        name = (colours.GetColorName(value) if listed else "") or f"Region {value}"
        if name in found:
            raise InputError(node_name(node), f"two labels named {name}", "one name for each label")
        found[name] = value
    return [(value, name) for name, value in found.items()]


def check_kind(node: slicer.vtkMRMLNode | None) -> None:
    """Refuse what cannot hold regions."""
    if node is None or not (node.IsA("vtkMRMLSegmentationNode") or node.IsA("vtkMRMLLabelMapVolumeNode")):
        kind = "no node" if node is None else f"a {node.GetClassName()}"
        raise InputError(
            "regions" if node is None else node_name(node), kind, "a segmentation or a labelmap",
            "Draw the tumour and white matter as segments and choose their segmentation.",
        )  # fmt: skip


def no_regions(node: slicer.vtkMRMLNode) -> InputError:
    """Give the error of a node that holds no region."""
    return InputError(
        node_name(node), "no regions", "at least one tumour and one white-matter region",
        "Draw them in the Segment Editor.",
    )  # fmt: skip


def voxelised(
    node: slicer.vtkMRMLSegmentationNode, segment_id: str, grid: sitk.Image, to_world: np.ndarray
) -> slicer.vtkOrientedImageData | None:
    """Turn a segment that is only a surface into voxels of the grid; the node itself stays as it is."""
    import slicer

    copy = slicer.vtkSegmentation()
    copy.DeepCopy(node.GetSegmentation())
    frame = oriented_image(grid)
    local = np.linalg.inv(to_world) @ LPS_RAS @ image_matrix(grid)
    frame.SetGeometryFromImageToWorldMatrix(vtk_matrix(local))
    copy.SetConversionParameter(
        slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(),
        slicer.vtkSegmentationConverter.SerializeImageGeometry(frame),
    )
    if not copy.CreateRepresentation(BINARY_LABELMAP):
        return None
    labelmap = slicer.vtkOrientedImageData()
    segment = copy.GetSegment(segment_id)
    labelmap.DeepCopy(segment.GetRepresentation(BINARY_LABELMAP))
    from vtk.util.numpy_support import vtk_to_numpy

    scalars = labelmap.GetPointData().GetScalars()
    if scalars is None or scalars.GetNumberOfTuples() == 0:
        return None
    values = vtk_to_numpy(scalars)  # several segments may share one labelmap
    values[:] = values == segment.GetLabelValue()
    return labelmap


def _image(labelmap: slicer.vtkOrientedImageData, to_world: np.ndarray, where: str) -> sitk.Image | None:
    """Copy a binary labelmap into a mask in world space; None if it has no voxels."""
    found = labelmap_voxels(labelmap, to_world)
    if found is None:
        return None
    array, matrix = found
    return set_geometry(sitk.GetImageFromArray((array != 0).astype(np.uint8)), matrix, where)


def labelmap_voxels(
    labelmap: slicer.vtkOrientedImageData, to_world: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Give a labelmap's own voxels (z, y, x), and the matrix from their indices to LPS mm; None without."""
    from vtk.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    nx, ny, nz = labelmap.GetDimensions()
    if min(nx, ny, nz) < 1 or labelmap.GetPointData().GetScalars() is None:
        return None
    array = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(nz, ny, nx)
    matrix = vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    lps = LPS_RAS @ to_world @ numpy_matrix(matrix)
    extent = labelmap.GetExtent()
    lps[:3, 3] = (lps @ [extent[0], extent[2], extent[4], 1.0])[:3]
    return array, lps
