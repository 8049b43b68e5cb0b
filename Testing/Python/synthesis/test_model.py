"""Weights files: round trip, and refusals that execute nothing."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from SynthCBVLib.errors import InputError
from SynthCBVLib.networks import build
from SynthCBVLib.synthesis import load_model
from SynthCBVLib.synthesis.model import bundled_models, read_card, save_model
from SynthCBVLib.training.presets import preset


@pytest.fixture
def card():
    card = preset("asl").card
    return dataclasses.replace(card, network_arguments={"modalities": 6, "width": 2, "levels": 2})


@pytest.fixture
def weights(tmp_path, card):
    torch.manual_seed(1)
    return save_model(tmp_path / "tiny.safetensors", build(card.network, card.network_arguments), card)


def test_round_trip(weights, card):
    model = load_model(weights)
    assert model.card == card == read_card(weights)
    assert len(model.sha256) == 64
    assert not model.network.training
    again = save_model(weights.with_name("again.safetensors"), model.network, model.card)
    assert again.read_bytes() == weights.read_bytes()


def test_only_kernels_are_stored_in_half_precision(weights):
    stored = load_file(weights)
    assert {tensor.dtype for tensor in stored.values() if tensor.dim() > 1} == {torch.float16}
    assert torch.float16 not in {tensor.dtype for tensor in stored.values() if tensor.dim() <= 1}


def test_nothing_else_is_left_beside_the_weights(weights):
    assert [path.name for path in weights.parent.iterdir()] == [weights.name]


def refused(path, match):
    with pytest.raises(InputError, match=match) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


def test_missing_model_is_named_with_what_there_is():
    with pytest.raises(InputError, match="neither a bundled model nor a file"):
        load_model("no-such-model")


def test_pickle_is_refused_and_not_executed(tmp_path):
    marker = tmp_path / "executed"

    class Trap:
        def __reduce__(self):
            return (marker.touch, ())

    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    refused(path, "not a readable safetensors file")
    torch.save({"a": torch.zeros(1)}, path)
    refused(path, "not a readable safetensors file")
    assert not marker.exists()


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
def test_truncated_files_are_refused(weights, keep):
    data = weights.read_bytes()
    weights.write_bytes(data[:keep])
    refused(weights, "not a readable safetensors file")


def test_huge_header_is_refused(weights):
    data = bytearray(weights.read_bytes())
    data[:8] = (2**62).to_bytes(8, "little")
    weights.write_bytes(data)
    refused(weights, "not a readable safetensors file")


def rewrite(path, change=None, metadata=None):
    tensors = load_file(path)
    if change:
        change(tensors)
    save_file(tensors, path, metadata)


def test_file_without_card_is_refused(weights):
    rewrite(weights)
    refused(weights, "no model card")


def test_nan_and_unfit_tensors_are_refused(weights, card):
    metadata = {"card": card.to_json()}
    key = "rcbv.head.weight"
    rewrite(weights, lambda tensors: tensors[key].fill_(np.nan), metadata)
    refused(weights, "NaN")
    rewrite(weights, lambda tensors: tensors.update({key: torch.zeros(1)}), metadata)
    refused(weights, "of shape")
    rewrite(weights, lambda tensors: tensors.pop(key), metadata)
    refused(weights, "do not fit")


def test_changed_file_is_loaded_anew(weights, card):
    first = load_model(weights).sha256
    torch.manual_seed(2)
    save_model(weights, build(card.network, card.network_arguments), card)
    assert load_model(weights).sha256 != first


def test_bundled_weights_are_small_and_say_what_they_are():
    bundled = bundled_models()
    assert {"ivim", "asl"} <= bundled.keys()
    assert sum(path.stat().st_size for path in bundled.values()) <= 12e6
    for name in bundled:
        card = load_model(name).card
        assert "digital patients" in card.training_data
        assert "not for diagnosis" in card.intended_use
