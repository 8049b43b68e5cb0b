"""Distortion along the phase direction: known fields are found, and nothing is done where there is none."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging import distortion
from SynthCBVLib.imaging.distortion import estimate_distortion, phase_axis
from SynthCBVLib.imaging.distortion_fit import curve, sampled
from SynthCBVLib.imaging.distortion_spline import Spline
from SynthCBVLib.imaging.study import DiffusionSeries

SHAPE, SPACING = (10, 56, 48), (3.0, 3.0, 6.0)
IDENTITY = sitk.Transform(3, sitk.sitkIdentity)


def image(array):
    made = sitk.GetImageFromArray(np.asarray(array, np.float32))
    made.SetSpacing(SPACING)
    made.SetOrigin((-70.0, -80.0, -25.0))
    return made


def tissue(seed=0):
    """Give a head's fluid, grey and white matter as smooth patches, and the brain."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[-1:1:10j, -1:1:56j, -1:1:48j]
    brain = (0.5 * z**2 + 1.6 * y**2 + 1.6 * x**2) < 0.9
    noise = gaussian_filter(rng.standard_normal(SHAPE), (0.6, 1.8, 1.8))
    noise /= noise.std()
    white, fluid = noise > 0.3, noise < -1.2
    kinds = np.where(fluid, 2, np.where(white, 0, 1))
    return kinds, brain


def signals(values, seed=0):
    """Give a contrast: values of white, grey, fluid; dark outside."""
    kinds, brain = tissue(seed)
    return gaussian_filter(np.where(brain, np.asarray(values, float)[kinds], 3.0), (0, 0.6, 0.6))


T2W, B0 = (60.0, 100.0, 260.0), (90.0, 120.0, 210.0)


def bump(peak, axis=1):
    """Give a field in voxels: a bump of `peak` at the front of the head."""
    z, y, x = np.mgrid[-1:1:10j, -1:1:56j, -1:1:48j]
    return peak * np.exp(-((z + 0.2) ** 2 / 0.3 + (y + 0.45) ** 2 / 0.05 + (x - 0.1) ** 2 / 0.08))


def distorted(array, forth, axis):
    """Distort by the definition: what is at p comes to lie at p + forth(p), signal is kept."""
    grid = np.array(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), float)
    back = -forth
    for _ in range(20):
        places = grid.copy()
        places[axis] += back
        back = -map_coordinates(forth, places, order=1, mode="nearest")
    places = grid.copy()
    places[axis] += back
    return map_coordinates(array, places, order=3, mode="nearest") * (1 + np.gradient(back, axis=axis))


@pytest.fixture(scope="module")
def found():
    """Find a bump of two voxels (6 mm) along columns, in another contrast with noise."""
    rng = np.random.default_rng(5)
    moving = distorted(signals(B0), bump(2.0), 1) + rng.normal(0, 1.5, SHAPE)
    brain = image(tissue()[1])
    return estimate_distortion(image(moving), image(signals(T2W)), IDENTITY, 1, brain)


def test_a_known_field_is_found(found):
    assert found.applied and found.reason == ""
    assert found.after < 0.5 * found.before
    truth = 3.0 * bump(2.0)
    u = sitk.GetArrayFromImage(sitk.Resample(found.displacement, image(truth)))
    inside = tissue()[1]
    error = np.abs(u - truth)[inside]
    assert np.median(error) < 0.25
    assert np.percentile(error, 95) < 0.25 * np.percentile(np.abs(truth)[inside], 95) + 0.3
    assert 4.0 < found.largest < 7.5


def test_signal_is_given_back_where_it_was_squeezed(found):
    density = sitk.GetArrayFromImage(found.density)
    field = sitk.GetArrayFromImage(found.displacement)
    step = found.displacement.GetSpacing()[1]
    np.testing.assert_allclose(density[:, 1:-1], 1 + np.gradient(field, step, axis=1)[:, 1:-1], atol=0.02)
    assert density.min() > 0


def test_one_transform_moves_then_displaces(found):
    start = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.02, -0.01, 0.03, (1.0, -2.0, 0.5))
    aligned = found.aligned(start)
    assert isinstance(aligned, sitk.Euler3DTransform)
    affine = sitk.AffineTransform(3)
    affine.Scale(1.02)
    for alignment in (start, affine):
        aligned = found.aligned(alignment)
        assert aligned.IsLinear()
        point = (4.0, -30.0, -6.0)
        straight = found.pose.TransformPoint(alignment.TransformPoint(point))
        np.testing.assert_allclose(aligned.TransformPoint(point), straight, atol=1e-6)
        moved = np.subtract(found.warped(aligned).TransformPoint(point), straight)
        field = sitk.Cast(found.displacement, sitk.sitkFloat64)
        np.testing.assert_allclose(moved[[0, 2]], 0, atol=1e-6)
        np.testing.assert_allclose(moved[1], field.EvaluateAtPhysicalPoint(straight), atol=1e-3)


def test_its_description_is_ready_for_json(found):
    told = json.loads(json.dumps(found.as_json()))
    assert told["applied"] and told["axis"] == "j"
    assert told["before"] > told["after"]
    assert told["density"][0] < 1 < told["density"][1]


@pytest.mark.parametrize("axis", [0, 1])
def test_without_distortion_nothing_is_done(axis):
    rng = np.random.default_rng(axis)
    moving = signals(B0) + rng.normal(0, 1.5, SHAPE)
    left = estimate_distortion(image(moving), image(signals(T2W)), IDENTITY, axis, image(tissue()[1]))
    assert not left.applied and left.reason
    assert not sitk.GetArrayViewFromImage(left.displacement).any()
    assert (sitk.GetArrayViewFromImage(left.density) == 1).all()
    start = sitk.Euler3DTransform()
    assert left.aligned(start) is start and left.warped(start) is start


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6), st.sampled_from([0, 1, 2]))
def test_it_never_folds(seed, axis):
    """Images that have nothing in common tempt the field most."""
    rng = np.random.default_rng(seed)
    moving = gaussian_filter(rng.standard_normal(SHAPE), 1.0) * 100 + 200
    result = estimate_distortion(image(moving), image(signals(T2W)), IDENTITY, axis, image(tissue()[1]))
    assert sitk.GetArrayViewFromImage(result.density).min() > 0
    assert np.isfinite(sitk.GetArrayViewFromImage(result.displacement)).all()
    if result.applied:
        assert distortion.SMALLEST_DISPLACEMENT <= result.largest <= distortion.LARGEST_DISPLACEMENT


def test_an_absurd_field_is_refused(monkeypatch):
    monkeypatch.setattr(distortion, "LARGEST_DISPLACEMENT", 3.0)
    moving = distorted(signals(B0), bump(2.0), 1)
    result = estimate_distortion(image(moving), image(signals(T2W)), IDENTITY, 1, image(tissue()[1]))
    assert not result.applied
    assert "absurd" in result.reason
    assert not sitk.GetArrayViewFromImage(result.displacement).any()


def bad(value):
    array = signals(B0)
    array[3, 20, 20] = value
    return image(array)


@pytest.mark.parametrize(
    "change",
    [
        {"moving": bad(np.nan)}, {"moving": bad(np.inf)}, {"moving": image(np.ones(SHAPE))},
        {"fixed": bad(np.nan)}, {"fixed": image(np.zeros(SHAPE))}, {"axis": 3}, {"axis": True},
        {"moving": sitk.JoinSeries([image(signals(B0))] * 2)}, {"brain": image(np.zeros(SHAPE))},
        {"brain": sitk.JoinSeries([image(np.ones(SHAPE))] * 2)},
        {"moving": image(signals(B0)[:, :4])},
        {"alignment": sitk.DisplacementFieldTransform(sitk.Image((4, 4, 4), sitk.sitkVectorFloat64))},
        {"alignment": sitk.TranslationTransform(3, (500.0, 0.0, 0.0))},
    ],
)  # fmt: skip
def test_odd_inputs_are_refused_by_name(change):
    usual = {
        "moving": image(signals(B0)), "fixed": image(signals(T2W)), "alignment": IDENTITY, "axis": 1,
        "brain": image(tissue()[1]),
    }  # fmt: skip
    with pytest.raises(InputError):
        estimate_distortion(**{**usual, **change})


STRAIGHT = np.eye(3)


def series(phase="", direction=STRAIGHT, spacing=(1.0, 1.0, 5.0)):
    one = sitk.Image((4, 4, 4), sitk.sitkFloat32)
    one.SetSpacing(spacing)
    one.SetDirection(np.asarray(direction, float).ravel())
    return DiffusionSeries(sitk.JoinSeries([one, one]), (0, 100), phase_encoding=phase)


def test_the_phase_axis_is_the_recorded_one_or_front_to_back():
    assert phase_axis(series("i")) == (0, False)
    assert phase_axis(series("j-")) == (1, False)
    assert phase_axis(series()) == (1, True)
    turned = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
    assert phase_axis(series(direction=turned)) == (0, True)
    # Slices along the first axis (sagittal volumes): front to back is never across slices.
    assert phase_axis(series(direction=np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]))) == (0, True)
    assert phase_axis(series(spacing=(5.0, 1.0, 1.0))) == (1, True)
    with pytest.raises(InputError, match="phase direction"):
        series("AP")


def test_the_splines_slope_is_that_of_its_field():
    spline = Spline((9, 12, 10), np.array([5.0, 2.0, 2.0]), 1)
    coefficients = np.random.default_rng(1).standard_normal(spline.shape)
    field = spline.field(coefficients)
    slope = spline.slope(coefficients)
    np.testing.assert_allclose(np.gradient(field, 2.0, axis=1)[:, 1:-1], slope[:, 1:-1], atol=0.02)
    # Transposes: <A c, v> = <c, A' v>.
    v, w = np.random.default_rng(2).standard_normal((2, *field.shape))
    both = float((field * v).sum() + (slope * w).sum())
    assert both == pytest.approx(float((coefficients * spline.gathered(v, w)).sum()))
    other = np.random.default_rng(3).standard_normal(spline.shape)
    one, two = (other * spline.roughness(coefficients)).sum(), (coefficients * spline.roughness(other)).sum()
    assert one == pytest.approx(two)
    assert (coefficients * spline.roughness(coefficients)).sum() > 0
    straight = np.ones(spline.shape) * np.arange(spline.shape[1])[None, :, None]
    np.testing.assert_allclose(spline.roughness(straight), 0, atol=1e-12)


def test_sampling_is_exact_on_a_ramp():
    ramp = np.broadcast_to(np.arange(12.0)[None, :, None], (3, 12, 4)).copy()
    there, slope = sampled(ramp, np.full(ramp.shape, 1.5), 1, np.array([1.0, 3.0, 1.0]))
    np.testing.assert_allclose(there[:, :11], ramp[:, :11] + 0.5)
    np.testing.assert_allclose(slope, 1 / 3)


def test_the_curve_finds_a_known_relation_despite_outliers():
    rng = np.random.default_rng(4)
    x = rng.uniform(0, 10, (10, 30, 30))
    y = x**2 + rng.normal(0, 0.5, x.shape)
    y[rng.random(x.shape) < 0.05] = 300
    expected, rise, scale = curve(x, y, np.ones_like(x))
    assert np.median(np.abs(expected - x**2)) < 0.5
    assert np.median(np.abs(rise - 2 * x)) < 1.0
    assert scale < 2.0
