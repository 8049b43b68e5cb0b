"""IVIM, ASL and DSC maps from nodes: the fits' own truths, on the nodes' geometry."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.errors import InputError  # noqa: E402
from SynthCBVLib.imaging.study import DiffusionSeries, same_grid  # noqa: E402
from SynthCBVLib.physiology import asl, dsc, ivim  # noqa: E402

B_VALUES = (0.0, 20.0, 50.0, 100.0, 200.0, 400.0, 800.0)
SHAPE = (2, 6, 6)


@pytest.fixture
def scene():
    return mrml.new_scene()


def image(array: np.ndarray) -> sitk.Image:
    result = sitk.GetImageFromArray(array.astype(np.float32))
    result.SetSpacing((2.0, 2.0, 5.0))
    result.SetOrigin((7.0, -3.0, 11.0))
    result.SetDirection((0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1))
    return result


def values(node) -> np.ndarray:
    return sitk.GetArrayFromImage(mrml.volume_to_image(node))


def test_ivim_maps_recover_a_clean_tissue(scene):
    signals = ivim.signal(B_VALUES, 1000.0, 0.9e-3, 0.12, 0.02)
    series = DiffusionSeries(sitk.Compose([image(np.full(SHAPE, s)) for s in signals]), B_VALUES)
    node = mrml.series_to_volume(series, "dwi")
    found = mrml.fit_ivim(node, name="patient")
    assert set(found) == {"S0", "D", "f", "D*", "f SD"}
    assert found["f"].GetName() == "patient f"
    np.testing.assert_allclose(values(found["f"]), 0.12, rtol=0.02)
    np.testing.assert_allclose(values(found["D"]), 0.9e-3, rtol=0.02)
    np.testing.assert_allclose(values(found["D*"]), 0.02, rtol=0.02)
    assert same_grid(mrml.volume_to_image(found["f"]), image(np.zeros(SHAPE)), 1e-6)


def test_ivim_keeps_to_its_mask(scene):
    signals = ivim.signal(B_VALUES, 1000.0, 0.9e-3, 0.12, 0.02)
    nodes = [
        mrml.image_to_volume(image(np.full(SHAPE, s)), f"b{b:g}")
        for s, b in zip(signals, B_VALUES, strict=True)
    ]
    mask = np.zeros(SHAPE, np.uint8)
    mask[0, :3] = 1
    label = mrml.image_to_volume(sitk.Cast(image(mask), sitk.sitkUInt8), "mask", labelmap=True)
    f = values(mrml.fit_ivim(nodes, B_VALUES, label)["f"])
    assert (f[mask > 0] > 0.1).all()
    assert not f[mask == 0].any()


def test_cbf_is_the_white_papers(scene):
    rng = np.random.default_rng(0)
    m0 = rng.uniform(800, 1000, SHAPE)
    nodes = [
        mrml.image_to_volume(image(a), n) for a, n in ((m0, "control"), (0.99 * m0, "label"), (m0, "m0"))
    ]
    node = mrml.quantify_asl(mrml.AslNodes(*nodes, "pcasl", 1.8, 1.8))
    expected = asl.quantify(np.float64(0.01), np.float64(1.0), asl.AslProtocol())
    np.testing.assert_allclose(values(node), expected, rtol=1e-4)
    with pytest.raises(InputError, match="post-labelling delay"):
        mrml.quantify_asl(mrml.AslNodes(*nodes, "pcasl", 1.8, None))


def test_rcbv_follows_the_blood_volume(scene):
    """Half of the voxels have twice the blood volume of the others."""
    step, echo = 1.5, 0.03
    times = np.arange(50) * step
    rng = np.random.default_rng(1)
    volume = np.ones((4, 12, 12))
    volume[:, :, 6:] = 2.0
    rate = volume[..., None] * dsc.gamma_variate(times, 6.0, 15.0, 3.0, 1.5)
    signal = 500.0 * np.exp(-echo * rate) + rng.normal(0, 1.0, rate.shape)
    series = sitk.Compose([image(signal[..., t]) for t in range(times.size)])
    white = sitk.Cast(image(volume == 1.0), sitk.sitkUInt8)
    node = mrml.quantify_dsc(
        mrml.image_to_volume(series, "dsc"), step, echo,
        white_matter=mrml.image_to_volume(white, "white matter", labelmap=True),
    )  # fmt: skip
    rcbv = values(node)
    assert rcbv[volume == 1.0].mean() == pytest.approx(1.0, rel=1e-3)
    assert rcbv[volume == 2.0].mean() == pytest.approx(2.0, rel=0.05)


def test_a_single_volume_is_no_bolus_series(scene):
    with pytest.raises(InputError, match=r"still.*single volume.*time point"):
        mrml.quantify_dsc(mrml.image_to_volume(image(np.ones(SHAPE)), "still"), 1.5, 0.03)
