"""Results in the scene, and the scene in a file."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.errors import InputError  # noqa: E402
from SynthCBVLib.imaging.study import DiffusionSeries, same_grid  # noqa: E402


@dataclass(frozen=True)
class Finding:
    severity: str
    what: str


@dataclass(frozen=True)
class Result:
    rcbv: sitk.Image
    uncertainty: sitk.Image
    mask: sitk.Image
    provenance: dict = field(
        default_factory=lambda: {"model": "ivim", "sha256": "ab", "spacing": np.float32(1.5)}
    )
    findings: tuple = (Finding("warning", "moved 3 mm"),)


def image(top: float = 4.0) -> sitk.Image:
    made = sitk.GetImageFromArray(np.linspace(0.0, top, 5 * 6 * 7).reshape(5, 6, 7).astype(np.float32))
    made.SetSpacing((0.9, 1.1, 5.0))
    made.SetOrigin((3.0, -4.0, 5.0))
    made.SetDirection([0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1])
    return made


@pytest.fixture
def scene():
    return mrml.new_scene()


@pytest.fixture
def result():
    return Result(image(), image(0.5), sitk.Cast(image() > 1.0, sitk.sitkUInt8))


def test_synthesis_leaves_maps_that_know_how_they_were_made(scene, result):
    nodes = mrml.add_synthesis(result, "sub-01")
    assert nodes.rcbv.GetName() == "sub-01 synthetic rCBV"
    assert json.loads(nodes.rcbv.GetAttribute("SynthCBV.Provenance"))["spacing"] == 1.5
    assert json.loads(nodes.rcbv.GetAttribute("SynthCBV.Findings")) == [
        {"severity": "warning", "what": "moved 3 mm"}
    ]
    assert nodes.mask.IsA("vtkMRMLLabelMapVolumeNode")
    display = nodes.rcbv.GetDisplayNode()
    assert display.GetColorNode() is mrml.perfusion_colours()
    assert 3.9 < display.GetWindowLevelMax() <= 4.0
    assert same_grid(mrml.volume_to_image(nodes.rcbv), result.rcbv, 1e-9)


def test_a_synthesis_that_does_not_fit_leaves_no_node(scene, result):
    before = scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    bad = Result(result.rcbv, sitk.JoinSeries([result.uncertainty] * 2), result.mask)
    with pytest.raises((InputError, RuntimeError, IndexError)):
        mrml.add_synthesis(bad, "sub-01")
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == before


def test_perfusion_colours_run_from_black_to_red_once(scene):
    colours = mrml.perfusion_colours()
    assert mrml.perfusion_colours() is colours
    rgba = [0.0] * 4
    colours.GetColor(0, rgba)
    assert rgba[:3] == pytest.approx([0, 0, 0], abs=0.01)
    colours.GetColor(255, rgba)
    assert rgba[0] > 0.8
    assert max(rgba[1:3]) < 0.1


def test_ratio_table(scene):
    rows = [
        {"map": "synthetic", "tumour": 3.0, "white_matter": 1.5, "ratio": 2.0, "n": 40},
        {"map": "real", "tumour": 3.3, "white_matter": np.float32(1.5), "ratio": 2.2, "n": 40},
    ]
    table = mrml.add_ratio_table(rows, "Ratios").GetTable()
    assert table.GetNumberOfRows() == 2
    assert table.GetColumnByName("ratio").GetValue(1) == pytest.approx(2.2)
    assert table.GetColumnByName("map").GetValue(0) == "synthetic"
    assert table.GetColumnByName("n").GetValue(0) == 40
    with pytest.raises(InputError, match="no rows"):
        mrml.add_ratio_table([], "Ratios")
    with pytest.raises(InputError, match="different columns"):
        mrml.add_ratio_table([{"a": 1}, {"b": 1}], "Ratios")


def test_bundle_holds_everything_and_comes_back(scene, result, tmp_path):
    reference = mrml.image_to_volume(image(), "T2w")
    series = DiffusionSeries(sitk.Compose([image(1.0), image(2.0), image(3.0)]), (0.0, 50.0, 1000.0))
    mrml.series_to_volume(series, "dwi")
    mrml.add_synthesis(result, "sub-01")
    masks = {"Tumour": result.mask, "White matter": 1 - result.mask}
    mrml.add_regions(masks, reference, "Regions")
    mrml.add_ratio_table([{"map": "synthetic", "ratio": 2.0}], "Ratios")
    path = tmp_path / "scene é.mrb"
    path.write_bytes(b"older")
    assert mrml.save_scene(path) == path
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    with zipfile.ZipFile(path) as bundle:
        endings = {name.rsplit(".", 1)[-1] for name in bundle.namelist()}
        assert {"mrml", "nrrd", "tsv"} <= endings

    fresh = mrml.load_scene(path, mrml.new_scene())
    for name, expected in (("T2w", image()), ("sub-01 synthetic rCBV", result.rcbv)):
        read = mrml.volume_to_image(fresh.GetFirstNodeByName(name))
        assert same_grid(read, expected, 1e-5)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(expected))
    assert mrml.diffusion_series(fresh.GetFirstNodeByName("dwi")).b_values == (0.0, 50.0, 1000.0)
    back = mrml.region_masks(fresh.GetFirstNodeByName("Regions"), fresh.GetFirstNodeByName("T2w"))
    for name, mask in masks.items():
        np.testing.assert_array_equal(sitk.GetArrayFromImage(back[name]), sitk.GetArrayFromImage(mask))
    map_node = fresh.GetFirstNodeByName("sub-01 synthetic rCBV")
    assert map_node.GetDisplayNode().GetColorNode().GetName() == "SynthCBV perfusion"
    assert json.loads(map_node.GetAttribute("SynthCBV.Provenance"))["model"] == "ivim"
    assert fresh.GetFirstNodeByName("Ratios").GetTable().GetColumnByName("ratio").GetValue(0) == 2.0


def test_b_values_survive_the_bundle_without_our_attribute(scene, tmp_path):
    """Slicer itself, and other modules, see the right b-values after loading."""
    series = DiffusionSeries(sitk.Compose([image(1.0), image(2.0), image(3.0)]), (0.0, 50.0, 1000.0))
    mrml.series_to_volume(series, "dwi").RemoveAttribute("SynthCBV.BValues")
    fresh = mrml.load_scene(mrml.save_scene(tmp_path / "s.mrb"), mrml.new_scene())
    assert mrml.diffusion_series(fresh.GetFirstNodeByName("dwi")).b_values == (0.0, 50.0, 1000.0)


def test_unusable_paths_are_refused(scene, tmp_path):
    with pytest.raises(InputError, match=r"\.mrb"):
        mrml.save_scene(tmp_path / "scene.zip")
    with pytest.raises(InputError, match="folder that does not exist"):
        mrml.save_scene(tmp_path / "no" / "scene.mrb")
    with pytest.raises(InputError, match="no such file"):
        mrml.load_scene(tmp_path / "gone.mrb")
    (tmp_path / "text.mrb").write_text("not a bundle")
    before = Path.cwd()
    with pytest.raises(InputError, match=r"text\.mrb"):
        mrml.load_scene(tmp_path / "text.mrb")
    assert Path.cwd() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text.mrb"]


def test_there_is_one_scene_inside_the_application(monkeypatch):
    monkeypatch.setattr(slicer, "app", object(), raising=False)
    with pytest.raises(RuntimeError, match=r"slicer\.mrmlScene"):
        mrml.new_scene()
