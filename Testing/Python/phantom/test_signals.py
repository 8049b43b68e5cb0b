"""Sequence equations against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SynthCBVLib.phantom import signals
from SynthCBVLib.phantom.tissue import BLOOD_T1, BLOOD_WATER, CAPILLARY_T2, CSF, GREY, OEDEMA, WHITE


def test_spin_echo_limits():
    assert signals.spin_echo(0.7, 800, 70, tr=1e7, te=0) == pytest.approx(0.7)
    assert signals.spin_echo(1, 1000, 100, tr=1000 * np.log(2), te=100 * np.log(4)) == pytest.approx(
        0.125, rel=1e-5
    )


def test_inversion_recovery_is_null_at_its_nulling_time():
    ti = signals.nulling_inversion_time(4300, 9000)
    assert signals.inversion_recovery(1, 4300, 9000, ti) == pytest.approx(0, abs=1e-6)
    assert signals.inversion_recovery(1, 800, 1e7, 800 * np.log(2)) == pytest.approx(0, abs=1e-6)


def test_contrasts_are_those_of_the_sequences():
    t2w = [float(signals.spin_echo(t.water, t.t1, t.t2, 6000, 125)) for t in (WHITE, GREY, OEDEMA, CSF)]
    assert t2w == sorted(t2w)
    t1w = [float(signals.inversion_recovery(t.water, t.t1, 2000, 950)) for t in (CSF, GREY, WHITE)]
    assert t1w == sorted(t1w)
    ti = signals.nulling_inversion_time(CSF.t1, 9000)
    dark = [float(signals.flair(t.water, t.t1, t.t2, 9000, 120, ti)) for t in (CSF, WHITE, GREY, OEDEMA)]
    assert dark == sorted(dark)


def test_contrast_agent_adds_rates():
    assert signals.enhanced_t1(1000, 0) == pytest.approx(1000)
    assert signals.enhanced_t1(1000, 1.0, relaxivity=4.0) == pytest.approx(200)


@given(
    f=st.floats(0.01, 0.3), d=st.floats(0.5e-3, 3e-3), d_star=st.floats(5e-3, 50e-3), t2=st.floats(50, 400)
)
def test_ivim_without_weighting_is_the_sum_of_compartments(f, d, d_star, t2):
    expected = (1 - f) * np.exp(-68 / t2) + f * np.exp(-68 / CAPILLARY_T2)
    assert signals.ivim(0, f, d, d_star, t2, 68) == pytest.approx(expected, rel=1e-4)
    # At high b only the still water is left.
    assert signals.ivim(3000, f, d, d_star, t2, 68) == pytest.approx(
        (1 - f) * np.exp(-68 / t2 - 3000 * d), rel=1e-3, abs=1e-6
    )


def test_long_tissue_t2_dilutes_the_apparent_perfusion_fraction():
    def apparent(t2):
        return 0.1 * np.exp(-68 / CAPILLARY_T2) / signals.ivim(0, 0.1, 1e-3, 1e-2, t2, 68)

    assert apparent(300) < apparent(70) < 0.1


def test_labelled_difference_of_early_arrival_has_its_closed_form():
    cbf, t1 = 60.0, 1300.0
    apparent = 1 / (1000 / t1 + cbf / 6000 / 0.9)
    expected = (
        2 * 0.85 * BLOOD_WATER * cbf / 6000 * apparent * np.exp(-0.8 / (BLOOD_T1 / 1000))
        * np.exp(-(1.8 - 0.8) / apparent) * (1 - np.exp(-1.8 / apparent))
    )  # fmt: skip
    assert signals.labelled_difference(cbf, 0.8, t1, 1.8, 1.8) == pytest.approx(expected, rel=1e-5)


def test_labelled_difference_is_continuous_and_vanishes_when_nothing_has_arrived():
    before, after = (signals.labelled_difference(50, delay, 1300, 1.8, 1.8) for delay in (1.7999, 1.8001))
    assert before == pytest.approx(after, rel=1e-3)
    assert signals.labelled_difference(50, 3.7, 1300, 1.8, 1.8) == 0
    late, early = signals.labelled_difference(50, [2.6, 1.0], 1300, 1.8, 1.8)
    assert 0 < late < early
