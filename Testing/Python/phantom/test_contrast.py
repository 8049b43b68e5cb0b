"""The bolus series and the rCBV map a scanner makes of it."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.phantom import COMPACT, DigitalPatient, contrast

array = sitk.GetArrayFromImage


@pytest.fixture(scope="module")
def exam():
    patient = DigitalPatient(52, "wildtype", dataclasses.replace(COMPACT, anatomy_spacing=2.5))
    series = contrast.dynamic_series(patient._rng(Modality.RCBV), patient._scan(Modality.RCBV))
    return patient, series, patient.truth(Modality.RCBV)


def pure(truth, name, least=0.9):
    away = (array(truth.lesion_fraction) < 0.01) & (array(truth.vessels) < 0.01)
    return away & (array(getattr(truth, name)) > least)


def test_series_is_that_of_the_protocol(exam):
    _, series, _ = exam
    assert series.signal.shape == (20, 128, 128, 60)
    np.testing.assert_allclose(np.diff(series.times), 1.6)
    assert series.signal.min() >= 0


def test_signal_falls_with_the_bolus_and_comes_back(exam):
    _, series, truth = exam
    grey, white = (series.signal[pure(truth, name)].mean(0) for name in ("grey", "white"))
    drop = [1 - c.min() / c[:6].mean() for c in (grey, white)]
    assert 0.2 < drop[0] < 0.6 and 0.08 < drop[1] < 0.3
    assert series.times[grey.argmin()] > 4.8 + 10  # injected at the fourth image
    assert grey[-5:].mean() / grey[:6].mean() > 0.85


def test_baseline_noise_is_the_measured_one(exam):
    _, series, truth = exam
    grey = series.signal[pure(truth, "grey")][:, :8]
    assert grey.std(1, ddof=1).mean() / grey.mean() == pytest.approx(0.021, rel=0.2)


def test_map_follows_the_true_blood_volume(exam):
    patient, _, truth = exam
    real, true = array(patient.study([Modality.RCBV]).images[Modality.RCBV]), array(truth.rcbv)
    real = real / real[pure(truth, "white", 0.95)].mean()
    grey = pure(truth, "grey")
    assert real[grey].mean() == pytest.approx(true[grey].mean(), rel=0.1)
    both = grey | pure(truth, "white")
    assert np.corrcoef(real[both], true[both])[0, 1] > 0.85
    # Large vessels stand out until the ceiling.
    vessels = array(truth.vessels) > 0.4
    assert np.median(real[vessels]) > 5
    brain = real[real > 0]
    assert brain.max() <= contrast.CEILING * np.median(brain) * 1.1


def test_leaking_agent_shortens_t1_or_t2_star(exam):
    _, series, truth = exam
    enhancing = array(truth.solid) > 0.8
    late = series.signal[..., -6:].mean(-1) / np.maximum(series.signal[..., :6].mean(-1), 1e-6)
    healthy = late[pure(truth, "white")]
    assert abs(late[enhancing].mean() - healthy.mean()) > 0.02


def test_point_spread_keeps_the_signal():
    volume = np.zeros((3, 64, 64), np.float32)
    volume[1, 32, 32] = 1.0
    blurred = contrast.point_spread(volume, COMPACT.dsc)
    assert blurred.sum() == pytest.approx(1.0, rel=1e-3)
    assert blurred[1, 36, 32] > 2 * blurred[1, 32, 36]  # tails along the phase direction
    assert not blurred[0].any()
