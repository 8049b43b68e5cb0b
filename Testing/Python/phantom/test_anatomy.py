"""Template, warps, fractions and vessels."""

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.phantom.anatomy import build_anatomy, load_template
from SynthCBVLib.phantom.fields import bspline_taps, smooth_field
from SynthCBVLib.phantom.vessels import draw_vessels
from SynthCBVLib.phantom.warp import draw_warp, jacobian, make_grid


@pytest.fixture(scope="module")
def anatomy():
    return build_anatomy(np.random.default_rng(5), 2.0)


def test_template_is_in_lps_order():
    template = load_template()
    z, y, x = (np.average(np.arange(n), weights=template.white.sum(axes)) for n, axes in zip(
        template.white.shape, ((1, 2), (0, 2), (0, 1)), strict=True))  # fmt: skip
    centre = np.array(template.origin) + template.spacing * np.array([x, y, z])
    assert abs(centre[0]) < 1.5  # symmetric
    # The template's own convention: its centre of white matter is some 20 mm behind the anterior commissure.
    assert 10 < centre[1] < 30
    assert 5 < centre[2] < 30
    # The brain's lowest part (brain stem, cerebellum) is at the back.
    low = np.nonzero(template.brain[: int(30 / template.spacing)] > 0.5)
    assert template.origin[1] + template.spacing * low[1].mean() > 20


def test_bspline_weights_sum_to_one():
    first, weights = bspline_taps(50, 1.5, 7.0, 0.3)
    np.testing.assert_allclose(weights.sum(0), 1, rtol=1e-6)
    assert first.min() == 0 and (np.diff(first) >= 0).all()


@pytest.mark.parametrize("coarse", [None, 20.0])
def test_smooth_fields_have_unit_variance(coarse):
    field = smooth_field(np.random.default_rng(1), (90, 90, 90), 2.0, 5.0, coarse)
    assert field.dtype == np.float32
    assert abs(field.mean()) < 0.2
    assert field.std() == pytest.approx(1, abs=0.15)


def test_fractions_sum_to_one_in_the_brain_and_are_none_outside(anatomy):
    total = anatomy.grey + anatomy.white + anatomy.csf
    np.testing.assert_allclose(total[anatomy.brain], 1, atol=1e-5)
    assert not total[~anatomy.brain].any()
    shell = anatomy.fluid + anatomy.bone + anatomy.fat + anatomy.skin
    assert shell.min() >= 0 and shell.max() < 1.01
    just_outside = (anatomy.depth > 1) & (anatomy.depth < 8)
    np.testing.assert_allclose(shell[just_outside], 1, atol=1e-3)


def test_brain_has_the_size_of_a_brain_and_fits_its_grid(anatomy):
    assert 1100 < anatomy.brain.sum() * anatomy.grid.spacing**3 / 1e3 < 2400  # ml, with its CSF
    for axis in range(3):
        faces = np.moveaxis(anatomy.brain, axis, 0)
        assert not faces[0].any() and not faces[-1].any()


@pytest.mark.parametrize("seed", range(4))
def test_warps_do_not_fold(seed):
    grid = make_grid(3.0)
    warp = draw_warp(np.random.default_rng(seed), grid)
    assert jacobian(warp.displacement, grid.spacing).min() > 0.1
    assert np.linalg.det(warp.matrix) > 0.5
    assert 3 < np.abs(warp.displacement).max() < 25


def test_jacobian_of_a_stretch():
    x = np.arange(20, dtype=np.float32) * 2
    displacement = np.zeros((3, 20, 20, 20), np.float32)
    displacement[0] = 0.25 * x[None, None, :]
    displacement[2] = -0.5 * x[:, None, None]
    np.testing.assert_allclose(jacobian(displacement, 2.0), 1.25 * 0.5, rtol=1e-4)


def test_warp_is_inverted(anatomy):
    points = np.array([[0.0, -20.0, 10.0], [40.0, 30.0, 20.0], [-35.0, 50.0, 0.0]])
    patient = anatomy.warp.to_patient(points, anatomy.grid)
    image = anatomy.grid.image(
        np.ascontiguousarray(np.moveaxis(anatomy.warp.template_points(anatomy.grid), 0, -1))
    )
    back = [
        image.EvaluateAtPhysicalPoint([float(v) for v in p], sitk.sitkLinear) for p in patient
    ]  # fmt: skip
    np.testing.assert_allclose(back, points, atol=0.15)


def test_vessels_are_thin_and_lie_where_vessels_lie(anatomy):
    artery, vein = draw_vessels(np.random.default_rng(3), anatomy)
    total = artery + vein
    assert total.min() >= 0 and total.max() <= 1 + 1e-6
    volume = total[anatomy.brain].sum() * anatomy.grid.spacing**3 / 1e3
    assert 5 < volume < 90  # ml
    # Deep white matter has none of the large vessels.
    deep = anatomy.white > 0.98
    assert total[deep].mean() < 0.01 < total[anatomy.csf > 0.3].mean()
    # The sagittal sinus: at the top, veins crowd the midline.
    normal, offset = anatomy.sagittal_plane
    points = anatomy.grid.points(np.arange(vein.size)).astype(float)
    lateral = np.abs(points @ normal - offset).reshape(vein.shape)
    top = points[:, 2].reshape(vein.shape) > 60
    assert vein[top & (lateral < 4)].mean() > 5 * vein[top & (lateral > 15)].mean()


def test_magnified_ventricles_hold_more_fluid_and_do_not_fold():
    grid = make_grid(3.0)
    narrow, wide = (draw_warp(np.random.default_rng(2), grid, amount) for amount in (-0.2, 0.5))
    assert jacobian(wide.displacement, grid.spacing).min() > 0.1
    # Patient space maps to less of the template where it is magnified.
    x, y, z = (np.argmin(np.abs(axis - at)) for axis, at in zip(grid.axes(), (12, 8, 20), strict=True))
    here = (slice(z // 2 - 1, z // 2 + 2), slice(y // 2 - 1, y // 2 + 2), slice(x // 2 - 1, x // 2 + 2))
    shrunk = [jacobian(w.displacement, grid.spacing)[here].mean() for w in (narrow, wide)]
    assert shrunk[1] < 0.6 * shrunk[0]


def test_deep_nuclei_are_grey_and_lie_beside_the_midline(anatomy):
    nuclei = anatomy.deep * anatomy.grey
    volume = nuclei.sum() * anatomy.grid.spacing**3 / 1e3
    assert 10 < volume < 50  # ml, both sides: the cores of the nuclei
    normal, offset = anatomy.sagittal_plane
    points = anatomy.grid.points(np.flatnonzero((nuclei > 0.5).ravel())).astype(float)
    lateral = np.abs(points @ normal - offset)
    assert 8 < lateral.mean() < 28 and lateral.max() < 45
