"""Proposed and stamped regions as segments of a segmentation that exists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import SimpleITK as sitk

from SynthCBVLib.analysis.regions.stamp import AREA, stamp
from SynthCBVLib.errors import InputError
from SynthCBVLib.scene.segments import add_segment, checked_labelmap, shades_of
from SynthCBVLib.scene.volumes import node_name, parent_matrix, volume_to_image

if TYPE_CHECKING:
    import slicer


def put_regions(regions: Mapping[str, sitk.Image], node: slicer.vtkMRMLSegmentationNode) -> list[str]:
    """Put masks into a segmentation that exists; a segment of the same name is replaced, others stay.

    Parameters
    ----------
    regions : Mapping
        Mask of each region by its name, in world space.
    node : vtkMRMLSegmentationNode
        Segmentation; its linear parent transform is honoured.

    Returns
    -------
    list of str
        Id of each segment.

    Raises
    ------
    InputError
        If a region is empty or not a 3D scalar image, or the segmentation has a name twice; it is then as
        before.
    """
    to_world = parent_matrix(node)
    labelmaps = {region: checked_labelmap(mask, region, to_world) for region, mask in regions.items()}
    segmentation = node.GetSegmentation()
    existing: dict[str, str] = {}
    for i in range(segmentation.GetNumberOfSegments()):
        segment_id, name = segmentation.GetNthSegmentID(i), segmentation.GetNthSegment(i).GetName()
        if name in existing and name in labelmaps:
            raise InputError(node_name(node), f"two segments named {name}", "one name for each segment")
        existing[name] = segment_id
    node.CreateDefaultDisplayNodes()
    ids = []
    for region, labelmap in labelmaps.items():
        if region in existing:
            node.RemoveSegment(existing[region])
        shades = shades_of(region)
        number = re.search(r"(\d+)\s*$", region)
        colour = shades[(int(number[1]) - 1 if number else 0) % len(shades)]
        ids.append(add_segment(node, labelmap, region, colour))
    return ids


def stamp_region(
    node: slicer.vtkMRMLSegmentationNode,
    reference: slicer.vtkMRMLVolumeNode,
    position: Sequence[float],
    kind: Literal["tumour", "white matter"],
    area: float = AREA,
) -> str:
    """Stamp a region of about 0.25 cm² into a slice of a volume, as the next segment of its kind.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        Segmentation to add to.
    reference : vtkMRMLVolumeNode
        Volume whose slice and pixels the region gets.
    position : sequence of float
        World position (RAS, mm), such as that of the crosshair.
    kind : {"tumour", "white matter"}
        Gives name, colour and terminology; of each kind the first free number from 1 is taken.
    area : float
        mm².

    Returns
    -------
    str
        Id of the segment.

    Raises
    ------
    InputError
        If the position is outside the volume.
    """
    titles = {"tumour": "Tumour", "white matter": "White matter"}
    if kind not in titles:
        raise InputError("region", f"the kind {kind!r}", " or ".join(titles))
    right, anterior, superior = position
    mask = stamp(volume_to_image(reference), (-right, -anterior, superior), area)
    segmentation = node.GetSegmentation()
    taken = {segmentation.GetNthSegment(i).GetName() for i in range(segmentation.GetNumberOfSegments())}
    number = next(i for i in range(1, len(taken) + 2) if f"{titles[kind]} {i}" not in taken)
    return put_regions({f"{titles[kind]} {number}": mask}, node)[0]
