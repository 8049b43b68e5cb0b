"""Regions brought to the grids of maps: thin ones lie in the map's thick slices."""

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.analysis.region_parts import on_grid, part_around
from SynthCBVLib.errors import InputError


def image(size, spacing, array=None):
    made = sitk.Image(size, sitk.sitkUInt8) if array is None else sitk.GetImageFromArray(array)
    made.SetSpacing(spacing)
    return made


def disc(z):
    """A region of 5 x 5 mm in one slice of 1 mm at height z (mm)."""
    array = np.zeros((40, 30, 30), np.uint8)
    array[z, 10:15, 12:17] = 1
    return image(None, (1, 1, 1), array)


@pytest.mark.parametrize(
    ("z", "slice_of_map"), [(0, 0), (2, 0), (4, 1), (6, 1), (8, 1), (10, 2), (14, 2), (16, 3)]
)
def test_a_thin_region_gets_the_slice_it_lies_in(z, slice_of_map):
    grid = image((30, 30, 6), (1, 1, 6))
    mask = sitk.GetArrayFromImage(on_grid({"Tumour 1": disc(z)}, grid, "rCBV")["Tumour 1"])
    expected = np.zeros_like(mask)
    expected[slice_of_map, 10:15, 12:17] = 1
    assert np.array_equal(mask, expected)


def test_the_same_on_the_part_of_an_oblique_map():
    turn = [0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1]
    region, grid = disc(8), image((30, 30, 6), (1, 1, 6))
    for each in (region, grid):
        each.SetDirection(turn)
    mask = on_grid({"Tumour 1": region}, part_around(grid, [region], "rCBV"), "rCBV")["Tumour 1"]
    assert sitk.GetArrayFromImage(mask).sum() == 25


def test_a_region_beside_the_map_is_refused():
    grid = image((30, 30, 3), (1, 1, 6))
    with pytest.raises(InputError, match="no voxel inside"):
        on_grid({"Tumour 1": disc(30)}, grid, "rCBV")
