"""Segments and labels as masks, and back."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.errors import InputError  # noqa: E402


@pytest.fixture
def scene():
    return mrml.new_scene()


def grid(value: float = 1.0, spacing=(1.0, 1.2, 3.0)) -> sitk.Image:
    image = sitk.GetImageFromArray(np.full((6, 20, 24), value, np.float32))
    image.SetSpacing(spacing)
    image.SetOrigin((-12.0, 8.0, 5.0))
    c, s = np.cos(0.3), np.sin(0.3)
    image.SetDirection([c, -s, 0, s, c, 0, 0, 0, 1])
    return image


def box(reference: sitk.Image, x: slice, y: slice, z: slice) -> sitk.Image:
    array = np.zeros(sitk.GetArrayViewFromImage(reference).shape, np.uint8)
    array[z, y, x] = 1
    mask = sitk.GetImageFromArray(array)
    mask.CopyInformation(reference)
    return mask


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


@pytest.fixture
def drawn(scene):
    reference = grid()
    masks = {
        "Tumour 1": box(reference, slice(3, 9), slice(4, 8), slice(1, 4)),
        "Tumour 2": box(reference, slice(6, 12), slice(6, 10), slice(2, 5)),  # overlaps Tumour 1
        "White matter 1": box(reference, slice(16, 20), slice(12, 15), slice(2, 3)),
    }
    node = mrml.image_to_volume(reference, "T2w")
    return masks, node, mrml.add_regions(masks, node, "Regions")


def test_masks_come_back_voxel_for_voxel_even_where_they_overlap(drawn):
    masks, node, segmentation = drawn
    for reference in (node, grid()):
        back = mrml.region_masks(segmentation, reference)
        assert list(back) == list(masks)
        for name, mask in masks.items():
            assert np.array_equal(array(back[name]), array(mask))
            assert back[name].GetPixelID() == sitk.sitkUInt8


def test_colours_tell_tumour_from_white_matter(drawn):
    segmentation = drawn[2].GetSegmentation()
    colours = [segmentation.GetNthSegment(i).GetColor() for i in range(3)]
    assert all(c[0] > c[2] for c in colours[:2])
    assert colours[0] != colours[1]
    assert colours[2][2] > colours[2][0]


def test_mask_on_another_grid_covers_the_same_place(drawn):
    masks, _, segmentation = drawn
    fine = grid(spacing=(0.5, 0.6, 1.5))
    fine = sitk.Resample(fine, [48, 40, 12], sitk.Transform(), sitk.sitkNearestNeighbor, fine.GetOrigin(),
                         fine.GetSpacing(), fine.GetDirection())  # fmt: skip
    mask = mrml.segment_mask(segmentation, segmentation.GetSegmentation().GetNthSegmentID(0), fine)
    volume = float(array(mask).sum()) * np.prod(fine.GetSpacing())
    drawn_volume = float(array(masks["Tumour 1"]).sum()) * np.prod(grid().GetSpacing())
    assert volume == pytest.approx(drawn_volume, rel=0.05)


def test_parent_transform_of_the_segmentation_moves_the_mask(drawn, scene):
    masks, node, segmentation = drawn
    step = np.reshape(grid().GetDirection(), (3, 3))[:, 0] * (-1, -1, 1)  # one voxel along i, in RAS
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    for i in range(3):
        matrix.SetElement(i, 3, step[i])
    transform.SetMatrixTransformToParent(matrix)
    segmentation.SetAndObserveTransformNodeID(transform.GetID())
    moved = mrml.region_masks(segmentation, node)["Tumour 1"]
    assert np.array_equal(array(moved), np.roll(array(masks["Tumour 1"]), 1, axis=2))


def test_surface_segments_are_voxelised_without_touching_the_node(scene):
    reference = mrml.image_to_volume(grid(), "T2w")
    centre = np.array(grid().TransformIndexToPhysicalPoint((12, 10, 3))) * (-1, -1, 1)
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(*centre)
    sphere.SetRadius(6.0)
    sphere.SetThetaResolution(60)
    sphere.SetPhiResolution(60)
    sphere.Update()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "surfaces")
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    segment_id = node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "Tumour", (1.0, 0.0, 0.0))
    mask = mrml.segment_mask(node, segment_id, reference)
    volume = float(array(mask).sum()) * np.prod(mask.GetSpacing())
    assert volume == pytest.approx(4 / 3 * np.pi * 6.0**3, rel=0.1)
    assert not node.GetSegmentation().ContainsRepresentation("Binary labelmap")


def test_labelmap_names_come_from_its_colours(scene):
    reference = grid()
    labels = sitk.Cast(box(reference, slice(1, 4), slice(1, 4), slice(1, 4)), sitk.sitkInt16)
    labels = labels + sitk.Cast(box(reference, slice(10, 14), slice(1, 4), slice(1, 4)), sitk.sitkInt16) * 2
    node = mrml.image_to_volume(labels, "labels", labelmap=True)
    colours = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "names")
    colours.SetTypeToUser()
    colours.SetNumberOfColors(3)
    for i, name in enumerate(("background", "Tumour", "White matter")):
        colours.SetColor(i, name, 1.0, 0.0, 0.0, 1.0)
    node.GetDisplayNode().SetAndObserveColorNodeID(colours.GetID())
    masks = mrml.region_masks(node, reference)
    assert list(masks) == ["Tumour", "White matter"]
    assert int(array(masks["White matter"]).sum()) == 36


def test_empty_and_missing_regions_are_named(drawn, scene):
    _, node, segmentation = drawn
    with pytest.raises(InputError, match="no segment nonsense"):
        mrml.segment_mask(segmentation, "nonsense", node)
    segmentation.GetSegmentation().AddEmptySegment("", "Tumour 3")
    with pytest.raises(InputError, match=r"Regions, segment Tumour 3: no voxels"):
        mrml.region_masks(segmentation, node)
    with pytest.raises(InputError, match="no regions"):
        mrml.region_masks(scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "blank"), node)
    with pytest.raises(InputError, match="no node"):
        mrml.region_masks(None, node)
    with pytest.raises(InputError, match="Tumour 9: no voxels"):
        mrml.add_regions({"Tumour 9": grid(0.0)}, node, "bad")
    assert scene.GetFirstNodeByName("bad") is None


def test_region_outside_the_map_is_refused(drawn):
    far = grid()
    far.SetOrigin((900.0, 0.0, 0.0))
    with pytest.raises(InputError, match="no voxel inside the map"):
        mrml.region_masks(drawn[2], far)
