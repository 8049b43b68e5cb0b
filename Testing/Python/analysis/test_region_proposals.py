"""Proposed regions on a drawn head: hot, clear of vessels and borders; opposite, and white."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.analysis.regions import proposals, t_wm_ratio
from SynthCBVLib.analysis.regions.hot_spots import propose_tumour
from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane
from SynthCBVLib.analysis.regions.proposals import propose_regions
from SynthCBVLib.errors import Cancelled, InputError


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def like(values: np.ndarray, image: sitk.Image, kind: type = np.uint8) -> sitk.Image:
    made = sitk.GetImageFromArray(values.astype(kind))
    made.CopyInformation(image)
    return made


def flat(values: np.ndarray) -> sitk.Image:
    made = sitk.GetImageFromArray(values[None].astype(np.float32))
    made.SetSpacing((1.0, 1.0, 5.0))
    return made


@pytest.fixture(scope="module")
def proposed(head):
    return propose_regions(head.t2w, head.rcbv, head.tumour, head.mask, "T2w")


def test_hot_spots_are_hot_inside_and_free_of_the_vessel(head, proposed):
    assert list(proposed.tumour) == ["Tumour 1", "Tumour 2", "Tumour 3"]
    solid, values = array(head.tumour) > 0, array(head.rcbv)
    for mask in proposed.tumour.values():
        inside = array(mask) > 0
        assert solid[inside].all()
        assert not head.vessel[inside].any()
        assert values[inside].mean() > np.median(values[solid & ~head.vessel])


def test_white_matter_is_white_and_opposite_in_the_same_slice(head, proposed):
    truth = SagittalPlane(tuple(head.normal), head.offset)
    distances = truth.distance_map(head.t2w)
    number = {int(np.argwhere(array(mask))[0][0]) for mask in proposed.regions.values()}
    assert len(number) == 1
    for mask in proposed.white_matter.values():
        inside = array(mask) > 0
        assert head.white[inside].mean() >= 0.95
        assert (distances[inside] > 4).all()  # the tumour is on the right, where distances are negative
    ratio = t_wm_ratio(head.rcbv, proposed.tumour, proposed.white_matter)
    assert ratio.white_matter == pytest.approx(1.0, abs=0.1)
    assert proposed.findings == ()


def test_regions_do_not_overlap_and_have_the_papers_area(head, proposed):
    together = sum(array(mask).astype(int) for mask in proposed.regions.values())
    assert together.max() == 1
    pixel = np.prod(head.t2w.GetSpacing()[:2])
    for mask in proposed.regions.values():
        assert array(mask).sum() * pixel == pytest.approx(25, rel=0.25)


@pytest.mark.parametrize("contrast", ["T1w", None])
def test_other_contrasts_named_or_not(head, contrast):
    found = propose_regions(head.t1w, head.rcbv, head.tumour, head.mask, contrast)
    for mask in found.white_matter.values():
        assert head.white[array(mask) > 0].mean() >= 0.95


def test_a_rough_segment_will_do(head):
    wide = ndimage.binary_dilation(array(head.tumour) > 0, np.ones((1, 3, 3)))
    found = propose_regions(head.t2w, head.rcbv, like(wide, head.t2w), head.mask, "T2w")
    solid = array(head.tumour) > 0
    for mask in found.tumour.values():
        assert solid[array(mask) > 0].mean() >= 0.8


def test_the_hottest_disc_is_found_and_the_vessel_is_not():
    rows, columns = np.indices((60, 60))
    segment = np.hypot(rows - 30, columns - 30) < 22
    values = np.full((60, 60), 2.0) + 0.01 * np.random.default_rng(3).standard_normal((60, 60))
    values[np.hypot(rows - 22, columns - 36) < 4] = 5.0
    values[28:30, 5:55] = 9.0  # a vessel through the tumour
    spots = propose_tumour(flat(values), flat(segment), n=2)
    i, j, k = spots.indices[0]
    assert np.hypot(j - 22, i - 36) <= 1.5
    assert k == 0
    for mask in spots.masks.values():
        assert not array(mask)[0, 28:30].any()


def test_what_is_hot_in_one_slice_only_yields_to_what_its_neighbours_show_too():
    """Noise, and not tumour, rises in one slice; a region's value is the map's, not the smoothed one's."""
    rows, columns = np.indices((70, 70))
    values, segment = np.full((3, 70, 70), 2.0, np.float32), np.zeros((3, 70, 70), np.uint8)
    segment[:, 10:60, 10:60] = 1
    segment[1, 9] = segment[1, 10]  # the slice of the most tumour
    values[1][np.hypot(rows - 22, columns - 22) < 5] = 3.2
    values[:, np.hypot(rows - 46, columns - 46) < 5] = 3.0
    images = []
    for part in (values, segment):
        images.append(sitk.GetImageFromArray(part))
        images[-1].SetSpacing((1.0, 1.0, 5.0))
    spots = propose_tumour(*images, n=1)
    assert np.hypot(spots.indices[0][1] - 46, spots.indices[0][0] - 46) <= 2
    assert spots.indices[0][2] == 1
    assert values[array(spots.masks["Tumour 1"]) > 0].mean() == pytest.approx(3.0)


def test_the_border_is_avoided_where_there_is_room():
    segment = np.zeros((60, 60), bool)
    segment[10:50, 10:50] = True
    values = np.full((60, 60), 2.0)
    values[:, :12] = 6.0  # hot along and beyond the border
    (i, _, _), *_ = propose_tumour(flat(values), flat(segment), n=1).indices
    assert i >= 13


def test_slices_one_or_any():
    values, segment = np.full((4, 50, 50), 2.0, np.float32), np.zeros((4, 50, 50), np.uint8)
    segment[1, 5:45, 5:45] = 1
    segment[3, 10:30, 10:30] = 1
    values[3] = 4.0
    images = []
    for part in (values, segment):
        images.append(sitk.GetImageFromArray(part))
        images[-1].SetSpacing((1.0, 1.0, 5.0))
    assert {index[2] for index in propose_tumour(*images).indices} == {1}
    assert {index[2] for index in propose_tumour(*images, slices="any").indices} == {3}


def test_one_slice_may_be_named():
    values, segment = np.full((4, 50, 50), 2.0, np.float32), np.zeros((4, 50, 50), np.uint8)
    segment[1, 5:45, 5:45] = 1
    segment[2, 10:30, 10:30] = 1
    images = []
    for part in (values, segment):
        images.append(sitk.GetImageFromArray(part))
        images[-1].SetSpacing((1.0, 1.0, 5.0))
    assert {index[2] for index in propose_tumour(*images, slices=2).indices} == {2}
    for number in (4, -1):
        with pytest.raises(InputError, match="0 to 3"):
            propose_tumour(*images, slices=number)
    with pytest.raises(InputError, match="too narrow"):
        propose_tumour(*images, slices=3)


def slice_of(regions: dict[str, sitk.Image]) -> int:
    (number,) = {int(np.argwhere(array(mask))[0][0]) for mask in regions.values()}
    return number


@pytest.fixture
def plane(head) -> SagittalPlane:
    return SagittalPlane(tuple(head.normal), head.offset)


def nearly_without_white_matter(head, region: sitk.Image) -> sitk.Image:
    """Paint a slice's white matter grey but for an island about a region that has room for no other."""
    k, j, i = np.rint(np.argwhere(array(region)).mean(0)).astype(int)
    t2w = array(head.t2w).copy()
    rows, columns = np.indices(t2w[k].shape)
    around = np.hypot(rows - j, columns - i) * head.t2w.GetSpacing()[0]
    t2w[k][head.white[k] & (around > 6)] *= 520 / 300
    return like(t2w, head.t2w, np.float32)


def test_where_white_matter_opposite_is_doubtful_a_slice_nearly_as_large_is_taken(head, proposed, plane):
    number = slice_of(proposed.regions)
    t2w = nearly_without_white_matter(head, proposed.white_matter["White matter 1"])
    found = propose_regions(t2w, head.rcbv, head.tumour, head.mask, "T2w", plane=plane)
    taken = slice_of(found.regions)
    assert taken != number
    area = array(head.tumour).astype(bool).sum((1, 2))
    assert area[taken] >= proposals.NEARLY_LARGEST * area[number]
    for mask in found.white_matter.values():
        assert head.white[array(mask) > 0].mean() >= 0.95
    (finding,) = found.findings
    assert f"largest slice of the tumour ({number + 1})" in finding.what
    assert f"in slice {taken + 1}." in finding.what


def test_without_such_a_slice_the_largest_is_kept_and_the_doubt_told(head, proposed, plane, monkeypatch):
    number = slice_of(proposed.regions)
    monkeypatch.setattr(proposals, "NEARLY_LARGEST", 1.01)
    t2w = nearly_without_white_matter(head, proposed.white_matter["White matter 1"])
    found = propose_regions(t2w, head.rcbv, head.tumour, head.mask, "T2w", plane=plane)
    assert slice_of(found.regions) == number
    assert any("no purer place was found opposite" in finding.what for finding in found.findings)


def test_a_largest_slice_without_any_room_opposite_is_left(head, proposed, plane, monkeypatch):
    number = slice_of(proposed.regions)
    mask = array(head.mask).copy()
    mask[number][plane.distance_map(head.t2w)[number] > 0] = 0
    given = (head.t2w, head.rcbv, head.tumour, like(mask, head.mask), "T2w")
    assert slice_of(propose_regions(*given, plane=plane).regions) != number
    monkeypatch.setattr(proposals, "NEARLY_LARGEST", 1.01)
    with pytest.raises(InputError, match=f"none found on the other side in slice {number + 1}"):
        propose_regions(*given, plane=plane)


def test_anywhere_is_not_bound_to_a_slice(head, plane):
    found = propose_regions(head.t2w, head.rcbv, head.tumour, head.mask, "T2w", plane=plane, slices="any")
    assert list(found.white_matter) == ["White matter 1", "White matter 2", "White matter 3"]


def test_little_room_is_said():
    segment = np.zeros((40, 40), bool)
    segment[18:25, 10:22] = True
    spots = propose_tumour(flat(np.full((40, 40), 2.0)), flat(segment))
    assert 1 <= len(spots.masks) < 3
    assert any("room for" in finding.what for finding in spots.findings)


@pytest.mark.parametrize(
    ("segment", "named"),
    [(None, "tumour segment: none"), ("empty", "an empty mask"), ("dot", "too narrow"), ("grid", "Resample")],
)
def test_no_usable_tumour_segment_is_named(head, segment, named):
    given = None
    if segment == "empty":
        given = head.tumour * 0
    elif segment == "dot":
        dot = np.zeros(head.t2w.GetSize()[::-1])
        dot[9, 57, 22] = 1
        given = like(dot, head.t2w)
    elif segment == "grid":
        given = head.tumour[:-1]
    with pytest.raises(InputError, match=named):
        propose_regions(head.t2w, head.rcbv, given, head.mask, "T2w")


def test_a_segment_outside_the_brain_and_a_map_elsewhere_are_named(head):
    outside = np.zeros(head.t2w.GetSize()[::-1])
    outside[9, :6, :6] = 1
    with pytest.raises(InputError, match="no voxel where the map has values"):
        propose_regions(head.t2w, head.rcbv, like(outside, head.t2w), head.mask, "T2w")
    with pytest.raises(InputError, match="Resample map"):
        propose_regions(head.t2w, head.rcbv[:-1], head.tumour, head.mask, "T2w")


def test_no_white_matter_opposite_is_named(head):
    half = array(head.mask) * (SagittalPlane(tuple(head.normal), head.offset).distance_map(head.t2w) < 8)
    with pytest.raises(InputError, match="healthy side of the brain"):
        propose_regions(
            head.t2w, head.rcbv, head.tumour, like(half, head.t2w), "T2w",
            plane=SagittalPlane(tuple(head.normal), head.offset),
        )  # fmt: skip


def test_not_a_number_in_the_map_is_avoided(head):
    values = array(head.rcbv)
    first = propose_tumour(head.rcbv, head.tumour, n=1)
    i, j, k = first.indices[0]
    values[k, j, i] = np.nan
    moved = propose_tumour(like(values, head.rcbv, np.float32), head.tumour, n=1)
    assert array(moved.masks["Tumour 1"])[k, j, i] == 0


def test_work_can_be_cancelled(head):
    def stop(fraction: float, message: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        propose_regions(head.t2w, head.rcbv, head.tumour, head.mask, "T2w", progress=stop)
