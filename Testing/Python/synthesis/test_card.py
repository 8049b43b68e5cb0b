"""The model card: round trip, and what it refuses."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.synthesis.card import InputSpec, ModelCard
from SynthCBVLib.training.presets import preset


@pytest.mark.parametrize("workflow", ["ivim", "asl"])
def test_card_survives_json(workflow):
    card = preset(workflow).card
    again = ModelCard.from_json(card.to_json())
    assert again == card
    assert again.inputs[0].modality is card.inputs[0].modality


def test_ivim_card_is_the_papers():
    card = preset("ivim").card
    assert card.inputs[0].b_values == (0, 50, 100, 150, 200, 300, 400, 600, 800, 1000)
    assert card.network_arguments["levels"] == 5
    assert card.channels == card.network_arguments["in_channels"] == 11
    assert card.reference == (Modality.T2W,)


def test_asl_card_requires_none_of_its_inputs():
    card = preset("asl").card
    assert not any(spec.required for spec in card.inputs)
    assert {spec.modality for spec in card.inputs} == set(Modality) - {Modality.DWI, Modality.RCBV}


@pytest.mark.parametrize(
    "change",
    [
        {"network": "resnet"},
        {"reference": ["FLAIR"]},
        {"spacing": [1, 1]},
        {"spacing": [0.001, 1, 1]},
        {"inputs": []},
        {"inputs": [{"modality": "T2w", "normalisation": "none"}]},
        {"inputs": [{"modality": "T9w", "normalisation": "brain-mean"}]},
        {"output": {"quantity": "rCBV"}},
        {"surprise": 1},
    ],
)
def test_unfit_cards_are_refused_by_name(change):
    data = {**json.loads(preset("ivim").card.to_json()), **change}
    with pytest.raises(InputError, match=r"weights\.safetensors: no usable model card"):
        ModelCard.from_json(json.dumps(data), "weights.safetensors")


SCALARS = st.none() | st.integers() | st.text(max_size=5)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(st.text(max_size=40) | TREES.map(json.dumps))
def test_any_text_is_a_card_or_an_input_error(text):
    with pytest.raises(InputError):
        ModelCard.from_json(text)


def test_diffusion_needs_b_values_and_nothing_else_has_them():
    with pytest.raises(ValueError, match="b_values"):
        InputSpec(Modality.DWI, "brain-mean")
    with pytest.raises(ValueError, match="b_values"):
        InputSpec(Modality.T2W, "brain-mean", b_values=(0, 50))


def test_card_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset("asl").card.name = "other"
