"""Whatever stands in a header: an image or an `InputError`, nothing else."""

import contextlib
import io
import os
import shutil
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom import list_series, read_dicom, read_series

pydicom = pytest.importorskip("pydicom")

EXAMPLES = int(os.environ.get("SYNTHCBV_FUZZ", "150"))
KEYWORDS = (
    "Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "SamplesPerPixel", "PhotometricInterpretation", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SpacingBetweenSlices", "InstanceNumber", "AcquisitionNumber", "SeriesNumber",
    "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "PatientID", "ImageType", "Modality",
    "SeriesDescription", "Manufacturer", "RescaleSlope", "RescaleIntercept", "DiffusionBValue",
    "DiffusionDirectionality", "DiffusionGradientOrientation", "EchoTime", "RepetitionTime", "InversionTime",
    "ImageComments", "ASLContext", "TemporalPositionIdentifier", "SpecificCharacterSet",
    "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "PlanePositionSequence",
    "RealWorldValueMappingSequence", "MRDiffusionSequence", "FrameContentSequence", "PixelData",
)  # fmt: skip
VRS = ("US", "SS", "UL", "DS", "IS", "LO", "CS", "UI", "FD", "FL", "OB", "UN", "SH", "AT")
RAW = st.one_of(
    st.sampled_from(
        [b"", b"0 ", b"-1", b"nan ", b"1e999 ", b"abc ", b"1\\2", b"\0\0", b"\xff" * 8, b"99999999"]
    ),
    st.binary(max_size=24),
    st.floats(width=64).map(lambda x: struct.pack("<d", x)),
    st.integers(0, 2**32 - 1).map(lambda x: struct.pack("<I", x)),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda x: f"{x:.6g}"[:16].encode()),
)
CHANGE = st.one_of(
    st.tuples(st.just("raw"), st.sampled_from(KEYWORDS), st.sampled_from(VRS), RAW),
    st.tuples(st.just("drop"), st.sampled_from(KEYWORDS)),
    st.tuples(st.just("private"), st.sampled_from([0x0019100C, 0x00431039, 0x20011003, 0x2005100E]),
              st.sampled_from(VRS), RAW),
    st.tuples(st.just("bytes"), st.floats(0, 1), st.binary(min_size=1, max_size=6)),
    st.tuples(st.just("cut"), st.floats(0, 1)),
)  # fmt: skip


@pytest.fixture(scope="module")
def bases(tmp_path_factory, patient, make_series, make_writer):
    """Small studies of every encoding: folder and files."""
    made = {}
    for vendor in ("siemens", "ge", "philips", "standard"):
        for enhanced in (False, True):
            folder = tmp_path_factory.mktemp("base") / vendor
            writer = make_writer(folder, vendor, enhanced)
            crop = [image[:4, :4, :3] for image in patient.dwi[1:4]]
            writer.write(make_series(crop, "DWI", 1, b_values=patient.b_values[1:4]))
            crop = [patient.asl[c][:4, :4, :2] for c in ("control", "label", "m0scan")]
            writer.write(make_series(crop, "pCASL", 2, contexts=["control", "label", "m0scan"], slope=2.0,
                                     scale_slope=0.5))  # fmt: skip
            made[vendor, enhanced] = folder, sorted(p for p in folder.rglob("*") if p.is_file())
    return made


def changed(path, change):
    """Give a file's bytes with one change."""
    kind = change[0]
    data = path.read_bytes()
    if kind == "cut":
        return data[: int(change[1] * len(data))]
    if kind == "bytes":
        at = 132 + int(change[1] * (len(data) - 132))
        return data[:at] + change[2] + data[at + len(change[2]) :]
    dataset = pydicom.dcmread(io.BytesIO(data))
    tag = change[1] if kind == "private" else pydicom.datadict.tag_for_keyword(change[1])
    owners = [d for d in [dataset, *inner(dataset)] if tag in d] or [dataset]
    if kind == "drop":
        owners[-1].pop(tag, None)
    else:
        value = change[3] + b" " * (len(change[3]) % 2)
        raw = pydicom.dataelem.RawDataElement(
            pydicom.tag.Tag(tag), change[2], len(value), value, 0, False, True, True
        )
        owners[-1]._dict[pydicom.tag.Tag(tag)] = raw
    out = io.BytesIO()
    try:
        pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    except Exception:  # pydicom will not write it: the bytes are spoiled in place instead
        return data[:200] + (change[-1] if isinstance(change[-1], bytes) else b"") + data[200:]
    return out.getvalue()


def inner(dataset):
    """All datasets in the sequences of a dataset."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from inner(item)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([(v, e) for v in ("siemens", "ge", "philips", "standard") for e in (False, True)]),
    st.lists(st.tuples(st.integers(0, 14), CHANGE), min_size=1, max_size=3),
)
def test_only_input_errors(bases, tmp_path_factory, base, changes):
    _, files = bases[base]
    place = tmp_path_factory.getbasetemp() / "fuzzed"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    spoiled = {}
    for which, change in changes:
        spoiled[files[which % len(files)]] = change
    for i, path in enumerate(files):
        content = changed(path, spoiled[path]) if path in spoiled else path.read_bytes()
        (place / f"{i}").write_bytes(content)
    before = sorted(place.iterdir())
    for read in (list_series, read_dicom, lambda p: read_series(sorted(p.iterdir())[:9])):
        with contextlib.suppress(InputError):
            read(place)
    assert sorted(place.iterdir()) == before
