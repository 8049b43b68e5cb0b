"""DICOM Parametric Maps: values, geometry, codes, references and identity survive pydicom and highdicom."""

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError

hd = pytest.importorskip("highdicom")
pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom.pm")

from SynthCBVLib.imaging.dicom.parametric_map import write_parametric_map  # noqa: E402

PROVENANCE = {
    "software": {"name": "SynthCBV", "version": "9.8.7"},
    "quantity": "synthetic rCBV",
    "unit": "fraction of the slice's maximum rCBV",
    "model": {
        "name": "ivim", "version": "1.2", "weights_sha256": "0123456789abcdef" * 4,
        "training_data": "Trained on digital patients.",
        "intended_use": "Research demonstration, not for diagnosis.",
    },
    "inputs": {"DWI": {"sha256": "x"}, "T2w": {"sha256": "y"}},
}  # fmt: skip


def rcbv(flip=1.0, seed=0, angles=(0.1, -0.4, 0.7)):
    """Give an oblique map with values from tiny to large; a negative flip makes its axes left-handed."""
    rng = np.random.default_rng(seed)
    array = (rng.gamma(2.0, 1.0, (6, 7, 9)) * 10.0 ** rng.integers(-6, 3, (6, 7, 9))).astype(np.float32)
    array[0] = 0
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.1, 1.3, 5.123456))
    image.SetOrigin((-112.345678, 34.5, -7.125))
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*angles)
    axes = np.array(turn.GetMatrix()).reshape(3, 3)
    axes[:, 2] *= flip
    image.SetDirection(axes.ravel())
    return image


def source_files(folder, image, count=3, **changes):
    """Write small DICOM slices of a named patient on the grid of an image."""
    folder.mkdir(exist_ok=True)
    paths = []
    for k in range(count):
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        data.SpecificCharacterSet = "ISO_IR 100"
        data.SOPClassUID = pydicom.uid.MRImageStorage
        data.SOPInstanceUID = f"1.2.3.4.{k + 1}"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.9"
        data.PatientName, data.PatientID, data.PatientBirthDate = "Müller^Anna", "H-4711", "19500102"
        data.PatientSex, data.AccessionNumber, data.StudyID = "F", "ACC99", "S77"
        data.StudyDate, data.StudyTime, data.ReferringPhysicianName = "20240506", "121314", "Doktor^Hans"
        data.Modality = "MR"
        data.Columns, data.Rows = image.GetSize()[:2]
        axes = np.array(image.GetDirection()).reshape(3, 3)
        data.ImageOrientationPatient = [round(float(v), 6) for v in (*axes[:, 0], *axes[:, 1])]
        for key, value in changes.items():
            setattr(data, key, value)
        paths.append(folder / f"{k}.dcm")
        data.save_as(paths[-1], enforce_file_format=True)
    return paths


@pytest.mark.parametrize("flip", [1.0, -1.0])
@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (0.1, -0.4, 0.7)])
def test_highdicom_reads_equal_values_and_geometry(tmp_path, flip, angles):
    image = rcbv(flip, angles=angles)
    path = write_parametric_map(tmp_path / "new" / "rcbv.dcm", image, "rcbv", PROVENANCE)
    volume = hd.pm.ParametricMap.from_file(path).get_volume(apply_real_world_transform=True)
    assert sorted(volume.array.shape) == sorted(image.GetSize())
    for index in np.ndindex(*volume.array.shape):
        place = image.TransformPhysicalPointToContinuousIndex((volume.affine @ (*index, 1))[:3])
        nearest = [round(value) for value in place]
        assert place == pytest.approx(nearest, abs=1e-9)
        assert image[nearest] == volume.array[index]


def test_pydicom_reads_equal_values_and_geometry(tmp_path):
    image = rcbv()
    data = pydicom.dcmread(write_parametric_map(tmp_path / "rcbv.dcm", image, "rcbv", PROVENANCE))
    assert "FloatPixelData" in data
    assert "PixelData" not in data
    frames = data.pixel_array
    assert frames.dtype == np.float32
    shared = data.SharedFunctionalGroupsSequence[0]
    row, column = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    down, across = (float(value) for value in shared.PixelMeasuresSequence[0].PixelSpacing)
    mapping = shared.RealWorldValueMappingSequence[0]
    array = sitk.GetArrayViewFromImage(image)
    for frame, groups in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=True):
        start = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        k = round(image.TransformPhysicalPointToContinuousIndex(start)[2])
        np.testing.assert_array_equal(frame, array[k])
        real = frame * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
        np.testing.assert_array_equal(real, array[k])
        corner = start + row * across * 8 + column * down * 6
        assert corner == pytest.approx(image.TransformIndexToPhysicalPoint((8, 6, k)), abs=1e-9)
    assert mapping.DoubleFloatRealWorldValueFirstValueMapped == array.min()
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == array.max()


def code(item):
    return item.CodingSchemeDesignator, item.CodeValue, item.CodeMeaning


@pytest.mark.parametrize("kind", ["rcbv", "uncertainty"])
def test_quantity_unit_and_origin_are_stated(tmp_path, kind):
    data = pydicom.dcmread(write_parametric_map(tmp_path / "x.dcm", rcbv(), kind, PROVENANCE))
    assert data.SOPClassUID == pydicom.uid.ParametricMapStorage
    assert list(data.ImageType) == [
        "DERIVED", "PRIMARY", "PERFUSION", {"rcbv": "QUANTITY", "uncertainty": "STD_DEVIATION"}[kind]
    ]  # fmt: skip
    assert data.ContentQualification == "RESEARCH"
    mapping = data.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert code(mapping.MeasurementUnitsCodeSequence[0]) == ("UCUM", "{ratio}", "ratio")
    quantity = mapping.QuantityDefinitionSequence
    assert code(quantity[0].ConceptCodeSequence[0]) == ("DCM", "126398", "Relative Regional Blood Volume")
    assert len(quantity) == {"rcbv": 1, "uncertainty": 2}[kind]
    if kind == "uncertainty":
        assert code(quantity[1].ConceptCodeSequence[0])[:2] == ("SCT", "386136009")
    for text in ("SYNTHETIC, not measured", "9.8.7", "ivim 1.2", "0123456789abcdef" * 4, "not for diagnosis"):
        assert text in data.DerivationDescription
    assert "ynthetic" in data.SeriesDescription
    assert data.SoftwareVersions == "SynthCBV 9.8.7"
    assert data.DeviceSerialNumber == "0123456789abcdef" * 4


def test_identified_map_joins_the_study_and_refers_to_its_sources(tmp_path):
    image = rcbv()
    sources = source_files(tmp_path / "in", image)
    path = write_parametric_map(tmp_path / "x.dcm", image, "rcbv", PROVENANCE, sources, identified=True)
    data = pydicom.dcmread(path)
    assert (str(data.PatientName), data.PatientID, data.AccessionNumber) == ("Müller^Anna", "H-4711", "ACC99")
    assert (data.StudyInstanceUID, data.FrameOfReferenceUID) == ("1.2.3", "1.2.9")
    assert data.SeriesInstanceUID != "1.2.3.4"
    (series,) = data.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == "1.2.3.4"
    uids = {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
    assert uids == {"1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3"}
    derivation = data.SharedFunctionalGroupsSequence[0].DerivationImageSequence[0]
    assert {item.ReferencedSOPInstanceUID for item in derivation.SourceImageSequence} == uids
    assert derivation.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121322"


def test_without_identity_nothing_of_the_patient_is_left(tmp_path):
    image = rcbv()
    sources = source_files(tmp_path / "in", image)
    paths = [
        write_parametric_map(tmp_path / f"{kind}.dcm", image, kind, PROVENANCE, sources, subject="07")
        for kind in ("rcbv", "uncertainty")
    ]
    for path in paths:
        content = path.read_bytes()
        for text in ("Müller", "Anna", "H-4711", "19500102", "ACC99", "S77", "20240506", "121314", "Doktor",
                     "1.2.3.4", "1.2.9"):  # fmt: skip
            assert text.encode("latin-1") not in content
        data = pydicom.dcmread(path)
        dates = {str(item.value) for item in data.iterall() if item.VR in ("DA", "TM", "DT")}
        assert dates <= {"", "None", "19000101", "000000"}
        assert data.PatientID == "07"
        assert data.PatientIdentityRemoved == "YES"
        assert len(data.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 3
    first, second = map(pydicom.dcmread, paths)
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_maps_of_one_synthesis_share_a_study_without_sources(tmp_path):
    first, second, other = (
        pydicom.dcmread(write_parametric_map(tmp_path / "x.dcm", rcbv(), kind, PROVENANCE, subject=subject))
        for kind, subject in (("rcbv", "01"), ("uncertainty", "01"), ("rcbv", "02"))
    )
    assert first.StudyInstanceUID == second.StudyInstanceUID != other.StudyInstanceUID
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert "ReferencedSeriesSequence" not in first


def test_frame_of_reference_is_that_of_the_maps_own_grid(tmp_path):
    image = rcbv()
    near = source_files(tmp_path / "a", image, 2)
    far = source_files(
        tmp_path / "b", image, 2, Rows=256, SeriesInstanceUID="1.2.3.5", FrameOfReferenceUID="1.2.8"
    )
    path = write_parametric_map(tmp_path / "x.dcm", image, "rcbv", PROVENANCE, far + near, identified=True)
    data = pydicom.dcmread(path)
    assert data.FrameOfReferenceUID == "1.2.9"
    assert len(data.ReferencedSeriesSequence) == 2


def test_what_cannot_be_written_is_refused_and_nothing_left(tmp_path):
    image = rcbv()
    target = tmp_path / "out" / "x.dcm"
    with pytest.raises(InputError, match="not finite"):
        write_parametric_map(target, image / 0.0, "rcbv", PROVENANCE)
    with pytest.raises(InputError, match="one 3D map"):
        write_parametric_map(target, sitk.JoinSeries([image, image]), "rcbv", PROVENANCE)
    with pytest.raises(InputError, match="kind of the map"):
        write_parametric_map(target, image, "cbf", PROVENANCE)
    with pytest.raises(InputError, match="without source files"):
        write_parametric_map(target, image, "rcbv", PROVENANCE, identified=True)
    (tmp_path / "no.dcm").write_bytes(b"no DICOM")
    with pytest.raises(InputError, match=r"no\.dcm: no DICOM file"):
        write_parametric_map(target, image, "rcbv", PROVENANCE, [tmp_path / "no.dcm"])
    two = source_files(tmp_path / "a", image, 1) + source_files(
        tmp_path / "b", image, 1, StudyInstanceUID="1.2.7"
    )
    with pytest.raises(InputError, match="of another study"):
        write_parametric_map(target, image, "rcbv", PROVENANCE, two)
    assert not target.parent.exists()


def test_missing_highdicom_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "highdicom.pm", None)
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    with pytest.raises(InputError, match="pip install highdicom"):
        write_parametric_map(tmp_path / "x.dcm", rcbv(), "rcbv", PROVENANCE)
