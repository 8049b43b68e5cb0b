"""Volumes of the DWI that moved are laid back by `prepare`, in one resampling."""

import dataclasses

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.motion import VolumeMotion
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, Study
from SynthCBVLib.synthesis import preprocess

SHIFT = (6.0, -6.0, 0.0)


def moved_study(study, which):
    """Shift volumes of the DWI by one voxel along x and one back along y, exactly."""
    series = study.images[Modality.DWI]
    volumes = series.volumes()
    motion = sitk.TranslationTransform(3, [-s for s in SHIFT])
    for i in which:
        volumes[i] = sitk.Resample(volumes[i], volumes[i], motion)
    moved = DiffusionSeries(sitk.JoinSeries(volumes), series.b_values)
    return Study("01", {Modality.DWI: moved, Modality.T2W: study.images[Modality.T2W]})


def known_motion(count, which):
    still, moved = sitk.Euler3DTransform(), sitk.Euler3DTransform()
    moved.SetTranslation(SHIFT)
    size = float(np.linalg.norm(SHIFT))
    return tuple(
        VolumeMotion(moved, -0.5, -1.0, size, True)
        if i in which
        else VolumeMotion(still, -1.0, -1.0, 0.0, False)
        for i in range(count)
    )


def test_moved_volumes_are_laid_back(study, models, monkeypatch):
    card = models["ivim"].card
    given = {Modality.DWI: sitk.Transform(3, sitk.sitkIdentity)}
    plain = Study("01", {m: study.images[m] for m in (Modality.DWI, Modality.T2W)})
    expected = preprocess.prepare(plain, card, given, motion=False)
    spoiled = moved_study(study, (3, 9))
    count = len(spoiled.images[Modality.DWI].b_values)
    monkeypatch.setattr(preprocess, "estimate_motion", lambda series, progress: known_motion(count, (3, 9)))
    left = preprocess.prepare(spoiled, card, given, motion=False)
    undone = preprocess.prepare(spoiled, card, given)
    inner = (slice(None), slice(2, -2), slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(undone.channels[inner], expected.channels[inner], atol=2e-3)
    assert np.abs(left.channels - expected.channels)[inner].max() > 0.1
    assert [m.applied for m in undone.motion] == [i in (3, 9) for i in range(count)]
    assert any("8.5 mm between volumes" in finding.what for finding in undone.findings)
    assert left.motion == ()


def test_motion_that_could_not_be_undone_is_named(study, models, monkeypatch):
    series = study.images[Modality.DWI]
    motion = list(known_motion(len(series.b_values), (4,)))
    motion[4] = dataclasses.replace(motion[4], applied=False)
    monkeypatch.setattr(preprocess, "estimate_motion", lambda series, progress: tuple(motion))
    given = {Modality.DWI: sitk.Transform(3, sitk.sitkIdentity)}
    plain = Study("01", {m: study.images[m] for m in (Modality.DWI, Modality.T2W)})
    findings = preprocess.prepare(plain, models["ivim"].card, given).findings
    assert any("Volume 5 could not be aligned" in finding.remedy for finding in findings)
