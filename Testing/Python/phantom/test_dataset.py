"""Digital patients on disk, and the verb that writes them."""

import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.cli import main
from SynthCBVLib.errors import Cancelled, InputError
from SynthCBVLib.imaging.files import read_regions, read_study
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.phantom import DigitalPatient
from SynthCBVLib.phantom.dataset import TRUTH, kinds, write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    assert main(["phantom", "--patients", "1", "--out", str(folder), "--seed", "31", "--idh", "mutant"]) == 0
    return folder


def test_written_patient_is_read_back(dataset):
    study = read_study(dataset / "sub-00031")
    assert set(study.images) == set(Modality)
    patient = DigitalPatient(31, "mutant")
    t2w = patient.study([Modality.T2W]).images[Modality.T2W]
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(study.images[Modality.T2W]), sitk.GetArrayFromImage(t2w)
    )  # fmt: skip
    regions = read_regions(dataset / TRUTH / "sub-00031" / "sub-00031_space-T2w_desc-regions_dseg.nii.gz")
    assert list(regions) == [
        "Tumour 1",
        "Tumour 2",
        "Tumour 3",
        "White matter 1",
        "White matter 2",
        "White matter 3",
    ]
    truth = patient.truth()
    for name, mask in zip(regions, (*truth.tumour, *truth.white_matter), strict=True):
        assert np.array_equal(sitk.GetArrayFromImage(regions[name]), sitk.GetArrayFromImage(mask))


def test_a_second_run_leaves_finished_patients_alone(dataset):
    image = dataset / "sub-00031" / "anat" / "sub-00031_T2w.nii.gz"
    before = image.stat().st_mtime_ns
    steps = []
    write_dataset(dataset, [31], ["mutant"], progress=lambda fraction, message: steps.append(fraction))
    assert steps == [1.0]
    assert image.stat().st_mtime_ns == before
    rows = (dataset / "participants.tsv").read_text().splitlines()
    assert rows == ["participant_id\tidh\tseed\tprotocol", "sub-00031\tmutant\t31\tcompact"]


def test_another_patient_of_the_same_seed_is_refused(dataset):
    with pytest.raises(InputError, match="wildtype"):
        write_dataset(dataset, [31], ["wildtype"])


def test_cancelling_stops_before_the_next_patient(tmp_path):
    def cancel(fraction, message):
        raise Cancelled

    with pytest.raises(Cancelled):
        write_dataset(tmp_path / "new", [1, 2], ["mutant", "mutant"], progress=cancel)
    assert not (tmp_path / "new" / "sub-00001").exists()


def test_mixed_alternates():
    assert kinds("mixed", 3) == ("wildtype", "mutant", "wildtype")
    assert kinds("none", 2) == ("none", "none")


@pytest.mark.parametrize("arguments", [["--patients", "0"], ["--patients", "1", "--seed", "-3"]])
def test_bad_arguments_exit_with_two(arguments, tmp_path, capsys):
    assert main(["phantom", *arguments, "--out", str(tmp_path / "x")]) == 2
    assert "needed" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_validator_finds_no_error(dataset):
    # From npm (bids-validator) or PyPI (bids-validator-deno).
    validator = shutil.which("bids-validator") or shutil.which("bids-validator-deno")
    if validator is None:
        pytest.skip("no bids-validator")
    run = subprocess.run([validator, str(dataset)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
