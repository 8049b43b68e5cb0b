import numpy as np
import pytest

from SynthCBVLib.errors import InputError
from SynthCBVLib.physiology import adc


def test_clean_signals_give_their_parameters():
    true = np.array([0.3e-3, 0.8e-3, 1.5e-3, 3e-3])
    maps = adc.fit(500 * np.exp(-np.array([0, 200, 1000]) * true[:, None]), [0, 200, 1000])
    np.testing.assert_allclose(maps.adc, true, rtol=1e-6)
    np.testing.assert_allclose(maps.s0, 500, rtol=1e-6)
    assert maps.valid.all()


def test_two_b_values_give_the_logarithm_of_the_ratio():
    maps = adc.fit([[[100.0, 40.0]]], [0, 1000])
    assert maps.adc.shape == (1, 1)
    assert maps.adc[0, 0] == pytest.approx(np.log(2.5) / 1000, rel=1e-9)


def test_noise_is_averaged_at_its_least_squares_bound():
    b, sd, true = np.array([0, 500, 1000]), 0.01, 1e-3
    rng = np.random.default_rng(0)
    y = np.exp(-b * true) + rng.normal(0, sd, (20000, 3))
    jacobian = np.stack((np.exp(-b * true), -b * np.exp(-b * true)), -1)
    bound = sd * np.sqrt(np.linalg.inv(jacobian.T @ jacobian)[1, 1])
    found = adc.fit(y, b).adc
    assert found.std() == pytest.approx(bound, rel=0.03)
    assert found.mean() == pytest.approx(true, rel=1e-3)


def test_averages_and_repeats_weigh_the_same():
    rng = np.random.default_rng(1)
    y = rng.uniform(0.5, 1, (20, 3)) * np.exp(-np.array([0.0, 0.5, 1.0]))
    one = adc.fit(np.repeat(y, 2, -1), np.repeat([0, 500, 1000], 2))
    np.testing.assert_allclose(one.adc, adc.fit(y, [0, 500, 1000], [2, 2, 2]).adc)


def test_bad_voxels_are_zero():
    maps = adc.fit([[np.nan, 1.0], [0.0, 0.0], [-1.0, -2.0], [2.0, 1.0], [1.0, 2.0]], [0, 800])
    assert maps.valid.tolist() == [False, False, False, True, True]
    assert (maps.adc[:3] == 0).all()
    assert maps.adc[4] == 0
    assert np.isfinite(maps.s0).all()


def test_one_b_value_is_refused():
    with pytest.raises(InputError, match="at least 2 different"):
        adc.fit(np.ones((3, 2)), [800, 800])
