"""Other b-values than the card's are brought to it by the IVIM fit, or refused with what is missing."""

from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, Study, like
from SynthCBVLib.physiology import ivim
from SynthCBVLib.synthesis import b_values, synthesize
from SynthCBVLib.synthesis.derived import derived_image
from SynthCBVLib.synthesis.preprocess import prepare
from SynthCBVLib.training.presets import preset

CARD_B = preset("ivim").card.inputs[0].b_values
OTHER_B = (0, 20, 50, 80, 200, 450, 800, 1000)
STILL = {Modality.DWI: sitk.Transform(3, sitk.sitkIdentity)}


@pytest.fixture(scope="module")
def tissue(study):
    """Give a noise-free head of known D, f and D*, by b-value."""
    s0 = sitk.GetArrayFromImage(study.scalar(Modality.T2W)).astype(float)
    f = np.where(np.arange(s0.shape[2]) > 16, 0.12, 0.04)[None, None, :]
    return lambda values: ivim.signal(values, s0, 8e-4, f, 0.012)


def series_of(tissue, study, values, name="scan.nii.gz"):
    signals = tissue(np.asarray(values, float))
    grid = study.scalar(Modality.T2W)
    volumes = [like(signals[..., i].astype(np.float32), grid) for i in range(len(values))]
    return DiffusionSeries(sitk.JoinSeries(volumes), values, name=name)


def brought(tissue, study, models, values):
    series = series_of(tissue, study, values)
    images = {Modality.DWI: series, Modality.T2W: study.images[Modality.T2W]}
    return prepare(Study("01", images), models["ivim"].card, STILL, motion=False)


def test_predicted_signals_are_those_of_the_tissue(study, models, tissue):
    prepared = brought(tissue, study, models, OTHER_B)
    truth = brought(tissue, study, models, CARD_B)
    inside = sitk.GetArrayFromImage(study.scalar(Modality.T2W)) > 30
    for index in range(len(CARD_B)):
        found, expected = prepared.channels[index][inside], truth.channels[index][inside]
        np.testing.assert_allclose(found, expected, rtol=0.03, err_msg=f"b = {CARD_B[index]}")


def test_measured_values_are_taken_as_they_are(study, models, tissue):
    prepared = brought(tissue, study, models, OTHER_B)
    truth = brought(tissue, study, models, CARD_B)
    for index, b in enumerate(CARD_B):
        if b in OTHER_B:
            np.testing.assert_array_equal(prepared.channels[index], truth.channels[index])
    assert prepared.b_values.measured == (0, 50, 200, 800, 1000)
    assert prepared.b_values.predicted == (100, 150, 300, 400, 600)


def test_noise_floor_of_a_magnitude_image_stays(monkeypatch):
    """A predicted image of tissue without signal left shows the noise, as a measured one does."""
    values = (0, 20, 80, 200, 900)
    volumes = [sitk.GetImageFromArray(np.full((2, 4, 4), 100.0 / (i + 1))) for i in range(len(values))]
    series = DiffusionSeries(sitk.JoinSeries(volumes), values)
    n = 2 * 4 * 4
    fitted = SimpleNamespace(
        s0=np.full(n, 100.0), d=np.full(n, 3e-3), f=np.zeros(n), d_star=np.full(n, 0.01),
        noise_sd=6.0, valid=np.arange(n) != 3,
    )  # fmt: skip
    monkeypatch.setattr(ivim, "fit", lambda *arguments, **options: fitted)
    planned = b_values.BValues((0,), (600,), values)
    predicted = sitk.GetArrayFromImage(b_values.predicted_volumes(series, planned, ())[600]).ravel()
    assert predicted[0] == pytest.approx(np.hypot(100 * np.exp(-1.8), 6.0))
    assert predicted[3] == 20.0, "a voxel without a fit is that of the nearest measured b-value"


def test_air_is_that_of_the_nearest_measured_b_value(study, models, tissue):
    series = series_of(tissue, study, OTHER_B)
    volumes = series.volumes()
    air = sitk.GetArrayFromImage(study.scalar(Modality.T2W)) == 0
    volumes = [volume + float(i + 1) for i, volume in enumerate(volumes)]
    marked = DiffusionSeries(sitk.JoinSeries(volumes), OTHER_B)
    planned = b_values.plan(marked, models["ivim"].card.inputs[0])
    predicted = b_values.predicted_volumes(marked, planned, ())
    assert set(sitk.GetArrayFromImage(predicted[100.0])[air]) == {1.0 + OTHER_B.index(80)}
    assert set(sitk.GetArrayFromImage(predicted[400.0])[air]) == {1.0 + OTHER_B.index(450)}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((20, 50, 100, 300, 600, 1000), "Add the b = 0 images"),
        ((0, 500, 1000), "at least 4 different b-values"),
        ((0, 995, 1000, 1005, 500), "at least 4 different b-values"),
        ((0, 250, 500, 750, 1000), "between 0 and 200"),
        ((0, 20, 50, 80, 150), "above 200"),
        ((0, 50, 100, 200, 400), "too far beyond the largest one measured .400; at least 600"),
    ],
)
def test_sets_that_cannot_carry_the_fit_are_refused_with_the_reason(study, models, tissue, values, words):
    series = series_of(tissue, study, values)
    images = {Modality.DWI: series, Modality.T2W: study.images[Modality.T2W]}
    with pytest.raises(InputError, match=words) as caught:
        synthesize(Study("01", images), models["ivim"], device="cpu")
    assert "scan.nii.gz" in str(caught.value)


def test_synthesis_says_what_was_measured_and_what_predicted(study, models, tissue):
    images = {Modality.DWI: series_of(tissue, study, OTHER_B), Modality.T2W: study.images[Modality.T2W]}
    result = synthesize(Study("01", images), models["ivim"], device="cpu")
    told = [f for f in result.findings if f.kind == "b-values"]
    assert not any(f.severity == "error" for f in result.findings)
    assert any("100, 150, 300, 400, 600 s/mm² was predicted" in f.what for f in told)
    assert any("taken as measured: b = 0, 50, 200, 800, 1000" in f.what for f in told)
    assert result.provenance["b_values"]["predicted"] == (100, 150, 300, 400, 600)
    assert np.isfinite(sitk.GetArrayFromImage(result.rcbv)).all()


def test_the_cards_own_b_values_are_not_spoken_of(study, models, tissue):
    prepared = brought(tissue, study, models, CARD_B)
    assert prepared.b_values.predicted == ()
    assert not any(f.kind == "b-values" for f in prepared.findings)


def test_bridging_leaves_other_errors(study, models, tissue):
    other = Finding("error", Modality.T2W, "all zero", "Look.", "values")
    missing = Finding("error", Modality.DWI, "no image at b = 100", "Look.", "b-values")
    images = {Modality.DWI: series_of(tissue, study, OTHER_B), Modality.T2W: study.images[Modality.T2W]}
    assert b_values.bridged([other, missing], Study("01", images), models["ivim"].card) == [other]


def test_perfusion_fraction_is_fitted_to_what_was_measured(study, tissue):
    spec = preset("ivim-f-t2w").card.inputs[0]
    f = sitk.GetArrayFromImage(derived_image(series_of(tissue, study, OTHER_B), spec, ()))
    assert np.median(f[5, 12:20, 8:14]) == pytest.approx(0.04, abs=0.02)
    assert np.median(f[5, 12:20, 19:24]) == pytest.approx(0.12, abs=0.02)
