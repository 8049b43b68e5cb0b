"""The verb train on cases that are already prepared: weights, resume, fine-tuning, and what it refuses."""

import json

import numpy as np
import pytest
import torch

from SynthCBVLib.cli import main
from SynthCBVLib.synthesis.model import load_model, read_card
from SynthCBVLib.training.cases import Case, save_case
from SynthCBVLib.training.presets import PRESETS, preset


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def store(folder, name: str, seed: int, card, target=None) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((2, 24, 24), np.uint8)
    mask[:, 3:21, 4:20] = 1
    real = (rng.random(mask.shape) * mask).astype(np.float16) if target is None else target * mask
    channels = np.stack([real + 0.1 * rng.random(mask.shape) for _ in range(card.channels)])
    present = np.ones(len(card.inputs), np.float32)
    arrays = (channels.astype(np.float16), present, real.astype(np.float16), mask, np.ones_like(mask))
    save_case(Case(name, *arrays, patient=name.split("_")[0]), folder / "cases" / card.name / name, card)


@pytest.fixture
def cohort(tmp_path):
    """Three scans of two subjects whose cases are prepared, and one subject with nothing in it."""
    dataset, card = tmp_path / "bids", preset("ivim").card
    for folder in ("sub-1/ses-1", "sub-1/ses-2", "sub-2", "sub-3"):
        (dataset / folder).mkdir(parents=True)
    for seed, name in enumerate(("sub-1_ses-1", "sub-1_ses-2", "sub-2")):
        flat = np.ones((2, 24, 24)) if name == "sub-1_ses-1" else None
        store(tmp_path / "run", name, seed, card, flat)
    return dataset


def test_a_cohort_becomes_weights_and_weights_are_tuned(tmp_path, cohort, capsys):
    lists = tmp_path / "validation.txt"
    lists.write_text("sub-2\n")
    common = ["train", "--cohort", str(cohort), "--preset", "ivim", "--steps", "2", "--batch", "1",
              "--no-bf16", "--workers", "0", "--device", "cpu", "--run", str(tmp_path / "run"),
              "--validation-list", str(lists)]  # fmt: skip
    out = tmp_path / "mine.safetensors"
    assert main([*common, "--out", str(out)]) == 2
    assert "sub-3" in capsys.readouterr().err
    assert main([*common, "--skip-bad", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert "warning: sub-3 left out" in captured.err
    assert "warning: sub-1_ses-1: rCBV is constant" in captured.err
    assert "step 2/2" in captured.err
    card = read_card(out)
    assert card.training["cases"] == 2
    assert card.training["left_out"] == 1
    assert card.metrics["validation_cases"] == 1
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert {"l1", "nll"} <= row["loss"].keys()
    assert row["seconds"] > 0

    (tmp_path / "run" / "checkpoint.safetensors").unlink()
    tuned = tmp_path / "tuned.safetensors"
    rate = ["--learning-rate", "1e-9", "--ssim", "0.1", "--skip-bad"]
    assert main([*common, *rate, "--from", str(out), "--out", str(tuned)]) == 0
    begun, ended = load_model(out), load_model(tuned)
    weights = zip(begun.network.parameters(), ended.network.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in weights)
    assert begun.sha256 in ended.card.training["started_from"]

    folder = ["--run", str(tmp_path / "wide"), "--cases", str(tmp_path / "run" / "cases")]
    wide = tmp_path / "wide.safetensors"
    asked = [*common, *rate, *folder, "--from", str(out), "--out", str(wide), "--width"]
    assert main([*asked, "8"]) == 2  # narrower than what it begins with
    assert "another network arguments" in capsys.readouterr().err
    assert main([*asked, "20"]) == 0
    (tmp_path / "wide" / "checkpoint.safetensors").unlink()
    again = tmp_path / "again.safetensors"
    assert main([*common, *rate, *folder, "--from", str(wide), "--out", str(again)]) == 0  # as wide as it was
    grown = load_model(again)
    assert grown.card.network_arguments["width"] == 20
    assert [part["width"] for part in grown.card.training["earlier"]] == [16, 20]
    kept = grown.network.state_dict()["down.0.3.weight"][:16, :16]
    torch.testing.assert_close(kept, begun.network.state_dict()["down.0.3.weight"], atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["ivim", "ivim-10b"])  # the second learns from the first one's cases
def test_blocks_of_digital_patients_and_settings_are_stated_in_the_card(tmp_path, name):
    for seed, kind in [*((seed, "wildtype") for seed in range(7, 31)), (40, "response")]:
        store(tmp_path, f"{seed:05d}-{kind}", seed, preset("ivim").card)
    out = tmp_path / "x.safetensors"
    arguments = ["train", "--digital", "7:31", "wildtype", "--digital", "40", "response", "--preset", name,
                 "--cases", str(tmp_path / "cases"), "--run", str(tmp_path / "run"), "--workers", "0",
                 "--steps", "1", "--batch", "1", "--set", "patch=1x16x32", "--set", "flip=no", "--no-bf16",
                 "--out", str(out), "--device", "cpu"]  # fmt: skip
    assert main(arguments) == 0
    card = read_card(out)
    assert card.statistics  # to tell studies that are unlike these
    training = card.training
    assert training["seeds"] == "7 to 30, 40"
    assert training["kinds"] == "wildtype, response"
    assert training["patients"] == 25
    assert training["config"]["patch"] == [1, 16, 32]
    assert training["config"]["flip"] is False


def test_another_models_weights_are_refused(tmp_path, capsys):
    for seed in (7, 8):
        kind = ("wildtype", "mutant", "wildtype")[seed % 3]
        store(tmp_path / "run", f"{seed:05d}-{kind}", seed, preset("asl").card)
    arguments = ["train", "--digital", "2", "--seed", "7", "--preset", "asl", "--run", str(tmp_path / "run"),
                 "--out", str(tmp_path / "x.safetensors"), "--from", "ivim", "--workers", "0"]  # fmt: skip
    assert main(arguments) == 2
    assert "another network" in capsys.readouterr().err
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--preset", "wang2023"], "weights of VGG19"),
        (["--preset", "ivim", "--steps", "0"], "--steps"),
        (["--preset", "ivim", "--perceptual", "nothing.pth"], "no file nothing.pth"),
        (["--preset", "ivim", "--validation", "1"], "--validation"),
        (["--preset", "ivim", "--learning-rate", "-1"], "learning rate"),
        (["--preset", "ivim", "--from", "nobody"], "neither a bundled model nor a file"),
        (["--preset", "ivim", "--digital", "5:7", "flu"], "the disease 'flu'"),
        (["--preset", "ivim", "--digital", "5:7", "wildtype", "known"], "more than seeds and a disease"),
        (["--preset", "ivim", "--set", "colour=red"], "no such setting"),
        (["--preset", "ivim", "--set", "patch=96"], "setting patch"),
        (["--preset", "ivim", "--set", "drop=often"], "setting drop"),
        (["--preset", "ivim", "--set", "drop=3"], "drop and strip"),
    ],
)
def test_bad_arguments_are_refused_before_the_work(tmp_path, capsys, more, said):
    assert main(["train", "--digital", "2", "--out", str(tmp_path / "x.safetensors"), *more]) == 2
    assert said in capsys.readouterr().err


def test_help_names_every_preset(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = "".join(capsys.readouterr().out.split())
    assert all(f"{name}:" in shown for name in PRESETS)
