import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from SynthCBVLib.errors import Cancelled, InputError
from SynthCBVLib.physiology import ivim

B = (0, 50, 100, 150, 200, 300, 400, 600, 800, 1000)
#: D, f, D* of tissues of the brain and the body, mm²/s.
TISSUES = np.array(
    [
        (0.81e-3, 0.044, 84e-3), (0.86e-3, 0.033, 76e-3), (0.83e-3, 0.0764, 10.88e-3), (1.5e-3, 0.11, 100e-3),
        (1.67e-3, 0.32, 30e-3), (1.5e-3, 0.30, 12e-3), (1.3e-3, 0.15, 10e-3), (2.12e-3, 0.097, 20e-3),
        (2.09e-3, 0.158, 19e-3), (1.3e-3, 0.2, 30e-3), (1.31e-3, 0.69, 29e-3), (1.47e-3, 0.1034, 30.88e-3),
        (2.4e-3, 0.15, 80e-3), (0.5e-3, 0.05, 4e-3), (1e-3, 0.3, 3e-3), (0.8e-3, 0.9, 10e-3),
    ]
)  # fmt: skip
MAPS = ("s0", "d", "f", "d_star", "s0_sd", "d_sd", "f_sd", "d_star_sd")


@pytest.mark.parametrize("method", ["bayes", "nlls"])
@pytest.mark.parametrize(
    "b",
    [
        (0, 1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 250, 350, 400, 550, 700, 850, 1000),
        B,
        (0, 10, 20, 80, 200, 400, 800),
    ],
)
def test_clean_signals_give_their_parameters(b, method):
    s0 = np.linspace(0.2, 900, len(TISSUES))
    y = ivim.signal(b, s0, *TISSUES.T)
    maps = ivim.fit(y, b, method=method)
    found = np.stack([maps.d, maps.f, maps.d_star], -1)
    np.testing.assert_allclose(found, TISSUES, rtol=0.02)
    np.testing.assert_allclose(maps.s0, s0, rtol=0.002)
    assert maps.valid.all()


def test_a_single_clean_voxel_gives_its_parameters():
    for tissue in TISSUES:
        maps = ivim.fit(ivim.signal(B, 400.0, *tissue), B)
        np.testing.assert_allclose((maps.d, maps.f, maps.d_star), tissue, rtol=0.02)


def test_pure_blood_has_perfusion_fraction_one():
    maps = ivim.fit(ivim.signal(B, 1.0, 3e-3, 1.0, 0.1), B)
    assert maps.f == pytest.approx(1, abs=1e-3)
    assert maps.d_star == pytest.approx(0.1, rel=0.02)


def test_signals_without_perfusion_have_none():
    maps = ivim.fit(ivim.signal(B, 1.0, 1e-3, 0.0, 1e-2), B)
    assert maps.f < 2e-3
    assert maps.d == pytest.approx(1e-3, rel=2e-3)


def test_segmented_fit_finds_tissue_whose_perfusion_is_gone_at_200():
    y = ivim.signal(B, 500.0, 1e-3, [0.05, 0.1, 0.2], 0.05)
    maps = ivim.fit(y, B, method="segmented")
    np.testing.assert_allclose(maps.d, 1e-3, rtol=1e-3)
    np.testing.assert_allclose(maps.f, [0.05, 0.1, 0.2], rtol=0.01)
    np.testing.assert_allclose(maps.d_star, 0.05, rtol=0.02)


@pytest.mark.parametrize(
    ("snr", "bars"),
    [
        (20, {"f": 0.052}),
        (50, {"f": 0.025, "d": 0.048e-3, "d_star": 0.014}),
        (100, {"f": 0.017}),
    ],
)
@pytest.mark.parametrize("rician", [True, False])
def test_error_at_clinical_noise_is_at_the_bound(simulate, paper, snr, bars, rician):
    truth = simulate(paper.b, paper.averages, snr, rician=rician)
    maps = ivim.fit(truth.y, paper.b, paper.averages)
    for name, bar in bars.items():
        error = getattr(maps, name) - getattr(truth, name)
        assert np.sqrt(np.mean(error**2)) <= bar, name
    if snr == 50:
        assert abs(np.mean(maps.f - truth.f)) <= 0.006


def test_other_schemes_stay_near_their_own_bound(simulate):
    for b, averages in (
        ((0, 50, 100, 150, 200, 1000), (2, 2, 2, 2, 2, 3)),
        ((0, 20, 40, 80, 160, 300, 500, 800), [1] * 8),
    ):
        truth = simulate(b, averages, 50)
        maps = ivim.fit(truth.y, b, averages)
        bound = ivim.cramer_rao(b, 1.0, truth.d, truth.f, truth.d_star, 1 / 50, averages)
        error = np.sqrt(np.mean((maps.f - truth.f) ** 2))
        assert error <= 1.2 * np.median(bound.f), b


def test_wider_parameters_than_the_prior_expects_are_still_found(simulate, paper):
    truth = simulate(paper.b, paper.averages, 50, d=(0.2, 3), f=(0, 0.5), d_star=(4, 100))
    maps = ivim.fit(truth.y, paper.b, paper.averages)
    assert np.corrcoef(maps.f, truth.f)[0, 1] > 0.95
    assert abs(np.mean(maps.f - truth.f)) < 0.005
    assert np.corrcoef(maps.d, truth.d)[0, 1] > 0.98


@pytest.mark.parametrize("snr", [20, 50, 100, 400])
def test_posterior_deviations_cover_the_truth(simulate, paper, snr):
    truth = simulate(paper.b, paper.averages, snr, n=4000)
    maps = ivim.fit(truth.y, paper.b, paper.averages)
    for name in ("d", "f", "d_star"):
        score = np.abs(getattr(maps, name) - getattr(truth, name)) / getattr(maps, f"{name}_sd")
        assert 0.93 < np.mean(score < 1.96) < 0.995, name


@pytest.mark.parametrize("snr", [20, 50, 300, 1e4])
def test_noise_is_estimated(simulate, paper, snr):
    truth = simulate(paper.b, paper.averages, snr, n=2000)
    assert ivim.fit(300 * truth.y, paper.b, paper.averages).noise_sd == pytest.approx(300 / snr, rel=0.08)


def test_repeats_and_averages_weigh_the_same(simulate):
    b, repeats = np.array([0, 50, 100, 200, 400, 800]), (3, 1, 2, 1, 2, 4)
    rng = np.random.default_rng(3)
    every = np.repeat(b, repeats)
    y = ivim.signal(every, 100.0, 1e-3, np.full(40, 0.12), 1.2e-2) + rng.normal(0, 2, (40, every.size))
    means = np.stack([y[:, every == value].mean(1) for value in b], -1)
    order = rng.permutation(every.size)
    one = ivim.fit(y[:, order], every[order])
    other = ivim.fit(means, b, averages=repeats)
    for name in MAPS:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-6)


def test_magnitude_floor_is_removed(simulate, paper):
    truth = simulate(paper.b, [1] * 10, 12, n=20000, d=(1.8, 2.2), f=(0.05, 0.05001))
    corrected = ivim.fit(truth.y, paper.b).d - truth.d
    plain = ivim.fit(truth.y, paper.b, magnitude=False).d - truth.d
    assert abs(corrected.mean()) < 0.7 * abs(plain.mean())


def test_bounds_hold_for_every_method(simulate, paper):
    truth = simulate(paper.b, paper.averages, 10, n=500)
    bounds = ivim.Bounds(d=(8e-4, 1.2e-3), f=(0.02, 0.15), d_star=(8e-3, 0.03))
    for method in ("bayes", "nlls", "segmented"):
        maps = ivim.fit(truth.y, paper.b, paper.averages, method, bounds=bounds)
        for name in ("d", "f", "d_star"):
            values, (low, high) = getattr(maps, name)[maps.valid], getattr(bounds, name)
            assert values.min() >= low * (1 - 1e-9), (method, name)
            assert values.max() <= high * (1 + 1e-9), (method, name)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=4).map(lambda shape: (*shape, len(B))),
        elements=st.floats(-1e6, 1e6, allow_subnormal=False),
    ),
    st.sampled_from(["bayes", "nlls", "segmented"]),
)
def test_finite_signals_never_give_nan(y, method):
    maps = ivim.fit(y, B, method=method)
    for name in MAPS:
        values = getattr(maps, name)
        assert values.shape == y.shape[:-1]
        assert np.isfinite(values).all(), name
        assert (values[~maps.valid] == 0).all(), name
    good = maps.valid
    assert (maps.d_star[good] >= maps.d[good] - 1e-12).all()
    assert ((maps.f >= 0) & (maps.f <= 1)).all()
    assert ((maps.d[good] >= 1e-4 * (1 - 1e-9)) & (maps.d[good] <= 4e-3 * (1 + 1e-9))).all()


def test_bad_voxels_are_flagged_and_zero():
    good = ivim.signal(B, 100.0, 1e-3, 0.1, 1e-2)
    y = np.stack([good, np.full(10, np.nan), np.zeros(10), -good, np.where(np.arange(10) == 3, np.inf, good)])
    maps = ivim.fit(y, B)
    assert maps.flag.tolist() == [
        0, ivim.Flag.NOT_FINITE, ivim.Flag.NO_SIGNAL, ivim.Flag.NO_SIGNAL, ivim.Flag.NOT_FINITE
    ]  # fmt: skip
    assert maps.valid.tolist() == [True, False, False, False, False]
    for name in MAPS:
        assert (getattr(maps, name)[1:] == 0).all()
    assert maps.d[0] == pytest.approx(1e-3, rel=0.02)


def test_air_is_flagged_as_background(simulate, paper):
    truth = simulate(paper.b, paper.averages, 30, n=3000)
    rng = np.random.default_rng(5)
    air = np.hypot(rng.normal(0, 1 / 30, (6000, 10)), rng.normal(0, 1 / 30, (6000, 10)))
    maps = ivim.fit(np.concatenate((truth.y, air)), paper.b, paper.averages)
    assert maps.valid[:3000].all()
    assert np.mean(maps.flag[3000:] & ivim.Flag.BACKGROUND > 0) > 0.95


def test_an_image_without_any_signal_is_all_flagged():
    maps = ivim.fit(np.zeros((2, 3, 10)), B)
    assert (maps.flag == ivim.Flag.NO_SIGNAL).all()


def test_signals_of_integers_and_singles_are_taken():
    y = ivim.signal(B, 30000.0, 1e-3, 0.1, 1e-2)
    for kind in (np.uint16, np.int32, np.float32):
        assert ivim.fit(y.astype(kind), B).f == pytest.approx(0.1, rel=0.02)


def test_complex_signals_are_refused():
    with pytest.raises(InputError, match="absolute value"):
        ivim.fit(np.ones(10, complex), B)


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_goes_from_nothing_to_all(simulate, paper, workers):
    truth = simulate(paper.b, paper.averages, 50, n=3000)
    seen = []
    ivim.fit(truth.y, paper.b, paper.averages, progress=lambda share, _: seen.append(share), workers=workers)
    assert seen[0] == 0
    assert seen[-1] == 1
    assert seen == sorted(seen)
    assert len(seen) > 3


def test_cancel_stops_the_fit(simulate, paper):
    truth = simulate(paper.b, paper.averages, 50, n=3000)
    calls = []

    def cancel(share, message):
        calls.append(share)
        if len(calls) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        ivim.fit(truth.y, paper.b, paper.averages, progress=cancel, workers=2)
    assert len(calls) == 3


def test_threads_do_not_change_the_result(simulate, paper):
    truth = simulate(paper.b, paper.averages, 50, n=2500)
    one = ivim.fit(truth.y, paper.b, paper.averages, workers=1)
    two = ivim.fit(truth.y, paper.b, paper.averages, workers=2)
    np.testing.assert_array_equal(one.f, two.f)


def test_memory_is_bounded(simulate, paper):
    truth = simulate(paper.b, paper.averages, 50, n=100_000)
    tracemalloc.start()
    try:
        ivim.fit(truth.y.astype(np.float32), paper.b, paper.averages, workers=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A whole brain has at most 2 million voxels: 8 maps, the signals and the blocks stay below 1 GB.
    assert peak / 100_000 * 2e6 < 1e9
