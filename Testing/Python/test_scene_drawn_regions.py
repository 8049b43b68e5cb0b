"""Regions cut to their extent and the parts of maps around them: the same numbers as whole images give."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.analysis.measured_ratio import is_by_slice  # noqa: E402
from SynthCBVLib.analysis.regions import ratio_row, split_regions  # noqa: E402
from SynthCBVLib.errors import InputError  # noqa: E402
from SynthCBVLib.scene.drawn_regions import drawn_regions, has_voxels, region_kind, volume_part  # noqa: E402
from SynthCBVLib.scene.likeness import Likeness, keep_likeness, likeness_of  # noqa: E402
from SynthCBVLib.scene.ratios import measure_ratios  # noqa: E402
from SynthCBVLib.scene.region_placing import (  # noqa: E402
    OUTLINE,
    REGIONS,
    drawn_names,
    name_regions,
    next_region,
    put_regions,
    segment_ids,
    stamp_into,
)
from SynthCBVLib.synthesis.normalisation import NORMALISATIONS  # noqa: E402


@pytest.fixture
def scene():
    return mrml.new_scene()


def grid(shape=(7, 30, 34), spacing=(1.0, 1.2, 4.0), turn=0.3) -> sitk.Image:
    values = np.random.default_rng(3).gamma(4.0, 0.5, shape).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin((-12.0, 8.0, 5.0))
    c, s = np.cos(turn), np.sin(turn)
    image.SetDirection([c, -s, 0, s, c, 0, 0, 0, 1])
    return image


def box(reference: sitk.Image, x: slice, y: slice, z: slice) -> sitk.Image:
    array = np.zeros(sitk.GetArrayViewFromImage(reference).shape, np.uint8)
    array[z, y, x] = 1
    mask = sitk.GetImageFromArray(array)
    mask.CopyInformation(reference)
    return mask


@pytest.fixture
def drawn(scene):
    reference = grid()
    masks = {
        "Tumour 1": box(reference, slice(3, 9), slice(4, 8), slice(1, 4)),
        "Tumour 2": box(reference, slice(6, 12), slice(6, 10), slice(2, 5)),  # overlaps Tumour 1
        "White matter 1": box(reference, slice(30, 34), slice(25, 30), slice(5, 7)),  # at the corner
        "Brain": box(reference, slice(1, 33), slice(1, 29), slice(0, 7)),
    }
    node = mrml.image_to_volume(reference, "rCBV")
    return masks, node, mrml.add_regions(masks, node, "Regions")


def test_regions_of_a_ratio_come_cut_to_their_extent(drawn):
    masks, node, segmentation = drawn
    found = dict(drawn_regions(segmentation, node))
    assert list(found) == ["Tumour 1", "Tumour 2", "White matter 1"]
    for name, part in found.items():
        assert part.GetSize() == {"White matter 1": (4, 5, 2)}.get(name, (6, 4, 3))
        back = sitk.Resample(part, grid(), sitk.Transform(), sitk.sitkNearestNeighbor)
        assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(masks[name]))


@pytest.mark.parametrize("other", [grid(), grid((15, 66, 76), (0.45, 0.55, 1.9)), grid(turn=0.32)])
def test_ratio_of_parts_is_that_of_whole_images(drawn, other):
    _, _, segmentation = drawn
    map = mrml.image_to_volume(other, "map")
    measured = measure_ratios(segmentation, {"map": map})
    whole = mrml.region_masks(segmentation, map)
    whole.pop("Brain")
    expected = ratio_row("map", other, *split_regions(whole))
    assert measured.rows[0].ratio.ratio == pytest.approx(expected.ratio.ratio, rel=1e-12)
    assert [region.n_voxels for region in measured.rows[0].regions] == [
        region.n_voxels for region in expected.regions
    ]


def test_transforms_of_map_and_regions_are_honoured(drawn, scene):
    _, node, segmentation = drawn
    before = measure_ratios(segmentation, {"map": node}).rows[0].ratio.ratio
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    for i, shift in enumerate((40.0, -7.5, 3.0)):
        matrix.SetElement(i, 3, shift)
    transform.SetMatrixTransformToParent(matrix)
    for one in (node, segmentation):
        one.SetAndObserveTransformNodeID(transform.GetID())
    assert measure_ratios(segmentation, {"map": node}).rows[0].ratio.ratio == pytest.approx(before, rel=1e-9)
    node.SetAndObserveTransformNodeID(None)
    matrix.SetElement(0, 3, 900.0)
    transform.SetMatrixTransformToParent(matrix)
    with pytest.raises(InputError, match="no voxel inside the map"):
        measure_ratios(segmentation, {"map": node})


def test_empty_segments_are_left_out_and_missing_kinds_are_named(drawn):
    _, node, segmentation = drawn
    segmentation.GetSegmentation().AddEmptySegment("", "Tumour 3")
    measured = measure_ratios(segmentation, {"map": node})
    assert measured.rows[0].ratio.n.tumour == 2
    assert "Only 2 tumour regions." in [one.what for one in measured.findings]
    segmentation.RemoveSegment(segment_ids(segmentation)["White matter 1"])
    with pytest.raises(InputError, match="no name starting with 'White matter'"):
        measure_ratios(segmentation, {"map": node})
    segmentation.GetSegmentation().AddEmptySegment("", "Tumour 3")
    with pytest.raises(InputError, match="two segments named Tumour 3"):
        measure_ratios(segmentation, {"map": node})


def test_parts_hold_the_map_s_own_values(drawn):
    _, node, segmentation = drawn
    regions = dict(drawn_regions(segmentation, node))
    part = volume_part(node, [regions["White matter 1"]])
    assert part.GetSize() == (5, 6, 3)
    index = node.GetImageData().GetDimensions()
    place = part.TransformIndexToPhysicalPoint((4, 5, 2))
    assert grid().TransformPhysicalPointToIndex(place) == tuple(n - 1 for n in index)
    assert part.GetPixel(4, 5, 2) == grid().GetPixel(*(n - 1 for n in index))


def test_labels_of_a_labelmap_come_one_by_one(drawn, scene):
    masks, _, _ = drawn
    labels = sitk.Cast(masks["Tumour 1"], sitk.sitkInt16) + 2 * sitk.Cast(
        masks["White matter 1"], sitk.sitkInt16
    )
    node = mrml.image_to_volume(labels, "labels", labelmap=True)
    colours = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "names")
    colours.SetTypeToUser()
    colours.SetNumberOfColors(3)
    for i, name in enumerate(("background", "Tumour", "White matter")):
        colours.SetColor(i, name, 1.0, 0.0, 0.0, 1.0)
    node.GetDisplayNode().SetAndObserveColorNodeID(colours.GetID())
    found = dict(drawn_regions(node, node))
    assert {name: part.GetSize() for name, part in found.items()} == {
        "Tumour": (6, 4, 3),
        "White matter": (4, 5, 2),
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Tumour 1", "tumour"),
        ("tumor", "tumour"),
        ("NAWM 2", "white matter"),
        (OUTLINE, None),
        ("Lesion", None),
    ],
)
def test_kinds_are_told_by_name(name, kind):
    assert region_kind(name) == kind


def test_named_segments_are_filled_in_place(scene):
    node = mrml.image_to_volume(grid(), "rCBV")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Regions")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    assert name_regions(segmentation) == [OUTLINE, *REGIONS]
    assert name_regions(segmentation) == []
    assert drawn_names(segmentation) == set()
    ids = segment_ids(segmentation)
    centre = np.array(grid().TransformIndexToPhysicalPoint((20, 15, 3))) * (-1, -1, 1)
    for name in ("Tumour 2", "White matter 1"):  # on one place: neither takes the other's voxels
        assert stamp_into(segmentation, node, centre, name) == ids[name]
    assert drawn_names(segmentation) == {"Tumour 2", "White matter 1"}
    assert next_region(segmentation) == "Tumour 1"
    assert segment_ids(segmentation) == ids
    found = dict(drawn_regions(segmentation, node))
    assert np.array_equal(*(sitk.GetArrayFromImage(found[name]) for name in ("Tumour 2", "White matter 1")))
    inside = np.argwhere(sitk.GetArrayFromImage(mrml.segment_mask(segmentation, ids["Tumour 2"], node)))
    assert np.allclose(inside.mean(0), (3, 15, 20), atol=0.51)
    put_regions({"Tumour 2": box(grid(), slice(0, 2), slice(0, 2), slice(0, 1))}, segmentation)
    assert has_voxels(segmentation, ids["White matter 1"])
    assert dict(drawn_regions(segmentation, node))["Tumour 2"].GetSize() == (2, 2, 1)


def test_likeness_belongs_to_the_two_maps_and_is_saved(scene, tmp_path):
    synthetic, real, other = (mrml.image_to_volume(grid(), name) for name in ("synthetic", "real", "other"))
    assert likeness_of(synthetic, real) is None
    keep_likeness(synthetic, real, Likeness(0.91, 27.25))
    assert likeness_of(synthetic, real) == Likeness(0.91, 27.25)
    assert likeness_of(synthetic, other) is None
    assert likeness_of(None, real) is None
    path = mrml.save_scene(tmp_path / "scene.mrb")
    scene.Clear(0)
    mrml.load_scene(path)
    nodes = [slicer.mrmlScene.GetFirstNodeByName(name) for name in ("synthetic", "real")]
    assert likeness_of(*nodes) == Likeness(0.91, 27.25)
    nodes[0].SetAttribute("SynthCBV.Likeness", "[1")
    assert likeness_of(*nodes) is None
    keep_likeness(*nodes, None)
    assert nodes[0].GetNodeReference("SynthCBVCompared") is None


def test_slice_normalised_maps_are_known_by_their_unit():
    assert is_by_slice({"unit": NORMALISATIONS["slice-maximum"].unit})
    assert not is_by_slice({"unit": NORMALISATIONS["brain-mean"].unit})
    assert not is_by_slice({})
