"""Stamped regions: the area asked for, round in mm whatever the pixels, where they were put."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.analysis.regions.stamp import disc, disc_kernel, slice_axis, stamp
from SynthCBVLib.errors import InputError


def image(size=(40, 40, 6), spacing=(1.0, 1.0, 5.0), direction=None) -> sitk.Image:
    made = sitk.Image(size, sitk.sitkFloat32)
    made.SetSpacing(spacing)
    made.SetOrigin((-30.0, 12.0, 7.0))
    if direction is not None:
        made.SetDirection(np.asarray(direction).ravel().tolist())
    return made


def turned(degrees: float) -> np.ndarray:
    a = np.deg2rad(degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    return about_x @ about_z


def points_of(mask: sitk.Image) -> np.ndarray:
    return np.array(
        [
            mask.TransformIndexToPhysicalPoint([int(v) for v in index[::-1]])
            for index in np.argwhere(sitk.GetArrayFromImage(mask))
        ]
    )


@given(
    row=st.floats(0.4, 1.9), column=st.floats(0.4, 1.9), at=st.tuples(st.floats(15, 24), st.floats(15, 24))
)
@settings(max_examples=40, deadline=None)
def test_area_is_met_to_a_quarter_and_half_a_pixel(row, column, at):
    mask = disc(at, (40, 40), (row, column))
    area = mask.sum() * row * column
    assert 25.0 - row * column / 2 - 1e-9 <= area <= 1.25 * (25.0 + row * column / 2)


def test_known_discs():
    # 25 pixels of 1 mm²: the rings at squared distances 0, 1, 2, 4, 5 hold 21, with 8 added 25.
    assert disc((5, 5), (11, 11), (1.0, 1.0)).sum() == 25
    assert disc((2, 2), (5, 5), (10.0, 10.0)).sum() == 1  # a pixel larger than the area
    assert disc((2, 2), (5, 5), (3.44, 3.44)).sum() == 2  # two pixels of ASL, not a cross of five
    assert disc((0, 0), (3, 3), (1.0, 1.0), area=100.0).all()


@pytest.mark.parametrize("pixel", [(1.0, 1.0), (0.5, 1.5), (1.146, 1.146), (3.44, 3.44)])
def test_kernel_holds_the_whole_disc(pixel):
    kernel = disc_kernel(pixel)
    assert kernel.sum() == pytest.approx(1)
    assert not kernel[0].any()
    assert not kernel[-1].any()
    large = disc((50, 50), (101, 101), pixel)
    assert (kernel > 0).sum() == large.sum()


def test_oblong_pixels_of_oblique_slices_make_a_round_region():
    grid = image((60, 60, 6), (0.5, 1.5, 6.0), turned(25))
    centre = np.array(grid.TransformContinuousIndexToPhysicalPoint((30.3, 28.7, 2.2)))
    points = points_of(stamp(grid, centre))
    axes = np.array(grid.GetDirection()).reshape(3, 3)
    inside = (points - centre) @ axes
    assert np.ptp(inside[:, 2]) < 1e-9  # one slice, the nearest
    assert abs(inside[0, 2]) <= 0.5 * 6.0
    assert np.hypot(inside[:, 0], inside[:, 1]).max() < np.sqrt(25 / np.pi) + 0.75
    assert len(points) * 0.75 == pytest.approx(25, rel=0.03)
    assert np.abs(inside[:, :2].mean(0)).max() < 0.4


def test_index_and_point_name_the_same_place():
    grid = image(direction=turned(10))
    at = (11, 17, 3)
    by_point = stamp(grid, grid.TransformIndexToPhysicalPoint(at))
    by_index = stamp(grid, at, space="index")
    assert np.array_equal(sitk.GetArrayFromImage(by_point), sitk.GetArrayFromImage(by_index))
    assert by_index[at] == 1
    assert by_index.GetDirection() == grid.GetDirection()
    assert by_index.GetPixelID() == sitk.sitkUInt8


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_slice_axis_is_the_coarse_one_or_as_asked(axis):
    spacing = [1.0, 1.2, 1.4]
    spacing[axis] = 5.0
    grid = image((30, 30, 30), spacing)
    assert slice_axis(grid) == axis
    array = sitk.GetArrayFromImage(stamp(grid, (15, 15, 15), space="index"))
    assert np.ptp(np.argwhere(array)[:, 2 - axis]) == 0
    assert array.sum() * np.prod(spacing) / 5.0 == pytest.approx(25, rel=0.25)
    cube = stamp(image((30, 30, 30), (1, 1, 1)), (15, 15, 15), axis=axis, space="index")
    assert np.ptp(np.argwhere(sitk.GetArrayFromImage(cube))[:, 2 - axis]) == 0


def test_isotropic_voxels_of_a_sagittal_acquisition_are_cut_across_the_body():
    sagittal = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]])  # j runs down, k to the left
    assert slice_axis(image((20, 20, 20), (1, 1, 1), sagittal)) == 1
    assert slice_axis(image((20, 20, 20), (1, 1, 1))) == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"point": (500.0, 0, 0)}, "outside the image"),
        ({"point": (0, 0, 6), "space": "index"}, "outside the image"),
        ({"point": (np.nan, 0, 0)}, "three finite numbers"),
        ({"point": (0, 0)}, "three finite numbers"),
        ({"point": (1, 1, 1), "space": "index", "area": 0.0}, "area above 0"),
        ({"point": (1, 1, 1), "space": "index", "area": 1e6}, "fits into the slice"),
        ({"point": (1, 1, 1), "axis": 3}, "axis 3"),
    ],
)
def test_what_cannot_be_stamped_is_named(arguments, named):
    with pytest.raises(InputError, match=named):
        stamp(image(), **arguments)


def test_a_series_is_refused():
    with pytest.raises(InputError, match="one 3D volume"):
        stamp(sitk.Compose(image(), image()), (1, 1, 1), space="index")
