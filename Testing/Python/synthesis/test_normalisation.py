"""Normalisations: their definitions, and that the scanner's scale drops out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SynthCBVLib.synthesis.normalisation import NORMALISATIONS


@pytest.fixture
def volume():
    return np.random.default_rng(0).uniform(0.0, 10.0, (3, 4, 6, 5)).astype(np.float32)


@pytest.fixture
def mask():
    mask = np.zeros((4, 6, 5), dtype=np.uint8)
    mask[1:3, 2:4, 1:4] = 1
    return mask


def test_slice_maximum_makes_every_slice_of_the_first_channel_reach_one(volume, mask):
    result = NORMALISATIONS["slice-maximum"](volume, mask)
    np.testing.assert_allclose(result[0].max(axis=(1, 2)), 1.0, rtol=1e-6)
    np.testing.assert_allclose(result[2] / result[0], volume[2] / volume[0], rtol=1e-5)


def test_brain_mean_makes_the_brain_average_one(volume, mask):
    result = NORMALISATIONS["brain-mean"](volume, mask)
    assert result[0][mask > 0].mean() == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("name", NORMALISATIONS)
@given(scale=st.floats(1e-4, 1e6))
def test_scale_of_the_scanner_drops_out(name, scale):
    volume = np.random.default_rng(1).uniform(0.1, 1.0, (2, 3, 4, 4))
    mask = np.ones((3, 4, 4), dtype=np.uint8)
    normalise = NORMALISATIONS[name]
    np.testing.assert_allclose(normalise(volume * scale, mask), normalise(volume, mask), rtol=1e-5)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_slices_without_signal_become_zero(name, mask):
    result = NORMALISATIONS[name](np.zeros((2, 4, 6, 5)), mask)
    assert not result.any()
    assert result.dtype == np.float32
