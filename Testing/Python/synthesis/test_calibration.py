"""Calibration on the card: its bounds, its effect on the uncertainty map, intervals of ratios."""

import dataclasses
import json
import math

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.analysis.regions.uncertainty import ratio_uncertainty
from SynthCBVLib.errors import InputError
from SynthCBVLib.synthesis import synthesize
from SynthCBVLib.synthesis.calibration import ratio_interval, scale_factor
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.training.presets import preset

CALIBRATION = {
    "scale_factor": 1.25,
    "ratio_quantiles": {"0.9": 2.0, "0.5": 0.7},
    "log_ratio_quantiles": {"0.9": 0.3},
    "cases": 20,
    "ratios": 18,
}


@pytest.fixture
def card():
    return dataclasses.replace(preset("ivim").card, calibration=CALIBRATION)


def test_card_keeps_it(card):
    assert ModelCard.from_json(card.to_json()) == card
    assert scale_factor(card) == 1.25
    assert scale_factor(preset("ivim").card) == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"scale_factor": 0},
        {"scale_factor": "1.2"},
        {"scale_factor": True},
        {"scale_factor": 1e9},
        {"ratio_quantiles": {"1.5": 1.0}},
        {"ratio_quantiles": {"high": 1.0}},
        {"log_ratio_quantiles": {"0.9": -1.0}},
        {"ratio_quantiles": [0.9]},
        {"cases": -1},
        {"sigma": 2},
    ],
)
def test_unfit_calibration_is_refused(card, change):
    data = json.loads(card.to_json())
    data["calibration"].update(change)
    with pytest.raises(InputError, match="no usable model card"):
        ModelCard.from_json(json.dumps(data))


def test_interval_is_the_ratio_times_its_width(card):
    interval = ratio_interval(3.0, card, relative_sd=0.1)
    assert interval == pytest.approx((3 * math.exp(-0.2), 3 * math.exp(0.2), 0.9))
    assert ratio_interval(3.0, card, 0.1, level=0.5).upper == pytest.approx(3 * math.exp(0.07))
    assert ratio_interval(3.0, CALIBRATION).lower == pytest.approx(3 * math.exp(-0.3))


def test_no_interval_where_nothing_was_calibrated(card):
    assert ratio_interval(3.0, card, 0.1, level=0.8) is None
    assert ratio_interval(3.0, preset("ivim").card, 0.1) is None
    assert ratio_interval(0.0, card, 0.1) is None
    assert ratio_interval(math.nan, card, 0.1) is None
    assert ratio_interval(3.0, card, math.inf) is None


def test_interval_holds_as_many_ratios_as_it_says():
    """Split-conformal: quantile of half of the patients' scores, coverage on the other half."""
    rng = np.random.default_rng(0)
    sd = rng.uniform(0.05, 0.3, 4000)
    errors = sd * rng.standard_t(4, 4000)
    scores = np.abs(errors[:2000]) / sd[:2000]
    quantile = float(np.sort(scores)[math.ceil(2001 * 0.9) - 1])
    calibration = {"ratio_quantiles": {"0.9": quantile}}
    held = [
        interval.lower <= 2.0 <= interval.upper
        for error, own in zip(errors[2000:], sd[2000:], strict=True)
        for interval in [ratio_interval(2.0 * math.exp(error), calibration, own)]
    ]
    assert np.mean(held) == pytest.approx(0.9, abs=0.02)


def test_uncertainty_map_is_scaled_and_says_so(pair, models):
    plain = synthesize(pair, models["asl"], device="cpu")
    model = dataclasses.replace(
        models["asl"], card=dataclasses.replace(models["asl"].card, calibration=CALIBRATION)
    )
    calibrated = synthesize(pair, model, device="cpu")
    scaled, own = (sitk.GetArrayFromImage(result.uncertainty) for result in (calibrated, plain))
    np.testing.assert_allclose(scaled, 1.25 * own, rtol=1e-6)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(calibrated.rcbv), sitk.GetArrayFromImage(plain.rcbv))
    assert calibrated.provenance["uncertainty"]["scale_factor"] == 1.25
    assert calibrated.provenance["uncertainty"]["calibrated"]
    assert not plain.provenance["uncertainty"]["calibrated"]
    assert "Laplace" in plain.provenance["uncertainty"]["meaning"]


def test_interval_takes_what_the_regions_propagate(card):
    rcbv = np.ones((2, 8, 8))
    rcbv[:, :, 4:] = 3.0
    left, right = (np.zeros((2, 8, 8), dtype=np.uint8) for _ in range(2))
    left[:, 2:4, 1:3] = right[:, 2:4, 5:7] = 1
    propagated = ratio_uncertainty(rcbv, 0.1 * rcbv, [right], [left])
    interval = ratio_interval(propagated.ratio, card, propagated.relative_sd)
    assert interval.lower == pytest.approx(3.0 * math.exp(-2.0 * math.hypot(0.1, 0.1)))
