"""A study unlike those of the training is told; one like them is not."""

import dataclasses
import json

import numpy as np
import pytest

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.synthesis import novelty, synthesize
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.synthesis.novelty import LEAST_CASES, LEVELS, novelty_of, statistics_of
from SynthCBVLib.synthesis.summaries import features_of, summary_of
from SynthCBVLib.training.presets import preset

CARD = preset("asl").card
NAMES = [spec.modality.value for spec in CARD.inputs]
SIGNS = np.array([1.0, -0.6, 0.8, 0.5, 0.7, -0.4])


def case(seed, shape=(6, 40, 36)):
    """Give six images of one anatomy with contrasts of their own, as a training has them."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[tuple(slice(-1, 1, complex(0, size)) for size in shape)]
    width = rng.uniform(0.72, 0.85)
    mask = (y / width) ** 2 + (x / (0.85 * width)) ** 2 + 0.3 * z**2 < 1
    phase = rng.uniform(0, 2 * np.pi, 2)
    anatomy = np.sin(6 * x + phase[0]) * np.cos(5 * y + phase[1])
    images = 1 + 0.4 * (SIGNS * rng.normal(1, 0.08, 6))[:, None, None, None] * anatomy
    images = np.abs(images + rng.normal(0, 0.03 * rng.uniform(0.8, 1.2), (6, *shape)))
    means = images[:, mask].mean(axis=1)
    return (images / means[:, None, None, None]).astype(np.float32), np.ones(6), mask


@pytest.fixture(scope="module")
def card():
    return dataclasses.replace(CARD, statistics=statistics_of((case(seed) for seed in range(60)), CARD))


def test_statistics_travel_with_the_card(card):
    again = ModelCard.from_json(card.to_json())
    assert json.loads(again.to_json()) == json.loads(card.to_json())
    assert len(card.to_json()) < 40_000
    assert len(card.statistics["distances"]) == 2**6 - 1
    seen = novelty_of(*case(1000), card)
    assert novelty_of(*case(1000), again) == seen


def test_a_card_without_statistics_reads_as_before():
    assert "statistics" not in CARD.to_json()
    assert "calibration" not in CARD.to_json()
    assert novelty_of(*case(0), CARD) is None


def test_few_cases_say_nothing():
    assert statistics_of((case(seed) for seed in range(LEAST_CASES - 1)), CARD) == {}


def test_new_cases_of_the_kind_are_not_told(card):
    found = [novelty_of(*case(seed), card) for seed in range(1000, 1040)]
    assert sum(each.foreign for each in found) <= 2
    assert not any(each.findings() for each in found if not each.foreign)
    percentiles = [each.percentile for each in found]
    assert 25 <= np.median(percentiles) <= 75, "half of the new cases are nearer than half of the training's"


def test_any_subset_of_inputs_has_its_own_measure(card):
    rng = np.random.default_rng(3)
    told = 0
    for seed in range(1000, 1040):
        channels, _, mask = case(seed)
        present = (rng.random(6) < 0.5).astype(float)
        present[rng.integers(6)] = 1.0
        told += novelty_of(channels * present[:, None, None, None], present, mask, card).foreign
    assert told <= 3


def spoiled(kind, channels, mask):
    channels, mask = channels.copy(), mask.copy()
    if kind == "T1w given as T2w":
        channels[2] = channels[1]
    elif kind == "inverted":
        channels[3] = channels[3][mask].max() - channels[3]
        channels[3] /= channels[3][mask].mean()
    elif kind == "noise":
        channels = np.abs(channels + np.random.default_rng(0).normal(0, 0.15, channels.shape))
    elif kind == "half a head":
        mask[..., mask.shape[-1] // 2 :] = False
    elif kind == "half covered":
        channels[0, :3] = 0
    return channels.astype(np.float32), mask


@pytest.mark.parametrize("kind", ["T1w given as T2w", "inverted", "noise", "half a head", "half covered"])
def test_spoiled_studies_are_told(card, kind):
    for seed in range(1000, 1006):
        channels, present, mask = case(seed)
        channels, mask = spoiled(kind, channels, mask)
        found = novelty_of(channels, present, mask, card)
        (finding,) = found.findings()
        assert finding.severity == "warning"
        assert found.percentile > 95


def test_scaled_b_values_are_told():
    ivim = preset("ivim").card
    b = np.array(ivim.inputs[0].b_values)

    def diffusion(seed, factor=1.0):
        images, _, mask = case(seed)
        rng = np.random.default_rng(seed)
        adc = 8e-4 * images[4] * rng.normal(1, 0.03)
        series = images[2] * np.exp(-factor * b[:, None, None, None] * adc)
        series = np.hypot(series + rng.normal(0, 0.01, series.shape), 0.01)
        return np.concatenate([series, images[2:3]]).astype(np.float32), np.ones(2), mask

    card = dataclasses.replace(ivim, statistics=statistics_of((diffusion(s) for s in range(50)), ivim))
    assert sum(novelty_of(*diffusion(seed), card).foreign for seed in range(1000, 1020)) <= 1
    for factor in (0.5, 0.7, 1.4, 2.0):
        found = novelty_of(*diffusion(1000, factor), card)
        assert found.odd == ("DWI",)
        assert found.findings()[0].modality is Modality.DWI
        assert any("level" in name for name in found.farthest)


def test_noise_of_predicted_b_values_does_not_count():
    ivim = preset("ivim").card
    names = [name for name, _ in features_of(ivim)]
    n = len(names)
    summary = np.zeros(n)
    summary[names.index("DWI 3 noise")] = 50.0
    statistics = {
        "cases": 99, "features": names, "mean": [0.0] * n, "sd": [1.0] * n,
        "correlation": [0.0] * (n * (n - 1) // 2), "levels": list(LEVELS),
        "distances": {key: [1.0] * 6 for key in ("DWI", "T2w", "DWI+T2w")},
    }  # fmt: skip
    card = dataclasses.replace(ivim, statistics=statistics)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(novelty, "summary_of", lambda *arguments: summary)
        counted = novelty_of(None, np.ones(2), None, card)
        left_out = novelty_of(None, np.ones(2), None, card, predicted=(100.0,))
    assert counted.odd == ("DWI",)
    assert left_out.distance == 0.0


def test_summary_is_finite_even_of_nothing():
    nothing = summary_of(np.zeros((6, 2, 4, 4)), np.ones(6), np.zeros((2, 4, 4)), CARD)
    assert np.isfinite(nothing).all()
    absent = summary_of(np.zeros((6, 2, 4, 4)), np.eye(6)[0], np.ones((2, 4, 4)), CARD)
    known = [set(needed) <= {"CBF"} for _, needed in features_of(CARD)]
    np.testing.assert_array_equal(np.isfinite(absent), known)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.0]},
        {"sd": None},
        {"levels": [0.5]},
        {"distances": {"CBF": [1.0]}},
        {"correlation": "x"},
    ],
)
def test_unfit_statistics_are_refused(card, change):
    data = json.loads(card.to_json())
    data["statistics"].update(change)
    with pytest.raises(InputError, match="no usable model card"):
        ModelCard.from_json(json.dumps(data))


def test_synthesis_warns_and_keeps_the_measure(pair, models, card):
    """The head of these tests is unlike the training of these statistics."""
    model = models["asl"]
    foreign = dataclasses.replace(model, card=dataclasses.replace(model.card, statistics=card.statistics))
    result = synthesize(pair, foreign, device="cpu")
    assert result.provenance["novelty"]["foreign"]
    assert any(finding.kind == "novelty" for finding in result.findings)
    assert synthesize(pair, model, device="cpu").provenance["novelty"] is None
