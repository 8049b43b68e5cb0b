"""White matter opposite hot spots: pure, usual and nearest, whatever the noise and the scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from SynthCBVLib.analysis.regions import white_discs, white_matter
from SynthCBVLib.analysis.regions.hot_spots import Spots, propose_tumour
from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane
from SynthCBVLib.analysis.regions.white_discs import (
    DEEP,
    DEMAND,
    THIN,
    Demand,
    Discs,
    depth_of,
    doubt_of_depth,
)
from SynthCBVLib.analysis.regions.white_level import learn_white_matter
from SynthCBVLib.analysis.regions.white_matter import propose_white_matter
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


def mirrors(head, hot, plane) -> list[tuple[float, float, float]]:
    """Index (i, j, k) of each hot spot's mirrored place, in the hot spot's slice."""
    points = [head.t2w.TransformIndexToPhysicalPoint([int(i) for i in index]) for index in hot.indices]
    mirrored = [plane.mirror(np.array(point)).tolist() for point in points]
    found = [head.t2w.TransformPhysicalPointToContinuousIndex(point) for point in mirrored]
    return [(i, j, index[2]) for (i, j, _), index in zip(found, hot.indices, strict=True)]


def test_where_the_mirror_is_pure_the_disc_lies_there(head, hot, plane):
    spots = proposed(head, hot, plane)
    assert spots.findings == ()
    assert least_white(head, spots) == 1.0
    for (i, j, _), index in zip(mirrors(head, hot, plane), spots.indices, strict=True):
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
    monkeypatch.setattr(white_discs, "DEMAND", narrow(1e-6))
    spots = proposed(head, hot, plane)
    assert least_white(head, spots) == 1.0
    assert [WARNING in finding.what for finding in spots.findings] == [True]


def test_a_fault_that_is_small_is_not_told_of(head, hot, plane, monkeypatch):
    monkeypatch.setattr(white_discs, "DEMAND", narrow(1e-6))
    monkeypatch.setattr(white_matter, "TRUSTED", 1e9)
    assert proposed(head, hot, plane).findings == ()


def test_the_region_that_is_doubted_is_named(head, hot, plane, monkeypatch):
    best, faults = Discs.best, iter([1.0, white_matter.TRUSTED * 1.01, white_matter.TRUSTED])
    monkeypatch.setattr(Discs, "best", lambda *given: (best(*given)[0], next(faults)))
    (finding,) = proposed(head, hot, plane).findings
    assert finding.what.startswith("White matter 2 ")
    assert WARNING in finding.what


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
    """From front to back: each disc is usual where it lies, though not of the slice."""
    slope = np.exp(np.linspace(1.6, -1.6, head.rcbv.GetSize()[1]))[None, :, None]
    rcbv = like(array(head.rcbv) * slope, head.rcbv)
    before, after = proposed(head, hot, plane), proposed(head, hot, plane, rcbv=rcbv)
    away = [away_from(head.t2w, at) for at in mirrors(head, hot, plane)]
    near, moved = (
        np.mean([far[index[::-1]] for far, index in zip(away, spots.indices, strict=True)])
        for spots in (before, after)
    )
    assert moved < near + 4


@pytest.mark.parametrize("phase", [-1, 1])
def test_of_discs_as_good_the_one_typical_of_the_place_is_taken(phase):
    """The map goes up and down by 3 % every 10 mm; the point is where it is highest or lowest."""
    rows, columns = np.indices((61, 61)) - 30
    perfusion = (
        100 * (1 + 0.03 * phase * np.cos(2 * np.pi * rows / 10)) * (1 + 0.05 * (1 - 2 * (columns % 2)))
    )
    inside = np.ones(rows.shape, bool)
    deep = np.full(rows.shape, 25.0)
    discs = Discs([np.ones((1, *rows.shape))], 0, perfusion, inside, inside, deep, (1.0, 1.0), 25.0)
    (row, column), fault = discs.best((30, 30), [])
    assert fault < 1
    assert 1 < math.hypot(row - 30, column - 30) <= 3
    assert abs(perfusion[row, column - 1 : column + 1].mean() / 100 - 1) < 0.01


def test_depth_is_the_distance_from_the_surface_and_the_volumes_end_is_none():
    brain = np.zeros((5, 31, 41), bool)
    brain[:, 2:29, 3:38] = True
    depth = depth_of(brain, (6.0, 1.0, 1.5))
    assert depth[2, 15, 20] == pytest.approx(14.0)  # rows 2 to 28, from the middle to the first outside
    assert depth[0, 15, 4] == depth[4, 15, 4] == pytest.approx(3.0)
    brain[4] = False
    assert depth_of(brain, (6.0, 1.0, 1.5))[2, 15, 20] == pytest.approx(12.0)  # through two slices


def test_doubt_of_depth_is_one_in_lobar_white_matter_and_grows_to_either_side():
    deep = np.array([THIN, DEEP[0], 25.0, THIN / 2, 2 * DEEP[0], 25.0])
    depth = np.array([THIN, DEEP[1], DEEP[1], THIN / 2, DEEP[1], 2 * DEEP[1]])
    np.testing.assert_allclose(doubt_of_depth(deep, depth), [1, 1, 1, 4, 16, 16])


@pytest.mark.parametrize("doubtful", [THIN / 2, 1.4 * DEEP[0]])
def test_a_disc_where_white_matter_is_seldom_pure_must_be_the_purer(doubtful):
    """The same everywhere: near the surface or between the nuclei it does not do."""
    rows, columns = np.indices((61, 61))
    perfusion = 100 * (1 + 0.05 * (1 - 2 * (columns % 2)))
    inside = np.ones(rows.shape, bool)
    deep = np.where(columns < 28, doubtful, 25.0)
    discs = Discs([np.ones((1, *rows.shape))], 0, perfusion, inside, inside, deep, (1.0, 1.0), 25.0)
    (row, column), fault = discs.best((30, 20), [])
    assert fault < 1 < discs.fault[30, 20]
    assert 28 <= column < 28 + 4
    assert abs(row - 30) < 4


def test_noise_of_the_map_averages_out(head, hot, plane):
    """The mean of the three discs lies nearer to the truth than that of three discs placed blindly."""
    noise = np.random.default_rng(11).standard_normal((8, *array(head.rcbv).shape))
    noise = ndimage.gaussian_filter(noise, (0, 0, 1, 1))  # as if interpolated to a finer grid
    noise *= 0.1 / noise.std()
    truth = np.where(head.white, 1.0, array(head.rcbv))
    blind = np.zeros(truth.shape)
    for mask in proposed(head, hot, plane, rcbv=like(truth, head.rcbv)).masks.values():
        blind += array(mask) / (3 * array(mask).sum())
    errors = []
    for part in noise:
        rcbv = truth * (1 + part)
        masks = proposed(head, hot, plane, rcbv=like(rcbv, head.rcbv)).masks.values()
        regions = np.mean([rcbv[array(mask) > 0].mean() for mask in masks])
        errors.append((regions - 1, (rcbv * blind).sum() - 1))
    chosen, blindly = np.sqrt(np.mean(np.square(errors), axis=0))
    assert chosen < 0.75 * blindly


def test_what_is_typical_counts_the_borders_of_white_matter(head, hot, plane, monkeypatch):
    """Cortex blurs into a coarse map, and pure discs lie deep: they read lower than white matter does."""
    blurred = ndimage.gaussian_filter(array(head.rcbv).astype(float), (0, 1.5, 1.5))
    inner = ndimage.binary_erosion(head.white, np.ones((1, 3, 3)))

    def level(spots: Spots) -> float:
        return float(np.mean([blurred[array(mask) > 0].mean() for mask in spots.masks.values()]))

    near = [inner & (away_from(head.t2w, at) < 12) for at in mirrors(head, hot, plane)]
    wanted = np.mean([blurred[part].mean() for part in near])
    found = level(proposed(head, hot, plane, rcbv=like(blurred, head.rcbv)))
    monkeypatch.setattr(white_discs, "CHOICE", 0.0)
    nearest = level(proposed(head, hot, plane, rcbv=like(blurred, head.rcbv)))
    assert abs(found / wanted - 1) < abs(nearest / wanted - 1)


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
