"""Stamped and proposed regions as segments: name, colour, terminology, place."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.errors import InputError  # noqa: E402
from SynthCBVLib.scene.region_placing import put_regions, stamp_region  # noqa: E402


@pytest.fixture
def scene():
    return mrml.new_scene()


def grid() -> sitk.Image:
    image = sitk.GetImageFromArray(np.ones((6, 40, 44), np.float32))
    image.SetSpacing((1.0, 1.2, 5.0))
    image.SetOrigin((-12.0, 8.0, 5.0))
    c, s = np.cos(0.3), np.sin(0.3)
    image.SetDirection([c, -s, 0, s, c, 0, 0, 0, 1])
    return image


def ras(index) -> np.ndarray:
    return np.array(grid().TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)


@pytest.fixture
def nodes(scene):
    node = mrml.image_to_volume(grid(), "T2w")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Regions")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    return segmentation, node


def names(segmentation) -> list[str]:
    inner = segmentation.GetSegmentation()
    return [inner.GetNthSegment(i).GetName() for i in range(inner.GetNumberOfSegments())]


def test_stamps_are_counted_by_kind_and_lie_where_they_were_put(nodes):
    segmentation, node = nodes
    stamp_region(segmentation, node, ras((10, 12, 3)), "tumour")
    stamp_region(segmentation, node, ras((20, 12, 3)), "tumour")
    stamp_region(segmentation, node, ras((30, 30, 3)), "white matter")
    assert names(segmentation) == ["Tumour 1", "Tumour 2", "White matter 1"]
    masks = mrml.region_masks(segmentation, node)
    for name, centre in (("Tumour 1", (10, 12)), ("Tumour 2", (20, 12)), ("White matter 1", (30, 30))):
        inside = np.argwhere(sitk.GetArrayFromImage(masks[name]))
        assert set(inside[:, 0]) == {3}
        assert np.allclose(inside[:, 1:].mean(0), centre[::-1], atol=0.51)
        assert len(inside) * 1.2 == pytest.approx(25, rel=0.25)


def test_a_free_number_is_used_again(nodes):
    segmentation, node = nodes
    ids = [stamp_region(segmentation, node, ras((8 + 10 * i, 12, 3)), "tumour") for i in range(3)]
    segmentation.RemoveSegment(ids[1])
    stamp_region(segmentation, node, ras((8, 30, 3)), "tumour")
    assert sorted(names(segmentation)) == ["Tumour 1", "Tumour 2", "Tumour 3"]


def test_colour_and_terminology_tell_the_kinds_apart(nodes):
    segmentation, node = nodes
    inner = segmentation.GetSegmentation()
    tumour = inner.GetSegment(stamp_region(segmentation, node, ras((10, 12, 3)), "tumour"))
    white = inner.GetSegment(stamp_region(segmentation, node, ras((30, 30, 3)), "white matter"))
    assert tumour.GetColor()[0] > tumour.GetColor()[2]
    assert white.GetColor()[2] > white.GetColor()[0]
    terms = [term_of(segment) for segment in (tumour, white)]
    assert "SCT^4147007^Mass" in terms[0]
    assert "SCT^389080008^White Matter" in terms[1]
    assert all(term.count("~") == 6 for term in terms)


def term_of(segment) -> str:
    tag = vtk.reference("")
    assert segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
    return str(tag)


def test_regions_of_the_same_name_are_replaced_and_others_stay(nodes):
    segmentation, node = nodes
    stamp_region(segmentation, node, ras((10, 12, 3)), "tumour")
    brain = np.zeros((6, 40, 44), np.uint8)
    brain[2:4, 5:30, 5:30] = 1
    put_regions({"Brain": like(brain)}, segmentation)
    moved = np.zeros((6, 40, 44), np.uint8)
    moved[4, 20:24, 20:24] = 1
    put_regions({"Tumour 1": like(moved)}, segmentation)
    assert sorted(names(segmentation)) == ["Brain", "Tumour 1"]
    masks = mrml.region_masks(segmentation, node)
    assert np.array_equal(sitk.GetArrayFromImage(masks["Tumour 1"]), moved)
    assert np.array_equal(sitk.GetArrayFromImage(masks["Brain"]), brain)


def test_the_segmentations_own_transform_is_honoured(nodes, scene):
    segmentation, node = nodes
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 7.0)
    matrix.SetElement(2, 3, -5.0)
    transform.SetMatrixTransformToParent(matrix)
    segmentation.SetAndObserveTransformNodeID(transform.GetID())
    stamp_region(segmentation, node, ras((20, 20, 3)), "tumour")
    inside = np.argwhere(sitk.GetArrayFromImage(mrml.region_masks(segmentation, node)["Tumour 1"]))
    assert np.allclose(inside.mean(0), (3, 20, 20), atol=0.51)


def test_what_cannot_be_placed_is_named_and_changes_nothing(nodes):
    segmentation, node = nodes
    stamp_region(segmentation, node, ras((10, 12, 3)), "tumour")
    with pytest.raises(InputError, match="outside the image"):
        stamp_region(segmentation, node, (900.0, 0.0, 0.0), "tumour")
    with pytest.raises(InputError, match="the kind 'vein'"):
        stamp_region(segmentation, node, ras((10, 12, 3)), "vein")
    with pytest.raises(InputError, match="Tumour 2: no voxels"):
        put_regions(
            {"Tumour 1": like(np.ones((6, 40, 44))), "Tumour 2": like(np.zeros((6, 40, 44)))}, segmentation
        )
    assert names(segmentation) == ["Tumour 1"]


def like(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array.astype(np.uint8))
    image.CopyInformation(grid())
    return image
