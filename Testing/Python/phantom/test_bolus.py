"""The contrast bolus: blood is neither lost nor made on its way through tissue."""

import numpy as np
import pytest

from SynthCBVLib.phantom.bolus import Bolus, TissueCurves, draw_bolus

TIMES = 1.6 * np.arange(60)
SINGLE = Bolus(arrival=15.0, alpha=3.0, beta=1.5, peak=6.0, recirculation=0.0, rest=0.0)


def area(curve):
    return curve.sum(-1) * 1.6


def test_bolus_peaks_where_a_gamma_variate_does():
    times = np.arange(0, 60, 0.01)
    curve = SINGLE.concentration(times)
    assert curve.max() == pytest.approx(6.0, rel=1e-4)
    assert times[curve.argmax()] == pytest.approx(15.0 + 3.0 * 1.5, abs=0.02)
    assert not curve[times < 15.0].any()


@pytest.mark.parametrize("transit", [1.5, 4.0, 9.0])
@pytest.mark.parametrize("delay", [0.0, 2.2])
def test_tissue_keeps_the_bolus_area(transit, delay):
    curves = TissueCurves(SINGLE, TIMES)
    tissue = curves.tissue(np.array([transit]), np.array([delay]))[0]
    assert area(tissue) == pytest.approx(area(curves.arterial()), rel=0.02)


def test_long_transit_and_delay_make_the_curve_late_and_low():
    curves = TissueCurves(SINGLE, TIMES)
    quick, slow, late = curves.tissue(np.array([2.0, 8.0, 2.0]), np.array([0.0, 0.0, 3.2]))
    assert slow.max() < quick.max()
    centre = [np.average(TIMES, weights=c) for c in (quick, slow, late)]
    assert centre[1] - centre[0] == pytest.approx(6.0, abs=0.6)  # the mean of the exponential residues
    assert centre[2] - centre[0] == pytest.approx(3.2, abs=0.2)


def test_leakage_follows_the_slow_limit_and_saturates():
    curves = TissueCurves(SINGLE, TIMES)
    plasma = np.full((2, 60), 1.0, np.float32)
    slow, fast = curves.leaked(plasma, np.array([1e-5, 1.0], np.float32), 0.285)
    assert slow[-1] == pytest.approx(1e-5 * TIMES[-1], rel=1e-2)  # nothing returns yet
    assert fast[-1] == pytest.approx(0.285, rel=1e-3)  # equal concentration inside and outside


def test_drawn_boluses_arrive_after_the_injection():
    for seed in range(20):
        bolus = draw_bolus(np.random.default_rng(seed), 4.8)
        assert 12 < bolus.arrival < 19 and 4 < bolus.peak < 9
