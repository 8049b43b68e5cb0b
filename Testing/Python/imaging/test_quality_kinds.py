"""Findings that need a look at the head: slices, sides, contrast, motion, coverage, perfusion."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.imaging.quality import check
from SynthCBVLib.imaging.quality.alignment import align
from SynthCBVLib.imaging.quality.contrast import check_contrast, check_twins
from SynthCBVLib.imaging.quality.diffusion import check_decay
from SynthCBVLib.imaging.quality.motion import check_series_motion, displacement
from SynthCBVLib.imaging.quality.perfusion import check_cbf
from SynthCBVLib.imaging.quality.pictures import small, take
from SynthCBVLib.imaging.quality.shading import flattened, without_trend
from SynthCBVLib.imaging.quality.sides import check_sides, mirror_evidence
from SynthCBVLib.imaging.quality.slices import check_slices, slice_offsets, step_in
from SynthCBVLib.imaging.quality.values import share_at_top
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, join_series, like
from SynthCBVLib.phantom import DigitalPatient

M = Modality
B_VALUES = (0.0, 50.0, 100.0, 200.0, 400.0, 1000.0)


@dataclass(frozen=True)
class Input:
    modality: Modality
    required: bool = False
    b_values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Card:
    inputs: tuple[Input, ...]
    reference: tuple[Modality, ...]


STRUCTURAL = Card(tuple(Input(m) for m in (M.T1W, M.T2W, M.FLAIR, M.ADC, M.T1C)), (M.T1W,))


@pytest.fixture(scope="module")
def t1w(head):
    return head.image("T1w", (3.0, 3.0, 3.0), (62, 72, 48), seed=1)


@pytest.fixture(scope="module")
def t2w(head):
    return head.image("T2w", (3.0, 3.0, 5.0), (62, 72, 30), seed=2)


@pytest.fixture(scope="module")
def patient():
    """Structural images of a digital patient with a glioma."""
    images = DigitalPatient(3000, "wildtype").study([M.T1W, M.T2W, M.FLAIR, M.ADC, M.T1C]).images
    return dict(images)


def series(t2w, repeats=2, noise=0.02):
    base = sitk.GetArrayFromImage(t2w)
    rng = np.random.default_rng(0)
    volumes, named = [], []
    for b in B_VALUES:
        for _ in range(repeats):
            real = base * np.exp(-b * 1e-3) + noise * rng.normal(size=base.shape)
            volumes.append(np.hypot(real, noise * rng.normal(size=base.shape)).astype(np.float32))
            named.append(b)
    return DiffusionSeries(join_series([like(v, t2w) for v in volumes]), tuple(named))


def moved(image, shift):
    return sitk.Resample(image, image, sitk.TranslationTransform(3, shift), sitk.sitkLinear, 0.0)


def kinds(findings):
    return {(f.modality, f.kind) for f in findings if f.severity != "info"}


def test_known_motion_is_measured(t1w):
    still = sitk.GetArrayFromImage(t1w)
    for shift in ((1.5, 0.0, 0.0), (0.0, -2.0, 1.0)):
        amount = displacement(sitk.GetArrayFromImage(moved(t1w, shift)), still, t1w)
        assert amount == pytest.approx(np.linalg.norm(shift), rel=0.2)
    assert displacement(2 * still + 0.1, still, t1w) == pytest.approx(0, abs=0.05)


def test_motion_in_a_series_is_found_and_placed(t2w):
    good = series(t2w)
    assert list(check_series_motion(good)) == []
    volumes = good.volumes()
    volumes[3] = moved(volumes[3], (0.0, 2.5, 0.0))
    (finding,) = check_series_motion(replace(good, image=join_series(volumes)))
    assert finding.kind == "motion"
    assert "4 (b = 50)" in finding.what
    volumes = [
        moved(v, (2.5, 0, 0)) if b >= 200 else v for v, b in zip(good.volumes(), good.b_values, strict=True)
    ]
    (finding,) = check_series_motion(replace(good, image=join_series(volumes)))
    assert "b = 100 and 200" in finding.what


def test_single_volumes_out_of_order_are_named(t2w):
    good = series(t2w)
    assert list(check_decay(good)) == []
    volumes = good.volumes()
    volumes[2], volumes[9] = volumes[9], volumes[2]
    findings = [f for f in check_decay(replace(good, image=join_series(volumes))) if f.kind == "decay"]
    assert "volume 3 (b = 50)" in findings[0].what
    assert "volume 10 (b = 400)" in findings[0].what


def test_signal_lost_in_a_slice_of_one_volume(t2w):
    good = series(t2w)
    arrays = [sitk.GetArrayFromImage(v) for v in good.volumes()]
    arrays[5][12] *= 0.4
    spoiled = replace(good, image=join_series([like(a, t2w) for a in arrays]))
    (finding,) = [f for f in check_decay(spoiled) if f.kind == "slices"]
    assert "slice 13 of volume 6 (b = 100)" in finding.what


def test_slices_of_one_image(t1w):
    assert list(check_slices(M.T1W, t1w)) == []
    array = sitk.GetArrayFromImage(t1w)
    empty, twice, dark = array.copy(), array.copy(), array.copy()
    empty[20] = 0
    twice[21] = twice[20]
    dark[20] *= 0.5
    for spoiled, text in (
        (empty, "nothing in slice 21 of 48"),
        (twice, "slices 21 and 22 are the same"),
        (dark, "slice 21 is -5"),
    ):
        (finding,) = check_slices(M.T1W, like(spoiled, t1w))
        assert finding.kind == "slices"
        assert text in finding.what
    short = sitk.GetImageFromArray(np.delete(array, [20, 21], 0))
    short.SetSpacing(t1w.GetSpacing())
    (finding,) = check_slices(M.T1W, short)
    assert "a jump between slices 20 and 21" in finding.what


def test_a_step_in_slice_positions():
    rng = np.random.default_rng(1)
    slope = 0.1 * np.arange(20.0) + rng.normal(0, 0.4, 20)
    assert step_in(slope, 6.0) is None
    after, step = step_in(slope + 6.0 * (np.arange(20) > 8), 6.0)
    assert abs(after - 8) <= 1
    assert step == pytest.approx(6.0, abs=1.5)
    assert step_in(slope + rng.normal(0, 8.0, 20), 6.0) is None


def test_a_mirrored_image_is_found(t1w, head):
    other = head.image("T2w", (3.0, 3.0, 3.0), (62, 72, 48), seed=5)
    fixed = take(t1w)
    evidence = []
    for image in (other, like(sitk.GetArrayFromImage(other)[:, :, ::-1], other)):
        moving = small(image)
        evidence.append(mirror_evidence(fixed, moving, align(fixed, moving), (moving.GetSize()[0] - 1) / 2))
    assert evidence[0] < -0.5
    assert evidence[1] > 0.5
    (finding,) = check_sides(M.T1W, {M.T2W: evidence[1], M.FLAIR: evidence[0]})
    assert (finding.modality, finding.kind) == (M.T2W, "mirrored")
    (finding,) = check_sides(M.T1W, {M.T2W: evidence[1], M.FLAIR: evidence[1], M.ADC: None})
    assert (finding.modality, finding.kind) == (M.T1W, "mirrored")
    assert list(check_sides(M.T1W, {M.T2W: evidence[0], M.FLAIR: None})) == []


def test_contrasts_of_a_digital_patient(patient):
    assert kinds(check(Study("01", patient), STRUCTURAL)) == set()
    pictures = {m: take(image) for m, image in patient.items()}
    for name, given in (
        (M.T2W, M.T1W), (M.T2W, M.FLAIR), (M.T2W, M.ADC), (M.T1W, M.T2W), (M.FLAIR, M.T2W),
        (M.T1C, M.ADC), (M.FLAIR, M.T1W), (M.T1W, M.FLAIR), (M.ADC, M.T2W), (M.ADC, M.T1C),
    ):  # fmt: skip
        assert kinds(check_contrast({name: pictures[given]}, {}, None)) == {(name, "contrast")}, (name, given)


def test_exchanged_names_of_a_digital_patient(patient):
    plain = take(patient[M.T1W])
    laid = {M.T1W: plain.values, M.T1C: align(plain, small(patient[M.T1C])).values}
    assert list(check_contrast({}, laid, plain)) == []
    exchanged = {M.T1W: laid[M.T1C], M.T1C: laid[M.T1W]}
    assert kinds(check_contrast({}, exchanged, plain)) == {(M.T1C, "contrast")}


def shaded(values, strength):
    """Multiply by a coil's shading: brighter to the right, the back and the rim."""
    z, y, x = (np.linspace(-1, 1, n) for n in values.shape)
    field = x[None, None, :] + 0.7 * y[None, :, None] + 0.8 * x[None, None, :] ** 2 - 0.5 * z[:, None, None]
    return (values * np.exp(strength * field)).astype(np.float32)


@pytest.mark.parametrize("strength", [-0.5, 0.5])
def test_shading_does_not_exchange_t1w_and_t1c(patient, strength):
    plain = take(patient[M.T1W])
    after = shaded(align(plain, small(patient[M.T1C])).values, strength)
    assert list(check_contrast({}, {M.T1W: plain.values, M.T1C: after}, plain)) == []
    exchanged = {M.T1W: after, M.T1C: plain.values}
    assert kinds(check_contrast({}, exchanged, plain)) == {(M.T1C, "contrast")}


def test_a_trend_goes_and_what_is_local_stays():
    index = np.argwhere(np.ones((12, 14, 16)))
    local = np.where(np.linalg.norm(index - 6, axis=1) < 2.5, 1.0, 0.0)
    z, y, x = index.T / 10
    left = without_trend(local + 0.8 * x - 0.6 * y * z + 0.4 * z**2 + 3, index.astype(float))
    np.testing.assert_allclose(left, local, atol=0.02)


def test_flattened_slices_keep_no_coil_and_show_what_is_small():
    y, x = np.mgrid[:40, :48].astype(float)
    mask = np.hypot(y - 20, x - 24) < 18
    texture = 1 + 0.2 * np.sin(2 * y) * np.sin(2 * x)
    flat = flattened((texture * np.exp(0.03 * x))[None], mask[None], (4.0, 4.0))[0]
    inner = np.hypot(y - 20, x - 24) < 12
    assert np.corrcoef(flat[inner], texture[inner])[0, 1] > 0.99
    assert abs(np.corrcoef(flat[inner], x[inner])[0, 1]) < 0.1
    assert np.array_equal(flattened(texture, np.zeros_like(mask), (4.0, 4.0)), texture)


def test_a_bright_rim_makes_no_slices_missing(head):
    """A coil's rim looks alike at every height at which the head is as wide."""
    t1w = head.image("T1w", (3.0, 3.0, 3.0), (62, 72, 48), seed=1)
    other = head.image("T2w", (2.0, 2.0, 5.0), (92, 108, 29), seed=7)
    fixed = take(like(shaded(sitk.GetArrayFromImage(t1w), 0.5), t1w))
    whole = shaded(sitk.GetArrayFromImage(other), -0.5)
    gap = np.delete(whole, [13, 14], axis=0)
    for array, missing in ((whole, False), (gap, True)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(other.GetSpacing())
        image.SetOrigin(other.GetOrigin())
        offsets = slice_offsets(image, align(fixed, small(image)), fixed)
        step = step_in(offsets, 5.0)
        assert (step is not None) == missing, offsets
    assert step[1] == pytest.approx(10.0, abs=2.5)
    assert abs(step[0] - 12) <= 1


def test_one_image_twice_but_for_its_scale(patient):
    study = Study("01", {M.T1W: patient[M.T1W], M.T1C: patient[M.T1W] * 1.7})
    assert kinds(check_twins(study, [M.T1W, M.T1C])) == {(M.T1C, "twice")}
    other = Study("01", {M.T1W: patient[M.T1W], M.T1C: patient[M.T1C]})
    assert list(check_twins(other, [M.T1W, M.T1C])) == []


def test_clipped_values(t1w):
    array = sitk.GetArrayFromImage(t1w)
    assert share_at_top(array) == 0
    assert share_at_top(np.minimum(array, np.percentile(array[array > array.mean()], 95))) == 1.0
    assert share_at_top((array > 0.5).astype(np.float32)) == 0


def test_the_reference_cut_at_the_top(t1w):
    cut = sitk.Crop(t1w, (0, 0, 0), (0, 0, 12))
    findings = check(Study("01", {M.T1W: cut}), STRUCTURAL)
    assert (M.T1W, "coverage") in kinds(findings)
    assert any("cut off at the top" in f.what for f in findings)


def test_perfusion_images(t2w):
    signal = sitk.Cast(t2w, sitk.sitkFloat32)
    good = AslSeries(signal, signal * 0.99, signal * 2)
    assert list(check_cbf(Study("01", {M.CBF: good}))) == []
    exchanged = AslSeries(good.label, good.control, good.m0)
    (finding,) = check_cbf(Study("01", {M.CBF: exchanged}))
    assert (finding.severity, finding.kind) == ("error", "labelling")
    (finding,) = check_cbf(Study("01", {M.CBF: AslSeries(good.control, good.control, good.m0)}))
    assert (finding.severity, finding.kind) == ("error", "labelling")
    for factor in (0.01, 100.0):
        scaled = AslSeries(good.control, good.label, good.m0 * factor)
        (finding,) = check_cbf(Study("01", {M.CBF: scaled}))
        assert finding.kind == "m0"
    turned = AslSeries(good.control, moved(good.label, (2.5, 0.0, 0.0)), good.m0)
    assert (M.CBF, "motion") in kinds(check_cbf(Study("01", {M.CBF: turned})))
