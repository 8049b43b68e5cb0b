"""Damaged headers, sidecars and manifests give an answer or an `InputError`, and leave no file behind.

``SYNTHCBV_FUZZ=2000`` raises the number of examples of each test.
"""

import gzip
import json
import os
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.asl_files import read_asl
from SynthCBVLib.imaging.files import (
    open_study,
    read_b_values,
    read_diffusion,
    read_image,
    read_manifest,
    read_regions,
    study_from_files,
    write_diffusion,
)
from SynthCBVLib.imaging.study import DiffusionSeries

EXAMPLES = int(os.environ.get("SYNTHCBV_FUZZ", "40"))
fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def volume(value=0):
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.float32).reshape(2, 3, 4) + value)
    image.SetSpacing((2, 2, 5))
    return image


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Give the bytes of files that are right in themselves."""
    folder = tmp_path_factory.mktemp("good")
    series = DiffusionSeries(sitk.JoinSeries([volume(i) for i in range(3)]), (0, 500, 1000))
    names = {}
    for name in ("x.nii", "x.nrrd"):
        write_diffusion(series, folder / name)
        names[name] = (folder / name).read_bytes()
    whole = sitk.JoinSeries([sitk.Cast(volume(i), sitk.sitkInt16) for i in range(3)])
    sitk.WriteImage(whole, str(folder / "i.nii"))
    names["i.nii"] = (folder / "i.nii").read_bytes()
    return names


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def answers(read, folder):
    """Read, and demand an answer or an `InputError` that says something; the folder stays as it is."""
    before = sorted(path.name for path in folder.iterdir())
    result = None
    try:
        result = read()
    except InputError as error:
        assert error.seen
        assert error.needed
        assert len(str(error)) < 4000
    assert sorted(path.name for path in folder.iterdir()) == before
    return result


#: Numbers that headers overflow on, in every width that a NIfTI header has.
awkward = st.one_of(
    st.sampled_from(
        [0, 1, -1, 2, 3, 4, 5, 7, 8, 16, 64, 127, 255, 256, 348, 352, 540, 32767, -32768]
    ).flatmap(lambda n: st.sampled_from(["<h", "<i", ">h", ">i"]).map(lambda kind: struct.pack(kind, n))),
    st.floats(width=32).map(lambda x: struct.pack("<f", x)),
    st.binary(min_size=1, max_size=8),
)
patches = st.lists(st.tuples(st.integers(0, 351), awkward), min_size=1, max_size=4)
#: Where a NIfTI header keeps what readers trust: dim, datatype, bitpix, pixdim, offset, scaling, forms.
telling = st.sampled_from(
    [
        0,
        39,
        40,
        42,
        44,
        46,
        48,
        50,
        52,
        68,
        70,
        72,
        76,
        80,
        84,
        88,
        92,
        108,
        112,
        116,
        123,
        252,
        254,
        256,
        260,
        264,
        268,
        280,
        284,
        296,
        312,
        344,
        348,
    ]
)
telling_patches = st.lists(st.tuples(telling, awkward), min_size=1, max_size=3)


def patched(content, changes):
    content = bytearray(content)
    for position, value in changes:
        content[position : position + len(value)] = value
    return bytes(content)


@fuzz
@given(
    changes=st.one_of(patches, telling_patches),
    cut=st.one_of(st.none(), st.integers(0, 700)),
    packed=st.booleans(),
    name=st.sampled_from(["x.nii", "i.nii"]),
)
def test_nifti_headers(good, place, changes, cut, packed, name):
    content = patched(good[name], changes)[:cut]
    path = place / ("f.nii.gz" if packed else "f.nii")
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    image = answers(lambda: read_image(path), place)
    if image is not None:
        assert image.GetDimension() in (3, 4)
        assert np.isfinite((*image.GetSpacing(), *image.GetOrigin(), *image.GetDirection())).all()
    path.unlink()


@fuzz
@given(changes=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=6)), max_size=4))
def test_compressed_bytes(good, place, changes):
    path = place / "f.nii.gz"
    path.write_bytes(patched(gzip.compress(good["x.nii"], 6, mtime=0), changes))
    answers(lambda: read_image(path), place)
    path.unlink()


#: What a header's value may be replaced by.
values = st.one_of(
    st.sampled_from(
        [
            "",
            "0",
            "-1",
            "4",
            "nan",
            "inf",
            "1e308",
            "1e-320",
            "none",
            "none none none none",
            "(1,0,0)",
            "(0,0,0) (0,0,0) (0,0,0) none",
            "(1,1,1) (1,1,1) (1,1,1) none",
            "(nan,0,0) (0,1,0) (0,0,1) none",
            "4 3 2",
            "4 3 2 3000000000",
            "99999999999999999999 1 1 1",
            "-4 3 2 3",
            "block",
            "double",
            "uchar",
            "complex",
            "raw",
            "gzip",
            "bzip2",
            "hex",
            "ascii",
            "list",
            "LIST",
            "x%d.raw 0 9 1",
            "big",
            "domain domain domain domain",
            "list list list list",
            "vector list domain domain",
            "right-anterior-superior",
            "right-anterior-superior-time",
            "3D-left-handed",
            "5",
            "16",
            "1 2 3",
        ]
    ),
    st.text(max_size=30),
)


@fuzz
@given(data=st.data())
def test_nrrd_headers(good, place, data):
    head, _, voxels = good["x.nrrd"].partition(b"\n\n")
    lines = head.split(b"\n")
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        line = lines[number]
        mark = b":=" if b":=" in line else b": "
        action = data.draw(st.sampled_from(["value", "value", "value", "drop", "twice", "bytes"]))
        if action == "value":
            lines[number] = line.partition(mark)[0] + mark + data.draw(values).encode("utf-8", "replace")
        elif action == "drop" and len(lines) > 1:
            del lines[number]
        elif action == "twice":
            lines.append(line)
        else:
            lines[number] = patched(line, [(data.draw(st.integers(0, 60)), data.draw(st.binary(max_size=4)))])
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(voxels))))
    path = place / "f.nrrd"
    path.write_bytes(b"\n".join(lines) + b"\n\n" + voxels[:cut])
    series = answers(lambda: read_diffusion(path), place)
    if series is not None:
        assert all(np.isfinite(b) and b >= 0 for b in series.b_values)
    path.unlink()


@fuzz
@given(
    content=st.one_of(
        st.binary(max_size=80), st.text("0123456789 .,;-+enaif\t\n", max_size=60).map(str.encode)
    )
)
def test_b_value_files(place, content):
    path = place / "f.bval"
    path.write_bytes(content)
    found = answers(lambda: read_b_values(path), place)
    if found is not None:
        assert found
        assert all(np.isfinite(b) and b >= 0 for b in found)
    path.unlink()


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
keys = st.sampled_from(
    ["ArterialSpinLabelingType", "LabelingDuration", "BolusCutOffDelayTime", "PostLabelingDelay", "M0Type"]
)


@pytest.fixture(scope="module")
def asl_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asl")
    sitk.WriteImage(sitk.JoinSeries([volume(i) for i in range(3)]), str(folder / "x_asl.nii"))
    (folder / "x_aslcontext.tsv").write_text("volume_type\ncontrol\nlabel\nm0scan\n")
    for part in ("control", "label", "m0"):
        sitk.WriteImage(volume(), str(folder / f"{part}.nii"))
    return folder


@fuzz
@given(
    content=st.one_of(
        st.dictionaries(keys, json_values, max_size=4).map(lambda entries: json.dumps(entries).encode()),
        st.binary(max_size=60),
        st.integers(1, 3000).map(lambda depth: b"[" * depth),
    )
)
def test_asl_sidecars(asl_folder, content):
    for name in ("x_asl.json", "control.json"):
        (asl_folder / name).write_bytes(content)
    answers(lambda: read_asl(asl_folder / "x_asl.nii"), asl_folder)
    parts = {part: asl_folder / f"{part}.nii" for part in ("control", "label", "m0")}
    answers(lambda: study_from_files(parts), asl_folder)
    for name in ("x_asl.json", "control.json"):
        (asl_folder / name).unlink()


@fuzz
@given(
    content=st.one_of(
        st.lists(
            st.sampled_from(
                ["volume_type", "control", "label", "m0scan", "cbf", "", "\t", '"', "label\tx", "\0", "é"]
            ),
            max_size=6,
        ).map(lambda rows: "\n".join(rows).encode()),
        st.binary(max_size=60),
    )
)
def test_asl_contexts(asl_folder, content):
    path = asl_folder / "x_aslcontext.tsv"
    good = path.read_bytes()
    try:
        path.write_bytes(content)
        answers(lambda: read_asl(asl_folder / "x_asl.nii"), asl_folder)
    finally:
        path.write_bytes(good)


@fuzz
@given(content=st.one_of(st.binary(max_size=60), st.text('index\tname\n12-"é ', max_size=40).map(str.encode)))
def test_region_tables(place, content):
    labels = sitk.GetImageFromArray(np.array([[[0, 1], [2, 2]]], dtype=np.uint8))
    sitk.WriteImage(labels, str(place / "r.nii"))
    (place / "r.tsv").write_bytes(content)
    answers(lambda: read_regions(place / "r.nii"), place)
    (place / "r.nii").unlink()
    (place / "r.tsv").unlink()


cells = st.one_of(
    st.sampled_from(
        [
            "subject",
            "dwi",
            "T2w",
            "t1c",
            "t2 flair",
            "b_values",
            "regions",
            "pld",
            "idh",
            "01",
            "sub-02",
            "dwi.nii",
            "t2.nii",
            "../m/t2.nii",
            "0 500 1000",
            "dwi.bval",
            "1,8",
            "nan",
            '"',
            '""',
            "a;b",
            "C:\\data\\t2.nii",
            "~nobody/x",
            "\0",
            "x" * 5000,
            "é",
            "",
        ]
    ),
    st.text(max_size=12),
)


@pytest.fixture(scope="module")
def manifest_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("m")
    sitk.WriteImage(sitk.JoinSeries([volume(i) for i in range(3)]), str(folder / "dwi.nii"))
    (folder / "dwi.bval").write_text("0 500 1000")
    sitk.WriteImage(volume(), str(folder / "t2.nii"))
    return folder


@fuzz
@given(
    rows=st.lists(st.lists(cells, min_size=1, max_size=5), max_size=4),
    heading=st.booleans(),
    separator=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"]),
    quoted=st.booleans(),
    changes=st.lists(st.tuples(st.integers(0, 80), st.binary(min_size=1, max_size=3)), max_size=2),
)
def test_manifests(manifest_folder, rows, heading, separator, encoding, quoted, changes):
    table = [["subject", "dwi", "t2w", "b_values", "note"], *rows] if heading else rows
    if quoted:
        table = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in table]
    text = "\n".join(separator.join(row) for row in table)
    path = manifest_folder / "m.csv"
    path.write_bytes(patched(text.encode(encoding, "replace"), changes))
    found = answers(lambda: read_manifest(path), manifest_folder)
    if found is not None:
        assert found
        for row in found:
            assert row.subject.isalnum()
            assert all(file.is_file() for file in row.files.values())
            answers(row.study, manifest_folder)
    answers(lambda: open_study(path, "01"), manifest_folder)
    path.unlink()


@fuzz
@given(
    names=st.lists(
        st.tuples(
            st.text("abcdt120wm_-. GDCFLAIR", min_size=1, max_size=12),
            st.sampled_from([".nii", ".nrrd", ".nii.gz", ".txt", ".dcm", ""]),
        ),
        max_size=4,
    )
)
def test_folders_of_files(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    for name, suffix in names:
        if (name + suffix).strip(". "):
            (folder / (name + suffix)).write_bytes(b"NRRD0004\n\n")
    answers(lambda: open_study(folder), folder)
