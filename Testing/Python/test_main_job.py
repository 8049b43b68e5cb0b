"""The main job from end to end: digital patients from files and scene, and a real ASL study."""

import csv
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.cli import main
from SynthCBVLib.imaging.files import read_image, study_from_files
from SynthCBVLib.imaging.registration import register
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import Modality, same_grid
from SynthCBVLib.physiology.maps import relative_perfusion

REPOSITORY = Path(__file__).resolve().parents[2]
SIEMENS = REPOSITORY.parent / "shared" / "data" / "siemens_pcasl"


@dataclass(frozen=True)
class Demo:
    """A run of the demo: its folder and what it printed."""

    folder: Path
    text: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run the demo once, as a user does."""
    out = tmp_path_factory.mktemp("demo") / "demo-output"
    ran = subprocess.run(
        [sys.executable, "-m", "SynthCBVLib", "demo", "--out", str(out)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return Demo(out, ran.stdout)


def test_demo_leaves_all_it_promises(demo):
    assert {path.name for path in demo.folder.iterdir()} == {
        "bids", "ratios.csv", "overview.png", "report.html", "scene.mrb",
    }  # fmt: skip
    maps = sorted(path.name for path in demo.folder.glob("bids/derivatives/synthcbv/sub-*/*_rcbv.nii.gz"))
    assert len(maps) == 4
    assert (demo.folder / "overview.png").read_bytes().startswith(b"\x89PNG")
    assert (demo.folder / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    with zipfile.ZipFile(demo.folder / "scene.mrb") as bundle:
        assert bundle.testzip() is None
        assert any(name.endswith(".mrml") for name in bundle.namelist())


def test_demo_maps_lie_on_the_reference_with_uncertainty(demo):
    for path in demo.folder.glob("bids/derivatives/synthcbv/sub-*/*desc-synthetic_rcbv.nii.gz"):
        rcbv = read_image(path)
        spread = read_image(path.with_name(path.name.replace("synthetic_rcbv", "synthetic_stat-sd_rcbv")))
        mask = sitk.GetArrayFromImage(
            read_image(path.with_name(path.name.replace("synthetic_rcbv", "brain_mask")))
        )
        subject = demo.folder / "bids" / path.parent.name
        reference = next(
            file for name in ("T2w", "T1w") for file in subject.glob(f"anat/{path.parent.name}_{name}.nii.gz")
        )
        assert rcbv.GetSize() in {read_image(file).GetSize() for file in subject.glob("anat/*.nii.gz")}, (
            reference
        )
        values, sd = sitk.GetArrayFromImage(rcbv), sitk.GetArrayFromImage(spread)
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert not values[mask == 0].any()
        assert (sd[mask > 0] > 0).all()


def test_demo_ratios_follow_truth(demo):
    """The synthetic ratio is nearer to the real one than f's is, and above 1, as a wildtype glioma's."""
    with (demo.folder / "ratios.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    column = next(name for name in rows[0] if name.startswith("T/WM"))
    ratios = {row["map"]: float(row[column]) for row in rows}
    for title in ("IVIM + T2w", "ASL + structural MRI"):
        synthetic, real = ratios[f"{title}: synthetic rCBV"], ratios[f"{title}: real rCBV"]
        assert synthetic == pytest.approx(real, rel=0.45)
        assert synthetic > 1.5
    assert "IVIM + T2w: IVIM f" in ratios


def test_demo_tells_its_figures(demo):
    ssim = [float(value) for value in re.findall(r"SSIM (0\.\d+)", demo.text)]
    assert len(ssim) == 2
    assert min(ssim) > 0.75
    assert len(re.findall(r"PSNR \d+\.\d dB", demo.text)) == 2
    for name in ("synthetic rCBV", "real rCBV", "true rCBV"):
        assert len(re.findall(rf"T/WM +\d+\.\d+ +{name}", demo.text)) == 2
    assert demo.text.count("not for diagnosis") == 2


def test_files_and_scene_give_the_same_map(demo):
    differences = re.findall(r"largest difference to the map made from files (\S+)", demo.text)
    assert len(differences) == 2
    assert all(float(difference) < 1e-3 for difference in differences)


def test_command_line_gives_the_demos_ratios(demo, tmp_path, capsys):
    """Study folder and regions in; the same ratios as in the demo out, as a table and as a file."""
    subject = demo.folder / "bids" / "sub-00001"
    regions = next(demo.folder.glob("bids/derivatives/synthcbv/sub-00001/*_desc-regions_dseg.nii.gz"))
    arguments = ["--model", "ivim", "--study", str(subject), "--regions", str(regions)]
    assert main(["synthesize", "--out", str(tmp_path), *arguments]) == 0
    printed = capsys.readouterr().out
    with (tmp_path / "sub-00001_ratios.csv").open(encoding="utf-8") as file:
        names = [row["map"] for row in csv.DictReader(file)]
    assert names == ["synthetic rCBV", "real rCBV", "IVIM f"]
    for name in names:
        told = re.search(rf"T/WM +(\d+\.\d+) +{name}", demo.text).group(1)
        assert re.search(rf"T/WM +{told} +{name}", printed)


def test_demo_does_not_overwrite_other_things(tmp_path, capsys):
    (tmp_path / "precious.txt").write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.skipif(not SIEMENS.is_dir(), reason="the real Siemens study is not at hand")
def test_real_siemens_study(tmp_path, capsys):
    """The synthetic map shows perfusion where (control - label)/M0 does, after registration acted."""
    out = tmp_path / "out"
    files = {part: SIEMENS / f"pcasl3d_{name}.nii.gz" for part, name in
             (("control", "control_mean_x10"), ("label", "label_mean_x10"), ("m0", "m0"))}  # fmt: skip
    files["t1w"] = SIEMENS / "T1w_brain_2mm.nii.gz"
    arguments = [item for key, path in files.items() for item in (f"--{key}", str(path))]
    assert main(["synthesize", "--model", "asl", "--out", str(out), *arguments]) == 0
    assert "post-labelling delay recorded" in capsys.readouterr().out

    rcbv = read_image(out / "sub-01_desc-synthetic_rcbv.nii.gz")
    t1w = read_image(files["t1w"])
    assert same_grid(rcbv, t1w)
    sidecar = json.loads((out / "sub-01_desc-synthetic_rcbv.json").read_text(encoding="utf-8"))
    registration = sidecar["GeneratedBy"]["registration"]["CBF"]
    assert registration["applied"]
    assert registration["after"] < 1.5 * registration["before"] < 0, "much more mutual information"

    study = study_from_files({("T1w" if key == "t1w" else key): path for key, path in files.items()})
    series = study.images[Modality.CBF]
    aligned = register(series.control, t1w).transform
    mask = sitk.GetArrayFromImage(read_image(out / "sub-01_desc-brain_mask.nii.gz")) > 0
    mask &= sitk.GetArrayFromImage(t1w) > 0
    assert mask.sum() > 0.8 * (sitk.GetArrayFromImage(t1w) > 0).sum(), "no part of the brain is lost"

    def correlation(transform: sitk.Transform | None) -> float:
        perfusion = resample(relative_perfusion(series), t1w, transform)
        inside = mask & (sitk.GetArrayFromImage(resample(series.m0, t1w, transform)) > 0)
        pair = [
            sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, 4.0))[inside]
            for image in (rcbv, perfusion)
        ]
        return float(np.corrcoef(*pair)[0, 1])

    assert correlation(aligned) > 0.4
    assert correlation(aligned) > correlation(None) + 0.15


def test_demo_replaces_nothing_but_an_earlier_run(tmp_path):
    (tmp_path / "report.html").write_text("mine")
    (tmp_path / "thesis.docx").write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert main(["demo", "--out", str(tmp_path / "thesis.docx")]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "thesis.docx"}
