"""The verb ``synthesize`` takes plain folders and manifests, says what it found, and writes every format."""

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.cli import main
from SynthCBVLib.imaging.files import read_image

SHAPE = (8, 24, 24)


@pytest.fixture
def folder(tmp_path):
    """Write T1w and CBF of a small head."""
    z, y, x = np.mgrid[-1:1:8j, -1:1:24j, -1:1:24j]
    ball = np.clip(4 * (0.8 - z**2 - y**2 - x**2), 0, 1)
    (tmp_path / "in").mkdir()
    for name, wave in (("T1w", np.sin(6 * x) * np.cos(5 * y)), ("CBF", np.cos(7 * y))):
        image = sitk.GetImageFromArray((ball * (60 + 20 * wave)).astype(np.float32))
        image.SetSpacing((8.0, 8.0, 8.0))
        sitk.WriteImage(image, str(tmp_path / "in" / f"{name}.nii.gz"))
    return tmp_path / "in"


def run(capsys, *arguments):
    code = main(["synthesize", "--model", "asl", "--device", "cpu", *map(str, arguments)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def test_plain_folder_and_manifest_give_the_same_map_in_every_format(capsys, folder, tmp_path):
    text = run(capsys, "--study", folder, "--subject", "7", "--out", tmp_path / "a", "--format", "nrrd")
    assert "Subject 7, folder of images:" in text
    assert "T1w: T1w.nii.gz, 24 x 24 x 8" in text
    table = tmp_path / "table.csv"
    table.write_text("subject;t1w;cbf;age\nsub-7;in/T1w.nii.gz;in/CBF.nii.gz;50\n")
    text = run(capsys, "--study", table, "--out", tmp_path / "b")
    assert "Subject 7, manifest table.csv, row 2:" in text
    assert "columns not used: age" in text
    first = read_image(tmp_path / "a" / "sub-7_desc-synthetic_rcbv.nrrd")
    second = read_image(tmp_path / "b" / "sub-7_desc-synthetic_rcbv.nii.gz")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(first), sitk.GetArrayFromImage(second))
    pm = pytest.importorskip("highdicom.pm")
    run(capsys, "--study", folder, "--subject", "7", "--out", tmp_path / "c", "--format", "dicom")
    data = pm.ParametricMap.from_file(tmp_path / "c" / "sub-7_desc-synthetic_rcbv.dcm")
    assert (
        np.sort(data.pixel_array.ravel()).tolist() == np.sort(sitk.GetArrayFromImage(first).ravel()).tolist()
    )


def test_identity_needs_dicom(capsys, folder, tmp_path):
    arguments = ["--study", str(folder), "--out", str(tmp_path / "out"), "--format", "dicom", "--identified"]
    assert main(["synthesize", "--model", "asl", *arguments]) == 2
    assert "--identified" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
