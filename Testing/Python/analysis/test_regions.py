"""T/WM ratios: analytic values, and a clear message for everything that cannot give one."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.analysis import regions
from SynthCBVLib.errors import InputError

SHAPE = (4, 20, 24)


def box(*corner: int, size: int = 3) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[corner[0], corner[1] : corner[1] + size, corner[2] : corner[2] + size] = 1
    return mask


TUMOUR = [box(1, 2, 2), box(1, 8, 2), box(2, 2, 2, size=5)]
WHITE = [box(1, 2, 16), box(1, 8, 16), box(2, 2, 16)]


def plain_map() -> np.ndarray:
    """6, 9, 12 in the tumour regions; 1, 2, 3 in the white matter; 0.5 elsewhere."""
    values = np.full(SHAPE, 0.5)
    for mask, value in zip([*TUMOUR, *WHITE], [6, 9, 12, 1, 2, 3], strict=True):
        values[mask > 0] = value
    return values


def image(array: np.ndarray, spacing=(2.0, 1.5, 5.0), origin=(-20.0, 10.0, 3.0)) -> sitk.Image:
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(spacing)
    made.SetOrigin(origin)
    made.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    return made


def test_ratio_is_the_quotient_of_the_means_of_region_means():
    found = regions.t_wm_ratio(plain_map(), tumour=TUMOUR, white_matter=WHITE)
    assert found.tumour == pytest.approx(9.0)  # not 10.2, the mean of all voxels: the third region is larger
    assert found.white_matter == pytest.approx(2.0)
    assert found.ratio == pytest.approx(4.5)
    assert found.n == (3, 3)


def test_images_arrays_mappings_and_mixtures_agree():
    values = plain_map()
    expected = regions.t_wm_ratio(values, TUMOUR, WHITE)
    assert (
        regions.t_wm_ratio(image(values), [image(m) for m in TUMOUR], [image(m) for m in WHITE]) == expected
    )
    assert regions.t_wm_ratio(image(values), TUMOUR, dict(zip("abc", WHITE, strict=True))) == expected
    assert regions.t_wm_ratio(values, TUMOUR[0], WHITE[0]).ratio == pytest.approx(6.0)


@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_ratio_does_not_change_with_the_scale_of_the_map(scale, seed):
    values = np.random.default_rng(seed).uniform(0.5, 4, SHAPE)
    plain = regions.t_wm_ratio(values, TUMOUR, WHITE).ratio
    assert regions.t_wm_ratio(values * scale, TUMOUR, WHITE).ratio == pytest.approx(plain, rel=1e-12)
    assert regions.t_wm_ratio(values, WHITE, TUMOUR).ratio == pytest.approx(1 / plain, rel=1e-12)


def test_statistics_of_a_region():
    values = plain_map()
    values[1, 2:5, 2:5] = np.arange(9).reshape(3, 3)
    (found,) = regions.region_statistics(image(values), {"Tumour 1": image(TUMOUR[0])})
    assert (found.name, found.mean, found.n_voxels) == ("Tumour 1", 4.0, 9)
    assert found.sd == pytest.approx(math.sqrt(7.5))
    assert found.area_mm2 == pytest.approx(9 * 3.0)
    assert found.volume_mm3 == pytest.approx(9 * 15.0)
    (bare,) = regions.region_statistics(values, [box(0, 0, 0, size=1)])
    assert bare.name == "Region 1"
    assert math.isnan(bare.sd)
    assert bare.area_mm2 is None
    assert bare.volume_mm3 is None


def test_area_is_that_of_the_largest_slice():
    (found,) = regions.region_statistics(image(plain_map()), [image(TUMOUR[0] | TUMOUR[2])])
    assert found.area_mm2 == pytest.approx(25 * 3.0)
    assert found.volume_mm3 == pytest.approx(34 * 15.0)


def nan_map() -> np.ndarray:
    values = plain_map()
    values[1, 9, 3] = np.nan
    return values


@pytest.mark.parametrize(
    ("map", "tumour", "white_matter", "names"),
    [
        (plain_map(), [], WHITE, ["Tumour regions", "empty list"]),
        (plain_map(), TUMOUR, {}, ["White matter regions", "empty list"]),
        (plain_map(), {"Tumour core": np.zeros(SHAPE)}, WHITE, ["Tumour core", "empty mask"]),
        (plain_map(), [TUMOUR[0], np.zeros(SHAPE)], WHITE, ["Tumour 2", "empty mask"]),
        (plain_map(), TUMOUR, [np.full(SHAPE, np.nan)], ["White matter 1", "NaN"]),
        (nan_map(), TUMOUR, WHITE, ["Tumour 2", "1 of 9 voxels"]),
        (np.where(plain_map() == 2, np.inf, plain_map()), TUMOUR, WHITE, ["White matter 2", "9 of 9 voxels"]),
        (plain_map(), [np.ones((3, 3, 3))], WHITE, ["Tumour 1", "(3, 3, 3)", "(4, 20, 24)"]),
        (np.where(plain_map() < 5, 0, plain_map()), TUMOUR, WHITE, ["white matter", "mean of 0"]),
        (-plain_map(), TUMOUR, WHITE, ["white matter", "mean of -2"]),
        (np.where(plain_map() < 5, 1e-320, 1e300), TUMOUR, WHITE, ["white matter", "large enough"]),
        (np.full((2, *SHAPE), 1.0), TUMOUR, WHITE, ["map", "(2, 4, 20, 24)"]),
        (plain_map().astype(str), TUMOUR, WHITE, ["map", "real numbers"]),
        ([1, 2], TUMOUR, WHITE, ["map", "list"]),
        (plain_map(), {"A": TUMOUR[0]}, {"A": WHITE[0]}, ["region A", "both"]),
    ],
)
def test_what_gives_no_ratio_is_named(map, tumour, white_matter, names):
    with pytest.raises(InputError) as caught:
        regions.t_wm_ratio(map, tumour, white_matter)
    for name in names:
        assert name in str(caught.value)


@pytest.mark.parametrize(
    "other",
    [
        {"spacing": (2.0, 1.5, 5.1)},
        {"origin": (-20.0, 12.0, 3.0)},
    ],
)
def test_a_mask_on_another_grid_is_refused(other):
    masks = [image(TUMOUR[0]), image(TUMOUR[1], **other)]
    with pytest.raises(InputError, match=r"Tumour 2: size .* needed: size .* Resample Tumour 2"):
        regions.t_wm_ratio(image(plain_map()), masks, [image(m) for m in WHITE])


def test_vector_image_is_refused():
    vector = sitk.Compose(image(plain_map()), image(plain_map()))
    with pytest.raises(InputError, match="2 volumes"):
        regions.t_wm_ratio(vector, TUMOUR, WHITE)


def test_split_by_name():
    names = [
        "Tumour 1", "tumor_2", "TUMORS", "White matter 1", "white_matter-2", "WM3", "NAWM left",
        "WMH", "Brain", "tumoural oedema",
    ]  # fmt: skip
    tumour, white_matter = regions.split_regions(dict.fromkeys(names, TUMOUR[0]))
    assert list(tumour) == names[:3]
    assert list(white_matter) == names[3:7]


@pytest.mark.parametrize(
    ("names", "missing"), [(["WM"], "Tumour"), (["Tumor"], "White matter"), ([], "none")]
)
def test_split_names_the_missing_kind(names, missing):
    with pytest.raises(InputError, match=missing):
        regions.split_regions(dict.fromkeys(names, TUMOUR[0]))


def test_table_keeps_the_maps_order_and_names_the_failing_map():
    values = plain_map()
    rows = regions.ratio_table({"Synthetic rCBV": values, "f": values**2}, TUMOUR, WHITE)
    assert [row.map for row in rows] == ["Synthetic rCBV", "f"]
    assert rows[1].ratio.ratio == pytest.approx((36 + 81 + 144) / (1 + 4 + 9))
    assert [r.name for r in rows[0].regions] == [
        f"{k} {i}" for k in ("Tumour", "White matter") for i in (1, 2, 3)
    ]
    with pytest.raises(InputError, match="Tumour 2 on f"):
        regions.ratio_table({"Synthetic rCBV": values, "f": nan_map()}, TUMOUR, WHITE)
    with pytest.raises(InputError, match="at least one map"):
        regions.ratio_table({}, TUMOUR, WHITE)


def test_csv_reads_back_and_runs_no_formula(tmp_path):
    hostile = {"=HYPERLINK(1)": TUMOUR[0], 'a,"b"\nc': TUMOUR[1]}
    maps = {"@SUM(1)": image(plain_map()), "Real rCBV": image(plain_map() * np.pi)}
    rows = regions.ratio_table(maps, hostile, WHITE)
    path = regions.write_ratios_csv(rows, tmp_path / "ratios.csv")
    with path.open(newline="", encoding="utf-8") as stream:
        header, *lines = list(csv.reader(stream))
    assert [line[0] for line in lines] == ["'@SUM(1)", "Real rCBV"]
    assert "'=HYPERLINK(1) mean (map units)" in header
    assert 'a,"b"\nc SD (map units)' in header
    assert all(len(line) == len(header) for line in lines)
    assert float(lines[1][1]) == rows[1].ratio.ratio
    assert float(lines[1][2]) == rows[1].ratio.tumour
    assert float(lines[1][header.index("White matter 3 volume (mm3)")]) == pytest.approx(135)
    assert list(tmp_path.iterdir()) == [path]


def test_csv_of_nothing_or_to_nowhere_leaves_nothing(tmp_path):
    rows = regions.ratio_table({"map": plain_map()}, TUMOUR, WHITE)
    with pytest.raises(InputError, match="no ratios"):
        regions.write_ratios_csv([], tmp_path / "ratios.csv")
    with pytest.raises(InputError, match="a folder"):
        regions.write_ratios_csv(rows, tmp_path)
    assert list(tmp_path.iterdir()) == []
