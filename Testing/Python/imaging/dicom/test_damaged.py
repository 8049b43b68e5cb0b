"""Damaged and odd series are refused by name, or said to be left out."""

import shutil

import pytest

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom import list_series, read_dicom, read_series
from SynthCBVLib.imaging.study import Modality

pydicom = pytest.importorskip("pydicom")


@pytest.fixture
def refused(tmp_path, patient, make_series, make_writer):
    """Write the DWI (or another series) spoiled and give the message that reading it ends with."""

    def check(spoil=None, vendor="standard", enhanced=False, series=None, after=None, **reading):
        series = series or make_series(patient.dwi, "DWI", b_values=patient.b_values)
        shutil.rmtree(tmp_path)
        paths = make_writer(tmp_path, vendor, enhanced).write(series, spoil)
        if after:
            after(paths)
        with pytest.raises(InputError) as caught:
            read_dicom(tmp_path, **reading)
        with pytest.raises(InputError):
            read_series(tmp_path, **reading)
        assert caught.value.seen
        assert caught.value.needed
        return str(caught.value)

    return check


@pytest.mark.parametrize("enhanced", [False, True])
def test_missing_slice_of_all_volumes(refused, enhanced):
    def gap(ds, v, s):
        if not enhanced:
            return s != 2
        frames = [f for f in ds.PerFrameFunctionalGroupsSequence
                  if f.FrameContentSequence[0].InStackPositionNumber != 3]  # fmt: skip
        ds.PerFrameFunctionalGroupsSequence, ds.NumberOfFrames = frames, len(frames)
        return None

    assert "1 missing slice(s): 12.00 mm between" in refused(gap, enhanced=enhanced)


def test_missing_slice_of_one_volume(refused):
    message = refused(lambda ds, v, s: (v, s) != (3, 5))
    assert "0 image(s) of b = 200 at slice 6" in message
    assert "one is missing" in message


def test_missing_slice_of_a_repeat(refused):
    assert "1 image(s) of b = 800 at slice 1" in refused(lambda ds, v, s: (v, s) != (5, 0))


def test_several_slices_missing_of_one_volume(refused, patient, make_series):
    series = make_series([patient.t2w], "T2")
    assert "missing slice" in refused(lambda ds, v, s: s not in (1, 4), series=series)


def test_edge_slices_that_may_be_missing_are_noted(tmp_path, patient, make_series, make_writer):
    make_writer(tmp_path).write(make_series([patient.t2w], "T2"), lambda ds, v, s: s != 0)
    found = read_dicom(tmp_path)
    assert any("numbered from 2 to 6" in note.what and note.severity == "warning" for note in found.notes)


def test_duplicate_slices(tmp_path, patient, make_series, make_writer, same_image):
    writer, twin = make_writer(tmp_path / "a"), make_writer(tmp_path / "b")
    writer.write(make_series([patient.t2w], "T2"))
    twin.write(make_series([patient.t2w], "T2"), lambda ds, v, s: s == 3)
    found = read_dicom(tmp_path)
    same_image(found.study.images[Modality.T2W], patient.t2w)
    assert any("there twice with equal pixels" in note.what for note in found.notes)

    def another_uid(ds, v, s):
        ds.SOPInstanceUID += ".1"
        return s == 3

    make_writer(tmp_path / "c").write(make_series([patient.t2w], "T2"), another_uid)
    same_image(read_series(tmp_path), patient.t2w)
    make_writer(tmp_path / "d").write(make_series([patient.t2w + 1], "T2"), another_uid)
    with pytest.raises(InputError, match="duplicate slices with different pixel data"):
        read_dicom(tmp_path)


def test_duplicates_without_instance_numbers(tmp_path, patient, make_series, make_writer):
    def other(ds, v, s):
        ds.SOPInstanceUID, ds.InstanceNumber = ds.SOPInstanceUID + ".2", 100 + s
        return s == 2

    make_writer(tmp_path / "a").write(make_series([patient.t2w], "T2"))
    make_writer(tmp_path / "b").write(make_series([patient.t2w + 1], "T2"), other)
    with pytest.raises(InputError, match="duplicate slices with different pixel data at slice 3"):
        read_dicom(tmp_path)


def test_two_series_mixed(tmp_path, patient, make_series, make_writer):
    writer = make_writer(tmp_path)
    a = writer.write(make_series([patient.t2w], "T2", 1))
    b = writer.write(make_series([patient.flair], "FLAIR", 2))
    with pytest.raises(InputError, match="2 series mixed"):
        read_series([*a.values(), *list(b.values())[:1]])


def test_two_series_under_one_uid(refused, patient, make_series):
    """Another grid hides in the series: sizes, orientations and places must agree."""

    def other_place(ds, v, s):
        if s == 3:
            ds.ImagePositionPatient = [float(x) + 0.7 for x in ds.ImagePositionPatient]

    def other_pixels(ds, v, s):
        if s == 3:
            ds.PixelSpacing = ["1", "1"]

    def other_axes(ds, v, s):
        if s == 3:
            ds.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]

    def other_size(ds, v, s):
        if s == 3:
            ds.Rows, ds.PixelData = 12, ds.PixelData[: len(ds.PixelData) // 2]

    series = make_series([patient.t2w], "T2")
    assert "uneven slice distances" in refused(other_place, series=series)
    assert "one pixel size" in refused(other_pixels, series=series)
    assert "one orientation" in refused(other_axes, series=series)
    assert "images of one size" in refused(other_size, series=series)


def test_two_patients(tmp_path, patient, make_series, make_writer):
    make_writer(tmp_path / "a").write(make_series([patient.t2w], "T2"))
    make_writer(tmp_path / "b", patient="P-02").write(make_series([patient.t1w], "T1"))
    with pytest.raises(InputError, match=r"2 patients \(PatientID P-01, P-02\)"):
        read_dicom(tmp_path)


@pytest.mark.parametrize("enhanced", [False, True])
def test_truncated_pixel_data(refused, enhanced):
    def cut(paths):
        path = list(paths.values())[-1]
        path.write_bytes(path.read_bytes()[:-300])

    assert "truncated pixel data" in refused(after=cut, enhanced=enhanced)


def test_truncated_in_the_header(refused):
    def cut(paths):
        path = list(paths.values())[-1]
        path.write_bytes(path.read_bytes()[:700])

    refused(after=cut)


def test_two_transfer_syntaxes(refused):
    def double(paths):
        path = list(paths.values())[-1]
        content = path.read_bytes()
        # "1.2.840.10008.1.2.1" and its padding: a backslash makes two values of one.
        path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008\\1.2.1\x00", 1))

    assert "transfer syntax" in refused(after=double)


def test_no_pixel_data(refused):
    def strip(ds, v, s):
        if (v, s) == (1, 1):
            del ds.PixelData

    assert "no pixel data" in refused(strip)


@pytest.mark.parametrize(
    ("vendor", "group", "element", "right"),
    [
        ("siemens", 0x0019, 0x0C, "SIEMENS MR HEADER"),
        ("ge", 0x0043, 0x39, "GEMS_PARM_01"),
        ("philips", 0x2001, 0x03, "Philips Imaging DD 001"),
    ],
)
@pytest.mark.parametrize("wrong", ["SOMEBODY ELSE", None])
def test_wrong_private_creator(refused, vendor, group, element, right, wrong):
    def change(ds, v, s):
        for other in (0x0019, 0x2001):  # directionality would tell of b = 0 on its own
            for unneeded in (0x0D, 0x04):
                ds.pop(other << 16 | 0x1000 | unneeded, None)
        if wrong is None:
            del ds[group, 0x10]
        else:
            ds[group, 0x10].value = wrong

    message = refused(change, vendor=vendor)
    assert f"({group:04X},10{element:02X})" in message
    assert right in message
    assert wrong or "no creator" in message


def test_private_block_elsewhere(tmp_path, patient, make_series, make_writer):
    """A creator may have reserved any block: (0019,12xx) is as good as (0019,10xx)."""

    def move(ds, v, s):
        value = ds[0x0019, 0x100C].value
        for tag in (0x00190010, 0x0019100C, 0x0019100D):
            del ds[tag]
        ds.add_new(0x00190010, "LO", "SOMEBODY ELSE")
        ds.add_new(0x0019100C, "LO", "no number")
        ds.add_new(0x00190012, "LO", "SIEMENS MR HEADER")
        ds.add_new(0x0019120C, "IS", value)

    make_writer(tmp_path, "siemens").write(make_series(patient.dwi, "DWI", b_values=patient.b_values), move)
    (series,) = list_series(tmp_path)
    assert list(series.b_values) == patient.b_values
    assert "(0019,120C)" in series.b_value_source[0]


def test_no_b_values(refused, tmp_path, patient, make_series, same_image):
    message = refused(series=make_series(patient.dwi, "DWI"))
    assert "no b-value in 42 of 42 images" in message
    assert "(0043,1039)" in message
    found = read_dicom(tmp_path, b_values=patient.b_values)
    for volume, expected in zip(found.study.images[Modality.DWI].volumes(), patient.dwi, strict=True):
        same_image(volume, expected)


@pytest.mark.parametrize(
    ("value", "words"), [(-5.0, "b-value -5"), (float("nan"), "finite"), (1e9, "b-value 1e")]
)
def test_impossible_b_value(refused, value, words):
    def change(ds, v, s):
        if (v, s) == (2, 2):
            ds.DiffusionBValue = value

    assert words in refused(change)


def test_what_is_given_for_a_series_that_is_not_there(tmp_path, patient, make_series, make_writer):
    make_writer(tmp_path).write(make_series([patient.t2w], "T2"))
    with pytest.raises(InputError, match="no diffusion series"):
        read_dicom(tmp_path, b_values=[0, 100])
    with pytest.raises(InputError, match="no raw ASL series"):
        read_dicom(tmp_path, asl_context=["control", "label"])


def test_a_series_of_volumes_without_a_kind_is_not_averaged(tmp_path, patient, make_series, make_writer):
    make_writer(tmp_path).write(make_series([patient.t2w, patient.flair], "fmri"))
    (series,) = list_series(tmp_path)
    assert series.n_volumes == 2
    with pytest.raises(InputError, match="2 volumes"):
        read_series(series)


def test_mosaic(refused, patient, make_series):
    series = make_series(
        [patient.dwi[0][:, :, :1]],
        "ep2d_diff",
        b_values=[0],
        image_type=("ORIGINAL", "PRIMARY", "M", "MOSAIC"),
    )
    assert "dcm2niix" in refused(series=series, vendor="siemens")


def test_compressed_without_decoder(refused, patient, make_series):
    from pydicom.pixels import get_decoder

    syntax = "1.2.840.10008.1.2.4.70"
    if get_decoder(syntax).is_available:
        pytest.skip("a decoder of lossless JPEG is installed")

    def compress(ds, v, s):
        ds._syntax = syntax
        ds.PixelData = pydicom.encaps.encapsulate([ds.PixelData])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True

    message = refused(compress, series=make_series([patient.t2w], "T2"))
    assert "JPEG Lossless" in message
    assert "pip install pylibjpeg pylibjpeg-libjpeg" in message


def test_run_length_encoding_is_read(tmp_path, patient, make_series, make_writer, same_image):
    paths = make_writer(tmp_path).write(make_series([patient.t1w], "T1"))
    for path in paths.values():
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    same_image(read_series(tmp_path), patient.t1w)


def test_not_dicom(tmp_path):
    text = tmp_path / "a.txt"
    text.write_text("no image")
    with pytest.raises(InputError, match="not a DICOM file"):
        read_dicom([text])
    with pytest.raises(InputError, match="no DICOM image"):
        read_dicom(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_dicom(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no DICOM image"):
        read_dicom([])


def test_captured_screens_and_reports_are_left_out(tmp_path, patient, make_series, make_writer):
    def screen(ds, v, s):
        ds.SOPClassUID, ds.NumberOfFrames = "1.2.840.10008.5.1.4.1.1.7.2", 4
        return s == 0

    def report(ds, v, s):
        for keyword in ("Rows", "Columns", "PixelData"):
            delattr(ds, keyword)
        return s == 0

    make_writer(tmp_path / "a").write(make_series([patient.t2w], "screen", 1), screen)
    make_writer(tmp_path / "b").write(make_series([patient.t2w], "report", 2), report)
    make_writer(tmp_path / "c").write(make_series([patient.t2w], "T2", 3))
    found = read_dicom(tmp_path)
    assert list(found.study.images) == [Modality.T2W]
    assert any("2 DICOM file(s) hold no MR image" in note.what for note in found.notes)


def test_asl_order_that_is_not_recorded(refused, tmp_path, patient, make_series, same_image):
    order = ["m0scan", "label", "control"]
    series = make_series([patient.asl[c] for c in order], "tgse_pcasl", tags={"InversionTime": "1800"})
    assert "asl_context" in refused(series=series)
    asl = read_dicom(tmp_path, asl_context=order).study.images[Modality.CBF]
    same_image(asl.label, patient.asl["label"])
    assert asl.post_label_delay == 1.8
    with pytest.raises(InputError, match="2 volume types"):
        read_dicom(tmp_path, asl_context=["control", "label"])


def test_asl_takes_m0_from_a_series_of_its_own(tmp_path, patient, make_series, make_writer, same_image):
    writer, contexts = make_writer(tmp_path), ["control", "label"]
    writer.write(make_series([patient.asl[c] for c in contexts], "pCASL", 1, contexts=contexts))
    with pytest.raises(InputError, match="no M0"):
        read_dicom(tmp_path)
    writer.write(make_series([patient.asl["m0scan"]], "pCASL M0", 2))
    asl = read_dicom(tmp_path).study.images[Modality.CBF]
    same_image(asl.m0, patient.asl["m0scan"])


def test_asl_of_several_delays(refused, patient, make_series):
    contexts = ["m0scan", "control", "label", "control", "label"]
    series = make_series([patient.asl[c] for c in contexts], "pCASL", contexts=contexts)

    def delays(ds, v, s):
        ds.InversionTime = "1000" if v < 3 else "2000"

    assert "1000, 2000 ms" in refused(delays, series=series)


@pytest.mark.parametrize(("kind", "value"), [("US", b"0 "), ("US", b"0 1 "), ("LO", b"abcd"), ("DS", b"x ")])
def test_pixel_data_that_is_no_bytes(tmp_path, patient, make_series, make_writer, kind, value):
    paths = make_writer(tmp_path).write(make_series([patient.t2w], "T2"))
    spoiled = paths[0, 2]
    dataset = pydicom.dcmread(spoiled)
    tag = pydicom.tag.Tag("PixelData")
    dataset._dict[tag] = pydicom.dataelem.RawDataElement(tag, kind, len(value), value, 0, False, True, True)
    dataset.save_as(spoiled)
    with pytest.raises(InputError, match="pixel data") as caught:
        read_dicom(tmp_path)
    assert str(spoiled) in str(caught.value)
