"""Presets: the papers' numbers, networks that fit their cards, whole brains."""

import dataclasses

import numpy as np
import pytest
import torch

from SynthCBVLib.errors import InputError
from SynthCBVLib.networks import build
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.training.presets import PRESETS, preset
from SynthCBVLib.training.sampling import Sampler


@pytest.mark.parametrize("name", PRESETS)
def test_every_presets_card_travels_and_fits_its_network(name):
    chosen = preset(name)
    card = ModelCard.from_json(chosen.card.to_json())
    assert card.inputs == chosen.card.inputs
    assert chosen.cases in PRESETS
    small = {**card.network_arguments, "width": 2}
    network = build(card.network, small).eval()
    result = network(torch.zeros(1, card.channels, 1, 16, 16), torch.ones(1, len(card.inputs)))
    assert result.location.shape == (1, 1, 1, 16, 16)


def test_the_ivim_papers_numbers():
    config = preset("wang2023").config
    assert (config.patch, config.batch, config.epochs) == ((1, 96, 96), 8, 2000)
    assert (config.l1_weight, config.perceptual_weight, config.ssim_weight) == (1.0, 0.1, 0.0)
    assert (config.learning_rate, config.step_factor, config.step_every) == (1e-4, 0.8, 40_000)
    assert preset("wang2023").card.network_arguments["levels"] == 5


def test_the_asl_papers_numbers():
    config = preset("pan-iedn").config
    assert (config.learning_rate, config.schedule, config.epochs) == (1e-3, "constant", 500)
    assert config.perceptual_weight == config.ssim_weight == config.drop == 0
    assert not any(spec.required for spec in preset("pan-iedn").card.inputs)


def test_the_ivim_papers_input_combinations():
    kinds = {
        name: [(spec.modality.value, spec.channels, spec.derived) for spec in preset(name).card.inputs]
        for name in PRESETS
        if name.startswith("ivim")
    }
    dwi, t2w = (preset("ivim").card.inputs[i].modality.value for i in (0, 1))
    assert kinds == {
        "ivim": [(dwi, 10, ""), (t2w, 1, "")],
        "ivim-5b-t2w": [(dwi, 5, ""), (t2w, 1, "")],
        "ivim-10b": [(dwi, 10, "")],
        "ivim-5b": [(dwi, 5, "")],
        "ivim-f-t2w": [(dwi, 1, "ivim-f"), (t2w, 1, "")],
    }
    assert preset("ivim-5b").card.inputs[0].b_values == (0, 50, 100, 150, 200)


def test_an_unknown_preset_is_named():
    with pytest.raises(InputError, match=r"unet.*wang2023"):
        preset("unet")


def test_whole_brains_are_centred_and_untouched(make_case):
    case = make_case(0)
    config = dataclasses.replace(preset("pan-iedn").config, patch=(8, 30, 28))
    batch = Sampler([case], preset("pan-iedn").card, config).batch(0)
    assert batch.images.shape == (1, 6, 8, 30, 28)
    found = batch.target[0, 0].numpy()
    # The case (6, 24, 24) lies in the middle, with zeros around it.
    np.testing.assert_allclose(found[1:7, 3:27, 2:26], case.target, atol=1e-3)
    assert np.abs(found).sum() == pytest.approx(case.target.astype(float).sum(), rel=1e-4)
    assert batch.mask.sum() == case.mask.sum()


def test_members_make_up_the_joint_batch(make_case):
    cases, card = [make_case(seed) for seed in range(3)], preset("asl").card
    config = dataclasses.replace(preset("asl").config, batch=4, patch=(4, 12, 12))
    sampler = Sampler(cases, card, config)
    whole = sampler.batch(7)
    halves = [sampler.batch(7, range(2)), sampler.batch(7, range(2, 4))]
    for field in dataclasses.fields(whole):
        joined = torch.cat([getattr(half, field.name) for half in halves])
        assert torch.equal(joined, getattr(whole, field.name))
