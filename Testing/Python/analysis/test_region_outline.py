"""Proposed outlines on drawn heads whose tumour is known: found, not invented, and the same whichever way."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from SynthCBVLib.analysis.regions import outline_regions
from SynthCBVLib.analysis.regions.fluid_dark import FluidDark, fluid_dark_image
from SynthCBVLib.analysis.regions.outline import propose_outline
from SynthCBVLib.analysis.regions.outline_regions import propose_outlined_regions
from SynthCBVLib.errors import Cancelled, InputError
from SynthCBVLib.imaging.resampling import affine_of
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, join_series, join_vector

TUMOUR = ((-34, 16, 4), (15, 17, 16))
TURNED = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.06, -0.05, 0.08).GetMatrix()
#: White matter, grey matter, fluid, tumour, as the sequences show them.
CONTRASTS = {
    Modality.T2W: (300, 520, 1700, 900),
    Modality.T1W: (600, 400, 100, 320),
    Modality.FLAIR: (300, 400, 60, 700),
    Modality.T1C: (600, 420, 100, 330),
    Modality.ADC: (0.7, 0.85, 3.0, 1.1),
    Modality.RCBV: (1.0, 2.4, 0.1, 4.0),
    Modality.DWI: (180, 260, 60, 350),
}


class Drawn:
    """An ellipsoid head with white and grey matter, folds and ventricles, and perhaps a lesion."""

    def __init__(self, lesion=TUMOUR, tissue=None, size=(80, 96, 18), spacing=(2.0, 2.0, 6.0), turned=False):
        self.image = sitk.Image(size, sitk.sitkFloat32)
        self.image.SetSpacing(spacing)
        if turned:
            self.image.SetDirection(TURNED)
        axes = np.array(self.image.GetDirection()).reshape(3, 3) * np.array(spacing)
        self.image.SetOrigin((-axes @ ((np.array(size) - 1) / 2)).tolist())
        k, j, i = np.indices(size[::-1])
        self.points = np.stack([i, j, k], -1) @ axes.T + np.array(self.image.GetOrigin())
        x, y, z = np.moveaxis(self.points, -1, 0)
        radius = self.ball((0, 0, 0), (62, 80, 58), np.abs(x))
        self.brain = radius < 1
        folds = 0.06 * np.sin(y / 5.0 + 0.6) * np.cos(np.abs(x) / 6.0) + 0.03 * np.sin(z / 7.0)
        fluid = self.ball((11, -5, 8), (6, 28, 14), np.abs(x)) < 1
        fluid |= (np.abs(np.abs(x) - 20 - 8 * np.sin(y / 9.0)) < 1.6) & (radius > 0.75)  # a fissure
        self.solid = np.zeros(radius.shape, bool)
        if lesion is not None:
            self.solid = self.brain & (self.ball(*lesion, x) < 1)
        self.label = np.select(
            [~self.brain, self.solid, fluid, radius + folds < 0.8],
            [0, 4 if tissue is None else tissue, 3, 1],
            2,
        )

    def ball(self, centre, radii, across):
        places = (across, self.points[..., 1], self.points[..., 2])
        return np.sqrt(sum(((p - c) / r) ** 2 for p, c, r in zip(places, centre, radii, strict=True)))

    def painted(self, modality, noise=0.04, seed=0):
        levels = np.array([0, *CONTRASTS[modality]], dtype=float)
        rng = np.random.default_rng([seed, list(CONTRASTS).index(modality)])
        values = levels[self.label] + noise * levels[1] * rng.standard_normal(self.label.shape)
        return self.made(np.maximum(values, 1e-3) * self.brain)

    def images(self, *modalities):
        return {modality: self.painted(modality) for modality in modalities}

    def made(self, array, kind=np.float32):
        out = sitk.GetImageFromArray(np.asarray(array).astype(kind))
        out.CopyInformation(self.image)
        return out

    @property
    def mask(self):
        return self.made(self.brain, np.uint8)


def inside(image):
    return sitk.GetArrayFromImage(image) != 0


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def drawn():
    return Drawn()


@pytest.fixture(scope="module")
def proposed(drawn):
    return propose_outline(drawn.images(Modality.T2W), drawn.mask, map=drawn.painted(Modality.RCBV))


def test_tumour_is_outlined_and_the_user_is_told_to_look(drawn, proposed):
    assert proposed.found
    assert dice(inside(proposed.mask), drawn.solid) > 0.85
    assert proposed.mask.GetPixelID() == sitk.sitkUInt8
    assert proposed.modalities == (Modality.T2W, Modality.RCBV)
    first = proposed.findings[0]
    assert first.severity == "warning"
    assert "proposed by the computer, from T2w and rCBV" in first.what
    assert "Look at it" in first.remedy


@pytest.mark.parametrize(
    "modalities",
    [
        (Modality.FLAIR,),
        (Modality.T2W,),
        (Modality.T2W, Modality.DWI),
        (Modality.T1W, Modality.FLAIR, Modality.ADC, Modality.T1C),
        (Modality.T1W,),
    ],
)
def test_whatever_images_there_are(drawn, modalities):
    found = propose_outline(drawn.images(*modalities), drawn.mask, map=drawn.painted(Modality.RCBV))
    assert dice(inside(found.mask), drawn.solid) > 0.8
    assert set(found.modalities) == {*modalities, Modality.RCBV}


def test_images_that_do_not_enhance_say_nothing_against_a_tumour(drawn, proposed):
    images = drawn.images(Modality.T2W, Modality.T1C)
    with_it = propose_outline(images, drawn.mask, map=drawn.painted(Modality.RCBV))
    assert dice(inside(with_it.mask), inside(proposed.mask)) > 0.98


def test_no_lesion_is_invented(proposed):
    healthy = Drawn(lesion=None)
    for modalities in ((Modality.T2W,), (Modality.T2W, Modality.DWI), (Modality.T1W,)):
        found = propose_outline(healthy.images(*modalities), healthy.mask, map=healthy.painted(Modality.RCBV))
        assert not found.found
        assert found.score < proposed.score / 2
        assert "No tumour stands out" in found.findings[0].what
        assert "Paint the outline" in found.findings[0].remedy
    assert "T2w or FLAIR would show more" in found.findings[0].remedy


def test_a_cyst_is_no_tumour():
    other = Drawn(tissue=3)
    found = propose_outline(other.images(Modality.T2W), other.mask, map=other.painted(Modality.RCBV))
    assert not found.found


def test_mirror_image_gives_the_mirrored_outline(drawn, proposed):
    def mirrored(image):
        return drawn.made(sitk.GetArrayFromImage(image)[..., ::-1])

    images = {modality: mirrored(image) for modality, image in drawn.images(Modality.T2W).items()}
    mask = sitk.Cast(mirrored(drawn.mask), sitk.sitkUInt8)
    other = propose_outline(images, mask, map=mirrored(drawn.painted(Modality.RCBV)))
    assert dice(inside(other.mask)[..., ::-1], inside(proposed.mask)) > 0.97
    assert other.score == pytest.approx(proposed.score, abs=0.05)


def test_scales_of_intensity_do_not_matter(drawn, proposed):
    images = {modality: image * 1e-5 for modality, image in drawn.images(Modality.T2W).items()}
    other = propose_outline(images, drawn.mask, map=drawn.painted(Modality.RCBV) * 3e4)
    assert dice(inside(other.mask), inside(proposed.mask)) > 0.99
    assert other.score == pytest.approx(proposed.score, abs=0.02)


@pytest.mark.parametrize(
    ("size", "spacing"), [((160, 192, 36), (1.0, 1.0, 3.0)), ((50, 60, 45), (3.1, 3.3, 2.6))]
)
def test_oblique_grids_and_odd_spacings(size, spacing):
    oblique = Drawn(size=size, spacing=spacing, turned=True)
    found = propose_outline(oblique.images(Modality.T2W), oblique.mask, map=oblique.painted(Modality.RCBV))
    assert dice(inside(found.mask), oblique.solid) > 0.8
    assert found.mask.GetDirection() == pytest.approx(oblique.image.GetDirection())


def test_slices_along_another_axis(drawn, proposed):
    def turned(image):
        return sitk.PermuteAxes(image, (2, 0, 1))

    images = {modality: turned(image) for modality, image in drawn.images(Modality.T2W).items()}
    other = propose_outline(images, turned(drawn.mask), map=turned(drawn.painted(Modality.RCBV)))
    back = sitk.PermuteAxes(other.mask, (1, 2, 0))
    assert dice(inside(back), inside(proposed.mask)) > 0.95


def test_tumour_beside_the_mid_line():
    """What lies at the mid-line is not held against itself."""
    near = Drawn(lesion=((-13, 45, 4), (12, 14, 14)))
    found = propose_outline(near.images(Modality.FLAIR), near.mask, map=near.painted(Modality.RCBV))
    assert dice(inside(found.mask), near.solid) > 0.75


def test_voxels_without_a_value_are_left_out(drawn, proposed):
    images = drawn.images(Modality.T2W, Modality.FLAIR)
    array = sitk.GetArrayFromImage(images[Modality.FLAIR])
    array[:7] = np.nan  # what the slab does not cover
    array[7:9] = 0
    images[Modality.FLAIR] = drawn.made(array)
    map = sitk.GetArrayFromImage(drawn.painted(Modality.RCBV))
    map[:, :8] = np.inf
    found = propose_outline(images, drawn.mask, map=drawn.made(map))
    assert dice(inside(found.mask), drawn.solid) > 0.75


def test_an_image_that_says_nothing_is_told_of(drawn):
    images = drawn.images(Modality.T2W) | {Modality.FLAIR: drawn.made(drawn.brain * 5.0)}
    found = propose_outline(images, drawn.mask, map=drawn.painted(Modality.RCBV))
    assert found.found
    assert Modality.FLAIR not in found.modalities
    assert any("FLAIR image says nothing" in finding.what for finding in found.findings)


def test_a_faint_lesion_is_told_to_be_doubtful(proposed):
    faint = Drawn()
    t2w = faint.painted(Modality.T2W)
    t2w = faint.made(np.where(faint.solid, 520.0, sitk.GetArrayFromImage(t2w)))
    map = sitk.GetArrayFromImage(faint.painted(Modality.RCBV))
    found = propose_outline({Modality.T2W: t2w}, faint.mask, map=faint.made(np.where(faint.solid, 2.4, map)))
    assert found.found
    assert found.score < proposed.score
    assert "only a little" in found.findings[1].what
    assert not any("only a little" in finding.what for finding in proposed.findings)


def test_two_lesions_are_told_of():
    one = Drawn()
    both = Drawn(lesion=((0, 16, 4), (1, 1, 1)))
    second = both.ball((32, -30, 4), (14, 15, 15), both.points[..., 0]) < 1
    both.solid = one.solid | (second & both.brain)
    both.label[both.solid] = 4
    found = propose_outline(both.images(Modality.FLAIR), both.mask, map=both.painted(Modality.RCBV))
    assert any("More than one place" in finding.what for finding in found.findings)
    assert min(dice(inside(found.mask), one.solid), dice(inside(found.mask), second)) < 0.1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("no images", "no images"),
        ("empty mask", "empty mask"),
        ("other grid", "grid"),
        ("series", "volumes"),
        ("constant", "constant within the brain"),
        ("unknown", "constant within the brain"),
    ],
)
def test_what_cannot_be_used_is_refused(drawn, change, said):
    images, mask = drawn.images(Modality.T2W), drawn.mask
    if change == "no images":
        images = {}
    elif change == "empty mask":
        mask = mask * 0
    elif change == "other grid":
        images[Modality.FLAIR] = sitk.Shrink(drawn.painted(Modality.FLAIR), (2, 2, 1))
    elif change == "series":
        images[Modality.DWI] = join_vector([drawn.painted(Modality.DWI)] * 2)
    else:
        images[Modality.T2W] = drawn.made(drawn.brain * (7.0 if change == "constant" else np.nan))
    with pytest.raises(InputError, match=said):
        propose_outline(images, mask)


def test_progress_and_cancelling(drawn):
    told = []
    propose_outline(drawn.images(Modality.T2W), drawn.mask, progress=lambda done, what: told.append(done))
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)

    def cancel(done, what):
        if done > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        propose_outline(drawn.images(Modality.T2W), drawn.mask, progress=cancel)


@pytest.mark.parametrize("join", [join_series, join_vector])
@pytest.mark.parametrize(
    ("b_values", "at"),
    [
        ((0, 1000), (500,)),
        ((1000, 0, 0, 1000), (500,)),
        ((0, 200, 900), (500,)),
        ((0, 400, 600, 1000), (400, 600)),
        ((0, 100), (100,)),
        ((800, 1000), (800,)),
    ],
)
def test_image_in_which_fluid_is_dark(join, b_values, at):
    """Of what decays with one exponential, the value at b = 500 is known from any two others."""
    diffusion = np.array([0.7e-3, 1.1e-3, 3.0e-3]).reshape(1, 1, 3) * np.ones((2, 2, 1))
    volumes = [sitk.GetImageFromArray((100 * np.exp(-b * diffusion)).astype(np.float32)) for b in b_values]
    found = sitk.GetArrayFromImage(fluid_dark_image(DiffusionSeries(join(volumes), b_values)))
    assert found == pytest.approx(np.mean([100 * np.exp(-b * diffusion) for b in at], axis=0), rel=1e-5)


@given(st.lists(st.sampled_from([0.0, 50.0, 200.0, 400.0, 500.0, 600.0, 800.0, 1000.0]), min_size=1))
def test_every_b_value_of_a_mean_counts_the_same(b_values):
    way, own = FluidDark.of(b_values), np.array(b_values)
    for weights in way.weights:
        counted = {b: weights[own == b].sum() for b in b_values if weights[own == b].any()}
        assert weights.sum() == pytest.approx(1)
        assert list(counted.values()) == pytest.approx([1 / len(counted)] * len(counted))
    assert 0 <= way.share < 1
    # Constant images give the constant back, whatever is put together.
    assert way.image([7.0 * weights.sum(keepdims=True) for weights in way.weights]) == pytest.approx(7.0)


def test_outline_and_regions_in_one_go(head):
    shifted = sitk.Image(head.t1w)
    shifted.SetOrigin([o + d for o, d in zip(head.t1w.GetOrigin(), (20.0, -9.0, 4.0), strict=True)])
    matrix = np.eye(4)
    matrix[:3, 3] = (20.0, -9.0, 4.0)
    images = {Modality.T1W: (shifted, affine_of(matrix)), Modality.T2W: (head.rcbv, None)}
    found = propose_outlined_regions(head.t2w, "T2w", head.rcbv, images, head.mask)
    assert found.outline.modalities == (Modality.T2W, Modality.T1W, Modality.RCBV)
    tumour = inside(head.tumour)
    assert dice(inside(found.outline.mask), tumour) > 0.8
    masks = found.masks("mine")
    assert list(masks) == ["mine", *(f"{kind} {i}" for kind in ("Tumour", "White matter") for i in (1, 2, 3))]
    for i in (1, 2, 3):
        assert tumour[inside(masks[f"Tumour {i}"])].mean() > 0.8
        assert head.white[inside(masks[f"White matter {i}"])].mean() > 0.9
    assert "proposed by the computer" in found.findings[0].what


def test_outline_stays_where_regions_cannot_be_placed(head, monkeypatch):
    def refuse(*given, **more):
        raise InputError("white matter", "none found", "white matter")

    monkeypatch.setattr(outline_regions, "propose_regions", refuse)
    found = outline_regions.propose_outlined_regions(head.t2w, "T2w", head.rcbv, {}, head.mask)
    assert found.outline.found
    assert found.regions is None
    assert list(found.masks("outline")) == ["outline"]
    assert found.findings[-1].severity == "error"
    assert "none found" in found.findings[-1].what


def test_without_a_tumour_an_outline_is_asked_for():
    healthy = Drawn(lesion=None)
    t2w, map = healthy.painted(Modality.T2W), healthy.painted(Modality.RCBV)
    with pytest.raises(InputError, match=r"no tumour stands out in T2w and rCBV; needed: an outline painted"):
        propose_outlined_regions(t2w, Modality.T2W, map, {}, healthy.mask)
    with pytest.raises(InputError, match="not known"):
        propose_outlined_regions(t2w, None, map, {}, healthy.mask)
