"""Proposed and stamped regions as segments of a segmentation that exists."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.study import Modality, same_grid
from SynthCBVLib.progress import Progress
from SynthCBVLib.scene.drawn_regions import has_voxels, own_part, region_kind
from SynthCBVLib.scene.regions import segment_mask
from SynthCBVLib.scene.results import mask_of
from SynthCBVLib.scene.segments import add_segment, checked_labelmap, colour_of, dress_segment, fill_segment
from SynthCBVLib.scene.steps import finished
from SynthCBVLib.scene.volumes import node_name, parent_matrix, view_volume, volume_to_image

if TYPE_CHECKING:
    import slicer

#: Area of a stamped region in both papers, mm² (`SynthCBVLib.analysis.regions.stamp`).
AREA = 25.0
#: Name of the segment in which the tumour is roughly outlined, and those of the regions of a T/WM ratio.
OUTLINE = "Outline of tumour"
#: Neither a tumour region's colour nor white matter's.
_OUTLINE_COLOUR = (0.95, 0.80, 0.20)
REGIONS = tuple(f"{kind} {number}" for kind in ("Tumour", "White matter") for number in (1, 2, 3))


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
    return finished(put_steps(regions, node))


def put_steps(
    regions: Mapping[str, sitk.Image], node: slicer.vtkMRMLSegmentationNode
) -> Generator[None, None, list[str]]:
    """Put masks into a segmentation as `put_regions` does, a segment a step."""
    to_world = parent_matrix(node)
    labelmaps = {region: checked_labelmap(mask, region, to_world) for region, mask in regions.items()}
    existing = segment_ids(node, set(labelmaps))
    node.CreateDefaultDisplayNodes()
    ids = []
    for region, labelmap in labelmaps.items():
        if region in existing:
            fill_segment(node, existing[region], labelmap)
            ids.append(existing[region])
        else:
            ids.append(add_segment(node, labelmap, region, colour_of(region)))
        yield
    return ids


def segment_ids(node: slicer.vtkMRMLSegmentationNode, wanted: Collection[str] = ()) -> dict[str, str]:
    """Give the id of each segment by its name.

    Raises
    ------
    InputError
        If a wanted name is there twice.
    """
    segmentation, ids = node.GetSegmentation(), {}
    for i in range(segmentation.GetNumberOfSegments()):
        segment_id, name = segmentation.GetNthSegmentID(i), segmentation.GetNthSegment(i).GetName()
        if name in ids and name in wanted:
            raise InputError(node_name(node), f"two segments named {name}", "one name for each segment")
        ids.setdefault(name, segment_id)
    return ids


def name_regions(
    node: slicer.vtkMRMLSegmentationNode, names: Sequence[str] = (OUTLINE, *REGIONS)
) -> list[str]:
    """Add the segments of a T/WM ratio that are not there yet, empty, with colour and terminology.

    Returns
    -------
    list of str
        Names that were added.
    """
    node.CreateDefaultDisplayNodes()
    present = segment_ids(node)
    missing = [name for name in names if name not in present]
    for name in missing:
        colour = _OUTLINE_COLOUR if name == OUTLINE else colour_of(name)
        segment_id = node.GetSegmentation().AddEmptySegment("", name, list(colour))
        dress_segment(node.GetSegmentation().GetSegment(segment_id), name)
        if name == OUTLINE:
            outline_only(node, segment_id)
    return missing


def next_region(node: slicer.vtkMRMLSegmentationNode) -> str | None:
    """Give the name of the first region of a ratio that is not drawn yet; None if all are."""
    drawn = drawn_names(node)
    return next((name for name in REGIONS if name not in drawn), None)


def stamp_into(
    node: slicer.vtkMRMLSegmentationNode,
    reference: slicer.vtkMRMLVolumeNode,
    position: Sequence[float],
    region: str,
    area: float = AREA,
) -> str:
    """Stamp a region of a given name, in place of what it had; parameters and errors as `stamp_region`."""
    from SynthCBVLib.analysis.regions.stamp import stamp

    right, anterior, superior = position
    volume = view_volume(reference)
    # Only the grid matters, so the voxels are not copied.
    grid = sitk.Image(volume.array.shape[2::-1], sitk.sitkUInt8)
    grid.SetSpacing(volume.spacing)
    grid.SetOrigin(volume.origin)
    grid.SetDirection(volume.direction)
    mask = stamp(grid, (-right, -anterior, superior), area)
    return put_regions({region: own_part(mask)}, node)[0]


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
    drawn = drawn_names(node)
    number = next(i for i in range(1, len(drawn) + 2) if f"{titles[kind]} {i}" not in drawn)
    return stamp_into(node, reference, position, f"{titles[kind]} {number}", area)


def propose_segments(
    node: slicer.vtkMRMLSegmentationNode,
    outline: str | None,
    map: slicer.vtkMRMLScalarVolumeNode,
    anatomy: slicer.vtkMRMLScalarVolumeNode,
    contrast: Modality | str | None = None,
    progress: Progress | None = None,
    b_values: Sequence[float] | None = None,
) -> list[Finding]:
    """Propose hot spots inside an outlined tumour and white matter opposite them, as segments to look at.

    Without an outline it is proposed as well, from the images that the map was made of.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        Holds the outline; gets "Tumour 1" to 3 and "White matter 1" to 3, in place of earlier ones.
    outline : str or None
        Name of the segment that roughly outlines the solid tumour. If it is called as a region is, it gets
        "Outline of " in front, since it would be measured as a region otherwise. None proposes the outline,
        too, as the segment `OUTLINE`; whatever that held goes.
    map : vtkMRMLScalarVolumeNode
        Map that is searched for hot spots, such as rCBV.
    anatomy : vtkMRMLScalarVolumeNode
        T2w, T1w or FLAIR image, aligned with the map.
    contrast : Modality or str, optional
        What the anatomical image is; found out by default if there is an outline.
    progress : Progress, optional
        May raise `Cancelled`.
    b_values : sequence of float, optional
        Of the DWI that the map was made of, s/mm²; those of its node by default.

    Returns
    -------
    list of Finding
        What is not as it should be.

    Raises
    ------
    InputError
        If there is no such segment, no tumour stands out, or regions cannot be placed; the segmentation is as
        before then.
    """
    from SynthCBVLib.analysis.regions.outline_regions import propose_outlined_regions
    from SynthCBVLib.analysis.regions.proposals import propose_regions
    from SynthCBVLib.imaging.resampling import affine_of, resample
    from SynthCBVLib.scene.outline_images import copy_outline_images

    segment_id = None if outline is None else outline_id(node, outline)
    reference, image = volume_to_image(anatomy), volume_to_image(map)
    brain = mask_of(map)
    mask = None if brain is None else volume_to_image(brain)
    if mask is not None and not same_grid(mask, reference):
        mask = resample(mask, reference, interpolation="nearest")
    if not same_grid(image, reference):
        image = resample(image, reference)
    if segment_id is None:
        copied = finished(copy_outline_images(map, anatomy, b_values))
        further = {key: (one.volume.image(), affine_of(one.matrix)) for key, one in copied.items()}
        both = propose_outlined_regions(reference, contrast, image, further, mask, progress)
        return finished(put_proposal(both.masks(OUTLINE), both.findings, node, None))
    tumour = segment_mask(node, segment_id, reference)
    found = propose_regions(reference, image, tumour, mask, contrast, progress=progress)
    return finished(put_proposal(found.regions, found.findings, node, outline))


def outline_id(node: slicer.vtkMRMLSegmentationNode, outline: str) -> str:
    """Give the id of the segment that outlines the tumour.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(outline)
    if not segment_id:
        raise InputError(
            node_name(node), f"no segment named {outline}", "an outline of the tumour",
            "Draw the solid tumour as a segment and choose it.",
        )  # fmt: skip
    return segment_id


def put_proposal(
    regions: Mapping[str, sitk.Image],
    findings: Sequence[Finding],
    node: slicer.vtkMRMLSegmentationNode,
    outline: str | None,
) -> Generator[None, None, list[Finding]]:
    """Put proposed regions into the segmentation with the outline, a segment a step; give all findings.

    Where no outline was drawn (None), that is among the regions as `OUTLINE`.
    """
    told = list(findings)
    if OUTLINE in regions:
        name_regions(node, (OUTLINE,))  # with its own colour, as a line
        outline_only(node, outline_id(node, OUTLINE))
    if outline is not None and region_kind(outline) is not None:
        node.GetSegmentation().GetSegment(outline_id(node, outline)).SetName(f"Outline of {outline}")
        what = f"The outline {outline} is now called Outline of {outline}."
        told.append(Finding("info", None, what, "So it does not count as a region of the ratio."))
    yield from put_steps(regions, node)
    return told


def outline_only(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> None:
    """Show a segment as a line, so that it does not hide the map and the regions inside it."""
    node.GetDisplayNode().SetSegmentVisibility2DFill(segment_id, False)


def drawn_names(node: slicer.vtkMRMLSegmentationNode) -> set[str]:
    """Give the names of the segments that have voxels."""
    return {name for name, segment_id in segment_ids(node).items() if has_voxels(node, segment_id)}
