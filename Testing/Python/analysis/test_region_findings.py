"""Findings about regions whose ratio should not be trusted."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.regions.findings import check_regions
from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane

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


TUMOUR = [box(1, 2, 2), box(1, 8, 2), box(1, 14, 2)]
WHITE = [box(1, 2, 16), box(1, 8, 16), box(1, 14, 16)]
MIDLINE = SagittalPlane((1.0, 0.0, 0.0), 23.0)  # columns are 2 mm wide: between columns 11 and 12


def whats(map=None, tumour=TUMOUR, white=WHITE, **more) -> list[str]:
    map = image(np.ones(SHAPE)) if map is None else map
    return [f"{finding.severity}: {finding.what}" for finding in check_regions(map, tumour, white, **more)]


def test_nothing_is_found_where_all_is_well():
    brain = image(np.ones(SHAPE, np.uint8))
    assert whats(mask=brain, plane=MIDLINE, slice_normalised=True) == []


def test_an_empty_region_is_an_error():
    assert whats(tumour=[*TUMOUR[:2], image(np.zeros(SHAPE, np.uint8))]) == ["error: Tumour 3 is empty."]


def test_a_region_outside_the_map_is_an_error():
    values = np.ones(SHAPE)
    values[1, 2:4, 16:20] = np.nan
    assert whats(image(values)) == ["error: 50% of White matter 1 lies where the map has no value."]


def test_a_region_outside_the_brain():
    brain = np.ones(SHAPE, np.uint8)
    brain[:, :, :3] = 0
    found = whats(mask=image(brain))
    assert found == [f"warning: 25% of Tumour {i} lies outside the brain." for i in (1, 2, 3)]
    values = np.ones(SHAPE)
    values[:, :, :3] = 0  # said once, not twice
    assert whats(image(values), mask=image(brain)) == [
        f"warning: 25% of Tumour {i} lies where the map is zero." for i in (1, 2, 3)
    ]


def test_overlap_within_a_kind():
    assert whats(tumour=[*TUMOUR[:2], box(1, 10, 2)]) == ["warning: Tumour 2 and Tumour 3 share 8 voxels."]
    assert whats(white=[*WHITE[:2], box(1, 3, 17)]) == [
        "warning: White matter 1 and White matter 3 share 9 voxels."
    ]


def test_white_matter_on_the_tumours_side():
    found = whats(white=[*WHITE[:2], box(1, 14, 7)], plane=MIDLINE)
    assert found == ["warning: White matter 3 lies on the tumour's side."]


def test_regions_across_the_midline():
    found = whats(tumour=[*TUMOUR[:2], box(1, 14, 9)], plane=MIDLINE)
    assert found == ["warning: Tumour 3 lies across the mid-line."]
    found = whats(tumour=[*TUMOUR[:2], WHITE[2]], white=WHITE[:2], plane=MIDLINE)
    assert "warning: The tumour regions lie on both sides of the mid-line." in found


def test_several_slices_matter_only_to_slice_normalised_maps():
    white = [*WHITE[:2], box(2, 14, 16)]
    assert whats(white=white) == []
    assert whats(white=white, slice_normalised=True) == [
        "warning: The regions lie in 2 slices of a map that is normalised slice by slice."
    ]
