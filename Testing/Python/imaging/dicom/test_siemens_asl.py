"""Timing of the labelling that stands in Siemens' protocol only."""

import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom import read_dicom
from SynthCBVLib.imaging.dicom.ascconv import ascconv, number
from SynthCBVLib.imaging.study import Modality

pydicom = pytest.importorskip("pydicom")

fuzz = settings(max_examples=int(os.environ.get("SYNTHCBV_FUZZ", "100")), deadline=None)
CONTEXTS = ["m0scan", "control", "label"]
PCASL = (
    'tSequenceFileName = ""%SiemensSeq%\\tgse_asl""\nsAsl.ulMode = 4\nsAsl.ulLabelingDuration = 1800000\n'
    "sAsl.sPostLabelingDelay.__attribute__.size = 64\nsAsl.sPostLabelingDelay[0] = 1700000\n"
)
PASL = 'tSequenceFileName = "%SiemensSeq%\\tgse_pasl"\nalTI[0] = 700000\nalTI[2] = 1990000\n'
USC = (
    'tSequenceFileName = "%CustomerSeq%\\ep2d_pcasl_ve11c"\nsWipMemBlock.adFree[2] = 1800000.0\n'
    "sWipMemBlock.adFree[3] = 82.0\n"
)


def protocol(entries):
    return f"<XProtocol> junk\n### ASCCONV BEGIN object=MrProtDataImpl@x ###\n{entries}### ASCCONV END ###\n"


def csa(text, name="MrPhoenixProtocol"):
    """A CSA header ("SV10") with one element before that of the protocol."""

    def element(title, content):
        data = content.encode("latin-1") + b"\0"
        head = title.encode().ljust(64, b"\0") + struct.pack("<i4siII", 1, b"UN\0\0", 6, 1, 77)
        return (
            head
            + struct.pack("<4i", len(data), len(data), 77, len(data))
            + data
            + b"\0" * (-len(data) % 4)
        )  # fmt: skip

    body = element("UsedPatientWeight", "80") + element(name, text)
    return b"SV10\4\3\2\1" + struct.pack("<II", 2, 77) + body


@pytest.fixture
def asl(tmp_path, patient, make_series, make_writer):
    """Write an ASL series whose files hold a protocol and read it: the series and what is noted."""

    def read(text, enhanced=False, creator="SIEMENS CSA HEADER", vendor="siemens", **tags):
        def keep(ds, v, s):
            if enhanced:
                shared = ds.SharedFunctionalGroupsSequence[0]
                inner = pydicom.Dataset()
                inner.private_block(0x0021, "SIEMENS MR SDS 01", create=True).add_new(
                    0x19, "OB", text.encode()
                )
                shared.private_block(0x0021, "SIEMENS MR SDS 01", create=True).add_new(0xFE, "SQ", [inner])
                for group in ds.PerFrameFunctionalGroupsSequence:
                    del group.MRArterialSpinLabelingSequence[0].ASLPulseTrainDuration
                    del group.MRModifierSequence
            else:
                ds.private_block(0x0029, creator, create=True).add_new(0x20, "OB", csa(text))

        images = [patient.asl[c] for c in CONTEXTS]
        series = make_series(images, "asl 3d", contexts=CONTEXTS, tags=tags)
        make_writer(tmp_path, vendor, enhanced).write(series, keep)
        found = read_dicom(tmp_path)
        return found.study.images[Modality.CBF], "\n".join(note.what for note in found.notes)

    return read


@pytest.mark.parametrize("enhanced", [False, True])
def test_product_pcasl(asl, enhanced):
    series, text = asl(protocol(PCASL), enhanced)
    assert (series.labelling, series.label_duration, series.post_label_delay) == ("pcasl", 1.8, 1.7)
    assert "label duration 1.8 s by sAsl.ulLabelingDuration in " in text
    assert "post-labelling delay 1.7 s by sAsl.sPostLabelingDelay in " in text
    assert ("(0021,1019)" if enhanced else "(0029,1020)") in text
    assert "not recorded" not in text


def test_product_pasl(asl):
    series, text = asl(protocol(PASL))
    assert (series.labelling, series.label_duration, series.post_label_delay) == ("pasl", 0.7, 1.99)
    assert "alTI[2] in MrPhoenixProtocol of the Siemens CSA header (0029,1020)" in text


def test_2d_pcasl_with_numbers_of_its_own(asl):
    series, _ = asl(protocol(USC))
    assert series.labelling == "pcasl"
    assert series.post_label_delay == 1.8
    assert series.label_duration == pytest.approx(82 * 20 * 0.92e-3)


def test_the_protocol_goes_before_the_inversion_time_of_pcasl(asl):
    series, _ = asl(protocol(PCASL), InversionTime="3500")
    assert series.post_label_delay == 1.7


def test_several_delays_of_the_protocol_are_refused(asl):
    several = PCASL + "sAsl.sPostLabelingDelay[1] = 2000000\nsAsl.ulDelayArraySize = 2\n"
    with pytest.raises(InputError, match=r"1700, 2000 ms.*one time for all volumes"):
        asl(protocol(several))


def test_delays_beyond_the_array_are_left_over_and_do_not_count(asl):
    text = protocol(PCASL + "sAsl.sPostLabelingDelay[1] = 2000000\nsAsl.ulDelayArraySize = 0x1\n")
    assert asl(text)[0].post_label_delay == 1.7


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (protocol("sAsl.ulMode = 1\n"), {}),
        (protocol(PCASL).replace("ASCCONV END", ""), {}),
        (protocol(PCASL), {"creator": "SOMEBODY ELSE"}),
        (protocol(PCASL), {"vendor": "standard"}),
        (protocol(PCASL.replace("1800000", "soon").replace("1700000", "nan")), {}),
    ],
)
def test_no_timing_is_said_to_be_not_recorded(asl, text, options):
    series, notes = asl(text, **options)
    assert (series.label_duration, series.post_label_delay) == (None, None)
    assert "the label duration is not recorded" in notes
    assert "the post-labelling delay is not recorded" in notes


@pytest.mark.parametrize("entry", ["1e9", "9999999999999"])
def test_impossible_times_are_refused_by_name(asl, entry):
    with pytest.raises(InputError, match=r"sAsl\.sPostLabelingDelay"):
        asl(protocol(PCASL.replace("1700000", entry)))


def test_entries_of_a_protocol():
    text = protocol('a = 0x10\nb[3].c\t = \t-1.5e3\nd = ""x y""\ne = 2 # mm\n= 3\nf 4\ng =\n')
    found = ascconv(protocol("a = 1\n") + text)
    assert found == {"a": "0x10", "b[3].c": "-1.5e3", "d": "x y", "e": "2"}
    assert [number(found, name) for name in "ade"] == [16.0, None, 2.0]
    assert number(found, "b[3].c") == -1500.0


@fuzz
@given(
    st.lists(st.one_of(
        st.sampled_from(["### ASCCONV BEGIN ###", "### ASCCONV END ###", "a = 0x", 'b = "', "c = 1e999",
                         "alTI[0] = -1", "__import__('os') = 1", "d = 0x" + "f" * 400]),
        st.text(max_size=60),
        st.tuples(st.text("ab.[]019_", max_size=8), st.text(max_size=9)).map(" = ".join),
    ), max_size=12).map("\n".join)
)  # fmt: skip
def test_any_text_has_entries_or_none(text):
    for whole in (text, protocol(text)):
        for name, value in ascconv(whole).items():
            assert name[0].isalpha() or name[0] == "_"
            assert value == value.strip()
            found = number({name: value}, name)
            assert found is None or abs(found) < float("inf")


@fuzz
@given(st.integers(0, 400), st.binary(min_size=1, max_size=12), st.integers(0, 600))
def test_damaged_csa_headers_have_a_text_or_none(position, patch, cut):
    from SynthCBVLib.imaging.dicom.csa import csa_text

    whole = bytearray(csa(protocol(PCASL)))
    whole[position : position + len(patch)] = patch
    for data in (bytes(whole), bytes(whole[:cut])):
        assert isinstance(ascconv(csa_text(data, "MrPhoenixProtocol")), dict)
