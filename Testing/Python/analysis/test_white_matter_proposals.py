"""White matter opposite hot spots: pure, usual and nearest, whatever the noise and the scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from SynthCBVLib.analysis.regions import white_matter
from SynthCBVLib.analysis.regions.hot_spots import Spots, propose_tumour
from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane
from SynthCBVLib.analysis.regions.white_level import learn_white_matter
from SynthCBVLib.analysis.regions.white_matter import DEMAND, Demand, propose_white_matter
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality

WARNING = "may hold some grey matter or CSF"
UNSURE = "cannot be told surely"


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def like(values: np.ndarray, image: sitk.Image) -> sitk.Image:
    made = sitk.GetImageFromArray(values.astype(np.float32))
    made.CopyInformation(image)
    return made


@pytest.fixture(scope="module")
def plane(head) -> SagittalPlane:
    return SagittalPlane(tuple(head.normal), head.offset)


@pytest.fixture(scope="module")
def hot(head) -> Spots:
    return propose_tumour(head.rcbv, head.tumour, mask=head.mask)


def proposed(head, hot, plane, *, t2w=None, rcbv=None, others=None) -> Spots:
    return propose_white_matter(
        t2w or head.t2w, rcbv or head.rcbv, hot, head.tumour, plane, head.mask, Modality.T2W, others=others
    )


def least_white(head, spots: Spots) -> float:
    return min(head.white[array(mask) > 0].mean() for mask in spots.masks.values())


def away_from(image: sitk.Image, index) -> np.ndarray:
    """Distance (mm) of each voxel of the index's slice from it; inf in other slices."""
    i, j, k = index
    rows, columns = np.indices(image.GetSize()[1::-1])
    away = np.full(image.GetSize()[::-1], np.inf)
    away[k] = np.hypot((rows - j) * image.GetSpacing()[1], (columns - i) * image.GetSpacing()[0])
    return away


def test_where_the_mirror_is_pure_the_disc_lies_there(head, hot, plane):
    spots = proposed(head, hot, plane)
    assert spots.findings == ()
    assert least_white(head, spots) == 1.0
    for source, index in zip(hot.indices, spots.indices, strict=True):
        mirrored = plane.mirror(np.array(head.t2w.TransformIndexToPhysicalPoint([int(i) for i in source])))
        (i, j, _) = head.t2w.TransformPhysicalPointToContinuousIndex(mirrored.tolist())
        # The drawn white matter is wide there; what is left is the other discs' room and the nuclei nearby.
        assert 2.0 * math.hypot(index[0] - i, index[1] - j) < 14


def test_a_lump_without_contrast_in_the_mean_is_left_by_its_spread(head, hot, plane):
    """Half darker, half brighter than white matter: its mean over a disc is white matter's."""
    first = proposed(head, hot, plane).indices[0]
    lump = away_from(head.t2w, first) < 8
    checks = np.indices(lump.shape).sum(0) % 2 * 2 - 1
    t2w = array(head.t2w) * np.where(lump, 1 + 0.25 * checks, 1)
    spots = proposed(head, hot, plane, t2w=like(t2w, head.t2w))
    assert spots.findings == ()
    for index in spots.indices:
        assert away_from(head.t2w, first)[index[::-1]] > 8
    assert (
        away_from(head.t2w, first)[spots.indices[0][::-1]] < 8 + 2.8 + 1.7 + 8
    )  # but no farther than needed


@pytest.mark.parametrize("factor", [0.6, 1.5])
def test_white_matter_of_unusual_blood_volume_is_left(head, hot, plane, factor):
    first = proposed(head, hot, plane).indices[0]
    patch = away_from(head.t2w, first) < 7
    rcbv = like(array(head.rcbv) * np.where(patch, factor, 1), head.rcbv)
    for mask in proposed(head, hot, plane, rcbv=rcbv).masks.values():
        assert array(rcbv)[array(mask) > 0].mean() == pytest.approx(1.0, abs=0.2)


def test_noise_of_the_image_is_no_impurity(head, hot, plane):
    """With more noise than the spread that is allowed, white matter is found, and pure."""
    noise = np.random.default_rng(5).standard_normal(array(head.t2w).shape)
    noisy = like(array(head.t2w) * (1 + 0.1 * noise), head.t2w)
    spots = proposed(head, hot, plane, t2w=noisy)
    assert least_white(head, spots) >= 0.95


def test_where_nothing_is_pure_it_is_said(head, hot, plane):
    """Every third pixel of the slice's white matter is grey, so every disc holds some."""
    number = hot.indices[0][2]
    strewn = np.indices(array(head.t2w).shape[1:]).sum(0) % 3 == 0
    t2w = array(head.t2w).copy()
    t2w[number] = np.where(strewn & head.white[number], 520.0, t2w[number])
    spots = proposed(head, hot, plane, t2w=like(t2w, head.t2w))
    assert any(UNSURE in finding.what for finding in spots.findings)


def narrow(factor: float) -> Demand:
    """Give the demand with its limits narrower; that of the blood's ratio stays above 1."""
    return Demand(**{name: 1 + factor if name == "blood" else factor * x for name, x in vars(DEMAND).items()})


def test_where_no_disc_meets_the_demand_the_purest_is_taken_and_told_of(head, hot, plane, monkeypatch):
    monkeypatch.setattr(white_matter, "DEMAND", narrow(1e-6))
    spots = proposed(head, hot, plane)
    assert least_white(head, spots) == 1.0
    assert [WARNING in finding.what for finding in spots.findings] == [True]


def test_a_fault_that_is_small_is_not_told_of(head, hot, plane, monkeypatch):
    monkeypatch.setattr(white_matter, "DEMAND", narrow(1e-6))
    monkeypatch.setattr(white_matter, "TRUSTED", 1e9)
    assert proposed(head, hot, plane).findings == ()


def test_a_slice_without_room_opposite_is_named(head, hot, plane):
    number = hot.indices[0][2]
    brain = array(head.mask).copy()
    brain[number][plane.distance_map(head.t2w)[number] > 0] = 0
    brain = like(brain, head.mask)
    with pytest.raises(InputError, match=f"none found on the other side in slice {number + 1}"):
        propose_white_matter(head.t2w, head.rcbv, hot, head.tumour, plane, brain, Modality.T2W)


def test_a_place_that_is_grey_in_the_next_slice_is_left(head, hot, plane):
    """A thick slice that looks white between one of white and one of grey matter is a mixture."""
    first = proposed(head, hot, plane).indices[0]
    i, j, _ = first
    rows, columns = np.indices(array(head.t2w).shape[1:])
    near = np.zeros(array(head.t2w).shape, bool)
    near[first[2] + 1] = np.hypot((rows - j) * 2.0, (columns - i) * 2.0) < 8
    t2w = np.where(near, 520.0, array(head.t2w))
    for index in proposed(head, hot, plane, t2w=like(t2w, head.t2w)).indices:
        assert away_from(head.t2w, first)[index[::-1]] > 4


@pytest.mark.parametrize("empty", [0.0, np.nan])
def test_a_next_slice_without_signal_tells_nothing(head, hot, plane, empty):
    expected = proposed(head, hot, plane)
    t2w = array(head.t2w).astype(float)
    for number in {index[2] for index in expected.indices}:
        t2w[number + 1] = empty
    found = proposed(head, hot, plane, t2w=like(t2w, head.t2w))
    for index, moved in zip(expected.indices, found.indices, strict=True):
        assert away_from(head.t2w, index)[moved[::-1]] < 8
    assert least_white(head, found) >= 0.95


def test_blood_that_changes_slowly_across_the_slice_does_not_drive_discs_away(head, hot, plane):
    """Twofold from front to back: each disc is usual where it lies, though not of the slice."""
    slope = np.exp(np.linspace(-0.6, 0.6, head.rcbv.GetSize()[1]))[None, :, None]
    rcbv = like(array(head.rcbv) * slope, head.rcbv)
    before, after = proposed(head, hot, plane), proposed(head, hot, plane, rcbv=rcbv)
    for index, moved in zip(before.indices, after.indices, strict=True):
        assert away_from(head.t2w, index)[moved[::-1]] < 8


def test_a_second_image_rules_out_what_the_first_does_not_show(head, hot, plane):
    """Grey matter that T2w shows as white matter (as deep nuclei are, nearly) shows in T1w."""
    first = proposed(head, hot, plane).indices[0]
    lump = away_from(head.t1w, first) < 7
    t1w = like(np.where(lump, array(head.t1w) * 380 / 600, array(head.t1w)), head.t1w)
    for mask in proposed(head, hot, plane, others={Modality.T1W: t1w}).masks.values():
        assert not (lump & (array(mask) > 0)).any()


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scale=st.floats(1e-3, 1e3), blood=st.floats(1e-2, 1e2))
def test_units_of_image_and_map_do_not_matter(head, hot, plane, scale, blood):
    scaled = proposed(
        head, hot, plane, t2w=like(array(head.t2w) * scale, head.t2w),
        rcbv=like(array(head.rcbv) * blood, head.rcbv),
    )  # fmt: skip
    assert scaled.indices == proposed(head, hot, plane).indices


def test_share_is_one_in_white_matter_and_nought_in_grey(head, plane):
    """Without the receiver's changes the two levels are the painted ones, on either side of 1."""
    sides = plane.distance_map(head.t2w)
    healthy = (array(head.mask) > 0) & (sides > 7)
    pixel = head.t2w.GetSpacing()[1::-1]
    learnt = learn_white_matter(array(head.t2w), array(head.rcbv), healthy, pixel, contrast=Modality.T2W)
    assert learnt.grey == pytest.approx(520 / 300, rel=0.03)
    share = learnt.share_of(array(head.t2w).astype(float), pixel)
    assert np.median(share[healthy & head.white]) == pytest.approx(1, abs=0.03)
    assert np.median(share[healthy & (array(head.rcbv) < 0.5)]) < 0  # fluid, beyond grey matter
