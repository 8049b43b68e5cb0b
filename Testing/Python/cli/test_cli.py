"""The command line's frame: help, verbs, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from SynthCBVLib import __version__, cli

REPOSITORY = Path(__file__).resolve().parents[3]


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in cli.VERBS)
    assert "not for diagnosis" in " ".join(text.split())


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    assert "--help" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["no-such-verb"], ["synthesize"]])
def test_wrong_words_end_with_two(arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2


def test_a_fault_of_ours_ends_with_one(monkeypatch, capsys):
    from SynthCBVLib.cli import models

    monkeypatch.setattr(models, "run", lambda args: 1 / 0)
    assert cli.main(["models"]) == 1
    assert "fault of SynthCBV" in capsys.readouterr().err


def test_interruption_is_no_fault(monkeypatch, capsys):
    from SynthCBVLib.cli import models

    def interrupted(args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "run", interrupted)
    assert cli.main(["models"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_module_runs_as_a_program():
    output = subprocess.run(
        [sys.executable, "-m", "SynthCBVLib", "--version"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert output.stdout.strip() == f"SynthCBV {__version__}"


def test_models_are_listed_with_their_limits(capsys):
    assert cli.main(["models"]) == 0
    text = capsys.readouterr().out
    assert "ivim" in text
    assert "asl" in text
    assert text.count("not for diagnosis") == 2
    assert cli.main(["models", "ivim"]) == 0
    assert '"unet2d"' in capsys.readouterr().out


def test_doctor_finds_this_installation_sound(capsys):
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "missing" not in text
    assert "model    asl" in text
