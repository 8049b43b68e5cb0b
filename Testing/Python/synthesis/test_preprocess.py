"""A study on a card's grid: geometry, channels, presence, units."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, like, same_grid
from SynthCBVLib.synthesis.preprocess import cbf_image, coverage, normalised_rcbv, prepare, reference_of

IDENTITY = sitk.Transform(3, sitk.sitkIdentity)
STILL = dict.fromkeys(Modality, IDENTITY)


def subset(study, *modalities):
    return Study(study.subject, {m: study.images[m] for m in modalities})


def test_channels_follow_the_card(study, models):
    card = models["ivim"].card
    prepared = prepare(study, card, STILL)
    reference = study.scalar(Modality.T2W)
    assert prepared.channels.shape == (11, *reference.GetSize()[::-1])
    assert same_grid(prepared.grid, reference)
    decay = prepared.channels[:10, 5, 16, 12] / prepared.channels[0, 5, 16, 12]
    np.testing.assert_allclose(decay, np.exp(-np.array(card.inputs[0].b_values) * 8e-4), rtol=1e-4)
    np.testing.assert_allclose(prepared.channels[[0, 10]].max(axis=(2, 3))[:, 3:7], 1.0, rtol=1e-5)


def test_order_and_repeats_of_the_dwi_do_not_matter(study, models):
    series = study.images[Modality.DWI]
    order = [7, 2, 0, 9, 1, 3, 8, 4, 5, 6, 0, 9]
    volumes = series.volumes()
    shuffled = DiffusionSeries(
        sitk.JoinSeries([volumes[i] for i in order]), [series.b_values[i] for i in order]
    )
    other = Study("01", {**study.images, Modality.DWI: shuffled})
    card = models["ivim"].card
    np.testing.assert_allclose(
        prepare(other, card, STILL).channels, prepare(study, card, STILL).channels, rtol=1e-5, atol=1e-6
    )


def test_missing_b_value_is_named(study, models):
    series = study.images[Modality.DWI]
    fewer = DiffusionSeries(sitk.JoinSeries(series.volumes()[::4]), series.b_values[::4], name="scan.nii.gz")
    with pytest.raises(InputError, match=r"scan\.nii\.gz.*50, 100, 150, 300, 400, 600, 1000 are missing"):
        prepare(Study("01", {**study.images, Modality.DWI: fewer}), models["ivim"].card, STILL)


def test_absent_modalities_are_zero_and_told(study, models):
    prepared = prepare(subset(study, Modality.T1W, Modality.ADC), models["asl"].card, STILL)
    np.testing.assert_array_equal(prepared.present, [0, 1, 0, 0, 1, 0])
    assert not prepared.channels[prepared.present == 0].any()
    assert prepared.reference_modality is Modality.T1W


def test_reference_is_the_first_of_the_card_that_is_there(study, models):
    card = models["asl"].card
    assert reference_of(study, card) is Modality.T1W
    assert reference_of(subset(study, Modality.CBF, Modality.FLAIR), card) is Modality.FLAIR
    assert reference_of(subset(study, Modality.CBF), card) is Modality.CBF
    with pytest.raises(InputError, match="only DWI"):
        reference_of(subset(study, Modality.DWI), card)


def test_sagittal_reference_is_turned_to_axial_slices(study, models):
    sagittal = sitk.DICOMOrient(study.scalar(Modality.T1W), "PIR")
    assert sagittal.GetSize() != study.scalar(Modality.T1W).GetSize()
    turned = Study("01", {**study.images, Modality.T1W: sagittal})
    card = models["asl"].card
    axial = prepare(study, card, STILL)
    again = prepare(turned, card, STILL)
    np.testing.assert_allclose(again.channels, axial.channels, atol=2e-3)
    assert same_grid(again.reference, sagittal)


def test_one_resampling_follows_the_given_transform(study, models):
    shift = sitk.TranslationTransform(3, (12.0, 0.0, 0.0))
    moved = sitk.Resample(study.scalar(Modality.T2W), study.scalar(Modality.T2W), shift)
    card = models["asl"].card
    expected = prepare(subset(study, Modality.T1W, Modality.T2W), card, STILL)
    shifted = Study("01", {Modality.T1W: study.images[Modality.T1W], Modality.T2W: moved})
    prepared = prepare(shifted, card, {Modality.T2W: shift.GetInverse()})
    inside = sitk.GetArrayFromImage(prepared.mask) > 0
    inside[:, :, :4] = inside[:, :, -4:] = False
    np.testing.assert_allclose(prepared.channels[2][inside], expected.channels[2][inside], rtol=0.03)


def test_brain_mean_counts_only_where_the_image_was_measured(study, models):
    """Half a field of view does not halve the mean."""
    whole = study.scalar(Modality.FLAIR)
    half = whole[:, :, :6]
    card = models["asl"].card
    prepared = prepare(
        Study("01", {Modality.T1W: study.images[Modality.T1W], Modality.FLAIR: half}), card, STILL
    )
    inside = sitk.GetArrayFromImage(prepared.mask) > 0
    seen = sitk.GetArrayFromImage(coverage(half, prepared.grid, IDENTITY)) > 0
    assert prepared.channels[3][inside & seen].mean() == pytest.approx(1.0, rel=1e-5)
    assert seen.any(axis=(1, 2)).sum() == 6


def test_normalised_rcbv_is_zero_outside_and_never_negative(study, models):
    rcbv = study.scalar(Modality.CBF) - 90.0
    mask = sitk.Cast(study.scalar(Modality.T1W) > 50, sitk.sitkUInt8)
    result = sitk.GetArrayFromImage(normalised_rcbv(rcbv, mask, models["ivim"].card))
    assert not result[sitk.GetArrayFromImage(mask) == 0].any()
    assert result.min() == 0.0
    np.testing.assert_allclose(result.max(axis=(1, 2))[4:6], 1.0, rtol=1e-6)


def make_asl(study, delay):
    m0 = study.scalar(Modality.CBF)
    return AslSeries(m0, m0 * 0.99, m0, "pcasl", 1.8, delay)


def test_asl_without_delay_is_relative_and_says_so(study):
    relative, findings = cbf_image(make_asl(study, None))
    assert "No post-labelling delay recorded" in findings[0].what
    values = sitk.GetArrayFromImage(relative)
    assert values[5, 16, 16] == pytest.approx(0.01, rel=1e-3)
    assert not values[0, 0, 0]


def test_asl_with_timing_is_quantified_by_the_white_paper(study):
    cbf, findings = cbf_image(make_asl(study, 1.8))
    assert findings == ()
    expected = 6000 * 0.9 * 0.01 * np.exp(1.8 / 1.65) / (2 * 0.85 * 1.65 * (1 - np.exp(-1.8 / 1.65)))
    assert sitk.GetArrayFromImage(cbf)[5, 16, 16] == pytest.approx(expected, rel=1e-3)


def test_images_that_show_no_head_are_refused(study, models):
    noise = like(np.random.default_rng(0).uniform(0, 1, (10, 32, 32)), study.scalar(Modality.T1W))
    card = dataclasses.replace(models["asl"].card)
    empty = sitk.Cast(noise * 0, sitk.sitkUInt8)
    with pytest.raises(InputError, match="no brain found"):
        prepare(Study("01", {Modality.T1W: noise}), card, STILL, brain=empty)


def test_slices_of_a_real_map_are_axial_however_it_is_stored(study, models):
    rcbv, card = study.scalar(Modality.CBF), models["ivim"].card
    mask = sitk.Cast(rcbv > 50, sitk.sitkUInt8)
    axial = normalised_rcbv(rcbv, mask, card)
    sagittal = normalised_rcbv(sitk.DICOMOrient(rcbv, "PIR"), sitk.DICOMOrient(mask, "PIR"), card)
    assert sagittal.GetSize() != axial.GetSize()
    back = sitk.GetArrayFromImage(sitk.DICOMOrient(sagittal, "LPS"))
    np.testing.assert_allclose(back, sitk.GetArrayFromImage(axial), rtol=1e-6)


def test_neighbouring_b_values_are_pooled(study, models):
    """Scanners note 995, 1000 and 1005 for one nominal value."""
    series = study.images[Modality.DWI]
    volumes = series.volumes()
    spread = [*volumes[:-1], volumes[-1] * 0.9, volumes[-1] * 1.0, volumes[-1] * 1.1]
    noted = DiffusionSeries(sitk.JoinSeries(spread), [*series.b_values[:-1], 995, 1000, 1005])
    card = models["ivim"].card
    pooled = prepare(Study("01", {**study.images, Modality.DWI: noted}), card, STILL)
    np.testing.assert_allclose(pooled.channels, prepare(study, card, STILL).channels, rtol=1e-5, atol=1e-6)


def test_raw_labelling_as_reference_is_looked_at_as_what_it_shows(study, models, monkeypatch):
    from SynthCBVLib.synthesis import preprocess

    seen = []
    find = preprocess.brain_mask
    monkeypatch.setattr(
        preprocess, "brain_mask", lambda image, contrast: seen.append(contrast) or find(image, contrast)
    )
    prepare(Study("01", {Modality.CBF: make_asl(study, 1.8)}), models["asl"].card)
    assert seen == [Modality.DWI]
