"""Bad input: exit code 2, one message that names the thing and what is needed, nothing half-written."""

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.cli import main

B_VALUES = (0, 50, 100, 150, 200, 300, 400, 600, 800, 1000)
SHAPE = (8, 24, 24)


def image(array: np.ndarray, origin: float = 0.0) -> sitk.Image:
    result = sitk.GetImageFromArray(array.astype(np.float32))
    result.SetSpacing((8.0, 8.0, 8.0))
    result.SetOrigin((origin, 0.0, 0.0))
    return result


def head(scale: float = 1.0) -> np.ndarray:
    z, y, x = np.mgrid[-1:1:8j, -1:1:24j, -1:1:24j]
    ball = np.clip(4 * (0.8 - z**2 - y**2 - x**2), 0, 1)
    return scale * ball * (100 + 30 * np.sin(6 * x) * np.cos(5 * y))


@pytest.fixture
def files(tmp_path):
    """Write a small study that is right in itself; tests spoil one file each."""
    folder = tmp_path / "in"
    folder.mkdir()
    volumes = [image(head(np.exp(-b * 8e-4))) for b in B_VALUES]
    sitk.WriteImage(sitk.JoinSeries(volumes), str(folder / "dwi.nii.gz"))
    (folder / "dwi.bval").write_text(" ".join(map(str, B_VALUES)))
    for name in ("t2w", "t1w", "cbf"):
        sitk.WriteImage(image(head()), str(folder / f"{name}.nii.gz"))
    return folder


def refuse(capsys, folder, *arguments, match):
    """Run ``synthesize`` and demand exit code 2, one error line with `match` in it, and no output."""
    out = folder.parent / "out"
    before = {path: path.stat().st_size for path in folder.parent.rglob("*")}
    code = main(["synthesize", "--out", str(out), *map(str, arguments)])
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert code == 2, error
    assert len(lines) == 1, error
    assert "Traceback" not in error
    assert "needed:" in lines[0]
    for text in match:
        assert text in lines[0]
    assert {path: path.stat().st_size for path in folder.parent.rglob("*")} == before


def ivim(folder, **changed):
    paths = {"dwi": folder / "dwi.nii.gz", "t2w": folder / "t2w.nii.gz"} | changed
    return ["--model", "ivim", *(item for key, value in paths.items() for item in (f"--{key}", value))]


def test_missing_file(capsys, files):
    refuse(capsys, files, *ivim(files, t2w=files / "none.nii.gz"), match=["none.nii.gz", "no such file"])


def test_no_b_values(capsys, files):
    (files / "dwi.bval").unlink()
    refuse(capsys, files, *ivim(files), match=["dwi.nii.gz", "no b-values"])


def test_wrong_number_of_b_values(capsys, files):
    (files / "dwi.bval").write_text("0 50 100")
    refuse(capsys, files, *ivim(files), match=["dwi.bval", "dwi.nii.gz", "3 b-values for the 10 volumes"])


def test_b_values_that_no_fit_brings_to_the_models(capsys, files):
    (files / "dwi.bval").write_text("0 " + " ".join(str(500 + 100 * i) for i in range(9)))
    refuse(capsys, files, *ivim(files), match=["between 0 and 200"])


def test_three_dimensional_dwi(capsys, files):
    arguments = ivim(files, dwi=files / "t1w.nii.gz", bval=files / "dwi.bval")
    refuse(capsys, files, *arguments, match=["t1w.nii.gz", "4D"])


def test_four_dimensional_t2w(capsys, files):
    refuse(capsys, files, *ivim(files, t2w=files / "dwi.nii.gz"), match=["dwi.nii.gz", "one 3D volume"])


def test_images_that_do_not_overlap(capsys, files):
    sitk.WriteImage(image(head(), origin=5000.0), str(files / "far.nii.gz"))
    refuse(capsys, files, *ivim(files, t2w=files / "far.nii.gz"), match=["overlap"])


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_nan(capsys, files, suffix):
    array = head()
    array[4, 12, 12] = np.nan
    path = files / f"spoiled{suffix}"
    sitk.WriteImage(image(array), str(path))
    refuse(capsys, files, *ivim(files, t2w=path), match=["NaN"])


def test_all_zero(capsys, files):
    sitk.WriteImage(image(np.zeros(SHAPE)), str(files / "zero.nii.gz"))
    refuse(capsys, files, *ivim(files, t2w=files / "zero.nii.gz"), match=["T2w"])


def test_missing_required_image(capsys, files):
    refuse(capsys, files, "--model", "ivim", "--t2w", files / "t2w.nii.gz", match=["DWI"])


def test_no_image_of_the_model(capsys, files):
    refuse(capsys, files, "--model", "asl", "--dwi", files / "dwi.nii.gz", match=["CBF"])


def test_no_image_at_all(capsys, files):
    refuse(capsys, files, "--model", "asl", match=["no study and no images"])


def test_unknown_model(capsys, files):
    refuse(capsys, files, "--model", "nothing", "--t1w", files / "t1w.nii.gz", match=["nothing"])


def test_unknown_device(capsys, files):
    arguments = ("--model", "asl", "--t1w", files / "t1w.nii.gz", "--device", "abacus")
    refuse(capsys, files, *arguments, match=["abacus"])


def test_control_without_label(capsys, files):
    refuse(capsys, files, "--model", "asl", "--control", files / "cbf.nii.gz", match=["no label", "m0"])


def test_empty_regions(capsys, files):
    sitk.WriteImage(sitk.Cast(image(np.zeros(SHAPE)), sitk.sitkUInt8), str(files / "labels.nii.gz"))
    arguments = ("--model", "asl", "--t1w", files / "t1w.nii.gz", "--regions", files / "labels.nii.gz")
    refuse(capsys, files, *arguments, match=["labels.nii.gz"])


def test_one_kind_of_region_only(capsys, files):
    labels = np.zeros(SHAPE)
    labels[4, 10:14, 10:14] = 1
    sitk.WriteImage(sitk.Cast(image(labels), sitk.sitkUInt8), str(files / "labels.nii.gz"))
    arguments = ("--model", "asl", "--t1w", files / "t1w.nii.gz", "--regions", files / "labels.nii.gz")
    refuse(capsys, files, *arguments, match=["White matter"])


def test_output_folder_that_is_a_file(capsys, files):
    (files.parent / "out").write_text("here")
    refuse(capsys, files, "--model", "asl", "--t1w", files / "t1w.nii.gz", match=["out"])


def test_options_of_single_images_beside_a_study_folder(capsys, files):
    (files / "sub-01" / "anat").mkdir(parents=True)
    sitk.WriteImage(image(head()), str(files / "sub-01" / "anat" / "sub-01_T1w.nii.gz"))
    arguments = ("--model", "asl", "--study", files / "sub-01", "--post-label-delay", "1.8")
    refuse(capsys, files, *arguments, match=["--post-label-delay", "single images"])


def test_regions_on_another_grid_are_told_before_the_work(capsys, files):
    labels = np.zeros((8, 12, 12))
    labels[4, 2:4, 2:4], labels[4, 8:10, 8:10] = 1, 4
    sitk.WriteImage(sitk.Cast(image(labels), sitk.sitkUInt8), str(files / "labels.nii.gz"))
    arguments = ("--model", "asl", "--t1w", files / "t1w.nii.gz", "--regions", files / "labels.nii.gz")
    refuse(capsys, files, *arguments, match=["another grid", "T1w"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--digital", "0", "--out", "w.safetensors"),
        ("--digital", "4", "--out", "w.pt"),
        ("--digital", "4", "--out", "w.safetensors", "--steps", "0"),
        ("--digital", "4", "--out", "w.safetensors", "--validation", "1"),
        ("--cohort", "no-such-folder", "--out", "w.safetensors"),
    ],
)
def test_training_refuses_bad_arguments_before_the_work(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--workflow", "ivim", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_fit_of_a_series_with_an_empty_volume_is_refused(capsys, tmp_path):
    volumes = [image(head(np.exp(-b * 8e-4))) for b in B_VALUES[:-1]] + [image(np.zeros(SHAPE))]
    sitk.WriteImage(sitk.JoinSeries(volumes), str(tmp_path / "dwi.nii.gz"))
    (tmp_path / "dwi.bval").write_text(" ".join(map(str, B_VALUES)))
    assert main(["fit-ivim", str(tmp_path / "dwi.nii.gz"), "--out", str(tmp_path / "out")]) == 2
    assert "only zeros or NaN at b = 1000" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
