"""Same input, same weights, same processor: the same bytes on disk, which hold no time."""

import hashlib
import json
import re

import pytest

from SynthCBVLib import __version__
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.synthesis import synthesize
from SynthCBVLib.synthesis.outputs import write_synthesis
from SynthCBVLib.synthesis.provenance import fingerprint

FILES = 6


@pytest.fixture(scope="module")
def twice(pair, models, tmp_path_factory):
    """Write the maps of two runs, each with a model loaded anew."""
    folders = []
    for run in range(2):
        folder = tmp_path_factory.mktemp(f"run{run}")
        write_synthesis(synthesize(pair, models["asl"], device="cpu"), folder, "01")
        folders.append(folder)
    return folders


def test_written_bytes_are_the_same(twice):
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in twice)
    assert first == second
    assert len(first) == FILES


def test_sidecars_hold_no_time_and_no_place(twice):
    for path in twice[0].glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"20\d\d-\d\d-\d\d|\d\d:\d\d:\d\d", text)
        assert str(twice[0]) not in text


def test_sidecar_says_what_made_the_map(twice, pair, models):
    path = twice[0] / "sub-01_desc-synthetic_rcbv.json"
    made = json.loads(path.read_text(encoding="utf-8"))["GeneratedBy"]
    model = models["asl"]
    assert made["software"] == {"name": "SynthCBV", "version": __version__}
    assert made["model"]["weights_sha256"] == hashlib.sha256(model.path.read_bytes()).hexdigest()
    card = json.loads(model.card.to_json())
    card.pop("statistics", None)
    assert made["model"]["card"] == card
    for name, entry in made["inputs"].items():
        assert entry["sha256"] == fingerprint(pair.images[Modality(name)])
    assert set(made["registration"]) == set(made["inputs"]) - {made["reference"]}
    assert made["device"] == "cpu"
    assert made["tiles"] == 1
    assert {"severity", "modality", "what", "remedy", "kind"} <= made["findings"][0].keys()
    assert made["uncertainty"]["scale_factor"] == 1.0
