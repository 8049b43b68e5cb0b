"""What a series is taken as, and why."""

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.imaging.dicom import list_series, read_dicom
from SynthCBVLib.imaging.study import Modality, like

pytest.importorskip("pydicom")

T2_TIMES = {"EchoTime": "100", "RepetitionTime": "5000", "ScanningSequence": "SE"}
T1_TIMES = {"EchoTime": "9", "RepetitionTime": "500", "ScanningSequence": "SE"}
FLAIR_TIMES = {
    "EchoTime": "120",
    "RepetitionTime": "9000",
    "InversionTime": "2500",
    "ScanningSequence": ["SE", "IR"],
}
ADC_TYPE = ("DERIVED", "PRIMARY", "DIFFUSION", "ADC")
CASES = [
    ("t1_mprage_sag_p2_iso", {}, None, Modality.T1W),
    ("Ax T1 +C", {}, None, Modality.T1C),
    ("Ax T1", {"ContrastBolusAgent": "Gadovist"}, None, Modality.T1C),
    ("Ax T1 pre", {"ContrastBolusAgent": "Gadovist"}, None, Modality.T1W),
    ("AX T2 FSE", {"ContrastBolusAgent": "Gadovist"}, None, Modality.T2W),
    ("T2 FLAIR", {}, None, Modality.FLAIR),
    ("t2_tirm_tra_dark-fluid", {}, None, Modality.FLAIR),
    ("t2*_gre", {}, None, None),
    ("SWI_Images", {}, None, None),
    ("localizer t1", {}, None, None),
    ("ep2d_diff_ADC", {}, ADC_TYPE, Modality.ADC),
    ("Apparent Diffusion Coefficient (mm2/s)", {}, None, Modality.ADC),
    ("eADC", {}, None, None),
    ("ep2d_diff_FA", {}, ("DERIVED", "PRIMARY", "DIFFUSION", "FA"), None),
    ("(Color) Cerebral Blood Flow", {}, None, Modality.CBF),
    ("relCBF", {}, None, None),
    ("DSC perfusion", {}, None, None),
    ("rCBV leakage corrected", {}, None, Modality.RCBV),
    ("ax brain", T2_TIMES, None, Modality.T2W),
    ("ax brain", T1_TIMES, None, Modality.T1W),
    ("ax brain", FLAIR_TIMES, None, Modality.FLAIR),
    ("ax brain", {"EchoTime": "40", "RepetitionTime": "2000"}, None, None),
    ("ax brain", {}, None, None),
    ("ax brain", {"AcquisitionContrast": "T2"}, None, Modality.T2W),
    ("T2", {}, ("ORIGINAL", "PRIMARY", "P", "NONE"), None),
    ("CT head", {"Modality": "CT"}, None, None),
]


@pytest.mark.parametrize(("description", "tags", "image_type", "modality"), CASES)
def test_structural(tmp_path, patient, make_series, make_writer, description, tags, image_type, modality):
    more = {"image_type": image_type} if image_type else {}
    make_writer(tmp_path).write(make_series([patient.t2w[:, :, :2]], description, tags=tags, **more))
    (series,) = list_series(tmp_path)
    assert series.modality is modality
    assert len(series.reason) > 5


def test_two_candidates_are_named_with_how_to_choose(tmp_path, patient, make_series, make_writer, same_image):
    writer = make_writer(tmp_path)
    writer.write(make_series([patient.t2w], "T2 first", 3))
    writer.write(make_series([patient.flair], "T2 repeated", 8))
    writer.write(make_series([patient.t1w], "T2 mpr", 9, image_type=("DERIVED", "SECONDARY", "MPR")))
    found = read_dicom(tmp_path)
    same_image(found.study.images[Modality.T2W], patient.flair)
    (note,) = [n for n in found.notes if "could be T2w" in n.what]
    assert note.severity == "warning"
    assert "series 3 (T2 first)" in note.what
    assert "choose=" in note.remedy


def test_a_damaged_candidate_gives_way_to_another(tmp_path, patient, make_series, make_writer, same_image):
    writer = make_writer(tmp_path)
    writer.write(make_series([patient.t2w], "T2", 3))
    writer.write(make_series([patient.flair], "T2 again", 4), lambda ds, v, s: s != 2)
    found = read_dicom(tmp_path)
    same_image(found.study.images[Modality.T2W], patient.t2w)
    assert any(n.severity == "warning" and "missing slice" in n.what for n in found.notes)


def test_timing_against_the_name_is_noted(tmp_path, patient, make_series, make_writer):
    make_writer(tmp_path).write(make_series([patient.t1w], "T2 TSE", tags=T1_TIMES))
    found = read_dicom(tmp_path)
    assert any("that of T1w" in n.what and n.severity == "warning" for n in found.notes)


def test_echoes_of_one_series_are_told_apart(tmp_path, patient, make_series, make_writer, same_image):
    writer = make_writer(tmp_path)

    def echo(time, first):
        def change(ds, v, s):
            ds.EchoTime, ds.InstanceNumber = time, first + s
            ds.SOPInstanceUID += f".{first}"

        return change

    series = make_series([patient.t2w], "T2", tags={"RepetitionTime": "4000"})
    writer.write(series, echo("100", 7))
    series.volumes = [patient.flair]
    writer.write(series, echo("12", 1))
    parts = {s.part: s for s in list_series(tmp_path)}
    assert set(parts) == {"TE 12", "TE 100"}
    found = read_dicom(tmp_path, choose={Modality.T2W: parts["TE 100"]})
    same_image(found.study.images[Modality.T2W], patient.t2w)


@pytest.mark.parametrize("unit", [1e6, 1e3, 1.0])
def test_adc_comes_in_square_millimetres(tmp_path, patient, make_series, make_writer, unit):
    values = sitk.GetArrayFromImage(patient.t2w).astype(float)
    values = np.round(values / values.max() * 2500)  # 10⁻⁶ mm²/s
    image = like(values.astype(np.uint16), patient.t2w)
    series = make_series([image], "ADC", image_type=ADC_TYPE, slope=unit * 1e-6)
    make_writer(tmp_path).write(series)
    adc = read_dicom(tmp_path).study.images[Modality.ADC]
    np.testing.assert_allclose(sitk.GetArrayFromImage(adc), values * 1e-6, rtol=1e-5)
