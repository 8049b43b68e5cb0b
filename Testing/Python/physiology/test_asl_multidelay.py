import numpy as np
import pytest

from SynthCBVLib.errors import Cancelled, InputError
from SynthCBVLib.physiology import asl

PCASL = asl.AslProtocol(label_duration=1.8)
DELAYS = np.array([0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0])


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    return rng.uniform(15, 180, 3000), rng.uniform(0.3, 2.4, 3000), rng


@pytest.mark.parametrize("labelling", ["pcasl", "pasl"])
@pytest.mark.parametrize("tissue_t1", [1.3, None])
def test_clean_signals_give_flow_and_arrival(drawn, labelling, tissue_t1):
    flow, arrival, _ = drawn
    protocol = PCASL if labelling == "pcasl" else asl.AslProtocol("pasl")
    delays = DELAYS if labelling == "pcasl" else DELAYS + 0.8
    y = asl.general_kinetic(flow, protocol, arrival, 700.0, tissue_t1, delays)
    found = asl.fit_multi_delay(y, 700.0, delays, protocol, tissue_t1)
    np.testing.assert_allclose(found.cbf, flow, rtol=5e-3)
    np.testing.assert_allclose(found.arrival_time, arrival, atol=5e-3)


def test_flow_and_arrival_at_the_noise_of_a_clinical_study(drawn):
    """3D GRASE, signal-to-noise 1.85 a pair, 20 pairs a delay: 8 at grey matter's largest signal."""
    flow, arrival, rng = drawn
    largest = asl.general_kinetic(60.0, PCASL, 0.8, 1.0, 1.3, DELAYS).max()
    y = asl.general_kinetic(flow, PCASL, arrival, 1.0, 1.3, DELAYS)
    found = asl.fit_multi_delay(y + rng.normal(0, largest / 8.3, y.shape), 1.0, DELAYS, PCASL)
    assert abs(np.mean(found.cbf / flow - 1)) < 0.05
    assert abs(np.mean(found.arrival_time - arrival)) < 0.05
    assert np.median(np.abs(found.arrival_time - arrival)) < 0.07
    for name, true in (("cbf", flow), ("arrival_time", arrival)):
        score = np.abs(getattr(found, name) - true) / getattr(found, f"{name}_sd")
        assert 0.90 < np.mean(score < 1.96) < 0.99, name


def test_one_tissue_is_recovered_within_the_papers_limits():
    rng = np.random.default_rng(1)
    for flow, arrival in ((60.0, 0.8), (20.0, 1.2), (120.0, 1.6)):
        clean = asl.general_kinetic(flow, PCASL, arrival, 1.0, 1.3, DELAYS)
        y = clean + rng.normal(0, clean.max() / 10, (2000, DELAYS.size))
        found = asl.fit_multi_delay(y, 1.0, DELAYS, PCASL)
        assert found.cbf.mean() == pytest.approx(flow, rel=0.05)
        assert found.arrival_time.mean() == pytest.approx(arrival, abs=0.05)


def test_shape_units_and_unusable_voxels(drawn):
    flow, arrival, _ = drawn
    y = asl.general_kinetic(flow[:6], PCASL, arrival[:6], 500.0, 1.3, DELAYS).reshape(2, 3, -1)
    y[0, 0, 0] = np.nan
    m0 = np.full((2, 3), 500.0)
    m0[0, 1] = 0
    found = asl.fit_multi_delay(y, m0, DELAYS, PCASL)
    assert found.cbf.shape == (2, 3)
    assert found.cbf[0, :2].tolist() == [0, 0]
    np.testing.assert_allclose(found.cbf[1], flow[3:6], rtol=5e-3)


def test_averages_weigh_the_delays():
    rng = np.random.default_rng(2)
    counts = np.array([1, 1, 1, 1, 1, 1, 30, 30, 30])
    clean = asl.general_kinetic(60.0, PCASL, 1.2, 1.0, 1.3, DELAYS)
    y = clean + rng.normal(0, clean.max() / 4 / np.sqrt(counts), (3000, 9))
    weighted = asl.fit_multi_delay(y, 1.0, DELAYS, PCASL, averages=counts)
    plain = asl.fit_multi_delay(y, 1.0, DELAYS, PCASL)
    assert weighted.cbf.std() < 0.9 * plain.cbf.std()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"delays": [1.0, 1.0, 2.0]}, "at least 3"),
        ({"delays": [250, 500, 750]}, "milliseconds"),
        ({"delays": [0.5, 1.0, 1.5, 2.0]}, "last axis of 4"),
        ({"m0": None}, "M0"),
        ({"averages": [1, 0, 1]}, "positive count"),
    ],
)
def test_bad_input_is_refused(arguments, words):
    call = {"perfusion_weighted": np.ones((5, 3)), "m0": 100.0, "delays": [0.5, 1.0, 1.5], **arguments}
    with pytest.raises(InputError, match=words):
        asl.fit_multi_delay(**call)


def test_cancel_stops_the_fit(drawn):
    def cancel(share, message):
        raise Cancelled

    with pytest.raises(Cancelled):
        asl.fit_multi_delay(np.ones((5, 9)), 100.0, DELAYS, PCASL, progress=cancel)
