"""Proposed and stamped regions as segments of a segmentation that exists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import SimpleITK as sitk

from SynthCBVLib.analysis.regions import split_regions
from SynthCBVLib.analysis.regions.stamp import AREA, stamp
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import Modality, same_grid
from SynthCBVLib.progress import Progress
from SynthCBVLib.scene.regions import segment_mask
from SynthCBVLib.scene.results import mask_of
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


def propose_segments(
    node: slicer.vtkMRMLSegmentationNode,
    outline: str,
    map: slicer.vtkMRMLScalarVolumeNode,
    anatomy: slicer.vtkMRMLScalarVolumeNode,
    contrast: Modality | str | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Propose hot spots inside an outlined tumour and white matter opposite them, as segments to look at.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        Holds the outline; gets "Tumour 1" to 3 and "White matter 1" to 3, in place of earlier ones.
    outline : str
        Name of the segment that roughly outlines the solid tumour. If it is called as a region is, it gets
        "Outline of " in front, since it would be measured as a region otherwise.
    map : vtkMRMLScalarVolumeNode
        Map that is searched for hot spots, such as rCBV.
    anatomy : vtkMRMLScalarVolumeNode
        T2w, T1w or FLAIR image, aligned with the map.
    contrast : Modality or str, optional
        What the anatomical image is; found out by default.
    progress : Progress, optional
        May raise `Cancelled`.

    Returns
    -------
    list of Finding
        What is not as it should be.

    Raises
    ------
    InputError
        If there is no such segment, or regions cannot be placed; the segmentation is as before then.
    """
    from SynthCBVLib.analysis.regions.proposals import propose_regions

    segmentation = node.GetSegmentation()
    segment_id = segmentation.GetSegmentIdBySegmentName(outline)
    if not segment_id:
        raise InputError(
            node_name(node), f"no segment named {outline}", "an outline of the tumour",
            "Draw the solid tumour as a segment and choose it.",
        )  # fmt: skip
    reference, image = volume_to_image(anatomy), volume_to_image(map)
    brain = mask_of(map)
    mask = None if brain is None else volume_to_image(brain)
    if mask is not None and not same_grid(mask, reference):
        mask = resample(mask, reference, interpolation="nearest")
    if not same_grid(image, reference):
        image = resample(image, reference)
    tumour = segment_mask(node, segment_id, reference)
    found = propose_regions(reference, image, tumour, mask, contrast, progress=progress)
    findings = list(found.findings)
    if _is_region(outline):
        segmentation.GetSegment(segment_id).SetName(f"Outline of {outline}")
        what = f"The outline {outline} is now called Outline of {outline}."
        findings.append(Finding("info", None, what, "So it does not count as a region of the ratio."))
    put_regions(found.regions, node)
    return findings


def _is_region(name: str) -> bool:
    """Tell whether a ratio would take a segment of this name for a tumour or white-matter region."""
    try:
        split_regions({name: None, "White matter": None})
    except InputError:
        try:
            split_regions({name: None, "Tumour": None})
        except InputError:
            return False
    return True
