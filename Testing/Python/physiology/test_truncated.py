import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from SynthCBVLib.physiology.truncated import truncated_normal


def moments(mean, sd, low, high):
    """By quadrature, relative to the density's largest value inside."""
    top = np.clip(mean, low, high)
    x = np.linspace(max(low, top - 40 * sd), min(high, top + 40 * sd), 400001)
    weight = np.exp(-0.5 * ((x - mean) / sd) ** 2 + 0.5 * ((top - mean) / sd) ** 2)
    total = integrate.trapezoid(weight, x)
    centre = integrate.trapezoid(weight * x, x) / total
    variance = integrate.trapezoid(weight * (x - centre) ** 2, x) / total
    log_mass = np.log(total / (sd * np.sqrt(2 * np.pi))) - 0.5 * ((top - mean) / sd) ** 2
    return log_mass, centre, variance


@settings(max_examples=80, deadline=None)
@given(st.floats(-3, 4), st.floats(0.03, 3) | st.floats(100, 1e4))
def test_moments_are_those_of_quadrature(mean, sd):
    log_mass, centre, variance = truncated_normal(np.array([mean]), np.array([sd]))
    expected = moments(mean, sd, 0.0, 1.0)
    assert log_mass[0] == pytest.approx(expected[0], abs=1e-5, rel=1e-5)
    assert centre[0] == pytest.approx(expected[1], abs=1e-5)
    assert variance[0] == pytest.approx(expected[2], rel=0.02, abs=1e-9)


def test_another_interval_is_a_shifted_and_scaled_one():
    log_mass, centre, variance = truncated_normal(np.array([2.3]), np.array([0.5]), 2.0, 6.0)
    other = truncated_normal(np.array([0.075]), np.array([0.125]))
    assert log_mass[0] == pytest.approx(other[0][0])
    assert centre[0] == pytest.approx(2 + 4 * other[1][0])
    assert variance[0] == pytest.approx(16 * other[2][0])


def test_extremes_stay_finite():
    size = np.array([1e-300, 1e-30, 1e-3, 1, 1e3, 1e30, 1e150])
    mean, sd = (x.ravel() for x in np.meshgrid(np.concatenate((-size, size)), size))
    with np.errstate(all="raise", under="ignore"):
        log_mass, centre, variance = truncated_normal(mean, sd)
    assert np.isfinite([log_mass, centre, variance]).all()
    assert ((centre >= 0) & (centre <= 1)).all()
    assert ((variance >= 0) & (variance <= 1)).all()


def test_far_outside_everything_stays_finite():
    mean = np.array([-1e6, -50.0, 50.0, 1e6])
    log_mass, centre, variance = truncated_normal(mean, np.full(4, 1e-3))
    assert np.isfinite([log_mass, centre, variance]).all()
    np.testing.assert_allclose(centre, [0, 0, 1, 1], atol=1e-6)
