import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from SynthCBVLib.errors import InputError
from SynthCBVLib.physiology import asl

PCASL = asl.AslProtocol()
PASL = asl.AslProtocol(labelling="pasl", label_duration=0.8, post_label_delay=1.8)


def white_paper(difference, m0, protocol):
    """Equations 1 and 2 of Alsop et al. 2015, as printed."""
    t1, tau, delay = protocol.blood_t1, protocol.label_duration, protocol.post_label_delay
    scale = 6000 * protocol.partition_coefficient * difference * np.exp(delay / t1)
    if protocol.labelling == "pcasl":
        return scale / (2 * protocol.labelling_efficiency * t1 * m0 * (1 - np.exp(-tau / t1)))
    return scale / (2 * protocol.labelling_efficiency * tau * m0)


def convolved(flow, protocol, arrival, t1, delay):
    """The general kinetic model by quadrature of its convolution."""
    end = delay + (protocol.label_duration if protocol.labelling == "pcasl" else 0)
    start, stop = arrival, min(arrival + protocol.label_duration, end)
    if stop <= start:
        return 0.0
    rate = 1 / t1 + flow / 6000 / protocol.partition_coefficient

    def arriving(s):
        age = arrival if protocol.labelling == "pcasl" else s
        return np.exp(-age / protocol.blood_t1 - rate * (end - s))

    area = integrate.quad(arriving, start, stop)[0]
    return 2 / protocol.partition_coefficient * flow / 6000 * protocol.efficiency * area


def test_pcasl_defaults_are_those_of_the_white_paper():
    assert (PCASL.labelling_efficiency, PCASL.blood_t1, PCASL.partition_coefficient) == (0.85, 1.65, 0.9)
    assert (PCASL.label_duration, PCASL.post_label_delay) == (1.8, 1.8)
    assert asl.AslProtocol("pasl").labelling_efficiency == 0.98
    assert asl.AslProtocol("PASL").label_duration == 0.8


@pytest.mark.parametrize("protocol", [PCASL, PASL])
def test_quantification_is_the_printed_equation(protocol):
    difference = np.array([[4.0, 8.0], [-1.0, 2.0]])
    found = asl.quantify(difference, np.full((2, 2), 1000.0), protocol)
    np.testing.assert_allclose(found, white_paper(difference, 1000.0, protocol), rtol=1e-12)
    assert found.shape == difference.shape


@given(
    flow=st.floats(1, 250), duration=st.floats(0.5, 3), delay=st.floats(0, 3), m0=st.floats(1, 1e5),
    pulsed=st.booleans(), pulses=st.integers(0, 4),
)  # fmt: skip
def test_quantification_inverts_the_kinetic_model_without_delay(flow, duration, delay, m0, pulsed, pulses):
    protocol = asl.AslProtocol(
        labelling="pasl" if pulsed else "pcasl",
        label_duration=duration,
        post_label_delay=delay + duration if pulsed else delay,
        background_suppression_pulses=pulses,
    )
    signal = asl.general_kinetic(flow, protocol, m0=m0)
    assert asl.quantify(signal, m0, protocol) == pytest.approx(flow, rel=1e-6)


@pytest.mark.parametrize("protocol", [PCASL, PASL])
@pytest.mark.parametrize("arrival", [0.0, 0.6, 1.5, 2.1, 4.0])
def test_kinetic_model_is_its_convolution(protocol, arrival):
    delays = np.array([0.2, 0.9, 1.8, 3.0])
    found = asl.general_kinetic(80.0, protocol, arrival, 1.0, 1.3, delays)
    expected = [convolved(80.0, protocol, arrival, 1.3, delay) for delay in delays]
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)


def test_kinetic_model_holds_where_tissue_and_blood_decay_alike():
    tissue_t1 = 1 / (1 / PASL.blood_t1 - 60 / 6000 / 0.9)
    found = asl.general_kinetic(60.0, PASL, 0.5, 1.0, tissue_t1)
    assert found == pytest.approx(asl.general_kinetic(60.0, PASL, 0.5, 1.0, tissue_t1 * 1.0001), rel=1e-4)
    assert found == pytest.approx(convolved(60.0, PASL, 0.5, tissue_t1, 1.8), rel=1e-7)


def test_late_arrival_makes_the_white_paper_read_low():
    """The known weakness that a synthetic map must not inherit: slow arrival in high-grade tumours."""
    early = asl.quantify(asl.general_kinetic(60.0, PCASL, 0.8, 1.0, 1.3), 1.0)
    late = asl.quantify(asl.general_kinetic(60.0, PCASL, 2.4, 1.0, 1.3), 1.0)
    assert late < 0.75 * early < 60


def test_background_suppression_raises_the_estimate():
    plain = asl.quantify([5.0], [1000.0])
    suppressed = asl.quantify([5.0], [1000.0], asl.AslProtocol(background_suppression_pulses=2))
    np.testing.assert_allclose(suppressed, plain / 0.95**2)


def test_m0_is_scaled_and_its_saturation_corrected():
    plain = asl.quantify([5.0], [1000.0])
    np.testing.assert_allclose(asl.quantify([5.0], [100.0], asl.AslProtocol(m0_scale=10)), plain)
    saturated = 1000 * (1 - np.exp(-2 / 1.3))
    np.testing.assert_allclose(
        asl.quantify([5.0], [saturated], asl.AslProtocol(m0_repetition_time=2.0)), plain
    )


def test_voxels_without_m0_or_signal_are_zero():
    found = asl.quantify([5.0, 5.0, np.nan, 5.0], [1000.0, 0.0, 1000.0, np.nan])
    assert found[0] > 0
    assert found[1:].tolist() == [0, 0, 0]


def test_a_number_serves_as_m0():
    np.testing.assert_allclose(asl.quantify([5.0, 6.0], 1000.0), asl.quantify([5.0, 6.0], [1000.0] * 2))


def brain(scale=1.0, noise=4.0):
    rng = np.random.default_rng(0)
    m0 = np.full((10, 12, 14), 1000.0)
    m0[:3] = 2.0
    flow = np.where(m0 > 100, 50.0, 0.0)
    control = 900 + rng.normal(0, noise, m0.shape)
    label = control - scale * asl.general_kinetic(flow, m0=m0) + rng.normal(0, noise, m0.shape)
    return control, label, m0


def test_difference_and_quantification_of_a_brain():
    control, label, m0 = brain()
    cbf = asl.quantify(asl.difference(control, label), m0)
    assert cbf[m0 > 100].mean() == pytest.approx(50, rel=0.05)


def test_what_users_meet_is_told():
    control, label, m0 = brain()
    with pytest.raises(InputError, match="swapped"):
        asl.difference(label, control)
    with pytest.raises(InputError, match="swapped"):
        asl.quantify(label - control, m0)
    with pytest.raises(InputError, match="same image twice"):
        asl.difference(control, control)
    with pytest.raises(InputError, match="label image"):
        asl.difference(control, 0 * control)
    with pytest.raises(InputError, match="shape"):
        asl.difference(control, label[1:])
    with pytest.raises(InputError, match="zero or not finite"):
        asl.quantify(0 * control, m0)
    with pytest.raises(InputError, match="M0: missing"):
        asl.quantify(control - label, None)
    with pytest.raises(InputError, match="no positive value"):
        asl.quantify(control - label, 0 * m0)
    with pytest.raises(InputError, match="one scale"):
        asl.quantify(control - label, m0 / 100)
    with pytest.raises(InputError, match="one scale"):
        asl.quantify((control - label) / 1000, m0)
    with pytest.raises(InputError, match="shape"):
        asl.quantify(control - label, m0[1:])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"label_duration": 1800}, r"milliseconds, give 1\.8"),
        ({"post_label_delay": 1800}, r"milliseconds, give 1\.8"),
        ({"blood_t1": 1650}, r"milliseconds, give 1\.65"),
        ({"label_duration": 0}, "positive time"),
        ({"post_label_delay": -1}, "positive time"),
        ({"labelling": "casl"}, "as pcasl"),
        ({"labelling": "vsasl"}, "'pcasl' or 'pasl'"),
        ({"labelling": "pasl", "label_duration": 1.0, "post_label_delay": 0.5}, "labelling pulse"),
        ({"labelling_efficiency": 85}, "fraction"),
        ({"partition_coefficient": 90}, r"\.9 ml/g"),
        ({"m0_scale": 0}, "positive number"),
        ({"background_suppression_pulses": -1}, "0 or more"),
    ],
)
def test_wrong_protocols_are_refused(fields, words):
    with pytest.raises(InputError, match=words):
        asl.AslProtocol(**fields)


def test_smoothing_of_m0_does_not_bleed():
    m0 = np.zeros((9, 9, 9))
    m0[2:7, 2:7, 2:7] = 800.0
    smooth = asl.smooth_m0(m0, 1.5)
    np.testing.assert_allclose(smooth, m0, rtol=1e-9)
    noisy = m0 * (1 + 0.2 * np.random.default_rng(0).normal(size=m0.shape))
    assert asl.smooth_m0(noisy, 1.0, m0 > 0)[m0 > 0].std() < 0.4 * noisy[m0 > 0].std()
