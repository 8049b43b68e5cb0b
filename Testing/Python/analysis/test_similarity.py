"""SSIM and PSNR against closed forms and against scikit-image on the crop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from skimage.metrics import structural_similarity

from SynthCBVLib.analysis import similarity
from SynthCBVLib.errors import InputError

SHAPE = (6, 30, 28)
BOX = (slice(1, 5), slice(4, 25), slice(3, 24))
SETTINGS = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def pair(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    real = rng.gamma(2.0, 1.0, SHAPE)
    synthetic = real + rng.normal(0, 0.4, SHAPE)
    mask = np.zeros(SHAPE, np.uint8)
    mask[BOX] = 1
    mask[BOX][:, :3, :3] = 0  # an outline that is not its box
    mask[BOX][0, 5] = 0
    return real, synthetic, mask


def test_equal_maps():
    real, _, mask = pair()
    assert similarity.ssim(real, real, mask) == pytest.approx(1.0, abs=1e-12)
    assert similarity.ssim(real, real.copy(), mask) == pytest.approx(1.0, abs=1e-12)
    assert similarity.psnr(real, real, mask) == math.inf


def test_psnr_of_a_constant_error_is_its_closed_form():
    real, _, mask = pair()
    data_range = np.ptp(real[BOX])
    assert similarity.psnr(real, real + 0.25, mask) == pytest.approx(20 * math.log10(data_range / 0.25))
    assert similarity.psnr(real, real - 0.1, mask, data_range=1.0) == pytest.approx(20.0)


def test_ssim_of_two_constants_is_its_luminance_term():
    _, _, mask = pair()
    a, b, data_range = 2.0, 3.0, 4.0
    c1 = (0.01 * data_range) ** 2
    expected = (2 * a * b + c1) / (a**2 + b**2 + c1)
    for mode in ("slices", "volume"):
        box = np.ones((12, 30, 28)) if mode == "volume" else mask
        shape = box.shape
        found = similarity.ssim(np.full(shape, a), np.full(shape, b), box, data_range=data_range, mode=mode)
        assert found == pytest.approx(expected, abs=1e-9)


def test_slices_are_scikit_image_on_each_slice_of_the_crop():
    real, synthetic, mask = pair()
    data_range = np.ptp(real[BOX])
    expected = [
        structural_similarity(r, s, data_range=data_range, **SETTINGS)
        for r, s in zip(real[BOX], synthetic[BOX], strict=True)
    ]
    found = similarity.ssim_slices(real, synthetic, mask)
    np.testing.assert_array_equal(found.slices, [1, 2, 3, 4])
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    assert similarity.ssim(real, synthetic, mask) == pytest.approx(np.mean(expected), rel=1e-12)
    full = similarity.compare(real, synthetic, mask)
    assert full.ssim == pytest.approx(np.mean(expected), rel=1e-12)
    assert full.ssim_sd == pytest.approx(np.std(expected, ddof=1), rel=1e-9)
    assert (full.data_range, full.n_slices, full.box, full.mode) == (data_range, 4, BOX, "slices")
    assert full.psnr == similarity.psnr(real, synthetic, mask)


def test_each_slice_has_its_own_values():
    real, synthetic, mask = pair()
    data_range = np.ptp(real[BOX])
    found = similarity.compare(real, synthetic, mask).per_slice
    np.testing.assert_array_equal([one.slice for one in found], [1, 2, 3, 4])
    for one in found:
        crop = (one.slice, *BOX[1:])
        error = np.mean((real[crop] - synthetic[crop]) ** 2)
        assert one.psnr == pytest.approx(10 * math.log10(data_range**2 / error))
    np.testing.assert_array_equal(
        [one.ssim for one in found], similarity.ssim_slices(real, synthetic, mask).values
    )
    np.testing.assert_array_equal(
        [one.psnr for one in found], similarity.psnr_slices(real, synthetic, mask).values
    )
    assert all(math.isinf(one.psnr) for one in similarity.compare(real, real, mask).per_slice)
    # The error of the volume is the mean error of its slices.
    errors = [10 ** (-one.psnr / 10) for one in found]
    assert -10 * math.log10(np.mean(errors)) == pytest.approx(similarity.psnr(real, synthetic, mask))


def test_volume_is_scikit_image_on_the_crop():
    rng = np.random.default_rng(1)
    real = rng.normal(size=(16, 16, 16))
    synthetic = real + rng.normal(0, 0.3, real.shape)
    mask = np.zeros(real.shape)
    mask[2:14, 1:15, 2:16] = 1
    box = similarity.bounding_box(mask)
    assert box == (slice(2, 14), slice(1, 15), slice(2, 16))
    expected = structural_similarity(real[box], synthetic[box], data_range=np.ptp(real[box]), **SETTINGS)
    assert similarity.ssim(real, synthetic, mask, mode="volume") == pytest.approx(expected, rel=1e-12)
    assert math.isnan(similarity.compare(real, synthetic, mask, mode="volume").ssim_sd)


def test_what_lies_outside_the_box_does_not_matter():
    real, synthetic, mask = pair()
    before = similarity.compare(real, synthetic, mask)
    outside = np.ones(SHAPE, bool)
    outside[BOX] = False
    real[outside], synthetic[outside] = np.nan, 1e9
    assert similarity.compare(real, synthetic, mask) == before


def test_slices_without_brain_are_skipped():
    real, synthetic, mask = pair()
    mask[2] = 0
    assert similarity.ssim_slices(real, synthetic, mask).slices.tolist() == [1, 3, 4]
    assert similarity.compare(real, synthetic, mask).n_slices == 3


def test_images_are_compared_in_axial_slices_whatever_their_storage():
    real, synthetic, mask = pair()
    axial = [sitk.GetImageFromArray(a) for a in (real, synthetic, mask)]
    for image in axial:
        image.SetSpacing((1.0, 1.2, 5.0))
        image.SetOrigin((-5.0, 7.0, 30.0))
    sagittal = [sitk.DICOMOrient(image, "PIR") for image in axial]
    assert sagittal[0].GetSize() != axial[0].GetSize()
    expected = similarity.ssim(real, synthetic, mask)
    assert similarity.ssim(*axial) == pytest.approx(expected, rel=1e-12)
    assert similarity.ssim(*sagittal) == pytest.approx(expected, rel=1e-12)


def test_single_precision_images():
    real, synthetic, mask = pair()
    images = [sitk.GetImageFromArray(a.astype(np.float32)) for a in (real, synthetic)]
    found = similarity.ssim(*images, sitk.GetImageFromArray(mask))
    assert found == pytest.approx(similarity.ssim(real, synthetic, mask), abs=1e-6)


def broken(which: str, value: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    real, synthetic, mask = pair()
    {"real": real, "synthetic": synthetic}[which][2, 10, 10] = value
    return real, synthetic, mask


@pytest.mark.parametrize(
    ("volumes", "options", "text"),
    [
        (broken("real", np.nan), {}, "real map: 1 of"),
        (broken("synthetic", np.inf), {}, "synthetic map: 1 of"),
        ((*pair()[:2], np.zeros(SHAPE)), {}, "brain mask: an empty mask"),
        ((pair()[0], np.ones((6, 30, 27)), pair()[2]), {}, r"synthetic map: shape \(6, 30, 27\)"),
        ((*pair()[:2], np.ones((6, 30, 27))), {}, r"brain mask: shape \(6, 30, 27\)"),
        ((np.ones(SHAPE), *pair()[1:]), {}, "a constant"),
        (pair(), {"data_range": 0.0}, "data range"),
        (pair(), {"data_range": math.nan}, "data range"),
        (pair(), {"mode": "volume"}, "21 x 21 x 4 voxels"),
        (pair(), {"mode": "patches"}, "'patches'"),
        ((np.ones((30, 28)),) * 3, {}, r"\(30, 28\)"),
    ],
)
def test_what_cannot_be_compared_is_named(volumes, options, text):
    with pytest.raises(InputError, match=text):
        similarity.ssim(*volumes, **options)


def test_brain_smaller_than_the_window():
    real, synthetic, mask = pair()
    mask[:] = 0
    mask[1:4, 3:20, 4:14] = 1
    with pytest.raises(InputError, match="10 x 17 voxels"):
        similarity.ssim(real, synthetic, mask)
    assert math.isfinite(similarity.psnr(real, synthetic, mask))


def test_other_geometry_is_refused():
    real, synthetic, mask = (sitk.GetImageFromArray(a) for a in pair())
    synthetic.SetOrigin((0, 0, 2))
    with pytest.raises(InputError, match="synthetic map: size"):
        similarity.psnr(real, synthetic, mask)
