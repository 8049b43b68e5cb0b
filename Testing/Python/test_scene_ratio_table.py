"""The table of ratios in the scene: its intervals, and the one that holds the real ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.scene.ratios import ratio_table  # noqa: E402

MODEL = {"name": "ivim", "card": {"calibration": {"ratio_quantiles": {"0.9": 2.5}}}}


@dataclass(frozen=True)
class Result:
    rcbv: sitk.Image
    uncertainty: sitk.Image
    mask: sitk.Image
    provenance: dict = field(default_factory=lambda: {"unit": "1", "model": MODEL})
    findings: tuple = ()


@pytest.fixture
def nodes():
    mrml.new_scene()
    masks = {name: np.zeros((4, 20, 20), np.uint8) for name in ("Tumour 1", "White matter 1")}
    masks["Tumour 1"][1:3, 4:8, 4:8] = masks["White matter 1"][1:3, 12:16, 12:16] = 1
    values = 1.0 + 5.0 * masks["Tumour 1"] + 1.0 * masks["White matter 1"]  # 6 / 2
    spread = 0.1 + 0.38 * masks["Tumour 1"] + 0.02 * masks["White matter 1"]  # .08 and .06 of the means
    images = [sitk.GetImageFromArray(array.astype(np.float32)) for array in (values, spread)]
    made = mrml.add_synthesis(Result(*images, images[0] > 0), "case")
    drawn = {name: sitk.GetImageFromArray(mask) for name, mask in masks.items()}
    return made, mrml.add_regions(drawn, made.rcbv, "Regions")


def test_the_real_ratios_interval_stands_in_a_column_of_its_own(nodes):
    made, regions = nodes
    real = mrml.image_to_volume(mrml.volume_to_image(made.rcbv), "real")
    content = ratio_table(regions, {"Synthetic rCBV": made.rcbv, "Real rCBV": real}, "ratios").GetTable()
    column = content.GetColumnByName("90 % interval (conformal)")
    low, high = 3 * math.exp(-0.25), 3 * math.exp(0.25)
    assert [column.GetValue(0), column.GetValue(1)] == [f"{low:.2f} – {high:.2f}", ""]
    own = content.GetColumnByName("90 % interval").GetValue(0)
    assert own == f"{3 * math.exp(-0.16449):.2f} – {3 * math.exp(0.16449):.2f}"


def test_another_uncertainty_map_was_not_calibrated(nodes):
    made, regions = nodes
    table = ratio_table(regions, {"map": made.rcbv}, "ratios", {"map": made.uncertainty})
    names = [table.GetTable().GetColumnName(i) for i in range(table.GetNumberOfColumns())]
    assert "90 % interval" in names
    assert "90 % interval (conformal)" not in names
