"""The front door takes BIDS, plain folders, manifests and DICOM, and says what it found."""

from types import MappingProxyType

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import (
    open_study,
    read_manifest,
    read_study,
    study_from_files,
    write_diffusion,
    write_image,
    write_study,
)
from SynthCBVLib.imaging.names import meanings
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study


def volume(seed=0):
    image = sitk.GetImageFromArray(np.random.default_rng(seed).normal(100, 9, (3, 4, 5)).astype(np.float32))
    image.SetSpacing((2, 2, 5))
    return image


def series(b_values=(0, 500, 1000)):
    return DiffusionSeries(sitk.JoinSeries([volume(i) for i in range(len(b_values))]), b_values)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dwi", Modality.DWI), ("Pat07_DWI", Modality.DWI), ("ep2d_diff_IVIM_11b", Modality.DWI),
        ("T1", Modality.T1W), ("t1w", Modality.T1W), ("sub-3_MPRAGE", Modality.T1W), ("T1_pre", Modality.T1W),
        ("T1_pre_contrast", Modality.T1W), ("t1_brain", Modality.T1W), ("anatT1w", Modality.T1W),
        ("t1c", Modality.T1C), ("T1-Gd", Modality.T1C), ("t1gd", Modality.T1C), ("T1CE", Modality.T1C),
        ("t1_post_contrast", Modality.T1C), ("T1 post", Modality.T1C), ("mprage_gd", Modality.T1C),
        ("t2", Modality.T2W), ("T2W_TSE", Modality.T2W), ("T2w", Modality.T2W),
        ("flair", Modality.FLAIR), ("T2_FLAIR", Modality.FLAIR), ("t2flair", Modality.FLAIR),
        ("ADC", Modality.ADC), ("dwi_ADC_map", Modality.ADC), ("CBF", Modality.CBF),
        ("asl_cbf", Modality.CBF),
        ("rCBV", Modality.RCBV), ("dsc_rcbv", Modality.RCBV), ("asl", "asl"), ("asl_control", "control"),
        ("label", "label"), ("M0", "m0"), ("m0scan", "m0"), ("regions", "regions"), ("sub-1_dseg", "regions"),
        ("brainmask", None), ("tumor-label", None), ("t1_seg", None), ("scan01", None), ("dwi_sbref", None),
    ],
)  # fmt: skip
def test_names_are_understood(name, expected):
    assert meanings(name) == (set() if expected is None else {expected})


@pytest.mark.parametrize("name", ["t1_flair", "t1_t2", "T2_adc", "cbf_rcbv"])
def test_names_that_may_mean_two_images_are_refused(tmp_path, name):
    write_image(volume(), tmp_path / f"{name}.nii")
    with pytest.raises(InputError, match=f"{name}.*may mean .* or "):
        read_study(tmp_path)


def test_plain_folder(tmp_path):
    folder = tmp_path / "Patient 7"
    write_image(series().image, folder / "DWI.nii.gz")
    (folder / "bvals").write_text("0 500 1000")
    for seed, name in enumerate(("t2.nii", "T1w.nrrd", "flair.mha", "T1-Gd.nii.gz", "ADC.nii", "rCBV.nii")):
        write_image(volume(seed), folder / name)
    write_image(volume(), folder / "brainmask.nii")
    write_image(volume(), folder / "regions.nii")
    (folder / "notes.txt").write_text("nothing")
    opened = open_study(folder)
    assert opened.kind == "folder of images"
    assert opened.study.subject == "Patient7"
    assert set(opened.study.images) == set(Modality) - {Modality.CBF}
    assert opened.study.images[Modality.DWI].b_values == (0, 500, 1000)
    text = "\n".join(opened.found)
    for part in ("DWI: DWI.nii.gz, 5 x 4 x 3, 3 volumes, b 0 500 1000 s/mm² from bvals", "T1c: T1-Gd.nii.gz",
                 "T2w: t2.nii", "not used: brainmask.nii", "regions: regions.nii"):  # fmt: skip
        assert part in text
    assert read_study(folder, "sub-9").subject == "9"


def test_plain_folder_with_asl_parts_or_series(tmp_path):
    for seed, part in enumerate(("Control", "LABEL", "m0")):
        write_image(volume(seed), tmp_path / "parts" / f"{part}.nii")
    write_image(volume(9), tmp_path / "parts" / "t1.nii")
    asl = read_study(tmp_path / "parts").images[Modality.CBF]
    assert isinstance(asl, AslSeries)
    whole = tmp_path / "whole"
    write_image(sitk.JoinSeries([volume(seed) for seed in range(2)]), whole / "x_asl.nii")
    (whole / "x_aslcontext.tsv").write_text("volume_type\ncontrol\nlabel\n")
    write_image(volume(2), whole / "m0.nii")
    again = read_study(whole).images[Modality.CBF]
    for part in ("control", "label", "m0"):
        a, b = (sitk.GetArrayFromImage(getattr(each, part)) for each in (asl, again))
        np.testing.assert_array_equal(a, b)


def test_nrrd_of_slicer_in_a_plain_folder(tmp_path):
    write_diffusion(series((0, 50, 800)), tmp_path / "dwi.nrrd")
    write_image(volume(), tmp_path / "t2.nrrd")
    opened = open_study(tmp_path)
    assert opened.study.images[Modality.DWI].b_values == (0, 50, 800)
    assert "from the header of dwi.nrrd" in "\n".join(opened.found)


def test_unclear_folders_are_refused_by_name(tmp_path):
    write_image(volume(), tmp_path / "scan1.nii")
    with pytest.raises(InputError, match=r"1 images whose names say nothing \(scan1\.nii\)"):
        read_study(tmp_path)
    write_image(volume(), tmp_path / "t2.nii")
    write_image(volume(), tmp_path / "T2_tse.nii.gz")
    with pytest.raises(InputError, match=r"T2_tse\.nii\.gz and t2\.nii, both T2w"):
        read_study(tmp_path)
    (tmp_path / "T2_tse.nii.gz").unlink()
    write_image(series().image, tmp_path / "dwi.nii")
    for name in ("bvals", "b_values.txt"):
        (tmp_path / name).write_text("0 500 1000")
    with pytest.raises(InputError, match=r"b_values\.txt, bvals for dwi\.nii"):
        read_study(tmp_path)
    with pytest.raises(InputError, match="a single file"):
        read_study(tmp_path / "t2.nii")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no folder sub-<label>, no image and no DICOM"):
        read_study(tmp_path / "empty")


def test_folder_named_like_bids_with_loose_files_is_read_as_it_is(tmp_path):
    write_image(volume(), tmp_path / "sub-04" / "t2.nii")
    opened = open_study(tmp_path / "sub-04")
    assert (opened.kind, opened.study.subject) == ("folder of images", "04")


def test_bids_folder_tells_what_it_found(tmp_path):
    write_study(Study("01", {Modality.DWI: series(), Modality.T2W: volume()}), tmp_path)
    opened = open_study(tmp_path)
    assert opened.kind == "BIDS folder"
    assert "from sub-01_dwi.bval" in opened.found[0]
    assert opened.found[1] == "T2w: sub-01_T2w.nii.gz, 5 x 4 x 3"


def test_dicom_folder(tmp_path, monkeypatch):
    pytest.importorskip("pydicom")
    from SynthCBVLib.imaging import dicom

    file = tmp_path / "in" / "A" / "IM0001"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(128) + b"DICM")
    asked = []

    class Series:
        description, number, files, b_value_source = "ep2d", 5, (file,), ("DiffusionBValue (0018,9087)",) * 3

    class Note:
        severity, what = "warning", "a localizer was left out"

    class Result:
        study = Study("H1", {Modality.DWI: series()})
        sources = MappingProxyType({Modality.DWI: Series})
        notes = (Note,)

    def read_dicom(folder, *, subject):
        asked.append((folder, subject))
        return Result

    monkeypatch.setattr(dicom, "read_dicom", read_dicom)
    opened = open_study(tmp_path / "in", "sub-3")
    assert asked == [(tmp_path / "in", "3")]
    assert opened.kind == "DICOM folder"
    assert opened.sources == (file,)
    assert opened.found[0].startswith("DWI: ep2d (5)")
    assert opened.found[0].endswith("from DiffusionBValue (0018,9087)")
    assert opened.found[1] == "warning: a localizer was left out"


@pytest.fixture
def files(tmp_path):
    """Write images for two subjects."""
    for name in ("a", "b"):
        write_image(series().image, tmp_path / "img" / name / "dwi.nii")
        write_image(volume(), tmp_path / "img" / name / "t2 tse.nii")
    (tmp_path / "img" / "b" / "dwi.bval").write_text("0 400 900")
    return tmp_path


def manifest(folder, text, encoding="utf-8", name="cohort.csv"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_manifest_in_every_dress(files, encoding, separator):
    rows = [
        ["Subject", "DWI", "T2 path", "b-values", "Größe", "IDH", "group"],
        ["sub-A", "img/a/dwi.nii", '"img/a/t2 tse.nii"', "0 500 1000", "x", "mutant", "test"],
        ["B", "img\\b\\dwi.nii", "img/b/t2 tse.nii", "", "", "", ""],
        ["", "", "", "", "", "", ""],
    ]
    path = manifest(files, "\r\n".join(separator.join(row) for row in rows), encoding)
    first, second = read_manifest(path)
    assert (first.subject, first.idh, first.group, first.line) == ("A", "mutant", "test", 2)
    assert first.ignored == ("Größe",)
    assert first.b_values == (0, 500, 1000)
    assert first.study().images[Modality.DWI].b_values == (0, 500, 1000)
    assert (second.subject, second.idh, second.b_values) == ("B", None, None)
    assert second.study().images[Modality.DWI].b_values == (0, 400, 900)
    assert read_study(path, "b").subject == "B"
    opened = open_study(path, "sub-A")
    assert opened.kind == "manifest cohort.csv, row 2"
    assert opened.found[-1] == "columns not used: Größe"
    assert set(read_study(first).images) == {Modality.DWI, Modality.T2W}


def test_manifest_of_asl_parts_with_timing_regions_and_b_value_file(files):
    for seed, part in enumerate(("c", "l", "m")):
        write_image(volume(seed), files / f"{part}.nii")
    (files / "b.txt").write_text("0 1 2")
    path = manifest(
        files,
        "patient,control,label,m0,pld,labeling duration,dwi,bvals,ROI\n"
        "7,c.nii,l.nii,m.nii,\"1,8\",1.5,img/a/dwi.nii,b.txt,m.nii\n",
    )  # fmt: skip
    (row,) = read_manifest(path)
    assert row.regions == files / "m.nii"
    study = row.study()
    asl = study.images[Modality.CBF]
    assert (asl.post_label_delay, asl.label_duration) == (1.8, 1.5)
    assert study.images[Modality.DWI].b_values == (0, 1, 2)
    wanted = study_from_files({part: files / f"{part[0]}.nii" for part in ("control", "label", "m0")})
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(asl.label), sitk.GetArrayFromImage(wanted.images[Modality.CBF].label)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("subject,dwi\n", "a heading without rows"),
        ("name,dwi\n1,img/a/dwi.nii", "without subject"),
        ("subject,note\n1,x", "without an image"),
        ("subject,dwi,DWI file\n1,img/a/dwi.nii,", "the columns 'dwi' and 'DWI file', both DWI"),
        ("subject,t1 t2\n1,x", "the column 't1 t2', which may mean T1w or T2w"),
        (
            "subject,dwi\n1,img/a/dwi.nii\nsub-1,img/b/dwi.nii",
            r"row 3, column subject: the subject 1 again \(first in row 2",
        ),
        ("subject,dwi\n1,gone.nii", r"row 2, column dwi: no such file: 'gone\.nii'"),
        ("subject,dwi\n,img/a/dwi.nii", "row 2, column subject: no subject"),
        ("subject,dwi\n??,img/a/dwi.nii", "row 2, column subject"),
        ("subject,dwi\n1,", "row 2: no image"),
        ("subject,dwi\n1,img/a/dwi.nii,more", "3 cells under 2 headings"),
        ("subject,t2,t1\n1,img/a/t2 tse.nii,img/a/t2 tse.nii", "column t1: t2 tse.nii, which is T2w too"),
        ("subject,dwi,b_values\n1,img/a/dwi.nii,0 -5 9", "column b_values: the b-values '0 -5 9'"),
        ("subject,dwi,b_values\n1,img/a/dwi.nii,x.bval", "column b_values: no such file"),
        ("subject,dwi,pld\n1,img/a/dwi.nii,soon", "column pld: 'soon'"),
        ('subject,dwi\n1,"img/a/dwi.nii', "not a table"),
        ("subject,dwi\n1,img/a/dwi\0.nii", "not a text file"),
    ],
)  # fmt: skip
def test_bad_manifests_are_refused_with_row_and_column(files, text, message):
    path = manifest(files, text)
    with pytest.raises(InputError, match=message) as error:
        read_manifest(path)
    assert "cohort.csv" in str(error.value)


def test_subject_of_a_manifest_must_be_told(files):
    path = manifest(files, "subject,dwi\n1,img/a/dwi.nii\n2,img/b/dwi.nii\n")
    with pytest.raises(InputError, match=r"2 subjects \(1, 2\)"):
        read_study(path)
    with pytest.raises(InputError, match="no subject 3 among 1, 2"):
        read_study(path, "3")
    with pytest.raises(InputError, match="no such file"):
        read_manifest(files / "gone.csv")
