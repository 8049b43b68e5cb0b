"""Bad weights: whatever the bytes are, one message and nothing executed."""

import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.synthesis import load_model
from SynthCBVLib.synthesis.model import bundled_models, read_card, save_model
from SynthCBVLib.synthesis.weights_file import MAXIMUM_HEADER, read_header


@pytest.fixture(scope="module")
def sound(models, tmp_path_factory):
    """Give the bytes of a sound file, and a place to put others."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    return save_model(path, models["asl"].network, models["asl"].card).read_bytes(), path


def parts(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def refused(path, data, match=""):
    path.write_bytes(data)
    for read in (load_model, read_card):
        with pytest.raises(InputError, match=match) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_sound_file_is_read(sound):
    data, path = sound
    path.write_bytes(data)
    header = read_header(path)
    assert set(header.shapes) == set(parts(data)[0]) - {"__metadata__"}
    assert load_model(path).card == read_card(path)


def test_bundled_files_are_sound():
    for path in bundled_models().values():
        assert read_header(path).shapes


@pytest.mark.parametrize(
    ("length", "match"),
    [
        (MAXIMUM_HEADER + 1, "at most"),
        (2**63, "at most"),
        (MAXIMUM_HEADER, "truncated"),
        (0, "not a readable"),
        (2, "not a readable"),
    ],
)
def test_wrong_header_length(sound, length, match):
    data, path = sound
    refused(path, length.to_bytes(8, "little") + data[8:], match)


@pytest.mark.parametrize("keep", [0, 3, 8, 9, 500, -1])
def test_truncated(sound, keep):
    data, path = sound
    refused(path, data[:keep], "not a readable safetensors file")


def test_bytes_behind_the_end(sound):
    data, path = sound
    refused(path, data + b"more", "bytes behind the last tensor")


def first_two(header):
    names = [name for name in header if name != "__metadata__"]
    return sorted(names, key=lambda name: header[name]["data_offsets"])[:2]


def test_overlapping_tensors(sound):
    data, path = sound
    header, body = parts(data)
    one, two = first_two(header)
    begin, end = header[two]["data_offsets"]
    header[two]["data_offsets"] = [begin - 4, end - 4]
    refused(path, joined(header, body), f"tensor {two} overlaps another")
    header[two]["data_offsets"] = header[one]["data_offsets"]
    refused(path, joined(header, body), "not a readable")


def test_gap_between_tensors(sound):
    data, path = sound
    header, body = parts(data)
    for name, entry in header.items():
        if name != "__metadata__":
            entry["data_offsets"] = [place + 8 for place in entry["data_offsets"]]
    refused(path, joined(header, b"\0" * 8 + body), "follows a gap")


def test_tensor_given_twice(sound):
    data, path = sound
    header, body = parts(data)
    name = first_two(header)[0]
    text = json.dumps(header).encode()
    again = json.dumps({name: header[name]}).encode()[1:-1]
    refused(path, joined(text[:-1] + b"," + again + b"}", body), "given twice")


@pytest.mark.parametrize("kind", ["I8", "BOOL", "F8_E4M3", "U16", "PICKLE", 3, None])
def test_types_that_no_weights_have(sound, kind):
    data, path = sound
    header, body = parts(data)
    header[first_two(header)[0]]["dtype"] = kind
    refused(path, joined(header, body), "not a readable safetensors file")


@pytest.mark.parametrize(
    "entry",
    [
        [],
        {},
        {"dtype": "F32", "shape": [1], "data_offsets": [0]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
    ],
)
def test_entries_that_are_no_tensor(sound, entry):
    data, path = sound
    header, body = parts(data)
    header[first_two(header)[0]] = entry
    refused(path, joined(header, body), "not a readable safetensors file")


def test_deep_nesting_and_numbers_that_are_none(sound):
    _, path = sound
    refused(path, joined(b"[" * 200_000 + b"]" * 200_000, b""), "not a readable safetensors file")
    refused(path, joined(b'{"a": NaN}', b""), "not a readable safetensors file")


def refused_by_loading(path, data, match):
    path.write_bytes(data)
    with pytest.raises(InputError, match=match) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


def test_whole_numbers_in_place_of_weights(sound):
    data, path = sound
    header, body = parts(data)
    header["__metadata__"]["card"] = without_checksum(header["__metadata__"]["card"])
    name = next(n for n, e in header.items() if n != "__metadata__" and e["dtype"] == "I64")
    header[name]["dtype"] = "F64"
    refused_by_loading(path, joined(header, body), "of type torch.float64")


def without_checksum(card):
    fields = json.loads(card)
    del fields["tensors_sha256"]
    return json.dumps(fields)


def test_changed_bit_among_the_weights_is_seen(sound):
    data, path = sound
    changed = bytearray(data)
    changed[-5] ^= 1
    refused_by_loading(path, bytes(changed), "their SHA-256 differs")


def test_file_without_a_checksum_is_read(sound):
    """Weights written before there was one."""
    data, path = sound
    header, body = parts(data)
    header["__metadata__"]["card"] = without_checksum(header["__metadata__"]["card"])
    path.write_bytes(joined(header, body))
    assert load_model(path).card == read_card(path)


def test_another_file_than_the_one_asked_for(sound):
    data, path = sound
    path.write_bytes(data)
    own = load_model(path).sha256
    assert load_model(path, own.upper()).sha256 == own
    with pytest.raises(InputError, match=f"its SHA-256 is {own}"):
        load_model(path, "ab" * 32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(sound, models, tmp_path, value):
    import copy

    network = copy.deepcopy(models["asl"].network)
    network.state_dict()["rcbv.head.weight"].view(-1)[0] = value
    with pytest.raises(InputError, match="NaN or infinite"):
        load_model(save_model(tmp_path / "bad.safetensors", network, models["asl"].card))


def test_negative_variance(models, tmp_path):
    import copy

    network = copy.deepcopy(models["asl"].network)
    key = next(key for key in network.state_dict() if key.endswith("running_var"))
    network.state_dict()[key][0] = -1.0
    with pytest.raises(InputError, match="negative variances"):
        load_model(save_model(tmp_path / "bad.safetensors", network, models["asl"].card))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"width": 4}, "of shape"),
        ({"levels": 3}, "do not fit"),
        ({"modalities": 5}, "a network of 5 channels, and a card with 6"),
        ({"width": 10**9}, "no size above"),
        ({"levels": 64}, "at most 10 levels"),
        ({"width": "wide"}, "for iedn"),
        ({"depth": 3}, "for iedn"),
    ],
)
def test_card_that_does_not_fit_the_tensors(sound, change, match):
    data, path = sound
    header, body = parts(data)
    card = json.loads(header["__metadata__"]["card"])
    card["network_arguments"].update(change)
    header["__metadata__"]["card"] = json.dumps(card)
    refused_by_loading(path, joined(header, body), match)


def test_renamed_pickle_is_not_executed(tmp_path):
    marker = tmp_path / "executed"

    class Trap:
        def __reduce__(self):
            return (marker.touch, ())

    path = tmp_path / "model.safetensors"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        refused(path, pickle.dumps(Trap(), protocol), "pickled weights .* are never loaded")
    torch.save({"a": Trap()}, path)
    refused(path, path.read_bytes(), "pickled weights .* are never loaded")
    assert not marker.exists()


def test_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(InputError, match="a folder"):
        load_model(tmp_path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_bytes_are_a_model_or_one_message(sound, data):
    good, path = sound
    kind = data.draw(st.sampled_from(["bytes", "header", "flips", "cut"]))
    length = int.from_bytes(good[:8], "little")
    if kind == "bytes":
        bad = data.draw(st.binary(max_size=300))
    elif kind == "header":
        bad = joined(data.draw(st.binary(max_size=200)), good[8 + length :])
    elif kind == "cut":
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    else:
        changed = bytearray(good)
        for _ in range(data.draw(st.integers(1, 4))):
            changed[data.draw(st.integers(0, length + 8))] = data.draw(st.integers(0, 255))
        bad = bytes(changed)
    path.write_bytes(bad)
    try:
        load_model(path)
    except InputError as error:
        assert str(path) in str(error) or "model card" in str(error)
