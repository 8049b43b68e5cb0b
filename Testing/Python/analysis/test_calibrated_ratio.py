"""The interval that holds the real ratio: computed, in the report, by the verb ``ratios``."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.analysis import regions, report
from SynthCBVLib.analysis.calibrated_ratio import calibration_of, real_ratio_interval
from SynthCBVLib.analysis.regions.uncertainty import ratio_uncertainty
from SynthCBVLib.analysis.report.sections import ratios_section
from SynthCBVLib.cli import main

CALIBRATION = {"cases": 20, "ratios": 19, "ratio_quantiles": {"0.5": 1.0, "0.9": 2.5}, "scale_factor": 0.9}
SHAPE = (3, 16, 16)


def made_with(calibration: object) -> dict[str, object]:
    return {"unit": "1", "model": {"name": "ivim", "card": {"calibration": calibration}}}


def image(array: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(array.astype(np.float32))


@pytest.fixture
def images():
    """Tumour 6 and white matter 2 with relative standard deviations .08 and .06: .1 for their ratio."""
    drawn = {name: np.zeros(SHAPE) for name in ("Tumour 1", "White matter 1")}
    drawn["Tumour 1"][1, 4:8, 2:6] = drawn["White matter 1"][1, 4:8, 10:14] = 1
    tumour, white = (mask > 0 for mask in drawn.values())
    values = np.where(tumour, 6.0, np.where(white, 2.0, 1.0))
    spread = np.where(tumour, 0.48, np.where(white, 0.12, 0.1))
    return image(values), image(spread), {name: image(mask) for name, mask in drawn.items()}


@pytest.fixture
def row(images):
    values, spread, drawn = images
    kinds = regions.split_regions(drawn)
    found = regions.ratio_row("Synthetic rCBV", values, *kinds)
    return replace(found, interval=ratio_uncertainty(values, spread, *kinds, 0.9))


def test_interval_is_the_quantile_times_the_ratios_own_deviation(row):
    found = real_ratio_interval(row, made_with(CALIBRATION))
    assert found.lower == pytest.approx(3.0 * math.exp(-0.25), rel=1e-6)
    assert found.upper == pytest.approx(3.0 * math.exp(0.25), rel=1e-6)
    assert found.level == 0.9


@pytest.mark.parametrize(
    "provenance",
    [{}, {"model": None}, {"model": {"card": {}}}, made_with({}), made_with([1]), made_with("x"),
     made_with({"ratio_quantiles": {"0.8": 2.0}}), made_with({"ratio_quantiles": {"0.9": -1.0}}),
     made_with({"ratio_quantiles": {"high": 1.0}})],
)  # fmt: skip
def test_without_a_sound_calibration_there_is_none(row, provenance):
    assert real_ratio_interval(row, provenance) is None


def test_without_an_uncertainty_map_there_is_none(row):
    assert real_ratio_interval(replace(row, interval=None), made_with(CALIBRATION)) is None
    assert calibration_of(made_with(CALIBRATION)) == CALIBRATION


def test_report_shows_it_for_the_synthetic_map_alone(images, row):
    values, _spread, drawn = images
    real = regions.ratio_row("Real rCBV", values, *regions.split_regions(drawn))
    case = report.CaseReport("IVIM", values, values, regions=drawn, ratios=(row, real),
                             provenance=made_with(CALIBRATION))  # fmt: skip
    told = ratios_section(case, lambda text: text)
    assert "90% interval (conformal)" in told
    assert told.count("2.34 to 3.85") == 1
    assert "90% of patients like the 19 that" in told
    told = ratios_section(replace(case, provenance={}), lambda text: text)
    assert "conformal" not in told


def test_verb_says_it_where_the_maps_file_tells_the_calibration(images, tmp_path, capsys):
    values, spread, drawn = images
    labels = drawn["Tumour 1"] + 4 * drawn["White matter 1"]
    for name, one in (("map", values), ("sd", spread), ("labels", sitk.Cast(labels, sitk.sitkUInt8))):
        sitk.WriteImage(one, str(tmp_path / f"{name}.nii.gz"))

    def run(*more: str) -> str:
        arguments = ["ratios", "--map", f"m={tmp_path / 'map.nii.gz'}", *more]
        arguments += ["--uncertainty", f"m={tmp_path / 'sd.nii.gz'}"]
        arguments += ["--regions", str(tmp_path / "labels.nii.gz"), "--out", str(tmp_path / "ratios.csv")]
        assert main(arguments) == 0
        return capsys.readouterr().out

    assert "conformal" not in run()
    sidecar = tmp_path / "map.json"
    sidecar.write_text(json.dumps({"GeneratedBy": made_with(CALIBRATION)}), encoding="utf-8")
    assert "expected from 2.34 to 3.85 (90% interval, conformal" in run()
    assert "conformal" not in run("--uncertainty-scale", "2")
    sidecar.write_text("[not JSON", encoding="utf-8")
    assert "conformal" not in run()
