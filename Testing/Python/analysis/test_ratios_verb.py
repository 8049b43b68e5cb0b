"""The verb ``ratios``, from files to a table."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.cli import main

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
