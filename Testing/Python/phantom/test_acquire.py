"""Poses, slice packages, sampling and noise."""

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.phantom.acquire import Prescription, rician, sample
from SynthCBVLib.phantom.protocol import COMPACT, PAPER, Acquisition
from SynthCBVLib.phantom.warp import make_grid


def tilted(degrees):
    a = np.deg2rad(degrees)
    direction = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    return Prescription(direction, np.array([1.0, 15.0, 5.0]), 70.0)


def test_slices_begin_at_the_top_and_are_centred_in_plane():
    prescription = tilted(9)
    acquisition = Acquisition(64, 3.44, 20, 5.0, 6.0)
    image = prescription.grid_image(acquisition)
    normal = prescription.direction[:, 2]
    last = np.array(image.TransformIndexToPhysicalPoint([0, 0, 19]))
    assert last @ normal + 3.0 == pytest.approx(70.0)  # the slot's upper face
    middle = np.array(image.TransformContinuousIndexToPhysicalPoint([31.5, 31.5, 9.5]))
    np.testing.assert_allclose((middle - prescription.centre) @ prescription.direction[:, :2], 0, atol=1e-9)
    np.testing.assert_allclose(np.array(image.GetDirection()).reshape(3, 3), prescription.direction)


def linear_volume(grid):
    x, y, z = (axis.astype(np.float32) for axis in grid.axes())
    return 2 * x[None, None, :] - 3 * y[None, :, None] + z[:, None, None] + 1000


def test_sampling_follows_an_oblique_grid_and_the_pose():
    # A linear function is its own slice average and its own interpolation.
    grid, prescription = make_grid(3.0), tilted(10)
    pose = sitk.VersorRigid3DTransform()
    pose.SetCenter((1.0, 15.0, 5.0))
    pose.SetRotation((0.0, 0.0, 1.0), 0.1)
    pose.SetTranslation((4.0, -2.0, 3.0))
    acquisition = Acquisition(12, 4.0, 6, 5.0, 6.0)
    found = sample(linear_volume(grid), grid, acquisition, prescription, pose, in_plane=2)
    image = prescription.grid_image(acquisition)
    for index in ([0, 0, 0], [11, 3, 2], [5, 8, 5]):
        p = pose.GetInverse().TransformPoint(image.TransformIndexToPhysicalPoint(index))
        assert found[index[2], index[1], index[0]] == pytest.approx(
            2 * p[0] - 3 * p[1] + p[2] + 1000, abs=0.01
        )


def test_slice_profile_averages_over_the_thickness():
    grid, prescription = make_grid(1.5), tilted(0)
    z = grid.axes()[2]
    volume = np.zeros(grid.shape, np.float32)
    volume[np.argmin(np.abs(z - 4.0))] = 1.0
    acquisition = Acquisition(8, 4.0, 40, 3.0, 3.0)
    thin = sample(volume, grid, acquisition, prescription, sitk.Transform(3, sitk.sitkIdentity))
    # Touching slices together hold what the volume holds: 1.5 mm of it over 3 mm slices.
    assert thin[:, 4, 4].sum() == pytest.approx(0.5, rel=0.1)


def test_rician_noise_has_the_moments_of_its_distribution():
    rng = np.random.default_rng(0)
    air = rician(rng, np.zeros(200_000, np.float32), 2.0)
    assert air.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.01)
    signal = rician(rng, np.full(200_000, 30.0, np.float32), 3.0)
    assert np.mean(signal**2) == pytest.approx(30.0**2 + 2 * 3.0**2, rel=0.005)
    assert signal.std() == pytest.approx(3.0, rel=0.02)


def test_protocols_have_the_papers_sizes():
    assert (PAPER.t2w.matrix, PAPER.dwi.matrix, PAPER.dsc.matrix) == (384, 304, 128)
    for protocol in (PAPER, COMPACT):
        for acquisition in (protocol.t2w, protocol.dwi, protocol.dsc, protocol.flair, protocol.asl):
            assert acquisition.matrix * acquisition.pixel == pytest.approx(220, abs=0.5)
        assert len(protocol.b_values) == 22
