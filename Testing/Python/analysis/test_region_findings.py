"""Findings about regions whose ratio should not be trusted."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.region_findings import check_regions

SHAPE = (4, 20, 24)


def box(*corner: int, size: int = 4) -> sitk.Image:
    mask = np.zeros(SHAPE, np.uint8)
    mask[corner[0], corner[1] : corner[1] + size, corner[2] : corner[2] + size] = 1
    return image(mask)


def image(array: np.ndarray) -> sitk.Image:
    made = sitk.GetImageFromArray(array)
    made.SetSpacing((2.0, 1.5, 5.0))
    return made


def test_findings_for_ratios_not_to_trust():
    values = np.full(SHAPE, 0.5)
    tumour = [box(1, 2, 2), box(1, 8, 2), box(2, 2, 2)]
    white_matter = [box(1, 2, 16), box(1, 8, 16), box(2, 2, 16)]
    assert check_regions(image(values), tumour, white_matter) == []
    values[1, 2, 2:6] = 0
    found = check_regions(image(values), tumour, {"White matter 1": box(0, 0, 0, size=2), "WM 2": tumour[0]})
    assert {finding.what for finding in found} == {
        "Only 2 white matter regions.",
        "25% of Tumour 1 lies where the map is zero.",
        "25% of WM 2 lies where the map is zero.",
        "White matter 1 covers 12.0 mm² in its largest slice.",
        "Tumour 1 and WM 2 share 16 voxels.",
    }
    assert len(found) == 5
    assert all(finding.remedy for finding in found)
