"""The verb evaluate: what it refuses before any work, and its command on the page."""

import argparse

import pytest

from SynthCBVLib.cli import evaluate, main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no patients"),
        (["--digital", "5:9"], "no block of seeds"),
        (["--digital", "5:9", "glioma"], "the disease 'glioma'"),
        (["--digital", "5:9", "mutant", "--calibration", "9:5", "mutant"], "--calibration"),
        (["--digital", "5:9", "mutant", "--digital", "8", "mutant"], "00008-mutant twice"),
        (["--digital", "5:9", "mutant", "--calibration", "8", "mutant"], "twice"),
        (["--cohort", "nothing"], "no such file or folder"),
        (["--digital", "5:9", "mutant", "--workers", "-1"], "--workers"),
        (["--digital", "1100:1102", "mutant", "--model", "nothing"], "neither a bundled model nor a file"),
    ],
)
def test_bad_input_ends_with_two_and_one_message(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "--model", "ivim", *arguments]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.count("error:") == 1
    assert "Traceback" not in captured.err


def test_calibrated_weights_take_patients_to_calibrate_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["evaluate", "--model", "ivim", "--digital", "5:9", "mutant", "--write-calibrated", "made"]
    assert main(given) == 2
    assert "--calibration-cohort" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    for option in ("--out", "--work"):
        given = ["evaluate", "--model", "ivim", "--digital", "5:9", "mutant", option, "taken"]
        assert main(given) == 2
        assert "a folder" in capsys.readouterr().err


def test_the_command_on_the_page_repeats_the_run_without_folders_of_this_computer(tmp_path):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    given = ["--model", "ivim", "--model", str(tmp_path / "run-a" / "best.safetensors"),
             "--digital", "60000:60020", "wildtype", "--digital", "5:9", "recurrence", "known", "unmeasured",
             "--calibration", "7", "wildtype", "--baselines", str(tmp_path / "cases"), "--no-motion",
             "--out", "docs"]  # fmt: skip
    command = evaluate._command(parser.parse_args(given))
    assert str(tmp_path) not in command
    assert "run-a/best.safetensors" in command
    words = command.replace("\\\n", "").split()
    again = parser.parse_args(words[words.index("evaluate") + 1 :])
    first = parser.parse_args(given)
    assert (again.digital, again.calibration, again.motion) == (first.digital, first.calibration, False)
