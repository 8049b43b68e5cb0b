"""Distortion, ghosts and motion of echo-planar images."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.phantom import COMPACT, DigitalPatient
from SynthCBVLib.phantom.acquire import Prescription
from SynthCBVLib.phantom.artefacts import Distortion, OffResonance, distort, ghosted, moved
from SynthCBVLib.phantom.protocol import PAPER, Acquisition

array = sitk.GetArrayFromImage
STRAIGHT = Prescription(np.eye(3), np.array([0.0, 0.0, 0.0]), 60.0)
STILL = sitk.VersorRigid3DTransform()


@dataclasses.dataclass(frozen=True)
class Even(OffResonance):
    """The same offset everywhere."""

    def at(self, points):
        return np.full(points.shape[:-1], self.peak)


@pytest.mark.parametrize(("acquisition", "rows"), [(PAPER.dwi, 5.4), (PAPER.dsc, 6.3)])
def test_a_hundred_hertz_shift_as_the_echo_trains_say(acquisition, rows):
    distortion = distort(Even(100.0, ()), dataclasses.replace(acquisition, slices=1), STRAIGHT, STILL)
    np.testing.assert_allclose(distortion.forth, rows, rtol=1e-5)
    np.testing.assert_allclose(distortion.back, -rows, rtol=1e-5)


def bent():
    acquisition = Acquisition(64, 3.44, 8, 5.0, 6.0, echo_train=63.0)
    field = OffResonance(90.0, (1.0, 0.8, 1.0, 0.9))
    prescription = dataclasses.replace(STRAIGHT, top=0.0)
    return acquisition, prescription, distort(field, acquisition, prescription, STILL)


def test_back_undoes_forth():
    acquisition, prescription, distortion = bent()
    assert distortion.forth.max() > 3
    grid = prescription.grid_image(acquisition)
    forth, back = distortion.transform(grid), distortion.transform(grid, inverse=True)
    for point in ((0.0, -50.0, -26.0), (40.0, 10.0, -35.0), (0.0, 40.0, -20.0)):
        np.testing.assert_allclose(back.TransformPoint(forth.TransformPoint(point)), point, atol=0.4)


def test_distortion_keeps_the_signal():
    _, _, distortion = bent()
    volume = np.zeros((8, 64, 64), np.float32)
    volume[:, 8:56, 8:56] = 1.0
    volume[:, 20:30, 20:30] = 2.0
    np.testing.assert_allclose(distortion.apply(volume).sum(1), volume.sum(1), rtol=0.06, atol=0.7)


def test_no_offset_no_distortion():
    nothing = Distortion(np.zeros((2, 16, 16), np.float32), np.zeros((2, 16, 16), np.float32))
    volume = np.random.default_rng(0).random((2, 16, 16)).astype(np.float32)
    np.testing.assert_array_equal(nothing.apply(volume), volume)


def test_ghost_lies_half_a_field_of_view_away():
    volume = np.zeros((1, 16, 16), np.float32)
    volume[0, 2, 5] = 10.0
    ghost = ghosted(volume, 0.05)
    assert ghost[0, 10, 5] == pytest.approx(0.5) and ghost.sum() == pytest.approx(10.5)


def test_motion_is_small_and_random():
    image = STRAIGHT.grid_image(Acquisition(32, 4.0, 10, 5.0, 6.0))
    volume = np.zeros((10, 32, 32), np.float32)
    volume[3:7, 10:20, 10:20] = 1.0
    rng = np.random.default_rng(1)
    centres = [
        np.average(
            np.indices(volume.shape).reshape(3, -1), axis=1, weights=moved(rng, volume, image, 1.0).ravel()
        )
        for _ in range(40)
    ]
    spread = np.std(np.array(centres) * (6.0, 4.0, 4.0), axis=0)
    assert (spread > 0.4).all() and (spread < 2.0).all()


def test_true_transform_knows_the_distortion():
    coarse = dataclasses.replace(COMPACT, anatomy_spacing=3.0, off_resonance=150.0)
    bad, good = (
        DigitalPatient(4, "none", p) for p in (coarse, dataclasses.replace(coarse, off_resonance=0.0))
    )
    fixed = good.grid(Modality.T2W)
    b0, reference = (p.study([Modality.DWI]).scalar(Modality.DWI) for p in (bad, good))

    def likeness(transform):
        straight = array(sitk.Resample(reference, fixed, good.transform(Modality.DWI, Modality.T2W)))
        other = array(sitk.Resample(b0, fixed, transform))
        low = slice(0, 6)  # where the sinuses are
        return np.corrcoef(straight[low].ravel(), other[low].ravel())[0, 1]

    true, rigid = bad.transform(Modality.DWI, Modality.T2W), good.transform(Modality.DWI, Modality.T2W)
    assert likeness(true) > likeness(rigid)
    point = (5.0, -50.0, -20.0)
    back = bad.transform(Modality.T2W, Modality.DWI).TransformPoint(true.TransformPoint(point))
    np.testing.assert_allclose(back, point, atol=0.3)
    # Anatomical images are not distorted.
    assert np.array_equal(array(bad.study([Modality.T2W]).scalar(Modality.T2W)),
                          array(good.study([Modality.T2W]).scalar(Modality.T2W)))  # fmt: skip


def test_ghost_and_motion_change_the_series_alone():
    coarse = dataclasses.replace(COMPACT, anatomy_spacing=3.0)
    plain = DigitalPatient(4, "none", coarse).study([Modality.DWI]).images[Modality.DWI]
    worse = dataclasses.replace(coarse, ghost=0.05, motion=0.5)
    other = DigitalPatient(4, "none", worse).study([Modality.DWI]).images[Modality.DWI]
    first, last = array(plain.volumes()[0]), array(other.volumes()[0])
    assert not np.array_equal(first, last)
    assert np.corrcoef(first.ravel(), last.ravel())[0, 1] > 0.9
    air = first[10, :8].mean()
    assert last[10, :8].mean() >= air
