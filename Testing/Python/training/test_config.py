"""Schedules in closed form, lengths, and what is refused."""

import dataclasses

import pytest

from SynthCBVLib.errors import InputError
from SynthCBVLib.training.config import TrainingConfig, learning_rate, total_steps, with_settings
from SynthCBVLib.training.presets import preset

BASE = TrainingConfig(batch=8, patch=(1, 96, 96), steps=100)


def test_the_papers_step_schedule():
    config = preset("wang2023").config
    at = {step: learning_rate(config, step, 750_000) for step in (0, 39_999, 40_000, 80_000, 749_999)}
    assert at[0] == at[39_999] == 1e-4
    assert at[40_000] == pytest.approx(0.8e-4)
    assert at[80_000] == pytest.approx(0.64e-4)
    assert at[749_999] == pytest.approx(1e-4 * 0.8**18)


def test_cosine_falls_from_the_first_rate_to_zero():
    assert learning_rate(BASE, 0, 100) == BASE.learning_rate
    assert learning_rate(BASE, 50, 100) == pytest.approx(BASE.learning_rate / 2)
    assert learning_rate(BASE, 100, 100) == pytest.approx(0.0, abs=1e-12)
    warm = dataclasses.replace(BASE, warmup=20)
    assert learning_rate(warm, 0, 100) == pytest.approx(BASE.learning_rate / 20)
    assert learning_rate(warm, 20, 100) == BASE.learning_rate
    assert learning_rate(warm, 60, 100) == pytest.approx(BASE.learning_rate / 2)


def test_constant_stays():
    config = preset("pan-iedn").config
    assert {learning_rate(config, step, 1000) for step in (0, 500, 999)} == {1e-3}


def test_the_papers_epochs():
    """3,000 training slices in batches of 8, 2,000 times."""
    assert total_steps(preset("wang2023").config, [30] * 100) == 2_000 * 375
    # Whole brains, one at a time: an epoch is the training cases.
    assert total_steps(preset("pan-iedn").config, [36] * 558) == 500 * 558
    assert total_steps(BASE, [20]) == 100


@pytest.mark.parametrize(
    "change",
    [
        {"steps": None}, {"epochs": 2}, {"steps": 0}, {"batch": 0}, {"patch": (1, 0, 9)}, {"ssim_weight": -1},
        {"schedule": "linear"}, {"learning_rate": 0.0}, {"l1_weight": float("nan")}, {"drop": 1.5},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(change):
    with pytest.raises(InputError):
        dataclasses.replace(BASE, **change)


def test_settings_by_name():
    config = with_settings(
        BASE, ["patch=2x32x48", "drop=0.25", "flip=no", "schedule=step", "largest_gradient=none"]
    )
    assert config.patch == (2, 32, 48)
    assert config.drop == 0.25
    assert config.flip is False
    assert config.schedule == "step"
    assert config.largest_gradient is None
    assert with_settings(BASE, []) == BASE


@pytest.mark.parametrize(
    "setting", ["steps=5", "nothing=1", "batch=2.5", "schedule=wild", "flip=maybe", "zoom="]
)
def test_settings_that_are_none(setting):
    with pytest.raises(InputError):
        with_settings(BASE, [setting])
