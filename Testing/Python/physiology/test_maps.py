import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, join_series, join_vector
from SynthCBVLib.physiology import asl, dsc, ivim, maps

SIZE = (4, 5, 6)
B = (0.0, 0.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1000.0, 1000.0)


def image(array):
    """A float image (z, y, x) on an oblique grid."""
    made = sitk.GetImageFromArray(np.asarray(array, np.float32))
    made.SetSpacing((1.5, 2.0, 4.0))
    made.SetOrigin((-10.0, 20.0, 5.0))
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.1, 0.2, 0.3)
    made.SetDirection(turn.GetMatrix())
    return made


def array(made):
    return sitk.GetArrayFromImage(made)


def same_place(a, b):
    return (
        a.GetOrigin() == b.GetOrigin()
        and a.GetSpacing() == b.GetSpacing()
        and a.GetDirection() == b.GetDirection()
    )


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(0)
    return {"s0": rng.uniform(300, 500, SIZE), "d": rng.uniform(0.7e-3, 1.2e-3, SIZE),
            "f": rng.uniform(0.05, 0.2, SIZE), "d_star": rng.uniform(8e-3, 30e-3, SIZE)}  # fmt: skip


@pytest.fixture(params=[join_series, join_vector], ids=["4D", "vector"])
def diffusion(request, truth):
    signals = ivim.signal(B, *truth.values())
    return DiffusionSeries(request.param([image(signals[..., i]) for i in range(len(B))]), B, name="test DWI")


def test_ivim_maps_have_the_truth_and_the_geometry(diffusion, truth):
    found = maps.ivim_maps(diffusion)
    for name, true in truth.items():
        np.testing.assert_allclose(array(getattr(found, name)), true, rtol=0.02)
        assert getattr(found, name).GetPixelID() == sitk.sitkFloat32
    assert same_place(found.f, diffusion.volumes()[0])
    assert (array(found.flag) == 0).all()
    assert (array(found.f_sd) < 0.01).all()


def test_masks_leave_zero_outside(diffusion, truth):
    inside = np.zeros(SIZE)
    inside[1:3] = 1
    found = maps.ivim_maps(diffusion, image(inside))
    assert (array(found.d)[inside == 0] == 0).all()
    np.testing.assert_allclose(array(found.f)[1:3], truth["f"][1:3], rtol=0.02)


def test_masks_that_cannot_be_used_are_refused(diffusion):
    with pytest.raises(InputError, match="no voxel"):
        maps.ivim_maps(diffusion, image(np.zeros(SIZE)))
    with pytest.raises(InputError, match="the series' grid"):
        maps.ivim_maps(diffusion, image(np.ones((4, 5, 7))))


def test_adc_map_of_a_mono_exponential():
    true = np.linspace(0.5e-3, 2e-3, 120).reshape(SIZE)
    volumes = [image(100 * np.exp(-b * true)) for b in (0, 500, 1000)]
    found = maps.adc_map(DiffusionSeries(join_series(volumes), (0, 500, 1000)))
    np.testing.assert_allclose(array(found), true, rtol=1e-4)


@pytest.fixture
def perfused():
    m0 = np.full(SIZE, 1000.0)
    m0[0] = 3.0
    flow = np.where(m0 > 100, np.linspace(20, 80, 120).reshape(SIZE), 0)
    label = 900 - asl.general_kinetic(flow, m0=m0)
    return AslSeries(
        image(np.full(SIZE, 900.0)), image(label), image(m0), "pcasl", 1.8, 1.8, "test ASL"
    ), flow


def test_cbf_map_has_the_truth_and_no_air(perfused):
    series, flow = perfused
    found = maps.cbf_map(series)
    np.testing.assert_allclose(array(found), flow, rtol=1e-3, atol=1e-3)
    assert same_place(found, series.control)
    smoothed = maps.cbf_map(series, m0_smoothing=6.0)
    np.testing.assert_allclose(array(smoothed), flow, rtol=1e-3, atol=1e-3)


def test_unknown_timing_is_asked_for(perfused):
    series, flow = perfused
    unknown = AslSeries(series.control, series.label, series.m0, "pcasl", 1.8, None, "test ASL")
    with pytest.raises(InputError, match="no post-labelling delay"):
        maps.cbf_map(unknown)
    given = maps.protocol_of(unknown, post_label_delay=1.8, blood_t1=None)
    assert given == asl.AslProtocol()
    np.testing.assert_allclose(array(maps.cbf_map(unknown, given)), flow, rtol=1e-3, atol=1e-3)


def bolus_series(volumes):
    times = np.arange(40) * 1.5
    curve = dsc.gamma_variate(times, 1.0, 15.0, 3.0, 1.5)
    signal = 800 * np.exp(-0.03 * volumes[..., None] * 5 * curve)
    return join_series([image(signal[..., i]) for i in range(40)]), times


def test_cbv_maps_are_in_multiples_of_white_matter():
    volumes = np.where(np.arange(120).reshape(SIZE) % 2, 2.0, 5.0)
    series, times = bolus_series(volumes)
    found = maps.cbv_maps(series, times, white_matter=image(volumes == 2))
    np.testing.assert_allclose(array(found.rcbv), volumes / 2, rtol=0.01)
    assert same_place(found.rcbv, image(volumes))


def test_perfusion_maps_come_together():
    series, times = bolus_series(np.linspace(1, 6, 120).reshape(SIZE))
    found = maps.perfusion_maps(series, times)
    assert set(found) == {"cbv", "cbf", "mtt", "tmax", "arteries"}
    assert array(found["arteries"]).any()
    assert np.isfinite(array(found["cbf"])).all()


def test_a_single_volume_is_no_dsc_series():
    with pytest.raises(InputError, match="4D"):
        maps.cbv_maps(image(np.ones(SIZE)), [0.0])
