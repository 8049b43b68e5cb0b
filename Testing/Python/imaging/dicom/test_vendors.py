"""Studies in the encodings of the vendors read back with their b-values, order, geometry and values."""

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom import is_dicom, list_series, read_dicom, read_series
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality

pydicom = pytest.importorskip("pydicom")

ENCODINGS = [(v, e) for v in ("siemens", "ge", "philips", "standard") for e in (False, True)]
SOURCES = {"siemens": "(0019,100C)", "ge": "(0043,1039)", "philips": "(2001,1003)", "standard": "(0018,9087)"}


@pytest.fixture(scope="module", params=ENCODINGS, ids=lambda p: f"{p[0]}-{'enhanced' if p[1] else 'single'}")
def written(request, tmp_path_factory, patient, make_series, make_writer):
    """A whole study in one encoding, with a DICOMDIR and a text file beside it."""
    vendor, enhanced = request.param
    folder = tmp_path_factory.mktemp(f"{vendor}{enhanced}")
    writer = make_writer(folder, vendor, enhanced)
    writer.write(make_series(patient.dwi, "ep2d_diff_IVIM", 3, b_values=patient.b_values))
    writer.write(make_series([patient.t1w], "t1_mprage_sag", 2))
    writer.write(make_series([patient.t2w], "T2 TSE ax", 4))
    writer.write(make_series([patient.flair], "AX FLAIR", 5))
    writer.write(make_series([patient.t1c], "t1 post", 6, tags={"ContrastBolusAgent": "Gadobutrol"}))
    contexts = ["m0scan", "control", "label", "control", "label"]
    asl = make_series(
        [patient.asl[c] for c in contexts], "3D pCASL", 7, contexts=contexts,
        tags={} if enhanced else {"InversionTime": "1500"},
    )  # fmt: skip
    writer.write(asl)
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "read me.txt").write_text("exported")
    return folder, vendor, enhanced


def test_study_reads_back(written, patient, same_image):
    folder, vendor, enhanced = written
    found = read_dicom(folder)
    images = found.study.images
    assert found.study.subject == "P01"
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
    for part in ("control", "label"):
        same_image(getattr(asl, part), patient.asl[part])
    same_image(asl.m0, patient.asl["m0scan"])
    assert asl.labelling == "pcasl"
    assert asl.post_label_delay == 1.5
    assert asl.label_duration == (1.8 if enhanced else None)
    sources = set(found.sources[Modality.DWI].b_value_source)
    if not enhanced:
        assert len(sources) == 1
        assert SOURCES[vendor] in sources.pop()
    else:
        assert all("(0018,9087)" in s or "(0018,9075) NONE" in s for s in sources)


def test_every_series_is_described(written, patient):
    folder, _, enhanced = written
    series = list_series(folder)
    assert [s.number for s in series] == [2, 3, 4, 5, 6, 7]
    t1, dwi, *_, asl = series
    assert dwi.modality is Modality.DWI
    assert dwi.shape == (24, 24, 6)
    assert dwi.n_volumes == len(patient.b_values)
    assert t1.reason
    assert len(t1.sop_instance_uids) == 8
    # Slice k of the grid is where the instance says: read its position from its own file.
    if not enhanced:
        by_uid = {pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID: p for p in dwi.files}
        for k, uids in enumerate(dwi.sop_instance_uids):
            assert len(uids) == dwi.n_volumes
            for uid in uids:
                position = pydicom.dcmread(by_uid[uid], stop_before_pixels=True).ImagePositionPatient
                expected = patient.dwi[0].TransformIndexToPhysicalPoint((0, 0, k))
                np.testing.assert_allclose([float(x) for x in position], expected, atol=1e-4)
    assert set(asl.asl_context) == {"control", "label", "m0scan"}


def test_nothing_is_dropped_silently(written):
    found = read_dicom(written[0])
    text = "\n".join(note.what for note in found.notes)
    assert "read me.txt" in text
    for series in found.series:
        assert series.name in text
    from SynthCBVLib.imaging.quality import Finding

    assert all(isinstance(note.finding(), Finding) for note in found.notes)


def test_one_series_alone(written, patient, same_image):
    series = {s.number: s for s in list_series(written[0])}
    assert isinstance(read_series(series[3]), DiffusionSeries)
    same_image(read_series(series[2]), patient.t1w)
    same_image(read_series(series[4].files), patient.t2w)
    assert isinstance(read_series(series[7]), AslSeries)


def test_front_door(written, tmp_path):
    folder = written[0]
    assert is_dicom(folder)
    assert is_dicom(next(p for p in folder.rglob("*") if p.is_file() and len(p.name) == 12))
    assert not is_dicom(folder / "DICOMDIR")
    assert not is_dicom(folder / "read me.txt")
    assert not is_dicom(folder / "nothing")
    assert not is_dicom(tmp_path)


def test_progress_rises_and_may_cancel(written):
    steps = []
    read_dicom(written[0], lambda fraction, message: steps.append(fraction))
    assert steps == sorted(steps)
    assert steps[-1] == 1.0

    class StopError(Exception):
        pass

    def stop(fraction, message):
        raise StopError

    with pytest.raises(StopError):
        read_dicom(written[0], stop)


def test_choice_of_the_user(written, patient, same_image):
    folder, _, _ = written
    series = {s.number: s for s in list_series(folder)}
    found = read_dicom(
        folder, choose={Modality.T2W: series[5], Modality.FLAIR: series[4].uid, Modality.CBF: None},
        b_values=[7.0 * i for i in range(7)], subject="x",
    )  # fmt: skip
    same_image(found.study.images[Modality.T2W], patient.flair)
    same_image(found.study.images[Modality.FLAIR], patient.t2w)
    assert Modality.CBF not in found.study.images
    assert found.study.images[Modality.DWI].b_values == tuple(7.0 * i for i in range(7))
    assert set(found.sources[Modality.DWI].b_value_source) == {"given by the user"}
    with pytest.raises(InputError, match="6 b-values given for 7 volumes"):
        read_dicom(folder, b_values=range(6))
    with pytest.raises(InputError, match="chosen as T2w"):
        read_dicom(folder, choose={Modality.T2W: "1.2.3"})


def test_values_are_rescaled(tmp_path, patient, make_series, make_writer):
    writer = make_writer(tmp_path, "standard")
    writer.write(make_series([patient.t1w], "T1", slope=0.5, intercept=-3.25))
    image = read_series(tmp_path)
    expected = sitk.GetArrayFromImage(patient.t1w) * 0.5 - 3.25
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected.astype(np.float32))


def test_philips_floating_point_values(tmp_path, patient, make_series, make_writer):
    # Stored values on different scales of one signal come back on one scale: FP = (PV·RS + RI) / (RS·SS).
    halves = sitk.Cast(patient.dwi[0] / 2, sitk.sitkUInt16)
    for name, image, slope, scale in (("a", patient.dwi[0], 1.5, 0.25), ("b", halves, 3.0, 0.125)):
        writer = make_writer(tmp_path / name, "philips")
        writer.write(make_series([image], f"T2 {name}", slope=slope, scale_slope=scale))
    a, b = (sitk.GetArrayFromImage(read_series(tmp_path / name)) for name in "ab")
    np.testing.assert_array_equal(a, sitk.GetArrayFromImage(patient.dwi[0]) * 4.0)
    assert np.abs(a - b).max() <= 8.0  # what halving the integers lost


@pytest.mark.parametrize("vendor", ["siemens", "philips", "standard"])
@pytest.mark.parametrize("enhanced", [False, True])
def test_directions_are_repeats_and_trace_stays_apart(
    tmp_path, patient, make_series, make_writer, vendor, enhanced
):
    """b = 0, three directions at b = 800, and the scanner's trace of them in the same series."""
    b0, b800 = patient.dwi[0], patient.dwi[4]
    if enhanced and vendor == "siemens":
        vendor = "ge"  # one file a series
    series = make_series(
        [b0, b800, b800 + 1, b800 + 2, b800 + 9], "DWI", b_values=[0, 800, 800, 800, 800],
        directions=[None, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), "trace"],
    )  # fmt: skip
    make_writer(tmp_path, vendor, enhanced).write(series)
    found = read_dicom(tmp_path)
    dwi = found.study.images[Modality.DWI]
    assert dwi.b_values == (0, 800, 800, 800)
    averaged = dwi.averaged()
    assert averaged.counts == (1, 3)
    mean = sitk.GetArrayFromImage(averaged.image)[1]
    np.testing.assert_allclose(mean, sitk.GetArrayFromImage(b800) + 1.0)
    text = "\n".join(note.what for note in found.notes)
    assert "3 of b = 800" in text
    trace = next(s for s in found.series if s.part == "trace")
    assert trace.b_values == (0, 800)
    chosen = read_dicom(tmp_path, choose={Modality.DWI: trace.key}).study.images[Modality.DWI]
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(chosen.volumes()[1]), sitk.GetArrayFromImage(b800) + 9
    )


def test_siemens_csa_header_when_nothing_else_is_there(tmp_path, patient, make_series, make_writer):
    import struct

    def element(name, text):
        data = text.encode() + b"\0"
        padded = data + b"\0" * (-len(data) % 4)
        head = name.encode().ljust(64, b"\0") + struct.pack("<i4siII", 1, b"IS\0\0", 6, 1, 77)
        return head + struct.pack("<4i", len(data), len(data), 77, len(data)) + padded

    def old(ds, v, s):
        csa = element("ImaCoilString", "H") + element("B_value", str(int(patient.b_values[v])))
        block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        block.add_new(0x10, "OB", b"SV10\4\3\2\1" + struct.pack("<II", 2, 77) + csa)

    make_writer(tmp_path, "siemens").write(make_series(patient.dwi, "ep2d_diff"), old)
    (series,) = list_series(tmp_path)
    assert list(series.b_values) == patient.b_values
    assert "CSA" in series.b_value_source[0]


def test_older_philips_enhanced_keeps_b_values_in_its_own_sequence(
    tmp_path, patient, make_series, make_writer
):
    def old(ds, v, s):
        for group in ds.PerFrameFunctionalGroupsSequence:
            b = group.MRDiffusionSequence[0].DiffusionBValue
            del group.MRDiffusionSequence
            inner = pydicom.Dataset()
            inner.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x03, "FL", b)
            group.add_new(0x20050014, "LO", "Philips MR Imaging DD 005")
            group.add_new(0x2005140F, "SQ", [inner])

    make_writer(tmp_path, "philips", True).write(
        make_series(patient.dwi, "DWI", b_values=patient.b_values), old
    )
    (series,) = list_series(tmp_path)
    assert sorted(series.b_values) == sorted(patient.b_values)
    assert set(series.b_value_source) == {"Philips b-value (2001,1003)"}


def test_many_slices_out_of_order_and_descending(tmp_path, patient, make_series, make_writer, same_image):
    # A left-handed acquisition (slices stored from the far end) still comes back right-handed and exact.
    flipped = sitk.Flip(patient.t1w, (False, False, True))
    make_writer(tmp_path).write(make_series([flipped], "T1"))
    same_image(read_series(tmp_path), patient.t1w)
