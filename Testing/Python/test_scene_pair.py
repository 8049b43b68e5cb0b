"""A registered pair in the slice views: the copy's place, the checkerboard's squares, nothing left behind."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer")

from SynthCBVLib.scene import image_to_volume, load_scene, new_scene, save_scene
from SynthCBVLib.scene.layout import composites, drop_missing, register_layouts
from SynthCBVLib.scene.pair import SEEN_THROUGH, SQUARE, hide_pair, pair_steps
from SynthCBVLib.scene.results import INPUT_ROLE, PROVENANCE_ATTRIBUTE
from SynthCBVLib.scene.steps import finished
from SynthCBVLib.scene.volumes import view_volume


@pytest.fixture
def scene():
    return new_scene()  # the old one goes with its nodes


def turned(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def volume(name, array, spacing, origin, direction):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction.ravel().tolist())
    return image_to_volume(image, name)


def synthesised(reference, image, matrix):
    """Give a map as a synthesis leaves it, made of a reference and a DWI."""
    map = volume("map", np.ones((4, 8, 8), np.float32), (9.0, 9.0, 9.0), (0.0, 0.0, 0.0), np.eye(3))
    entry = {"before": -0.1, "after": -0.2, "applied": True, "matrix": matrix.tolist()}
    provenance = {"reference": "T2w", "registration": {"DWI": entry}}
    map.SetAttribute(PROVENANCE_ATTRIBUTE, json.dumps(provenance))
    map.SetNodeReferenceID(INPUT_ROLE + "T2w", reference.GetID())
    map.SetNodeReferenceID(INPUT_ROLE + "DWI", image.GetID())
    return map


@pytest.fixture
def pair(scene):
    """A reference of 100, an image of values of its own, and the matrix between the two."""
    rng = np.random.default_rng(3)
    flat = np.full((20, 60, 60), 100, np.int16)
    reference = volume("T2w", flat, (2.0, 2.0, 4.0), (-55.0, -60.0, -33.0), turned(20))
    values = rng.integers(1, 50, (16, 40, 44)).astype(np.int16)
    image = volume("DWI", values, (2.5, 2.5, 5.0), (-40.0, -50.0, -30.0), turned(-5))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turned(7), (4.0, -3.0, 2.0)
    return synthesised(reference, image, matrix), reference, image, matrix


def test_squares_lie_along_the_axes_of_the_reference_and_show_it(pair):
    map, reference, image, matrix = pair
    known, shown = finished(pair_steps(map, "DWI", checkerboard=True))
    assert known == reference.GetID()
    copy = map.GetScene().GetNodeByID(shown)
    source, made = view_volume(image), view_volume(copy).array
    own, other = view_volume(reference), np.reshape(view_volume(reference).direction, (3, 3))
    k, j, i = np.indices(source.array.shape).reshape(3, -1)
    index = np.stack([i, j, k]) * np.reshape(source.spacing, (3, 1))
    points = np.reshape(source.direction, (3, 3)) @ index + np.reshape(source.origin, (3, 1))
    # The matrix leads from points of the reference to those of the image.
    back = np.linalg.inv(matrix) @ np.vstack([points, np.ones(points.shape[1])])
    places = other.T @ (back[:3] - np.reshape(own.origin, (3, 1))) / SQUARE
    clear = (np.abs(places - np.round(places)) > 1e-3).all(0)
    expected = np.floor(places).sum(0) % 2 == 1
    hidden = made.reshape(-1) == np.float32(SEEN_THROUGH)
    np.testing.assert_array_equal(hidden[clear], expected[clear])
    assert 0.4 < hidden.mean() < 0.6
    np.testing.assert_array_equal(made.reshape(-1)[~hidden], source.array.reshape(-1)[~hidden])
    assert copy.GetDisplayNode().GetApplyThreshold()
    assert copy.GetDisplayNode().GetLowerThreshold() == 1.0
    assert source.array.min() == 1  # the image itself stays as it was


def test_slice_views_show_both_images_in_turn(pair):
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    map, reference, _image, _matrix = pair
    known, shown = finished(pair_steps(map, "DWI", checkerboard=True))
    scene = map.GetScene()
    for node, upper in ((reference, 100.0), (scene.GetNodeByID(shown), 1000.0)):
        node.GetDisplayNode().SetAutoWindowLevel(0)
        node.GetDisplayNode().SetWindowLevelMinMax(0.0, upper)  # reference white, image nearly black
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    node = slicer.vtkMRMLSliceNode()
    node.SetLayoutName("Test")
    scene.AddNode(node)
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLScene(scene)
    logic.SetSliceNode(node)
    logic.GetSliceCompositeNode().SetBackgroundVolumeID(known)
    logic.GetSliceCompositeNode().SetForegroundVolumeID(shown)
    logic.GetSliceCompositeNode().SetForegroundOpacity(1.0)
    node.SetDimensions(160, 160, 1)
    logic.FitSliceToBackground(160, 160)
    for offset in np.arange(-20.0, 35.0, 2.5):  # on slices of the image, and between them
        logic.SetSliceOffset(offset)
        logic.UpdatePipeline()
        logic.GetBlend().Update()
        scalars = logic.GetBlend().GetOutput().GetPointData().GetScalars()
        grey = vtk_to_numpy(scalars).reshape(160, 160, -1)[60:100, 60:100, 0]
        assert 0.25 < (grey > 250).mean() < 0.75
        assert 0.25 < (grey < 20).mean() < 0.75
        assert ((grey > 250) | (grey < 20)).all()


def test_fading_shows_the_whole_image_in_its_own_type(pair):
    map, _reference, image, _matrix = pair
    _known, shown = finished(pair_steps(map, "DWI"))
    copy = map.GetScene().GetNodeByID(shown)
    np.testing.assert_array_equal(view_volume(copy).array, view_volume(image).array)
    assert view_volume(copy).array.dtype == np.int16
    assert not copy.GetDisplayNode().GetApplyThreshold()


def counts(scene):
    """Numbers of volumes, their display nodes and transforms."""
    kinds = ("ScalarVolume", "ScalarVolumeDisplay", "LinearTransform")
    return [scene.GetNumberOfNodesByClass(f"vtkMRML{kind}Node") for kind in kinds]


def test_nothing_is_half_made_or_left_or_saved(pair, tmp_path):
    map, _reference, image, _matrix = pair
    scene = map.GetScene()
    before = counts(scene)
    steps = pair_steps(map, "DWI", checkerboard=True)
    next(steps)
    assert counts(scene) == before
    steps.close()
    for checkerboard in (True, False):  # the second takes the place of the first
        finished(pair_steps(map, "DWI", checkerboard))
        assert counts(scene) == [number + 1 for number in before]
    path = save_scene(tmp_path / "scene.mrb")
    hide_pair()
    assert counts(scene) == before
    steps = pair_steps(map, "DWI")
    next(steps)
    scene.RemoveNode(image)
    assert finished(steps) is None
    scene.Clear(0)
    load_scene(path)
    assert scene.GetFirstNodeByName("DWI as registered") is None
    assert counts(scene) == before


def test_views_forget_volumes_that_were_not_saved(scene):
    composite = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    kept = volume("kept", np.ones((4, 4, 4), np.float32), (1, 1, 1), (0, 0, 0), np.eye(3))
    composite.SetBackgroundVolumeID(kept.GetID())
    composite.SetForegroundVolumeID("vtkMRMLScalarVolumeNode7")
    drop_missing()
    assert composite.GetBackgroundVolumeID() == kept.GetID()
    assert composite.GetForegroundVolumeID() is None
    assert list(composites()) == [composite]


def test_a_scene_that_was_read_before_its_layout_was_known_gets_it(scene):
    import slicer

    from SynthCBVLib.scene.layout import FOUR_VIEWS, describe

    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(scene)
    node = logic.GetLayoutNode()
    node.SetViewArrangement(FOUR_VIEWS)  # as reading a scene does
    assert not node.GetCurrentLayoutDescription()
    assert register_layouts()
    assert node.GetCurrentLayoutDescription() == describe(FOUR_VIEWS)
    logic.SetMRMLScene(None)
