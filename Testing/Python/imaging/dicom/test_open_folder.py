"""The front door on DICOM files: every image of a study, in any order, under names that say nothing."""

import shutil

import numpy as np
import pytest

from SynthCBVLib.imaging.files import open_study, read_study
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality

pytest.importorskip("pydicom")

CONTEXTS = ["m0scan", "control", "label"]


@pytest.fixture(scope="module", params=[("siemens", False), ("ge", False), ("philips", True)])
def folder(request, tmp_path_factory, patient, make_series, make_writer):
    """An exported study: eight series, all files in one folder, named and ordered by chance."""
    vendor, enhanced = request.param
    written = tmp_path_factory.mktemp("written")
    writer = make_writer(written, vendor, enhanced)
    derived = ("DERIVED", "PRIMARY", "M", "ADC")
    for series in (
        make_series(patient.dwi, "ep2d_diff_IVIM", 3, b_values=patient.b_values),
        make_series([patient.t1w], "t1_mprage_sag", 2),
        make_series([patient.t2w], "T2 TSE ax", 4),
        make_series([patient.flair], "AX FLAIR", 5),
        make_series([patient.t1c], "t1 post", 6, tags={"ContrastBolusAgent": "Gadobutrol"}),
        make_series([patient.asl[c] for c in CONTEXTS], "3D pCASL", 7, contexts=CONTEXTS,
                    tags={} if enhanced else {"InversionTime": "1500"}),
        make_series([patient.adc], "ep2d_diff_ADC", 8, image_type=derived, slope=1.0),
        make_series([patient.rcbv], "rCBV", 9, image_type=("DERIVED", "SECONDARY", "RCBV"), slope=0.01),
    ):  # fmt: skip
        writer.write(series)
    files = sorted(p for p in written.rglob("*") if p.is_file())
    place = tmp_path_factory.mktemp("export")
    for number, i in enumerate(np.random.default_rng(5).permutation(len(files))):
        shutil.copy(files[i], place / f"IM{number:05d}")
    return place


def test_open_study_of_a_dicom_folder(folder, patient, same_image):
    opened = open_study(folder)
    assert opened.kind == "DICOM folder"
    images = opened.study.images
    assert set(images) == set(Modality)
    dwi = images[Modality.DWI]
    assert isinstance(dwi, DiffusionSeries)
    assert list(dwi.b_values) == patient.b_values
    for volume, expected in zip(dwi.volumes(), patient.dwi, strict=True):
        same_image(volume, expected)
    for modality, name in ((Modality.T1W, "t1w"), (Modality.T2W, "t2w"), (Modality.FLAIR, "flair"),
                           (Modality.T1C, "t1c")):  # fmt: skip
        same_image(images[modality], getattr(patient, name))
    asl = images[Modality.CBF]
    assert isinstance(asl, AslSeries)
    same_image(asl.control, patient.asl["control"])
    same_image(asl.m0, patient.asl["m0scan"])
    text = "\n".join(opened.found)
    for modality in Modality:
        assert f"{modality}: " in text
    assert f"b {' '.join(f'{b:g}' for b in patient.b_values)} s/mm²" in text
    assert set(opened.sources) == {p for p in folder.iterdir() if p.is_file()}


def test_read_study_of_a_dicom_folder(folder, patient):
    study = read_study(folder, "sub-07")
    assert study.subject == "07"
    assert set(study.images) == set(Modality)
    assert list(study.images[Modality.DWI].b_values) == patient.b_values
