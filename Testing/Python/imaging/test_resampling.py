import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.resampling import grid, overlap, resample
from SynthCBVLib.imaging.study import join_series, join_vector, like, split_volumes

SPACINGS = st.floats(0.4, 7.0)


def oblique(size=(12, 10, 8), spacing=(2.0, 2.5, 3.0), angles=(0.2, -0.3, 0.4), origin=(5.0, -7.0, 11.0)):
    image = sitk.Image(list(size), sitk.sitkFloat32)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*angles)
    image.SetDirection(turn.GetMatrix())
    return image


def ramp(image):
    """Give the image the value 1 x + 2 y - 3 z of each voxel's point."""
    array = np.empty(image.GetSize()[::-1], np.float32)
    for index in np.ndindex(*image.GetSize()):
        array[index[::-1]] = np.dot(image.TransformIndexToPhysicalPoint([int(i) for i in index]), (1, 2, -3))
    return like(array, image)


def edges(image):
    """Outer corners of the field of view."""
    size = np.array(image.GetSize())
    corners = (np.array(list(np.ndindex(2, 2, 2))) * size - 0.5).tolist()
    return np.array([image.TransformContinuousIndexToPhysicalPoint(corner) for corner in corners])


@settings(max_examples=40, deadline=None)
@given(st.tuples(SPACINGS, SPACINGS, SPACINGS), st.tuples(*[st.floats(-3, 3)] * 3))
def test_grid_keeps_the_outer_edges(spacing, angles):
    reference = oblique(angles=angles)
    new = grid(reference, spacing)
    assert np.allclose(edges(new), edges(reference), atol=1e-4)
    extent = np.array(reference.GetSize()) * reference.GetSpacing()
    assert new.GetSize() == tuple(max(1, round(e / s)) for e, s in zip(extent, spacing, strict=True))


def test_grid_leaves_axes_that_are_none():
    reference = oblique()
    new = grid(reference, (1.0, None, None))
    assert new.GetSize() == (24, 10, 8)
    assert new.GetSpacing() == pytest.approx((1.0, 2.5, 3.0))
    assert grid(reference, (None, None, None)).GetOrigin() == pytest.approx(reference.GetOrigin())
    with pytest.raises(InputError, match=r"spacing: 0\.0"):
        grid(reference, (0.0, None, None))


@pytest.mark.parametrize("interpolation", ["linear", "bspline"])
def test_linear_ramp_is_reproduced_on_a_finer_oblique_grid(interpolation):
    source = ramp(oblique(size=(20, 20, 20)))
    reference = oblique(size=(6, 6, 6), spacing=(1.0, 1.5, 2.0), angles=(0.25, -0.2, 0.5), origin=(21, 6, 40))
    expected = sitk.GetArrayFromImage(ramp(reference))
    inside = sitk.GetArrayFromImage(resample(source * 0 + 1, reference, interpolation="linear")) == 1
    assert inside.all()
    got = sitk.GetArrayFromImage(resample(source, reference, interpolation=interpolation))
    margin = 1e-3 if interpolation == "linear" else 0.3  # the spline rings slightly at the border
    assert np.abs(got - expected).max() < margin


def test_smoothing_before_coarsening_keeps_ramps_inside():
    source = ramp(oblique(size=(40, 40, 40), spacing=(1.0, 1.0, 1.0)))
    coarse = grid(source, (4.0, 4.0, 2.0))
    got, expected = (sitk.GetArrayFromImage(i) for i in (resample(source, coarse), ramp(coarse)))
    assert np.abs(got - expected)[4:-4, 2:-2, 2:-2].max() < 1e-2


def test_coarsening_does_not_alias():
    checker = np.indices((32, 32, 32)).sum(0) % 2  # mean 0.5 at any coarser resolution
    source = like(checker.astype(np.float32), oblique(size=(32, 32, 32), spacing=(1.0, 1.0, 1.0)))
    coarse = grid(source, (3.2, 3.2, 3.2))
    smooth = sitk.GetArrayFromImage(resample(source, coarse))[2:-2, 2:-2, 2:-2]
    assert smooth.std() < 0.02
    assert smooth.mean() == pytest.approx(0.5, abs=0.01)
    assert sitk.GetArrayFromImage(resample(source, coarse, interpolation="nearest")).std() > 0.3


def test_series_are_resampled_volume_by_volume_in_their_layout():
    image = ramp(oblique())
    reference = grid(image, (1.0, None, None))
    one = sitk.GetArrayFromImage(resample(image, reference))
    for join in (join_series, join_vector):
        series = resample(join([image, image * 2]), reference)
        assert series.GetDimension() == (4 if join is join_series else 3)
        for factor, volume in zip((1, 2), split_volumes(series), strict=True):
            assert volume.GetSpacing() == pytest.approx(reference.GetSpacing())
            assert np.allclose(sitk.GetArrayFromImage(volume), factor * one, atol=1e-3)


def test_transform_fill_and_labels():
    image = ramp(oblique(angles=(0, 0, 0), origin=(0, 0, 0)))
    shift = sitk.TranslationTransform(3, (2.0, 0.0, 0.0))
    moved = sitk.GetArrayFromImage(resample(image, image, shift, fill=-99.0))
    assert np.allclose(moved[:, :, :-1], sitk.GetArrayFromImage(image)[:, :, 1:], atol=1e-4)
    assert (moved[:, :, -1] == -99).all()
    labels = sitk.Cast(image > 0, sitk.sitkUInt8)
    assert resample(labels, image, interpolation="nearest").GetPixelID() == sitk.sitkUInt8
    with pytest.raises(InputError, match="cubic"):
        resample(image, image, interpolation="cubic")


def test_overlap_is_the_shared_fraction():
    a = oblique(size=(16, 16, 16), spacing=(1.0, 1.0, 1.0), angles=(0, 0, 0), origin=(0, 0, 0))
    b = oblique(size=(16, 16, 16), spacing=(1.0, 1.0, 1.0), angles=(0, 0, 0), origin=(4, 0, 0))
    assert overlap(a, a) == 1.0
    assert overlap(a, b) == pytest.approx(0.75)
    assert overlap(a, b, sitk.TranslationTransform(3, (-4.0, 0.0, 0.0))) == 1.0
    b.SetOrigin((100, 0, 0))
    assert overlap(a, b) == 0.0
