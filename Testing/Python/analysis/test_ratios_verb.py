"""The verb ``ratios``, from files to a table."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.cli import main
from SynthCBVLib.imaging.study import join_series

SHAPE = (4, 40, 40)


def image(array: np.ndarray, spacing=(1.0, 1.0, 5.0)) -> sitk.Image:
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(spacing)
    return made


@pytest.fixture
def files(tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    values = np.ones(SHAPE, np.float32)
    for label in range(1, 7):
        labels[1, 5 * label : 5 * label + 4, 10:16] = label
        values[1, 5 * label : 5 * label + 4, 10:16] = 6.0 if label <= 3 else 2.0
    paths = {name: tmp_path / f"{name}.nii.gz" for name in ("map", "double", "labels")}
    sitk.WriteImage(image(values), str(paths["map"]))
    sitk.WriteImage(image(values * values), str(paths["double"]))
    sitk.WriteImage(image(labels), str(paths["labels"]))
    return paths | {"out": tmp_path / "ratios.csv"}


def run(files, *maps: str) -> int:
    arguments = [part for map in maps for part in ("--map", map)]
    return main(["ratios", *arguments, "--regions", str(files["labels"]), "--out", str(files["out"])])


def table(files) -> list[dict[str, str]]:
    with files["out"].open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_two_maps(files, capsys):
    assert run(files, f"Synthetic rCBV={files['map']}", f"squared={files['double']}") == 0
    rows = table(files)
    assert [row["map"] for row in rows] == ["Synthetic rCBV", "squared"]
    ratios = [float(row["T/WM ratio (tumour mean / white-matter mean)"]) for row in rows]
    assert ratios == pytest.approx([3.0, 9.0])
    printed = capsys.readouterr().out
    assert "3.000" in printed
    assert "9.000" in printed
    assert "nearest neighbour" not in printed


def test_regions_on_another_grid_are_brought_over_and_that_is_said(files, capsys):
    finer = sitk.Resample(
        sitk.ReadImage(str(files["map"])), (80, 80, 4), sitk.Transform(), sitk.sitkNearestNeighbor,
        (-0.25, -0.25, 0.0), (0.5, 0.5, 5.0),
    )  # fmt: skip
    sitk.WriteImage(finer, str(files["map"]))
    assert run(files, f"map={files['map']}") == 0
    (row,) = table(files)
    assert float(row["T/WM ratio (tumour mean / white-matter mean)"]) == pytest.approx(3.0)
    assert int(row["Tumour 1 voxels (count)"]) == 24 * 4
    assert capsys.readouterr().out.count("by nearest neighbour") == 1


@pytest.mark.parametrize(
    "fault", ["no overlap", "no file", "no name", "twice", "4D", "NaN", "no white matter"]
)
def test_bad_input_is_named_and_leaves_nothing(files, capsys, fault):
    maps, said = [f"map={files['map']}"], "map.nii.gz"
    if fault == "no overlap":
        far = sitk.ReadImage(str(files["map"]))
        far.SetOrigin((500, 0, 0))
        sitk.WriteImage(far, str(files["map"]))
        said = "Tumour 1 has no voxel"
    elif fault == "no file":
        files["map"].unlink()
    elif fault == "no name":
        maps, said = [str(files["map"])], "NAME=FILE"
    elif fault == "twice":
        maps, said = maps * 2, "twice"
    elif fault == "4D":
        one = sitk.ReadImage(str(files["map"]))
        sitk.WriteImage(sitk.JoinSeries([one, one]), str(files["map"]))
    elif fault == "NaN":
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(files["map"])))
        values[1, 6, 11] = np.nan
        maps = [f"map={files['map'].with_name('map.nrrd')}"]  # ITK's NIfTI reader makes zeros of NaN
        sitk.WriteImage(image(values), maps[0][4:])
        said = "Tumour 1 on map: 1 of 24 voxels"
    else:
        labels = sitk.GetArrayFromImage(sitk.ReadImage(str(files["labels"])))
        sitk.WriteImage(image(np.where(labels > 3, 0, labels).astype(np.uint8)), str(files["labels"]))
        said = "White matter"
    assert run(files, *maps) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not files["out"].exists()


def test_uncertainty_gives_an_interval(files, capsys):
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(files["map"])))
    sitk.WriteImage(image(0.1 * values), str(files["double"]))
    arguments = ["ratios", "--map", f"rCBV={files['map']}", "--regions", str(files["labels"])]
    arguments += ["--uncertainty", f"rCBV={files['double']}", "--out", str(files["out"])]
    assert main(arguments) == 0
    (row,) = table(files)
    # 10 % in each region, fully correlated; three regions a kind: 0.1 √(2/3) relative.
    assert float(row["T/WM ratio SD (relative)"]) == pytest.approx(0.1 * np.sqrt(2 / 3), rel=1e-6)
    assert float(row["T/WM ratio upper limit"]) == pytest.approx(
        3 * np.exp(1.6448536 * 0.1 * np.sqrt(2 / 3)), rel=1e-6
    )
    assert "90%: 2.623 to 3.431" in capsys.readouterr().out
    assert main([*arguments, "--uncertainty", f"other={files['double']}"]) == 2
    assert "no map of that name" in capsys.readouterr().err


def test_regions_in_several_slices_are_noted_if_asked(files, capsys):
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(files["labels"])))
    labels[2], labels[1][labels[1] == 6] = np.where(labels[1] == 6, 6, 0), 0
    sitk.WriteImage(image(labels), str(files["labels"]))
    arguments = ["ratios", "--map", f"map={files['map']}", "--regions", str(files["labels"])]
    arguments += ["--out", str(files["out"])]
    assert main(arguments) == 0
    assert "normalised" not in capsys.readouterr().out
    assert main([*arguments, "--slice-normalised"]) == 0
    assert "2 slices of a map that is normalised slice by slice" in capsys.readouterr().out


@pytest.fixture
def head_files(tmp_path, head):
    paths = {}
    for name in ("t2w", "rcbv", "mask", "tumour"):
        paths[name] = str(tmp_path / f"{name}.nii.gz")
        sitk.WriteImage(getattr(head, name), paths[name])
    return paths


def test_regions_are_proposed_written_and_used_again(head_files, tmp_path, capsys):
    out = tmp_path / "proposed.csv"
    arguments = ["ratios", "--map", f"rCBV={head_files['rcbv']}", "--propose", head_files["tumour"]]
    arguments += ["--anatomy", head_files["t2w"], "--contrast", "T2w", "--mask", head_files["mask"]]
    assert main([*arguments, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "to be looked at before use" in printed
    assert "mid-sagittal plane" in printed
    written = tmp_path / "proposed_regions.nii.gz"
    again = tmp_path / "again.csv"
    arguments = ["ratios", "--map", f"rCBV={head_files['rcbv']}", "--regions", str(written)]
    assert main([*arguments, "--out", str(again)]) == 0
    assert again.read_text() == out.read_text()


def test_outline_is_proposed_and_written_to_be_corrected(head, head_files, tmp_path, capsys):
    out = tmp_path / "auto.csv"
    t1w = str(tmp_path / "t1w.nii.gz")
    sitk.WriteImage(head.t1w, t1w)
    arguments = ["ratios", "--map", f"rCBV={head_files['rcbv']}", "--anatomy", head_files["t2w"]]
    arguments += ["--contrast", "T2w", "--mask", head_files["mask"], "--out", str(out)]
    assert main([*arguments, "--image", f"T1w={t1w}", "--propose"]) == 0
    printed = capsys.readouterr().out
    assert "note: The outline of the tumour was proposed by the computer, from T2w, T1w and rCBV." in printed
    written = tmp_path / "auto_outline.nii.gz"
    assert f"wrote {written}: proposed outline" in printed
    outline, tumour = (sitk.GetArrayFromImage(i) != 0 for i in (sitk.ReadImage(str(written)), head.tumour))
    assert 2 * (outline & tumour).sum() / (outline.sum() + tumour.sum()) > 0.8
    first = out.read_text()
    assert main([*arguments, "--propose", str(written)]) == 0  # given back, it gives the same regions
    assert "by the computer" not in capsys.readouterr().out
    assert out.read_text() == first


def test_diffusion_series_helps_to_outline(head, head_files, tmp_path, capsys):
    flair_like = sitk.Cast(head.rcbv > 2.9, sitk.sitkFloat32) * 300 + 200 + 0.1 * head.t1w
    series = join_series([head.t2w, flair_like, head.t1w])
    sitk.WriteImage(series, str(tmp_path / "dwi.nii.gz"))
    (tmp_path / "dwi.bval").write_text("0 500 1000")
    arguments = ["ratios", "--map", f"rCBV={head_files['rcbv']}", "--anatomy", head_files["t2w"]]
    arguments += ["--contrast", "T2w", "--mask", head_files["mask"], "--out", str(tmp_path / "out.csv")]
    assert main([*arguments, "--image", f"DWI={tmp_path / 'dwi.nii.gz'}", "--propose"]) == 0
    assert "from T2w, DWI and rCBV" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--propose", "tumour"], "--anatomy"),
        (["--propose", "tumour", "--anatomy", "t2w", "--save-regions", "regions.txt"], "suffix"),
        (["--regions", "tumour", "--anatomy", "t2w"], "--propose"),
        (["--regions", "tumour", "--image", "T1w=t2w"], "--propose"),
        (["--anatomy", "t2w", "--propose"], "--contrast"),
        (["--anatomy", "t2w", "--propose", "tumour", "--image", "T1w=t2w"], "--image"),
        (["--anatomy", "t2w", "--contrast", "T2w", "--image", "PET=t2w", "--propose"], "PET"),
    ],
)
def test_options_that_do_not_go_together(head_files, tmp_path, capsys, more, said):
    arguments = [head_files.get(word, word) for word in more]
    out = tmp_path / "out.csv"
    assert main(["ratios", "--map", f"m={head_files['rcbv']}", *arguments, "--out", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()
