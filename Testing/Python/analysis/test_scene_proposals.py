"""Regions proposed from an outline that was drawn in Slicer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.errors import InputError  # noqa: E402
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, join_vector  # noqa: E402
from SynthCBVLib.scene.outline_images import copy_outline_images  # noqa: E402
from SynthCBVLib.scene.region_placing import (  # noqa: E402
    OUTLINE,
    drawn_names,
    propose_segments,
    put_regions,
)
from SynthCBVLib.scene.series import series_to_volume  # noqa: E402
from SynthCBVLib.scene.steps import finished  # noqa: E402

KINDS = [f"{kind} {i}" for kind in ("Tumour", "White matter") for i in (1, 2, 3)]


def test_regions_are_proposed_beside_the_outline(head):
    scene = mrml.new_scene()
    anatomy = mrml.image_to_volume(head.t2w, "T2w")
    map = mrml.image_to_volume(head.rcbv, "rCBV")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Regions")
    put_regions({"Tumour 1": head.tumour}, node)  # called as a region is
    findings = propose_segments(node, "Tumour 1", map, anatomy, "T2w")
    names = [
        node.GetSegmentation().GetNthSegment(i).GetName()
        for i in range(node.GetSegmentation().GetNumberOfSegments())
    ]
    assert sorted(names) == sorted(["Outline of Tumour 1", *KINDS])
    assert "now called Outline of Tumour 1" in " ".join(one.what for one in findings)
    masks = mrml.region_masks(node, head.t2w)
    tumour = sitk.GetArrayViewFromImage(head.tumour) != 0
    for i in (1, 2, 3):
        assert tumour[sitk.GetArrayViewFromImage(masks[f"Tumour {i}"]) != 0].all()
        assert head.white[sitk.GetArrayViewFromImage(masks[f"White matter {i}"]) != 0].mean() > 0.9


def segmentation(scene):
    return scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Regions")


def test_outline_is_proposed_where_none_is_drawn(head):
    scene = mrml.new_scene()
    anatomy, map = mrml.image_to_volume(head.t2w, "T2w"), mrml.image_to_volume(head.rcbv, "rCBV")
    node = segmentation(scene)
    findings = propose_segments(node, None, map, anatomy, "T2w")
    assert findings[0].what == "The outline of the tumour was proposed by the computer, from T2w and rCBV."
    names = [node.GetSegmentation().GetNthSegment(i).GetName() for i in range(7)]
    assert names == [OUTLINE, *KINDS]
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(OUTLINE)
    assert not node.GetDisplayNode().GetSegmentVisibility2DFill(segment_id)  # a line
    others = [node.GetSegmentation().GetNthSegment(i).GetColor() for i in range(1, 7)]
    assert node.GetSegmentation().GetSegment(segment_id).GetColor() not in others
    outline = sitk.GetArrayFromImage(mrml.region_masks(node, head.t2w)[OUTLINE]) != 0
    tumour = sitk.GetArrayViewFromImage(head.tumour) != 0
    assert 2 * (outline & tumour).sum() / (outline.sum() + tumour.sum()) > 0.8
    # What is there now is used as it is, corrected or not.
    again = propose_segments(node, OUTLINE, map, anatomy, "T2w")
    assert not any("by the computer" in one.what for one in again)
    assert drawn_names(node) == {OUTLINE, *KINDS}


def test_nothing_is_put_where_no_tumour_stands_out(head):
    scene = mrml.new_scene()
    healthy = sitk.GetArrayFromImage(head.t2w)
    healthy[sitk.GetArrayViewFromImage(head.tumour) != 0] = 300.0  # white matter
    flow = sitk.GetArrayFromImage(head.rcbv)
    flow[sitk.GetArrayViewFromImage(head.tumour) != 0] = 1.0
    images = []
    for array in (healthy, flow):
        image = sitk.GetImageFromArray(array)
        image.CopyInformation(head.t2w)
        images.append(image)
    anatomy, map = mrml.image_to_volume(images[0], "T2w"), mrml.image_to_volume(images[1], "rCBV")
    node = segmentation(scene)
    with pytest.raises(InputError, match="no tumour stands out"):
        propose_segments(node, None, map, anatomy, "T2w")
    assert node.GetSegmentation().GetNumberOfSegments() == 0


@dataclass(frozen=True)
class Result:
    """A synthesis."""

    rcbv: sitk.Image
    uncertainty: sitk.Image
    mask: sitk.Image
    provenance: dict
    findings: tuple = field(default=())


def made_of(head, entries, b_values=(0.0, 400.0, 600.0, 1000.0)):
    """Put a map into the scene with the images it was made of; the volumes of its series count up."""
    mrml.new_scene()
    anatomy = mrml.image_to_volume(head.t2w, "T2w")
    volumes = [head.t1w * 0 + float(i) for i in range(len(b_values))]
    inputs = {
        "T2w": anatomy,
        "T1w": mrml.image_to_volume(head.t1w, "T1w"),
        "DWI": series_to_volume(DiffusionSeries(join_vector(volumes), b_values), "DWI"),
        "CBF": mrml.image_to_volume(head.rcbv, "CBF"),
    }
    provenance = {"reference": "T2w", "registration": entries}
    result = Result(head.rcbv, head.rcbv * 0.1, head.mask, provenance)
    return mrml.add_synthesis(result, "case", inputs=inputs).rcbv, anatomy


def test_images_of_the_map_are_handed_over_as_they_were_registered(head):
    moved = np.eye(4)
    moved[:3, 3] = (5.0, -3.0, 2.0)
    entries = {"T1w": {"matrix": moved.tolist()}, "DWI": {"matrix": np.eye(4).tolist()}, "CBF": {}}
    map, anatomy = made_of(head, entries)
    copied = finished(copy_outline_images(map, anatomy))
    assert set(copied) == {Modality.T1W, Modality.DWI}  # CBF may be a control image; T2w is the anatomy
    assert np.array_equal(copied[Modality.T1W].matrix, moved)
    assert np.array_equal(copied[Modality.T1W].volume.array, sitk.GetArrayFromImage(head.t1w))
    assert np.all(copied[Modality.DWI].volume.array == 1.5)  # b = 400 and 600
    other = mrml.image_to_volume(head.t2w, "another")
    assert finished(copy_outline_images(map, other)) == {}


def test_a_series_without_middle_b_values_is_interpolated(head):
    entries = {"DWI": {"matrix": np.eye(4).tolist()}}
    map, anatomy = made_of(head, entries, (0.0, 200.0, 800.0))
    copied = finished(copy_outline_images(map, anatomy))
    assert copied[Modality.DWI].volume.array == pytest.approx(np.sqrt(1.0 * 2.0), rel=1e-6)
    typed = finished(copy_outline_images(map, anatomy, (0.0, 10.0, 500.0)))  # win over the node's
    assert np.all(typed[Modality.DWI].volume.array == 2.0)
    assert finished(copy_outline_images(map, anatomy, (0.0, 1.0))) == {}  # not one a volume: left out


def test_further_images_reach_the_outline(head):
    entries = {"T1w": {"matrix": np.eye(4).tolist()}}
    map, anatomy = made_of(head, entries)
    node = segmentation(map.GetScene())
    findings = propose_segments(node, None, map, anatomy, "T2w")
    assert "from T2w, T1w and rCBV" in findings[0].what
