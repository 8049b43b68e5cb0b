"""Training: batches, exact resume, and that it learns."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from SynthCBVLib.errors import InputError
from SynthCBVLib.synthesis import load_model
from SynthCBVLib.training.cases import Case, load_case, save_case
from SynthCBVLib.training.evaluation.results import Contender
from SynthCBVLib.training.loop import train, validate
from SynthCBVLib.training.presets import preset
from SynthCBVLib.training.sampling import Sampler

CARD = dataclasses.replace(preset("asl").card, network_arguments={"modalities": 6, "width": 4, "levels": 2})
CONFIG = dataclasses.replace(preset("asl").config, steps=6, batch=2, patch=(4, 16, 16), validate_every=2)


@pytest.fixture(scope="module")
def cases(make_case) -> list[Case]:
    return [make_case(seed) for seed in range(4)]


def test_cases_survive_the_disk(tmp_path, cases):
    save_case(cases[0], tmp_path / "a" / "case")
    again = load_case(tmp_path / "a" / "case")
    for name in ("name", "channels", "present", "target", "mask", "known", "patient"):
        np.testing.assert_array_equal(getattr(again, name), getattr(cases[0], name))
    assert again.fingerprint() == cases[0].fingerprint()
    assert isinstance(again.channels, np.memmap)
    save_case(cases[1], tmp_path / "a" / "case")  # as a second process that was slower would
    assert load_case(tmp_path / "a" / "case").name == cases[0].name
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["case"]


def test_a_batch_depends_on_seed_and_step_alone(cases):
    one, other = Sampler(cases, CARD, CONFIG), Sampler(cases, CARD, CONFIG)
    one.batch(0)
    for name in ("images", "present", "target", "mask"):
        assert torch.equal(getattr(one.batch(5), name), getattr(other.batch(5), name))
    assert not torch.equal(one.batch(5).images, one.batch(6).images)


def test_absent_inputs_are_zero_and_never_all_absent(cases):
    sampler = Sampler(cases, CARD, dataclasses.replace(CONFIG, drop=0.97))
    for step in range(20):
        batch = sampler.batch(step)
        assert (batch.present.sum(1) >= 1).all()
        assert not batch.images[batch.present == 0].any()


def test_any_number_of_inputs_is_left_out_as_often(cases):
    few = dataclasses.replace(cases[0], present=np.array([1, 1, 1, 0, 0, 1], np.float32))
    sampler = Sampler([few], CARD, dataclasses.replace(CONFIG, drop_evenly=True))
    kept = np.array([sampler._drop(few.present, np.random.default_rng(seed)) for seed in range(4000)])
    assert not kept[:, [3, 4]].any()
    numbers = np.bincount(kept.sum(1).astype(int), minlength=5)
    assert numbers[0] == 0
    # 1000 of each number are expected, and 625 of each input: four standard deviations.
    assert np.all(np.abs(numbers[1:] - 1000) < 4 * np.sqrt(1000 * 0.75))
    alone = kept[kept.sum(1) == 1].sum(0)[[0, 1, 2, 5]]
    assert np.all(np.abs(alone - 250) < 4 * np.sqrt(250))


@pytest.mark.parametrize("drop_evenly", [False, True])
def test_required_inputs_are_never_left_out(cases, drop_evenly):
    required = tuple(dataclasses.replace(spec, required=True) for spec in CARD.inputs)
    sampler = Sampler(
        cases,
        dataclasses.replace(CARD, inputs=required),
        dataclasses.replace(CONFIG, drop=1.0, drop_evenly=drop_evenly),
    )
    assert sampler.batch(0).present.all()


def test_augmentation_moves_inputs_and_target_alike(cases):
    """Without gain, strip and noise the first input stays the target after any rotation and zoom."""
    clean = dataclasses.replace(cases[0], channels=np.repeat(cases[0].target[None], 6, axis=0))
    config = dataclasses.replace(CONFIG, gain=0.0, strip=0.0, drop=0.0)
    for step in range(5):
        batch = Sampler([clean], CARD, config).batch(step)
        torch.testing.assert_close(batch.images[:, :1], batch.target)
        assert batch.mask.any()


def test_volumes_thinner_than_the_patch_are_padded(cases):
    config = dataclasses.replace(CONFIG, patch=(9, 16, 16))
    assert Sampler(cases, CARD, config).batch(0).images.shape == (2, 6, 9, 16, 16)


def test_interrupted_training_gives_the_same_weights(tmp_path, cases, monkeypatch):
    whole = train(cases[:3], cases[3:], CARD, CONFIG, tmp_path / "whole")
    draw = Sampler.batch

    def killed_at_step_five(self: Sampler, step: int, members: object = None) -> object:
        if step == 5:
            raise KeyboardInterrupt
        return draw(self, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Sampler, "batch", killed_at_step_five)
        train(cases[:3], cases[3:], CARD, CONFIG, tmp_path / "parts")
    resumed = train(cases[:3], cases[3:], CARD, CONFIG, tmp_path / "parts")
    assert resumed.ssim == whole.ssim
    first, second = load_file(whole.weights), load_file(resumed.weights)
    assert all(torch.equal(first[key], second[key]) for key in first)
    rows = [json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]


def test_a_run_of_another_configuration_is_not_resumed(tmp_path, cases):
    train(cases[:3], cases[3:], CARD, dataclasses.replace(CONFIG, steps=2), tmp_path)
    with pytest.raises(InputError, match="another card, configuration or split"):
        train(cases[:3], cases[3:], CARD, CONFIG, tmp_path)
    with pytest.raises(InputError, match="another card, configuration or split"):
        train(cases[1:], cases[:1], CARD, dataclasses.replace(CONFIG, steps=2), tmp_path)


def test_it_learns_and_says_how_it_was_trained(tmp_path, cases):
    config = dataclasses.replace(CONFIG, steps=60, validate_every=30, learning_rate=5e-3)
    outcome = train(cases[:3], cases[3:], CARD, config, tmp_path)
    model = load_model(outcome.weights)
    assert model.card.training["steps"] == outcome.step
    assert model.card.training["cases"] == 3
    assert model.card.metrics["validation_ssim"] == pytest.approx(outcome.ssim, abs=1e-4)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"]["l1"] < 0.8 * rows[0]["loss"]["l1"]
    assert validate(model.network, cases[3:]) == pytest.approx(outcome.ssim, abs=0.01)


def test_a_patient_in_both_splits_is_refused(tmp_path, cases):
    with pytest.raises(InputError, match="case0 in training and validation"):
        train(cases[:2], cases[:1], CARD, CONFIG, tmp_path)
    with pytest.raises(InputError, match="validation cases: none"):
        train(cases, [], CARD, CONFIG, tmp_path)


def test_it_goes_on_from_weights_that_are_not_told_what_is_present(tmp_path, cases):
    config = dataclasses.replace(CONFIG, steps=1, validate_every=1)
    start = load_model(train(cases[:3], cases[3:], CARD, config, tmp_path / "1").weights)
    card = dataclasses.replace(CARD, network_arguments={**CARD.network_arguments, "conditioned": True})
    done = load_model(train(cases[:3], cases[3:], card, config, tmp_path / "2", start=start).weights)
    assert done.card.network_arguments["conditioned"] is True
    with pytest.raises(InputError, match="another network arguments"):
        train(cases[:3], cases[3:], CARD, config, tmp_path / "3", start=done)


def test_a_training_in_parts_notes_each_of_them(tmp_path, cases):
    card = dataclasses.replace(CARD, training={"data": "balls"})
    start = None
    for number, steps in enumerate((4, 6, 2)):
        config = dataclasses.replace(CONFIG, steps=steps, validate_every=2, rotation=float(number))
        done = train(cases[:3], cases[3:], card, config, tmp_path / str(number), start=start)
        start = load_model(done.weights)
    told = start.card.training
    assert [part["config"]["steps"] for part in told["earlier"]] == [4, 6]
    assert [part["config"]["rotation"] for part in told["earlier"]] == [0.0, 1.0]
    assert (told["config"]["steps"], told["data"]) == (2, "balls")
    assert Contender("x", start.card, done.weights, "").parts == (4, 6, 2)
