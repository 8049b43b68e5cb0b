from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding, check, raise_on_error
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, join_series, like

B_VALUES = (0.0, 50.0, 200.0, 1000.0)
M = Modality


@dataclass(frozen=True)
class Input:
    modality: Modality
    required: bool = True
    b_values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Card:
    inputs: tuple[Input, ...]
    reference: tuple[Modality, ...]


IVIM = Card((Input(M.DWI, b_values=B_VALUES), Input(M.T2W)), (M.T2W,))
ASL = Card(
    (Input(M.CBF), Input(M.T1W, False), Input(M.T2W, False), Input(M.T1C, False)), (M.T1W, M.T2W, M.CBF)
)


@pytest.fixture(scope="module")
def t1w(head):
    return head.image("T1w", (3.0, 3.0, 3.0), (62, 72, 54), seed=1)


@pytest.fixture(scope="module")
def t2w(head):
    return head.image("T2w", (3.0, 3.0, 5.0), (62, 72, 32), seed=2)


def series(t2w, b_values=B_VALUES, true_b=None, repeats=2, noise=0.02):
    """Mono-exponential decay of the head's signal at `true_b`, said to be `b_values`."""
    base = sitk.GetArrayFromImage(t2w)
    rng = np.random.default_rng(0)
    volumes = []
    for b in true_b or b_values:
        for _ in range(repeats):
            real = base * np.exp(-b * 1e-3) + noise * rng.normal(size=base.shape)
            magnitude = np.hypot(real, noise * rng.normal(size=base.shape))
            volumes.append(like(magnitude.astype(np.float32), t2w))
    named = tuple(b for b in b_values for _ in range(repeats))
    return DiffusionSeries(join_series(volumes), named, name="patient/dwi.nii.gz")


def ivim_study(t2w, **more):
    return Study("01", {M.DWI: series(t2w, **more), M.T2W: t2w})


def cbf_map(t1w, scale=60.0):
    return t1w * scale


def found(study, card):
    return [(finding.severity, finding.modality, finding.what) for finding in check(study, card)]


def has(findings, severity, modality, text):
    return any(s == severity and m is modality and text in what for s, m, what in findings)


def test_clean_studies_have_no_findings(t1w, t2w):
    assert check(ivim_study(t2w), IVIM) == []
    assert check(Study("01", {M.CBF: cbf_map(t1w), M.T1W: t1w, M.T2W: t2w}), ASL) == []
    asl = AslSeries(t2w, t2w * 0.99, t2w * 2)
    assert check(Study("01", {M.CBF: asl, M.T1W: t1w, M.T2W: t2w}), ASL) == []


def test_missing_images(t1w, t2w):
    findings = found(Study("01", {M.T2W: t2w}), IVIM)
    assert has(findings, "error", M.DWI, "no DWI image; there is T2w")
    findings = found(Study("01", {M.CBF: cbf_map(t1w)}), ASL)
    assert has(findings, "warning", None, "none of the optional images")
    only_t1 = Card((Input(M.CBF), Input(M.T1W, False)), (M.T1W,))
    assert has(found(Study("01", {M.CBF: cbf_map(t1w)}), only_t1), "error", None, "no image to bring")
    findings = found(Study("01", {M.CBF: cbf_map(t1w), M.T1W: t1w, M.FLAIR: t2w}), ASL)
    assert findings == [("info", M.FLAIR, "not used by this model")]


def test_values_that_are_no_image(t1w):
    array = sitk.GetArrayFromImage(t1w)
    nan, inf = array.copy(), array.copy()
    nan[3, 4, 5:8] = np.nan
    inf[0, 0, 0] = np.inf
    for spoiled, text in (
        (nan, "3 voxels that are NaN"),
        (inf, "1 voxels"),
        (array * 0, "all zero"),
        (array * 0 + 5, "the value 5 everywhere"),
    ):
        study = Study("01", {M.CBF: cbf_map(t1w), M.T1W: like(spoiled, t1w)})
        assert has(found(study, ASL), "error", M.T1W, text)
    study = Study("01", {M.CBF: AslSeries(t1w, t1w * 0.9, t1w * 0), M.T1W: t1w})
    assert has(found(study, ASL), "error", M.CBF, "M0: all zero")


def test_spoiled_volume_of_a_series_is_named(t2w):
    good = series(t2w)
    volumes = good.volumes()
    volumes[2] = volumes[2] * 0
    study = Study("01", {M.DWI: DiffusionSeries(join_series(volumes), good.b_values), M.T2W: t2w})
    assert has(found(study, IVIM), "error", M.DWI, "volume 3 (b = 50): all zero")


def test_negative_signal(t1w):
    study = Study("01", {M.CBF: cbf_map(t1w), M.T1W: t1w - 0.5})
    assert has(found(study, ASL), "warning", M.T1W, "negative values")


def test_b_values_against_the_card(t2w):
    findings = found(ivim_study(t2w, b_values=(20.0, 50.0, 200.0, 1000.0)), IVIM)
    assert has(findings, "error", M.DWI, "no b = 0 image; the lowest b-value is 20")
    findings = found(ivim_study(t2w, b_values=(0.0, 50.0, 200.0)), IVIM)
    assert has(findings, "error", M.DWI, "no image at b = 1000")
    findings = found(ivim_study(t2w, b_values=(0.0, 50.0, 205.0, 1000.0)), IVIM)
    assert [f[:2] for f in findings] == [("warning", M.DWI)]
    assert has(findings, "warning", M.DWI, "b = 200 s/mm² only nearly")
    findings = found(ivim_study(t2w, b_values=(0.0, 50.0, 200.0, 500.0, 1000.0)), IVIM)
    assert findings == [("info", M.DWI, "b = 500 s/mm² is not used by this model")]


def test_averages(t2w):
    findings = found(ivim_study(t2w, repeats=1), IVIM)
    assert has(findings, "warning", M.DWI, "every b-value measured once only")
    base = series(t2w)
    fewer = DiffusionSeries(join_series(base.volumes()[:-1]), base.b_values[:-1])
    findings = found(Study("01", {M.DWI: fewer, M.T2W: t2w}), IVIM)
    assert findings == [("info", M.DWI, "b = 1000 s/mm² measured once only")]


def test_signal_that_does_not_fall(t2w):
    findings = found(ivim_study(t2w, true_b=B_VALUES[::-1]), IVIM)
    assert has(findings, "error", M.DWI, "the signal does not fall with b")
    findings = found(ivim_study(t2w, true_b=(0.0, 200.0, 50.0, 1000.0)), IVIM)
    assert has(findings, "warning", M.DWI, "the signal rises from b = 50 to 200")


def test_cbf_unit(t1w):
    for scale in (6e-3, 6e4):
        study = Study("01", {M.CBF: cbf_map(t1w, scale), M.T1W: t1w})
        assert has(found(study, ASL), "warning", M.CBF, "a median of")


def test_noise(head, t2w):
    noisy = head.image("T1w", (3.0, 3.0, 3.0), (62, 72, 54), seed=1, noise=0.3)
    findings = found(Study("01", {M.CBF: cbf_map(noisy), M.T1W: noisy}), ASL)
    assert has(findings, "warning", M.T1W, "a signal-to-noise ratio of about")
    assert has(found(ivim_study(t2w, noise=0.2), IVIM), "warning", M.DWI, "a signal-to-noise ratio")


def test_coverage_and_overlap(head, t1w):
    cbf = cbf_map(t1w)
    half = head.image("T2w", (3.0, 3.0, 5.0), (62, 72, 10), seed=2)
    findings = found(Study("01", {M.CBF: cbf, M.T1W: t1w, M.T2W: half}), ASL)
    assert has(findings, "warning", M.T2W, "of the brain in T1w")
    far = sitk.Image(half)
    far.SetOrigin((900.0, 0.0, 0.0))
    findings = found(Study("01", {M.CBF: cbf, M.T1W: t1w, M.T2W: far}), ASL)
    assert has(findings, "error", M.T2W, "does not overlap")


def test_same_image_twice(t1w):
    findings = found(Study("01", {M.CBF: cbf_map(t1w), M.T1W: t1w, M.T1C: sitk.Image(t1w)}), ASL)
    assert findings == [("warning", M.T1C, "the same voxels as T1w")]


def test_coarse_voxels(head):
    coarse = head.image("T1w", (3.0, 3.0, 9.0), (62, 72, 18), seed=2)
    findings = found(Study("01", {M.CBF: cbf_map(coarse), M.T1W: coarse}), ASL)
    assert has(findings, "warning", M.T1W, "coarse voxels of 3 × 3 × 9 mm")


def test_errors_come_first_and_are_raised_by_name(t2w):
    study = ivim_study(t2w, b_values=(20.0, 50.0, 200.0), true_b=(0.0, 200.0, 50.0))
    findings = check(study, IVIM)
    severities = [finding.severity for finding in findings]
    assert severities[0] == "error"
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    with pytest.raises(InputError, match=r"patient/dwi\.nii\.gz \(DWI of subject 01\): no b = 0 image"):
        raise_on_error(findings, study)
    raise_on_error([Finding("warning", None, "odd", "Look at it.")], study)
    with pytest.raises(InputError, match="subject 01: nothing there"):
        raise_on_error([Finding("error", None, "nothing there", "Add it.")], study)


def test_a_finding_reads_as_a_sentence_with_its_image():
    finding = Finding("warning", Modality.ADC, "odd values", "Look at it.")
    assert str(finding) == "warning: ADC: odd values. Look at it."
    assert str(Finding("info", None, "few images.", "Add some.")) == "info: few images. Add some."


def test_faults_of_images_that_the_model_does_not_use_are_warnings(t1w):
    spoiled = sitk.GetArrayFromImage(t1w)
    spoiled[0, 0, 0] = np.nan
    image = like(spoiled, t1w)
    findings = check(Study("01", {M.T1W: t1w, M.CBF: t1w * 0.5, M.RCBV: image}), ASL)
    assert not [finding for finding in findings if finding.severity == "error"]
    assert [
        finding for finding in findings if finding.modality is Modality.RCBV and finding.severity == "warning"
    ]
