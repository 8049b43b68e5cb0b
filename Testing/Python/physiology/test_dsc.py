from types import SimpleNamespace

import numpy as np
import pytest
from scipy import integrate

from SynthCBVLib.errors import Cancelled, InputError
from SynthCBVLib.physiology import dsc

ECHO, STEP = 0.03, 1.5
TIMES = np.arange(80) * STEP
FINE = np.arange(0, 120, 0.05)


def arterial(times=FINE):
    """First pass, recirculation and slow clearance, mM."""
    first = dsc.gamma_variate(times, 6.0, 20.0, 3.0, 1.5)
    again = dsc.gamma_variate(times, 0.48, 32.0, 2.0, 6.0)
    return first + again + 0.24 * (1 - np.exp(-np.maximum(times - 22, 0) / 8))


def brain(kind="none", strength=0.0, n=300, transit=4.0, tumour_transit=4.0, noise=0.0, washout=0.0, seed=0):
    """Simulate a brain of which every tenth voxel is a tumour whose barrier leaks.

    T1-dominant leakage shortens T1 (saturation-recovery signal, flip angle 90°), T2*-dominant adds to R2*.
    """
    rng = np.random.default_rng(seed)
    tumour = np.arange(n) % 10 == 0
    cbv = np.where(tumour, 8.0, rng.choice([2.0, 5.0], n))

    def vessel(mtt):
        curve = np.convolve(arterial(), np.exp(-FINE / mtt) / mtt)[: FINE.size] * 0.05
        return np.interp(TIMES, FINE, curve)

    leaked = strength / 60 * np.convolve(arterial(), np.exp(-washout * FINE))[: FINE.size] * 0.05
    leaked = np.interp(TIMES, FINE, leaked) * tumour[:, None]
    blood = np.where(tumour[:, None], vessel(tumour_transit), vessel(transit)) * cbv[:, None] / 100
    r2 = 80 * blood + {"none": 0, "T1": 5, "T2*": 60}[kind] * leaked
    r1 = 1 / 1.4 + (4.5 if kind == "T1" else 0) * leaked
    signal = 1000 * (1 - np.exp(-STEP * r1)) * np.exp(-ECHO * r2)
    return SimpleNamespace(
        signal=signal + rng.normal(0, noise * signal[:, :5].mean(), signal.shape), cbv=cbv, tumour=tumour
    )


def contrast(values, case):
    return values[case.tumour].mean() / values[~case.tumour].mean()


def test_gamma_variate_peaks_where_and_as_high_as_told():
    times = np.linspace(0, 60, 6001)
    curve = dsc.gamma_variate(times, 7.0, 10.0, 3.0, 1.5)
    assert curve.max() == pytest.approx(7)
    assert times[curve.argmax()] == pytest.approx(14.5)
    assert (curve[times <= 10] == 0).all()
    area = 7 * 1.5 * 6 * (np.e / 3) ** 3
    assert integrate.trapezoid(curve, times) == pytest.approx(area, rel=1e-5)


def test_signal_turns_to_change_of_relaxation():
    true = dsc.gamma_variate(TIMES, 20.0, 20.0, 3.0, 1.5)
    signal = 350 * np.exp(-ECHO * true)
    bolus = dsc.find_bolus(signal)
    np.testing.assert_allclose(dsc.delta_r2star(signal, ECHO, bolus), true, atol=1e-9)


@pytest.mark.parametrize("arrival", [12.0, 21.0, 60.0])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_bolus_is_found_where_it_arrives(arrival, noise):
    rng = np.random.default_rng(0)
    signal = np.exp(-ECHO * dsc.gamma_variate(TIMES, 12.0, arrival, 3.0, 1.5))
    bolus = dsc.find_bolus(signal + rng.normal(0, noise, TIMES.size))
    assert bolus.start == 0 or noise
    assert abs(TIMES[bolus.arrival] - arrival) <= 2 * STEP
    assert TIMES[bolus.stop - 1] <= arrival + 1e-9
    assert abs(TIMES[bolus.peak] - arrival - 4.5) <= 2 * STEP


def test_approach_to_the_steady_state_is_left_out():
    signal = np.exp(-ECHO * dsc.gamma_variate(TIMES, 12.0, 20.0, 3.0, 1.5))
    signal += 1e-4 * np.random.default_rng(0).normal(size=TIMES.size)
    signal[:3] += [0.6, 0.2, 0.05]
    assert dsc.find_bolus(signal).start == 3


def test_curves_without_a_bolus_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="bolus"):
        dsc.find_bolus(1000 + rng.normal(0, 5, 60))
    with pytest.raises(InputError, match="bolus"):
        dsc.relative_cbv(np.full((4, 60), 100.0), np.arange(60) * 1.5)
    with pytest.raises(InputError, match="before it"):
        dsc.relative_cbv(brain().signal[:, 15:], TIMES[15:])


@pytest.mark.parametrize("integration", ["numerical", "gamma-variate"])
def test_blood_volume_is_proportional_to_the_truth(integration):
    case = brain()
    protocol = dsc.DscProtocol(echo_time=ECHO, integration=integration)
    found = dsc.relative_cbv(case.signal, TIMES, protocol)
    np.testing.assert_allclose(found / found[1], case.cbv / case.cbv[1], rtol=0.01)


def test_gamma_variate_leaves_recirculation_out():
    times = np.arange(80) * 1.0
    first = dsc.gamma_variate(times, 20.0, 20.0, 3.0, 1.5)
    curves = np.stack((first, first + dsc.gamma_variate(times, 4.0, 34.0, 2.0, 5.0)))
    protocol = dsc.DscProtocol(quantity="delta_r2star", leakage="none", integration="gamma-variate")
    found = dsc.relative_cbv(curves, times, protocol)
    area = 20 * 1.5 * 6 * (np.e / 3) ** 3
    np.testing.assert_allclose(found, area, rtol=0.02)


@pytest.mark.parametrize(("kind", "strength"), [("T1", 0.02), ("T1", 0.03), ("T2*", 0.02), ("T2*", 0.04)])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_leakage_leaves_at_most_five_percent(kind, strength, noise):
    case = brain(kind, strength, noise=noise)
    true = contrast(case.cbv, case)
    maps = dsc.cbv_maps(case.signal, TIMES, dsc.DscProtocol(ECHO))
    plain = contrast(maps.uncorrected, case) / true - 1
    corrected = contrast(maps.rcbv, case) / true - 1
    assert 0.2 < abs(plain) < 0.6
    assert (plain > 0) == (kind == "T2*")
    assert abs(corrected) <= 0.05
    assert (maps.k2[case.tumour].mean() < 0) == (kind == "T2*")
    assert not maps.reference[case.tumour].any()


@pytest.mark.parametrize("kind", ["T1", "T2*"])
def test_leakage_that_returns_to_the_blood_is_corrected(kind):
    case = brain(kind, 0.025, washout=0.1 / 0.285 / 60)
    found = contrast(dsc.relative_cbv(case.signal, TIMES, dsc.DscProtocol(ECHO)), case)
    assert found == pytest.approx(contrast(case.cbv, case), rel=0.05)


@pytest.mark.parametrize("transit", [2.5, 6.0])
def test_another_transit_time_is_not_taken_for_leakage(transit):
    case = brain(tumour_transit=transit)
    plain = contrast(dsc.relative_cbv(case.signal, TIMES, dsc.DscProtocol(ECHO, leakage="none")), case)
    found = contrast(dsc.relative_cbv(case.signal, TIMES, dsc.DscProtocol(ECHO)), case)
    assert found == pytest.approx(plain, rel=0.03)


def test_another_arrival_time_is_not_taken_for_leakage():
    rng = np.random.default_rng(0)
    delay = rng.choice([-1.5, 0.0, 1.0, 2.0], 200)
    curves = dsc.gamma_variate(TIMES, 10.0, 20.0 + delay, 3.0, 1.5) + dsc.gamma_variate(
        TIMES, 1.0, 32.0 + delay, 2.0, 6.0
    )
    found = dsc.relative_cbv(500 * np.exp(-ECHO * curves), TIMES, dsc.DscProtocol(ECHO))
    assert found.std() / found.mean() < 0.03


@pytest.mark.parametrize("leakage", ["unidirectional", "bidirectional"])
@pytest.mark.parametrize("k2", [0.02, -0.02])
def test_the_models_own_leakage_is_removed_exactly(leakage, k2):
    average = dsc.gamma_variate(TIMES, 10.0, 20.0, 3.0, 1.5)
    running = integrate.cumulative_trapezoid(average, TIMES, initial=0)
    scale = np.linspace(0.5, 2, 50)
    curves = scale[:, None] * average
    curves[7] -= k2 * running
    signal = 500 * np.exp(-ECHO * curves)
    maps = dsc.cbv_maps(signal, TIMES, dsc.DscProtocol(ECHO, leakage=leakage))
    np.testing.assert_allclose(maps.rcbv / maps.rcbv[0], scale / scale[0], rtol=5e-3)
    assert np.sign(maps.k2[7]) == np.sign(k2)


def test_white_matter_becomes_one():
    case = brain(noise=0.005)
    white = case.cbv == 2
    maps = dsc.cbv_maps(case.signal, TIMES, dsc.DscProtocol(ECHO), white_matter=white)
    assert maps.rcbv[white].mean() == pytest.approx(1)
    assert maps.uncorrected[white].mean() == pytest.approx(1)
    assert maps.rcbv[case.cbv == 5].mean() == pytest.approx(2.5, rel=0.03)


def test_mask_shape_and_bad_voxels():
    case = brain()
    signal = case.signal.reshape(10, 30, -1).copy()
    signal[0, 0] = np.nan
    signal[0, 1] = 0
    mask = np.ones((10, 30), bool)
    mask[:, 20:] = False
    found = dsc.relative_cbv(signal, TIMES, dsc.DscProtocol(ECHO), mask)
    assert found.shape == (10, 30)
    assert np.isfinite(found).all()
    assert (found[~mask] == 0).all()
    assert found[0, :2].tolist() == [0, 0]
    assert (found[1:, :20] > 0).all()


def test_air_is_left_out_without_a_mask():
    case = brain(noise=0.005)
    air = np.abs(np.random.default_rng(1).normal(0, 5, (100, TIMES.size)))
    found = dsc.relative_cbv(np.concatenate((case.signal, air)), TIMES, dsc.DscProtocol(ECHO))
    assert (found[300:] == 0).all()
    assert (found[:300] > 0).all()


def test_baseline_can_be_given():
    case = brain()
    maps = dsc.cbv_maps(case.signal, TIMES, dsc.DscProtocol(ECHO, baseline=(2, 9)))
    assert (maps.bolus.start, maps.bolus.stop) == (2, 9)
    assert contrast(maps.rcbv, case) == pytest.approx(contrast(case.cbv, case), rel=0.01)


def test_flow_volume_and_transit_time_from_a_given_input():
    """Exponential residues, so that flow is volume over transit time (central volume theorem)."""
    case = brain(n=60, transit=4.0, tumour_transit=6.0)
    concentration = -np.log(case.signal / case.signal[:, :5].mean(1, keepdims=True)) / ECHO / 80
    protocol = dsc.DscProtocol(quantity="delta_r2star", oscillation_limit=0.2)
    found = dsc.perfusion(concentration, TIMES, protocol, arterial_input=np.interp(TIMES, FINE, arterial()))
    np.testing.assert_allclose(found.cbv, case.cbv, rtol=0.06)
    expected = 60 * case.cbv / np.where(case.tumour, 6.0, 4.0)
    np.testing.assert_allclose(found.cbf, expected, rtol=0.3)
    assert not found.arterial_voxels.any()


@pytest.mark.parametrize("shift", [-3, 0, 4])
def test_flow_does_not_depend_on_delay(shift):
    aif = np.interp(TIMES, FINE, arterial())
    tissue = 0.05 * np.interp(TIMES, FINE, np.convolve(arterial(), np.exp(-FINE / 4) / 4)[: FINE.size] * 0.05)
    moved = np.roll(tissue, shift)
    still = dsc.deconvolve(tissue[None], aif, TIMES)
    found = dsc.deconvolve(moved[None], aif, TIMES)
    assert found.flow[0] == pytest.approx(still.flow[0], rel=0.05)
    assert found.delay[0] - still.delay[0] == pytest.approx(shift * STEP, abs=STEP)


def test_arteries_are_found_by_themselves():
    case = brain(n=400, noise=0.005)
    artery = np.zeros(400, bool)
    artery[[33, 34, 77]] = True
    curve = np.interp(TIMES, FINE, arterial())
    case.signal[artery] = 460 * np.exp(-ECHO * 8 * curve)
    found = dsc.perfusion(case.signal, TIMES, dsc.DscProtocol(ECHO))
    assert found.arterial_voxels[artery].all()
    assert found.arterial_voxels.sum() <= 10
    bolus = dsc.find_bolus(case.signal.mean(0))
    best = dsc.find_arterial_input(dsc.delta_r2star(case.signal, ECHO, bolus), TIMES, bolus, n_voxels=3)
    np.testing.assert_array_equal(np.sort(best.voxels), np.flatnonzero(artery))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"times": TIMES[:-1]}, "79 times for 80 images"),
        ({"times": TIMES[::-1]}, "increase"),
        ({"times": TIMES * 1000}, "milliseconds"),
        ({"mask": np.zeros(300, bool)}, "no voxel"),
        ({"mask": np.ones(10, bool)}, "shape"),
        ({"white_matter": np.zeros(300, bool)}, "white matter"),
        ({"signal": np.ones((3, 5)), "times": np.arange(5.0)}, "at least 8"),
    ],
)
def test_bad_input_is_refused(change, words):
    call = {"signal": brain().signal, "times": TIMES, **change}
    with pytest.raises(InputError, match=words):
        dsc.relative_cbv(**call)


def test_uneven_times_cannot_be_deconvolved():
    times = TIMES.copy()
    times[40:] += 3
    with pytest.raises(InputError, match="even steps"):
        dsc.perfusion(brain().signal, times)


@pytest.mark.parametrize(
    "fields",
    [
        {"echo_time": 30}, {"echo_time": 0}, {"quantity": "r2"}, {"leakage": "yes"},
        {"integration": "sum"}, {"oscillation_limit": 0},
    ],
)  # fmt: skip
def test_wrong_protocols_are_refused(fields):
    with pytest.raises(InputError, match="DSC"):
        dsc.DscProtocol(**fields)


def test_cancel_stops_the_maps():
    def cancel(share, message):
        raise Cancelled

    for work in (dsc.relative_cbv, dsc.perfusion):
        with pytest.raises(Cancelled):
            work(brain().signal, TIMES, progress=cancel)
