"""The drawn regions and the parts of maps around them: what a live T/WM ratio needs, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.region_parts import index_box, no_overlap
from SynthCBVLib.analysis.regions.ratios import split_regions
from SynthCBVLib.errors import InputError
from SynthCBVLib.scene.prepared import lps_matrix
from SynthCBVLib.scene.regions import (
    BINARY_LABELMAP,
    check_kind,
    label_names,
    labelmap_voxels,
    no_regions,
    voxelised,
)
from SynthCBVLib.scene.volumes import (
    geometry,
    node_name,
    parent_matrix,
    set_geometry,
    view_volume,
    volume_to_image,
)
from SynthCBVLib.worker.handover import Volume

if TYPE_CHECKING:
    import slicer


def drawn_regions(
    node: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode,
    reference: slicer.vtkMRMLVolumeNode,
    wanted: Callable[[str], bool] | None = None,
) -> Iterator[tuple[str, sitk.Image]]:
    """Give the drawn regions one after the other, each cut to its own extent; empty ones are left out.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode or vtkMRMLLabelMapVolumeNode
        Regions; the linear parent transform is honoured.
    reference : vtkMRMLVolumeNode
        Volume whose grid segments get that are only surfaces.
    wanted : callable, optional
        Tells of a name whether its region is wanted; by default those of a T/WM ratio are, see
        `region_kind`.

    Yields
    ------
    name : str
    mask : sitk.Image
        8-bit, 1 inside, in world space, on the segment's own grid.

    Raises
    ------
    InputError
        If there are no regions, or two wanted ones share a name.
    """
    wanted = wanted or (lambda name: region_kind(name) is not None)
    check_kind(node)
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        volume = view_volume(node)
        for value, name in label_names(node, volume.array):
            if wanted(name):
                yield name, _cut(volume.array == value, lps_matrix(volume))
        return
    segmentation, seen = node.GetSegmentation(), set()
    if not segmentation.GetNumberOfSegments():
        raise no_regions(node)
    for i in range(segmentation.GetNumberOfSegments()):
        segment_id, name = segmentation.GetNthSegmentID(i), segmentation.GetNthSegment(i).GetName()
        if not wanted(name):
            continue
        if name in seen:
            raise InputError(node_name(node), f"two segments named {name}", "one name for each segment")
        seen.add(name)
        mask = _own_voxels(node, segment_id, reference)
        if mask is not None:
            yield name, mask


def volume_part(node: slicer.vtkMRMLVolumeNode, regions: Iterable[sitk.Image], name: str = "") -> sitk.Image:
    """Copy the part of a volume that holds all regions; errors as `view_volume`, and if none lies on it."""
    volume = view_volume(node, name)
    matrix = lps_matrix(volume)
    box = index_box(regions, matrix, volume.array.shape[2::-1])
    if box is None:
        raise no_overlap(volume.name)
    low, high = box[0], box[1] + 1
    part = volume.array[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    matrix[:3, 3] = (matrix @ [*low, 1.0])[:3]
    return Volume(volume.name, part, *geometry(matrix, volume.name)).image()


def region_kind(name: str) -> str | None:
    """Tell of what kind a ratio takes a region of this name to be: "tumour", "white matter", or neither."""
    tumour, white_matter = split_regions({"Tumour": None, "White matter": None, name: None})
    if name in tumour:
        return "tumour"
    return "white matter" if name in white_matter else None


def has_voxels(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> bool:
    """Tell whether anything is drawn in a segment."""
    import slicer

    segmentation = node.GetSegmentation()
    if not segmentation.ContainsRepresentation(BINARY_LABELMAP):
        return segmentation.GetNumberOfSegments() > 0
    segment = segmentation.GetSegment(segment_id)
    labelmap = slicer.vtkOrientedImageData.SafeDownCast(segment.GetRepresentation(BINARY_LABELMAP))
    found = None if labelmap is None else labelmap_voxels(labelmap, np.eye(4))
    return found is not None and bool((found[0] == segment.GetLabelValue()).any())


def own_part(mask: sitk.Image) -> sitk.Image:
    """Cut a mask to its own extent; a mask without voxels stays as it is."""
    volume = Volume.of(mask, "region")
    part = _cut(volume.array != 0, lps_matrix(volume))
    return mask if part is None else part


def _own_voxels(
    node: slicer.vtkMRMLSegmentationNode, segment_id: str, reference: slicer.vtkMRMLVolumeNode
) -> sitk.Image | None:
    """Give a segment's voxels, cut to their extent, without a copy of the whole; None if there are none."""
    import slicer

    segmentation = node.GetSegmentation()
    segment, to_world = segmentation.GetSegment(segment_id), parent_matrix(node)
    if not segmentation.ContainsRepresentation(BINARY_LABELMAP):
        labelmap, value = voxelised(node, segment_id, volume_to_image(reference), to_world), None
    else:
        labelmap = slicer.vtkOrientedImageData.SafeDownCast(segment.GetRepresentation(BINARY_LABELMAP))
        value = segment.GetLabelValue()  # several segments may share one labelmap
    found = None if labelmap is None else labelmap_voxels(labelmap, to_world)
    if found is None:
        return None
    array, matrix = found
    return _cut(array != 0 if value is None else array == value, matrix)


def _cut(inside: np.ndarray, matrix: np.ndarray) -> sitk.Image | None:
    """Cut voxels (z, y, x) to their extent; the matrix leads from their indices to LPS mm."""
    low, high = [], []
    for axis in (2, 1, 0):  # i, j, k
        along = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        if not along.size:
            return None
        low.append(int(along[0]))
        high.append(int(along[-1]) + 1)
    part = inside[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    matrix = matrix.copy()
    matrix[:3, 3] = (matrix @ [*low, 1.0])[:3]
    return set_geometry(sitk.GetImageFromArray(part.astype(np.uint8)), matrix, "region")
