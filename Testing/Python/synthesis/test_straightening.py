"""The DWI's distortion on its way through `prepare`, provenance, worker and command line."""

import dataclasses
import json

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.distortion import Distortion
from SynthCBVLib.imaging.files import read_study, write_study
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, Study, like
from SynthCBVLib.synthesis import preprocess, straightening, synthesize

STILL = {Modality.DWI: sitk.Transform(3, sitk.sitkIdentity)}


def displaced(series, rows, applied=True):
    """Give a distortion by whole voxels (6 mm) along columns, the same everywhere."""
    grid = series.volumes()[0]
    shape = grid.GetSize()[::-1]
    field = like(np.full(shape, 6.0 * rows * applied, np.float32), grid)
    density = like(np.ones(shape, np.float32), grid)
    return Distortion(
        1, field, density, sitk.Euler3DTransform(), 0.5, 0.3, 6.0, applied, "" if applied else "as told"
    )


@pytest.fixture
def plain(study):
    series = dataclasses.replace(study.images[Modality.DWI], phase_encoding="j")
    return Study("01", {Modality.DWI: series, Modality.T2W: study.images[Modality.T2W]})


@pytest.fixture
def known(plain, monkeypatch):
    """Stand for the search: what it was asked, and a shift of one row."""
    asked = {}

    def estimate(moving, fixed, alignment, axis, brain=None, progress=None):
        asked.update(moving=moving, fixed=fixed, axis=axis, brain=brain)
        return asked["answer"]

    asked["answer"] = displaced(plain.images[Modality.DWI], 1)
    monkeypatch.setattr(straightening, "estimate_distortion", estimate)
    return asked


def shifted(study):
    """Displace the DWI by one row."""
    series = study.images[Modality.DWI]
    back = sitk.TranslationTransform(3, (0.0, -6.0, 0.0))
    volumes = [sitk.Resample(volume, volume, back) for volume in series.volumes()]
    moved = dataclasses.replace(series, image=sitk.JoinSeries(volumes))
    return Study("01", {**study.images, Modality.DWI: moved})


def test_the_dwi_is_straightened_in_one_resampling(plain, known, models):
    card = models["ivim"].card
    expected = preprocess.prepare(plain, card, STILL, motion=False)
    left = preprocess.prepare(shifted(plain), card, STILL, motion=False)
    straight = preprocess.prepare(shifted(plain), card, STILL, motion=False, distortion=True)
    inner = (slice(None), slice(2, -2), slice(4, -4), slice(4, -4))
    # Whole voxels: an exact copy shows that nothing was interpolated twice.
    np.testing.assert_allclose(straight.channels[inner], expected.channels[inner], atol=1e-5)
    assert np.abs(left.channels - expected.channels)[inner].max() > 0.1
    assert left.distortion is None and straight.distortion is known["answer"]
    assert straight.transforms[Modality.DWI].IsLinear()
    assert known["axis"] == 1 and known["brain"] is not None
    told = [f for f in straight.findings if f.kind == "distortion"]
    assert len(told) == 1 and "6.0 mm" in told[0].what and told[0].severity == "info"


def test_motion_and_displacement_go_together(plain, known, models, monkeypatch):
    from SynthCBVLib.imaging.motion import VolumeMotion

    series = shifted(plain).images[Modality.DWI]
    volumes, motion = series.volumes(), []
    for i, volume in enumerate(volumes):
        moved = sitk.Euler3DTransform()
        if i in (3, 9):
            moved.SetTranslation((6.0, 0.0, 0.0))
            volumes[i] = sitk.Resample(volume, volume, sitk.TranslationTransform(3, (-6.0, 0.0, 0.0)))
        motion.append(VolumeMotion(moved, -0.5, -1.0, 6.0, i in (3, 9)))
    both = Study(
        "01", {**plain.images, Modality.DWI: dataclasses.replace(series, image=sitk.JoinSeries(volumes))}
    )
    monkeypatch.setattr(preprocess, "estimate_motion", lambda series, progress: tuple(motion))
    card = models["ivim"].card
    expected = preprocess.prepare(plain, card, STILL, motion=False)
    straight = preprocess.prepare(both, card, STILL, distortion=True)
    inner = (slice(None), slice(2, -2), slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(straight.channels[inner], expected.channels[inner], atol=1e-5)


def test_what_was_left_alone_is_said(plain, known, models):
    known["answer"] = displaced(plain.images[Modality.DWI], 1, applied=False)
    card = models["ivim"].card
    usual = preprocess.prepare(plain, card, STILL, motion=False)
    asked = preprocess.prepare(plain, card, STILL, motion=False, distortion=True)
    np.testing.assert_array_equal(asked.channels, usual.channels)
    assert any("not corrected: as told" in finding.what for finding in asked.findings)


def test_an_assumed_phase_direction_is_said(study, plain, known, models):
    series = dataclasses.replace(plain.images[Modality.DWI], phase_encoding="")
    unknown = Study("01", {**plain.images, Modality.DWI: series})
    found = preprocess.prepare(unknown, models["ivim"].card, STILL, motion=False, distortion=True)
    assert any("phase direction is not recorded; axis j" in finding.what for finding in found.findings)


def test_without_something_to_compare_with_nothing_is_done(plain, known, models):
    series = plain.images[Modality.DWI]
    alone = Study("01", {Modality.DWI: series})
    found, findings = straightening.straighten(
        alone, Modality.T1W, series.lowest_b(), STILL[Modality.DWI], None
    )
    assert found is None and "there is no T2w" in findings[0].what
    found, findings = straightening.straighten(
        plain, Modality.DWI, series.lowest_b(), STILL[Modality.DWI], None
    )
    assert found is None and "grid of the DWI itself" in findings[0].what
    assert "moving" not in known


def test_another_reference_still_compares_with_t2w(study, plain, known):
    images = {**plain.images, Modality.T1W: study.images[Modality.T1W]}
    three = Study("01", images)
    series = plain.images[Modality.DWI]
    brain = sitk.Cast(study.images[Modality.T1W] > 50, sitk.sitkUInt8)
    found, _ = straightening.straighten(three, Modality.T1W, series.lowest_b(), STILL[Modality.DWI], brain)
    assert found is known["answer"]
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(known["fixed"]), sitk.GetArrayFromImage(images[Modality.T2W])
    )


@pytest.mark.parametrize("error", [InputError("DWI", "12 voxels", "2000"), np.linalg.LinAlgError("singular")])
def test_a_search_that_cannot_be_done_costs_no_map(plain, models, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(straightening, "estimate_distortion", fail)
    found = preprocess.prepare(plain, models["ivim"].card, STILL, motion=False, distortion=True)
    usual = preprocess.prepare(plain, models["ivim"].card, STILL, motion=False)
    np.testing.assert_array_equal(found.channels, usual.channels)
    assert found.distortion is None
    told = [f for f in found.findings if f.kind == "distortion"]
    assert [f.severity for f in told] == ["warning"] and str(error) in told[0].what


def test_a_model_without_dwi_says_that_nothing_was_corrected(study, known, models):
    found = preprocess.prepare(study, models["asl"].card, distortion=True)
    assert any("the model takes no DWI" in finding.what for finding in found.findings)
    assert "moving" not in known


def test_f_is_there_wherever_tissue_was_displaced_to(plain, known, models):
    from SynthCBVLib.synthesis.companions import companions

    card = models["ivim"].card
    usual = companions(plain, synthesize(plain, models["ivim"], "cpu", transforms=STILL), card).f
    moved = shifted(plain)
    result = synthesize(moved, models["ivim"], "cpu", transforms=STILL, distortion=True)
    straight = companions(moved, result, card).f
    before, after = (sitk.GetArrayFromImage(image)[:, 4:-4, 4:-4] for image in (usual, straight))
    both = sitk.GetArrayFromImage(result.mask)[:, 4:-4, 4:-4] > 0
    assert (before[both] > 0).mean() > 0.5
    np.testing.assert_array_equal(after[both] > 0, before[both] > 0)


def test_provenance_tells_of_it(plain, known, models):
    result = synthesize(plain, models["ivim"], "cpu", transforms=STILL, distortion=True)
    told = json.loads(json.dumps(result.provenance))["distortion"]
    assert told["applied"] and told["axis"] == "j" and told["largest_displacement"] == 6.0
    assert (told["before"], told["after"]) == (0.5, 0.3)
    assert told["settings"] and result.distortion is known["answer"]
    usual = synthesize(plain, models["ivim"], "cpu", transforms=STILL)
    assert usual.provenance["distortion"] is None and usual.distortion is None


def test_the_sidecar_keeps_the_phase_direction(plain, tmp_path):
    folder = write_study(plain, tmp_path)
    series = read_study(folder).images[Modality.DWI]
    assert isinstance(series, DiffusionSeries) and series.phase_encoding == "j"
    sidecar = folder / "dwi" / "sub-01_dwi.json"
    for text, expected in (
        ('{"PhaseEncodingAxis": "i"}', "i"), ('{"PhaseEncodingDirection": "k-"}', "k-"),
        ('{"PhaseEncodingDirection": "AP"}', ""), ('{"PhaseEncodingDirection": 1}', ""), ("{", ""),
    ):  # fmt: skip
        sidecar.write_text(text)
        assert read_study(folder).images[Modality.DWI].phase_encoding == expected


def test_the_worker_passes_it_on(plain, tmp_path, monkeypatch):
    import SynthCBVLib.synthesis as synthesis
    from SynthCBVLib.imaging.study import join_vector
    from SynthCBVLib.worker.alignment import Alignment, synthesize_aligned
    from SynthCBVLib.worker.handover import Volume
    from SynthCBVLib.worker.study import HandedStudy

    series = plain.images[Modality.DWI]
    volumes = {Modality.DWI: (Volume.of(join_vector(series.volumes()), "dwi"),)}
    HandedStudy("01", volumes, series.b_values, phase_encoding="i-").write(tmp_path)
    assert HandedStudy.read(tmp_path).study().images[Modality.DWI].phase_encoding == "i-"
    asked = []

    def stand_in(study, model, device, progress, transforms=None, distortion=False):
        asked.append(distortion)
        raise InputError("stop", "here", "no more")

    monkeypatch.setattr(synthesis, "synthesize", stand_in)
    model = dataclasses.make_dataclass("Model", ["card"])(None)
    for wanted in (False, True):
        with pytest.raises(InputError, match="stop"):
            synthesize_aligned(plain, model, "cpu", Alignment(distortion=wanted))
    assert asked == [False, True]
    with pytest.raises(InputError, match="distortion"):
        Alignment(distortion="yes")


def test_the_command_line_passes_it_on(plain, tmp_path, monkeypatch):
    import SynthCBVLib.synthesis as synthesis
    from SynthCBVLib.cli import main

    folder = write_study(plain, tmp_path)
    asked = []

    def stand_in(study, model, device, progress, distortion=False):
        asked.append(distortion)
        raise InputError("stop", "here", "no more")

    monkeypatch.setattr(synthesis, "synthesize", stand_in)
    usual = ["synthesize", "--model", "ivim", "--study", str(folder), "--out", str(tmp_path / "out")]
    assert main(usual) == 2 and main([*usual, "--correct-distortion"]) == 2
    assert asked == [False, True]
