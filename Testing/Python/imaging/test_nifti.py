"""NaN and infinity in NIfTI files survive reading, where ITK alone turns them into zeros."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.imaging.files import read_image


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("pixel", [np.float32, np.float64])
def test_nan_and_infinity_are_seen(tmp_path, suffix, pixel):
    array = np.arange(60, dtype=pixel).reshape(3, 4, 5)
    array[2, 1, 3], array[0, 0, 1] = np.nan, np.inf
    path = tmp_path / f"image{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    read = sitk.GetArrayFromImage(read_image(path))
    np.testing.assert_array_equal(np.isnan(read), ~np.isfinite(array))
    np.testing.assert_array_equal(read[np.isfinite(array)], array[np.isfinite(array)])


@settings(max_examples=20, deadline=None)
@given(where=st.tuples(*(st.integers(0, size - 1) for size in (2, 3, 4, 5))), vector=st.booleans())
def test_nan_in_a_series_stays_in_its_place(tmp_path_factory, where, vector):
    array = np.ones((2, 3, 4, 5), dtype=np.float32)  # (volume, z, y, x)
    array[where] = np.nan
    if vector:
        image = sitk.GetImageFromArray(np.moveaxis(array, 0, -1), isVector=True)
    else:
        image = sitk.JoinSeries([sitk.GetImageFromArray(volume) for volume in array])
    path = tmp_path_factory.mktemp("series") / "series.nii.gz"
    sitk.WriteImage(image, str(path))
    read = sitk.GetArrayFromImage(read_image(path))
    np.testing.assert_array_equal(np.moveaxis(read, -1, 0) if vector else read, array)


def test_finite_images_are_returned_as_read(tmp_path):
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    sitk.WriteImage(image, str(tmp_path / "image.nii.gz"))
    assert read_image(tmp_path / "image.nii.gz").GetPixelID() == sitk.sitkInt16
