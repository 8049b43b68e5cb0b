"""Calibration: known errors give known factors, and conformal intervals keep their promise."""

import math

import numpy as np
import pytest

from SynthCBVLib.errors import InputError
from SynthCBVLib.training.evaluation.calibration import (
    LEVELS,
    Calibration,
    calibrate,
    conformal_quantile,
    ratio_coverage,
    scale_factor,
    voxel_coverage,
)
from SynthCBVLib.training.evaluation.scoring import ERROR_EDGES, Score


def with_errors(errors: np.ndarray, ratio: float = math.nan, log_sd: float = math.nan) -> Score:
    counts = np.bincount(np.searchsorted(ERROR_EDGES, errors), minlength=ERROR_EDGES.size + 1)
    return Score(0.9, 30.0, ratio, log_sd, tuple(int(n) for n in counts))


@pytest.mark.parametrize("truth", [0.25, 1.0, 3.0])
def test_laplace_errors_give_back_their_scale(truth):
    rng = np.random.default_rng(1)
    scores = [with_errors(np.abs(rng.laplace(0, truth, 100_000))) for _ in range(3)]
    assert scale_factor(scores) == pytest.approx(truth, rel=0.02)
    for level in LEVELS:
        assert voxel_coverage(scores, level, truth) == pytest.approx(level, abs=0.005)
        assert voxel_coverage(scores, level, scale_factor(scores)) == pytest.approx(level, abs=0.005)


def test_every_patient_counts_the_same():
    # Half of one patient's voxels and a tenth of the other's lie within 1, whatever their numbers.
    large = with_errors(np.repeat([0.5, 100.0], [5_000, 5_000]))
    small = with_errors(np.repeat([0.5, 100.0], [10, 90]))
    level = 1 - math.exp(-1)
    assert voxel_coverage([large, small], level) == pytest.approx(0.3, abs=1e-6)


def test_normal_errors_are_mended_at_the_fitted_level_alone():
    rng = np.random.default_rng(2)
    scores = [with_errors(np.abs(rng.normal(size=200_000)))]
    factor = scale_factor(scores)
    assert factor == pytest.approx(1.6449 / math.log(10), rel=0.02)  # 90 % of normal values lie within 1.645
    assert voxel_coverage(scores, 0.5, factor) == pytest.approx(0.379, abs=0.01)  # P(|x| < 1.645 log_10 2)


def test_errors_beyond_all_bins_still_count():
    assert voxel_coverage([with_errors(np.array([0.0, 1e9]))], 0.9) == 0.5
    with pytest.raises(InputError, match="real rCBV"):
        scale_factor([Score(math.nan, math.nan)])
    assert math.isnan(voxel_coverage([], 0.9))


def test_the_conformal_quantile_is_the_order_statistic_of_the_textbook():
    values = [3.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    assert conformal_quantile(values, 0.9) == 9.0  # the 9th of 9
    assert conformal_quantile(values, 0.8) == 8.0
    assert conformal_quantile(values, 0.5) == 5.0
    assert conformal_quantile(values, 0.95) == math.inf
    assert conformal_quantile(range(1, 21), 0.9) == 19.0  # ceil(21 * 0.9) = 19
    assert conformal_quantile([], 0.5) == math.inf


def test_conformal_intervals_of_exchangeable_patients_hold_what_they_promise():
    rng = np.random.default_rng(3)

    def cohort(n: int) -> tuple[list[Score], list[float]]:
        sds = rng.uniform(0.05, 0.4, n)
        real = rng.uniform(1, 6, n)
        found = real * np.exp(2 * sds * rng.standard_t(4, n))  # scale and shape unknown to the method
        errors = np.abs(rng.laplace(size=2_000))
        return [with_errors(errors, r, s) for r, s in zip(found, sds, strict=True)], list(real)

    held = {plain: [] for plain in (False, True)}
    for _ in range(200):
        calibration = calibrate(*cohort(20))
        for plain, shares in held.items():
            shares.append(ratio_coverage(*cohort(40), calibration, 0.9, plain).share)
    for shares in held.values():
        assert np.mean(shares) == pytest.approx(19 / 21, abs=0.015)


def test_the_card_gets_plain_numbers_and_levels_that_patients_can_give():
    errors = np.abs(np.random.default_rng(4).laplace(0, 2, 50_000))
    scores = [with_errors(errors, 2.0 * math.exp(0.01 * i), 0.1) for i in range(1, 11)]
    found = calibrate([*scores, with_errors(errors)], [2.0] * 10 + [math.nan])
    card = found.as_card()
    assert card["cases"] == 11
    assert card["ratios"] == 10
    assert set(card["ratio_quantiles"]) == {"0.5", "0.8", "0.9"}  # 95 % would take 19 patients
    assert card["log_ratio_quantiles"]["0.9"] == pytest.approx(0.10, abs=1e-4)
    assert card["ratio_quantiles"]["0.9"] == pytest.approx(0.10 / (0.1 * found.scale_factor), abs=1e-3)
    assert Calibration.from_card(card).as_card() == card
    assert ratio_coverage(scores, [2.0] * 10, found, 0.95) is None
    assert ratio_coverage(scores, [2.0] * 10, found, 0.9).share == 1.0
