"""Geometry between volume nodes (RAS matrix) and images (LPS), on the real MRML library."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.errors import InputError  # noqa: E402

settings.register_profile("scene", max_examples=40, deadline=None)
settings.load_profile("scene")


@pytest.fixture(scope="module", autouse=True)
def scene():
    return mrml.new_scene()


def rotation(angles: tuple[float, float, float], left_handed: bool = False) -> np.ndarray:
    a, b, c = angles
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return z @ y @ x @ np.diag([1, 1, -1 if left_handed else 1])


def make_image(
    direction=None, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), dtype=np.float32
) -> sitk.Image:
    array = np.arange(3 * 4 * 5).reshape(3, 4, 5).astype(dtype)
    image = sitk.GetImageFromArray(array)
    image.SetDirection(np.eye(3).ravel().tolist() if direction is None else direction.ravel().tolist())
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


def world_ras(node, ijk) -> np.ndarray:
    """Where the node itself says that a voxel lies in world space."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ras = matrix.MultiplyPoint((*ijk, 1.0))[:3]
    parent = node.GetParentTransformNode()
    if parent is not None:
        general = vtk.vtkGeneralTransform()
        parent.GetTransformToWorld(general)
        ras = general.TransformPoint(ras)
    return np.array(ras)


ANGLES = st.tuples(*[st.floats(-np.pi, np.pi)] * 3)
SPACINGS = st.tuples(*[st.floats(0.05, 20.0)] * 3)
ORIGINS = st.tuples(*[st.floats(-500.0, 500.0)] * 3)
VOXELS = ((0, 0, 0), (4, 0, 0), (0, 3, 0), (0, 0, 2), (4, 3, 2))


@given(angles=ANGLES, spacing=SPACINGS, origin=ORIGINS, left_handed=st.booleans())
def test_voxels_lie_at_the_same_place_in_image_and_node(angles, spacing, origin, left_handed):
    image = make_image(rotation(angles, left_handed), spacing, origin)
    node = mrml.image_to_volume(image, "oblique", scene=slicer.vtkMRMLScene())
    for ijk in VOXELS:
        lps = np.array(image.TransformIndexToPhysicalPoint(ijk))
        np.testing.assert_allclose(world_ras(node, ijk) * (-1, -1, 1), lps, rtol=1e-6, atol=1e-6)
    back = mrml.volume_to_image(node)
    for ijk in VOXELS:
        there, here = (i.TransformIndexToPhysicalPoint(ijk) for i in (image, back))
        np.testing.assert_allclose(here, there, rtol=1e-6, atol=1e-6)
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))


@given(angles=ANGLES, move=ORIGINS, parent_angles=ANGLES, scale=st.floats(0.5, 2.0), spacing=SPACINGS)
def test_linear_parent_transforms_are_part_of_the_geometry(angles, move, parent_angles, scale, spacing):
    scene = slicer.vtkMRMLScene()
    node = mrml.image_to_volume(make_image(rotation(angles), spacing), "moved", scene=scene)
    matrices = [np.eye(4), np.eye(4)]
    matrices[0][:3, :3], matrices[0][:3, 3] = rotation(parent_angles) * scale, move
    matrices[1][:3, 3] = (1.0, -2.0, 3.0)
    child = node
    for array in matrices:
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(array.ravel().tolist())
        transform.SetMatrixTransformToParent(matrix)
        child.SetAndObserveTransformNodeID(transform.GetID())
        child = transform
    image = mrml.volume_to_image(node)
    for ijk in VOXELS:
        lps = np.array(image.TransformIndexToPhysicalPoint(ijk))
        np.testing.assert_allclose(world_ras(node, ijk) * (-1, -1, 1), lps, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_voxel_types_survive(scene, dtype):
    image = make_image(dtype=dtype)
    back = mrml.volume_to_image(mrml.image_to_volume(image, "typed"))
    assert back.GetPixelID() == image.GetPixelID()
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))


def test_several_components_become_a_vector_image(scene):
    image = sitk.Compose([make_image(), make_image() * 2 + 1])
    node = mrml.image_to_volume(image, "vector")
    assert node.IsA("vtkMRMLVectorVolumeNode")
    back = mrml.volume_to_image(node)
    assert back.GetNumberOfComponentsPerPixel() == 2
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))


def test_extent_that_does_not_start_at_zero_moves_the_origin(scene):
    node = mrml.image_to_volume(make_image(spacing=(2.0, 3.0, 4.0)), "cropped")
    data = node.GetImageData()
    data.SetExtent(10, 14, 20, 23, 30, 32)
    image = mrml.volume_to_image(node)
    assert image.GetOrigin() == pytest.approx((20.0, 60.0, 120.0))


def test_labelmap_and_display(scene):
    node = mrml.image_to_volume(make_image(dtype=np.uint8), "labels", labelmap=True)
    assert node.IsA("vtkMRMLLabelMapVolumeNode")
    assert node.GetDisplayNode() is not None
    shown = mrml.image_to_volume(make_image(), "map", colours=mrml.perfusion_colours(), window=(0.0, 7.5))
    display = shown.GetDisplayNode()
    assert display.GetColorNode().GetName() == "SynthCBV perfusion"
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 7.5)


def test_a_given_node_is_refilled_in_world_space(scene):
    node = mrml.image_to_volume(make_image(), "first")
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    image = make_image(spacing=(2.0, 2.0, 2.0))
    assert mrml.image_to_volume(image, "second", node) is node
    assert node.GetName() == "second"
    assert node.GetParentTransformNode() is None
    assert mrml.volume_to_image(node).GetSpacing() == pytest.approx((2.0, 2.0, 2.0))


def matrix_transform(scene, rows):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shear")
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([float(v) for row in rows for v in row])
    transform.SetMatrixTransformToParent(matrix)
    return transform


def test_shear_is_refused_with_a_remedy(scene):
    node = mrml.image_to_volume(make_image(), "tilted")
    transform = matrix_transform(scene, [[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InputError, match=r"tilted.*shear.*[Hh]arden"):
        mrml.volume_to_image(node)


def test_warp_is_refused_with_a_remedy(scene):
    node = mrml.image_to_volume(make_image(), "warped")
    spline = vtk.vtkThinPlateSplineTransform()
    points = [vtk.vtkPoints(), vtk.vtkPoints()]
    for i in range(5):
        points[0].InsertNextPoint(i, i * i, -i)
        points[1].InsertNextPoint(i, i * i + i % 2, -i)
    spline.SetSourceLandmarks(points[0])
    spline.SetTargetLandmarks(points[1])
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "growth")
    transform.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InputError, match=r"warped.*growth.*Harden"):
        mrml.volume_to_image(node)


def test_nodes_without_voxels_are_named(scene):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing loaded")
    with pytest.raises(InputError, match=r"nothing loaded.*without image data"):
        mrml.volume_to_image(empty)
    data = vtk.vtkImageData()
    data.SetDimensions(0, 0, 0)
    empty.SetAndObserveImageData(data)
    with pytest.raises(InputError, match=r"nothing loaded.*without image data"):
        mrml.volume_to_image(empty)
    with pytest.raises(InputError, match="needed: a volume node"):
        mrml.volume_to_image(scene.AddNewNodeByClass("vtkMRMLTableNode", "table"))
    with pytest.raises(InputError, match="no node"):
        mrml.volume_to_image(None)


def test_images_that_are_no_volume_are_refused(scene):
    with pytest.raises(InputError, match="4D image"):
        mrml.image_to_volume(sitk.JoinSeries([make_image(), make_image()]), "series")
    with pytest.raises(InputError, match="whole numbers"):
        mrml.image_to_volume(make_image(), "labels", labelmap=True)
    node = mrml.image_to_volume(make_image(dtype=np.uint8), "labels", labelmap=True)
    with pytest.raises(InputError, match="vtkMRMLScalarVolumeNode"):
        mrml.image_to_volume(make_image(), "map", node)
