import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.physiology import ivim


def test_signal_is_the_published_equation():
    y = ivim.signal([0, 100, 1000], 200.0, 1e-3, 0.1, 1e-2)
    expected = 200 * (0.9 * np.exp([0, -0.1, -1.0]) + 0.1 * np.exp([0, -1.0, -10.0]))
    np.testing.assert_allclose(y, expected, rtol=1e-14)


def test_signal_broadcasts_over_voxels():
    y = ivim.signal([0, 500], np.ones((3, 1)), 1e-3, np.array([0.1, 0.2]), 1e-2)
    assert y.shape == (3, 2, 2)
    np.testing.assert_allclose(y[..., 0], 1)


@given(
    f=st.floats(0, 1),
    d=st.floats(1e-4, 3e-3),
    d_star=st.floats(4e-3, 0.2),
)
def test_signal_falls_with_b(f, d, d_star):
    y = ivim.signal(np.arange(0, 1001, 50), 1.0, d, f, d_star)
    assert np.all(np.diff(y) < 0)


def test_cramer_rao_of_a_linear_case_is_the_closed_form():
    """Blood that is gone at the first b-value leaves S0 to b = 0 alone: the noise over sqrt(n)."""
    bound = ivim.cramer_rao([0, 10, 500, 1000], 100.0, 1e-3, 0.1, 5.0, 2.0, averages=[4, 1, 1, 1])
    assert bound.s0 == pytest.approx(2.0 / np.sqrt(4), rel=1e-6)


def test_cramer_rao_scales_with_noise_and_averages():
    b = [0, 50, 100, 200, 400, 800]
    one = ivim.cramer_rao(b, 1.0, 1e-3, 0.1, 1e-2, 0.02)
    noisier = ivim.cramer_rao(b, 1.0, 1e-3, 0.1, 1e-2, 0.04)
    repeated = ivim.cramer_rao([*b, *b, *b, *b], 1.0, 1e-3, 0.1, 1e-2, 0.04)
    averaged = ivim.cramer_rao(b, 1.0, 1e-3, 0.1, 1e-2, 0.04, averages=[4] * 6)
    np.testing.assert_allclose(noisier, 2 * np.array(one), rtol=1e-6)
    np.testing.assert_allclose(repeated, one, rtol=1e-6)
    np.testing.assert_allclose(averaged, one, rtol=1e-6)


def test_cramer_rao_is_reached_by_least_squares_at_low_noise(simulate, paper):
    sd = 1e-3
    rng = np.random.default_rng(0)
    y = ivim.signal(paper.b, 1.0, 1e-3, 0.15, 1.5e-2) + rng.normal(
        0, sd / np.sqrt(paper.averages), (2000, len(paper.b))
    )
    maps = ivim.fit(y, paper.b, paper.averages, method="nlls", magnitude=False)
    bound = ivim.cramer_rao(paper.b, 1.0, 1e-3, 0.15, 1.5e-2, sd, paper.averages)
    for name in ("s0", "d", "f", "d_star"):
        assert getattr(maps, name).std() == pytest.approx(float(getattr(bound, name)), rel=0.06), name


def test_cramer_rao_is_infinite_for_the_pseudo_diffusion_of_nothing():
    assert ivim.cramer_rao([0, 50, 200, 800], 1.0, 1e-3, 0.0, 1e-2, 0.02).d_star == np.inf


@pytest.mark.parametrize(
    ("b", "words"),
    [
        ([0, 300, 600], "3 different"),
        ([0, 300, 300, 600, 600], "3 different"),
        ([0, 50, 100, 150], "one below and one above 200"),
        ([300, 400, 600, 800], "one below and one above 200"),
        ([0, 0.05, 0.1, 0.5], "ms/µm²"),
        ([0, 50, -1, 400], ">= 0"),
        ([0, 50, np.nan, 400], "finite"),
    ],
)
def test_schemes_that_cannot_work_are_refused(b, words):
    with pytest.raises(InputError, match=words):
        ivim.fit(np.ones(len(b)), b)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"b_values": [0, 50, 400]}, "3 b-values for 4 signals"),
        ({"averages": [1, 1]}, "2 values for 4 b-values"),
        ({"averages": [1, 1, 0, 1]}, "positive counts"),
        ({"method": "magic"}, "bayes, segmented or nlls"),
        ({"noise_sd": -1.0}, "finite number"),
    ],
)
def test_other_bad_input_is_refused(arguments, words):
    given_arguments = {"b_values": [0, 50, 400, 800], **arguments}
    with pytest.raises(InputError, match=words):
        ivim.fit(np.ones((2, 4)) * [4.0, 3.0, 2.0, 1.0], **given_arguments)


@pytest.mark.parametrize("bounds", [{"d": (2e-3, 1e-3)}, {"f": (0.0, 1.5)}, {"d_star": (10.0, 200.0)}])
def test_bounds_that_are_no_interval_are_refused(bounds):
    with pytest.raises(InputError, match="IVIM bounds"):
        ivim.Bounds(**bounds)
