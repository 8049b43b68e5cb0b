"""Digital patients as a whole: determinism, images, truth, regions and transforms."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, same_grid
from SynthCBVLib.phantom import COMPACT, DigitalPatient
from SynthCBVLib.phantom.disease import PRIORS
from SynthCBVLib.phantom.draws import balanced_normals
from SynthCBVLib.phantom.lesion import PATIENT_SCORES
from SynthCBVLib.phantom.simulate import apparent_diffusion

array = sitk.GetArrayFromImage


def ratio(map_array, truth):
    tumour, white = (
        np.mean([map_array[array(m) > 0].mean() for m in masks])
        for masks in (truth.tumour, truth.white_matter)
    )
    return tumour / white


def test_same_bits_whichever_images_are_asked_for(wildtype):
    again = DigitalPatient(11, "wildtype", wildtype.protocol)
    again.truth(Modality.RCBV)
    first = again.study([Modality.ADC, Modality.CBF, Modality.T2W]).images
    second = wildtype.study([Modality.T2W, Modality.DWI, Modality.ADC, Modality.CBF]).images
    for modality in (Modality.ADC, Modality.CBF, Modality.T2W):
        assert np.array_equal(array(first[modality]), array(second[modality]))
        assert same_grid(first[modality], second[modality], 0)
    other = DigitalPatient(12, "wildtype", wildtype.protocol).study([Modality.T2W]).images[Modality.T2W]
    assert not np.array_equal(array(other), array(second[Modality.T2W]))


def test_study_has_every_modality_on_its_own_grid(wildtype):
    study = wildtype.study()
    assert set(study.images) == set(Modality)
    series = study.images[Modality.DWI]
    assert isinstance(series, DiffusionSeries) and series.n_volumes == 22
    for modality in Modality:
        image = study.scalar(modality)
        acquisition = wildtype.protocol.acquisition(modality)
        assert image.GetSize() == (acquisition.matrix, acquisition.matrix, acquisition.slices)
        assert np.isfinite(array(image)).all()
    # One oblique package for the whole exam.
    directions = [np.array(study.scalar(m).GetDirection()) for m in Modality]
    assert all(np.allclose(d, directions[0], atol=1e-5) for d in directions)
    assert not np.allclose(directions[0], np.eye(3).ravel(), atol=1e-3)


def test_fractions_sum_to_the_brain(wildtype_truth):
    t = wildtype_truth
    total = sum(array(i) for i in (t.grey, t.white, t.csf, t.lesion_fraction, t.vessels))
    inside = array(sitk.BinaryErode(t.brain, [4, 4, 1])) > 0
    inside[[0, -1]] = False  # erosion does not see what lies beyond the first and last slice
    assert inside.sum() > 50_000
    assert np.abs(total[inside] - 1).max() < 0.02
    assert total.max() < 1.02
    assert {0, 1, 3} <= set(np.unique(array(t.lesion))) <= {0, 1, 2, 3}


def test_truth_of_normal_tissue_is_that_of_the_table(wildtype_truth):
    t = wildtype_truth
    healthy = array(t.lesion_fraction) < 0.001
    white, grey = (healthy & (array(m) > 0.95) for m in (t.white, t.grey))
    assert array(t.rcbv)[white].mean() == pytest.approx(1, abs=0.1)
    assert 1.9 < array(t.rcbv)[grey].mean() < 2.8
    assert array(t.f)[grey].mean() == pytest.approx(0.066, rel=0.3)
    assert array(t.d)[white].mean() == pytest.approx(0.70e-3, rel=0.15)
    assert array(t.cbf)[grey].mean() == pytest.approx(60, rel=0.3)
    assert array(t.arterial_transit_time)[white].mean() == pytest.approx(1.2, rel=0.3)


@pytest.mark.parametrize("reference", [Modality.T2W, Modality.RCBV, Modality.T1W])
def test_regions_lie_where_a_reader_puts_them(wildtype, reference):
    t = wildtype.truth(reference)
    masks = [array(m) > 0 for m in (*t.tumour, *t.white_matter)]
    slices = {int(z) for m in masks for z in np.nonzero(m.any((1, 2)))[0]}
    assert len(slices) == 1
    assert sum(m.astype(int) for m in masks).max() == 1  # distinct
    solid = array(t.lesion) == 1
    assert solid.sum((1, 2))[slices.pop()] > 0.85 * solid.sum((1, 2)).max()
    spacing = t.rcbv.GetSpacing()
    for m in masks:
        assert m.sum() * spacing[0] * spacing[1] == pytest.approx(25, rel=0.3)
    for m in masks[:3]:
        assert (array(t.lesion)[m] == 1).mean() > 0.7
    # Opposite sides of the patient's own mid-sagittal plane, carried into the image's pose.
    normal, offset = wildtype._anatomy.sagittal_plane
    back = wildtype.transforms()[reference].GetInverse()

    def side(mask):
        index = np.argwhere(mask).mean(0)[::-1]
        point = back.TransformPoint(t.rcbv.TransformContinuousIndexToPhysicalPoint([float(i) for i in index]))
        return np.dot(normal, point) - offset

    for m in masks[3:]:
        assert array(t.white)[m].mean() > 0.9
        assert array(t.lesion)[m].max() == 0
        assert side(m) * side(masks[0]) < 0


def test_true_transform_aligns_images(wildtype):
    # Both are T2-weighted, so plain correlation knows when they lie on each other.
    images = wildtype.study([Modality.T2W, Modality.DWI])
    t2w, b0 = images.scalar(Modality.T2W), images.scalar(Modality.DWI)

    def correlation(transform):
        moved = array(sitk.Resample(b0, t2w, transform, sitk.sitkLinear))
        seen = moved > 0.2 * np.percentile(moved, 99)
        return np.corrcoef(moved[seen], array(t2w)[seen])[0, 1]

    true = correlation(wildtype.transform(Modality.DWI, Modality.T2W))
    assert true > correlation(sitk.Transform(3, sitk.sitkIdentity)) + 0.02
    assert true > 0.7
    # The truth of each pose says the same: grey matter maps onto grey matter.
    here, there = wildtype.truth(Modality.T2W).grey, wildtype.truth(Modality.DWI).grey
    moved = array(sitk.Resample(there, here, wildtype.transform(Modality.DWI, Modality.T2W)))
    assert np.corrcoef(moved.ravel(), array(here).ravel())[0, 1] > 0.93


def test_transforms_are_rigid_and_compose(wildtype):
    forth = wildtype.transform(Modality.DWI, Modality.T1W)
    back = wildtype.transform(Modality.T1W, Modality.DWI)
    point = (10.0, -30.0, 25.0)
    np.testing.assert_allclose(back.TransformPoint(forth.TransformPoint(point)), point, atol=1e-9)
    assert np.linalg.norm(np.subtract(forth.TransformPoint(point), point)) > 0.1
    same = wildtype.transform(Modality.ADC, Modality.DWI)
    np.testing.assert_allclose(same.TransformPoint(point), point, atol=1e-9)


def test_contrast_of_images_is_that_of_tissue(wildtype):
    for modality, order in (
        (Modality.T2W, ("white", "grey", "csf")),
        (Modality.T1W, ("csf", "grey", "white")),
        (Modality.CBF, ("csf", "white", "grey")),
        (Modality.RCBV, ("csf", "white", "grey")),
        (Modality.ADC, ("white", "grey", "csf")),
    ):
        t = wildtype.truth(modality)
        image = array(wildtype.study([modality]).images[modality])
        away = array(t.lesion_fraction) + array(t.vessels) < 0.05
        means = [np.median(image[away & (array(getattr(t, name)) > 0.8)]) for name in order]
        assert means == sorted(means), modality


def test_real_rcbv_is_zero_outside_the_brain_and_saturates_in_vessels(wildtype):
    t = wildtype.truth(Modality.RCBV)
    image = array(wildtype.study([Modality.RCBV]).images[Modality.RCBV])
    assert image.min() >= 0
    air = array(sitk.BinaryDilate(t.brain, [3, 3, 1])) == 0
    assert not image[air].any()
    white = image[(array(t.white) > 0.95) & (array(t.lesion) == 0)].mean()
    assert 8 < image.max() / white < 16


def test_wildtype_has_the_higher_real_rcbv():
    real = {}
    coarse = dataclasses.replace(COMPACT, anatomy_spacing=3.0)
    for idh, low, high in (("wildtype", 1.8, 13.0), ("mutant", 0.9, 8.5)):
        ratios = []
        # Patients in the middle of their population: of others the ranges overlap.
        kind = list(PRIORS).index(idh)
        block = sorted(range(500, 520), key=lambda s: abs(balanced_normals(s, kind, PATIENT_SCORES)[0]))
        for seed in block[:3]:
            patient = DigitalPatient(seed, idh, coarse)
            truth = patient.truth(Modality.RCBV)
            assert low < ratio(array(truth.rcbv), truth) < high
            ratios.append(ratio(array(patient.study([Modality.RCBV]).images[Modality.RCBV]), truth))
        real[idh] = np.mean(ratios)
    assert real["wildtype"] > 1.2 * real["mutant"]


def real_ratio(kind, seed):
    patient = DigitalPatient(seed, kind, dataclasses.replace(COMPACT, anatomy_spacing=3.0))
    truth = patient.truth(Modality.RCBV)
    image = array(patient.study([Modality.RCBV]).images[Modality.RCBV])
    solid = array(truth.solid) > 0.6
    white = (array(truth.white) > 0.9) & (array(truth.lesion_fraction) < 0.01)
    assert patient._body.lesion.gadolinium.max() > 0.25  # both enhance
    return image[solid].mean() / image[white].mean()


def test_recurrence_holds_more_blood_than_response_though_both_enhance():
    assert real_ratio("recurrence", 60) > 1.5 * real_ratio("response", 60)


def test_treated_patients_have_a_cavity_and_metastases_come_in_numbers():
    coarse = dataclasses.replace(COMPACT, anatomy_spacing=3.0)
    treated = DigitalPatient(60, "recurrence", coarse).truth()
    assert (array(treated.lesion) == 4).sum() > 100
    assert array(treated.lesion_fraction).max() < 1.01
    counts = []
    for seed in range(60, 63):
        lesion = DigitalPatient(seed, "metastasis", coarse)._body.lesion
        total = lesion.solid + lesion.necrosis + lesion.margin + lesion.cavity
        assert total.min() >= 0 and total.max() < 1.001
        counts.append(ndimage.label((lesion.solid + lesion.necrosis) > 0.5)[1])
    assert max(counts) > 1 and max(counts) < 9


def test_no_lesion_no_regions(wildtype):
    patient = DigitalPatient(11, "none", wildtype.protocol)
    truth = patient.truth()
    assert truth.tumour == () and truth.white_matter == ()
    assert not array(truth.lesion).any() and not array(truth.lesion_fraction).any()


def test_head_and_exam_are_the_same_whatever_the_lesion(wildtype):
    patient = DigitalPatient(11, "none", wildtype.protocol)
    point = (1.0, 2.0, 3.0)
    for modality in Modality:
        here, there = (p.transforms()[modality].TransformPoint(point) for p in (wildtype, patient))
        assert here == there


def test_adc_of_a_mono_exponential_is_its_coefficient():
    b_values = (0.0, 0.0, 50.0, 200.0, 400.0, 800.0, 1000.0, 1000.0)
    series = np.stack([1000 * np.exp(-b * np.full((2, 3, 3), 0.9e-3)) for b in b_values]).astype(np.float32)
    np.testing.assert_allclose(apparent_diffusion(series, b_values), 0.9e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [((-1,), "seed"), ((1.5,), "seed"), ((1, "unknown"), "idh"), ((1, "mutant", "large"), "protocol")],
)
def test_wrong_arguments_are_named(arguments, where):
    with pytest.raises(InputError, match=where):
        DigitalPatient(*arguments)
