import gzip
import json
import re
import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import (
    read_diffusion,
    read_image,
    read_regions,
    read_study,
    study_from_files,
    write_image,
    write_regions,
    write_study,
    written_whole,
)
from SynthCBVLib.imaging.study import (
    AslSeries,
    DiffusionSeries,
    Modality,
    Study,
    join_series,
    join_vector,
    same_grid,
    split_volumes,
)


def image_of(size=(5, 4, 3), seed=0, spacing=(2, 2.5, 6), angles=(0.1, -0.2, 0.3), origin=(-9, 4, 30)):
    array = np.random.default_rng(seed).normal(100, 20, size[::-1]).astype(np.float32)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*angles)
    image.SetDirection(turn.GetMatrix())
    return image


def equal(a, b):
    values = [sitk.GetArrayViewFromImage(image) for image in (a, b)]
    return same_grid(a, b, 1e-3) and np.array_equal(*values)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def study():
    asl = AslSeries(image_of(seed=1), image_of(seed=2), image_of(seed=3), "pcasl", 1.8, 1.5)
    dwi = DiffusionSeries(
        join_series([image_of(seed=4), image_of(seed=5), image_of(seed=6)]), (0, 62.5, 1000)
    )
    others = (Modality.T1W, Modality.T1C, Modality.T2W, Modality.FLAIR, Modality.ADC, Modality.RCBV)
    images = {modality: image_of(seed=10 + n, size=(6, 5, 4 + n)) for n, modality in enumerate(others)}
    return Study("01", {Modality.DWI: dwi, Modality.CBF: asl, **images})


def test_study_survives_a_round_trip(study, tmp_path):
    folder = write_study(study, tmp_path / "dataset")
    assert folder == tmp_path / "dataset" / "sub-01"
    again = read_study(folder)
    assert again.subject == "01"
    assert set(again.images) == set(study.images)
    dwi, asl = again.images[Modality.DWI], again.images[Modality.CBF]
    assert dwi.b_values == (0, 62.5, 1000)
    assert all(equal(a, b) for a, b in zip(dwi.volumes(), study.images[Modality.DWI].volumes(), strict=True))
    for part in ("control", "label", "m0"):
        assert equal(getattr(asl, part), getattr(study.images[Modality.CBF], part))
    assert (asl.labelling, asl.label_duration, asl.post_label_delay) == ("pcasl", 1.8, 1.5)
    for modality in set(study.images) - {Modality.DWI, Modality.CBF}:
        assert equal(again.images[modality], study.images[modality])
    assert not [name for name in names(tmp_path) if "writing" in name]


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(*[st.integers(1, 6)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 8.0)] * 3),
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
    b_values=st.lists(st.floats(0, 5000).map(lambda b: round(b, 3)), min_size=2, max_size=4),
    vector=st.booleans(),
)
def test_any_geometry_and_b_values_survive(tmp_path_factory, size, spacing, angles, origin, b_values, vector):
    volumes = [image_of(size, seed, spacing, angles, origin) for seed in range(len(b_values))]
    series = DiffusionSeries((join_vector if vector else join_series)(volumes), tuple(b_values))
    folder = write_study(Study("a1", {Modality.DWI: series}), tmp_path_factory.mktemp("study"))
    again = read_study(folder).images[Modality.DWI]
    assert again.b_values == tuple(b_values)
    assert all(equal(a, b) for a, b in zip(again.volumes(), volumes, strict=True))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("pixel", [sitk.sitkFloat32, sitk.sitkUInt8, sitk.sitkInt16])
def test_image_keeps_its_pixel_type(tmp_path, suffix, pixel):
    image = sitk.Cast(image_of(), pixel)
    path = write_image(image, tmp_path / "new" / f"x{suffix}", sidecar={"Units": "ml/100 g", "Größe": 1})
    again = read_image(path)
    assert again.GetPixelID() == pixel
    assert equal(again, image)
    assert json.loads((tmp_path / "new" / "x.json").read_text(encoding="utf-8"))["Größe"] == 1


def test_geometry_agrees_with_an_independent_reader(tmp_path):
    image = image_of()
    affine = nib.load(write_image(image, tmp_path / "x.nii.gz")).affine  # RAS
    for index in ((0, 0, 0), (4, 3, 2), (1, 2, 0)):
        ras = affine @ (*index, 1)
        assert ras[:3] * (-1, -1, 1) == pytest.approx(image.TransformIndexToPhysicalPoint(index), abs=1e-3)


def test_layout_is_bids(study, tmp_path):
    write_study(study, tmp_path)
    assert names(tmp_path) == sorted(
        [
            ".bidsignore",
            "dataset_description.json",
            "sub-01/anat/sub-01_FLAIR.nii.gz",
            "sub-01/anat/sub-01_T1w.nii.gz",
            "sub-01/anat/sub-01_T2w.nii.gz",
            "sub-01/anat/sub-01_ce-gadolinium_T1w.nii.gz",
            "sub-01/dwi/sub-01_ADC.nii.gz",
            "sub-01/dwi/sub-01_dwi.bval",
            "sub-01/dwi/sub-01_dwi.nii.gz",
            "sub-01/perf/sub-01_asl.json",
            "sub-01/perf/sub-01_asl.nii.gz",
            "sub-01/perf/sub-01_aslcontext.tsv",
            "sub-01/perf/sub-01_rcbv.nii.gz",
        ]
    )


def test_subject_is_found_from_dataset_label_and_session(study, tmp_path):
    write_study(study, tmp_path)
    assert read_study(tmp_path).subject == "01"
    write_study(Study("02", {Modality.T1W: image_of()}), tmp_path)
    with pytest.raises(InputError, match=r"2 subjects \(sub-01, sub-02\)"):
        read_study(tmp_path)
    assert set(read_study(tmp_path, "sub-02").images) == {Modality.T1W}
    with pytest.raises(InputError, match="no sub-03 among sub-01, sub-02"):
        read_study(tmp_path, "03")
    (tmp_path / "sub-02" / "ses-a").mkdir()
    (tmp_path / "sub-02" / "anat").rename(tmp_path / "sub-02" / "ses-a" / "anat")
    assert set(read_study(tmp_path, "02").images) == {Modality.T1W}
    assert read_study(tmp_path / "sub-02" / "ses-a").subject == "02"
    (tmp_path / "sub-02" / "ses-b").mkdir()
    with pytest.raises(InputError, match="several sessions"):
        read_study(tmp_path, "02")


def test_ambiguous_and_missing_images_are_named(study, tmp_path):
    folder = write_study(study, tmp_path)
    write_image(image_of(), folder / "anat" / "sub-01_run-2_T1w.nii.gz")
    with pytest.raises(InputError, match=r"2 candidates for \*_T1w: sub-01_T1w.nii.gz, sub-01_run-2_T1w"):
        read_study(folder)
    with pytest.raises(InputError, match="other images of the subject"):
        write_study(study, tmp_path)
    (tmp_path / "sub-09").mkdir()
    with pytest.raises(InputError, match="no image of a known kind"):
        read_study(tmp_path, "09")
    with pytest.raises(InputError, match="no such folder"):
        read_study(tmp_path / "nowhere")
    with pytest.raises(InputError, match="letters and digits"):
        write_study(Study("../x", {Modality.T1W: image_of()}), tmp_path)


def test_cbf_map_wins_over_raw_series(study, tmp_path):
    folder = write_study(study, tmp_path)
    cbf = image_of(seed=77)
    write_image(cbf, folder / "perf" / "sub-01_cbf.nii.gz")
    assert equal(read_study(folder).images[Modality.CBF], cbf)


def test_asl_repeats_are_averaged_and_m0_may_be_apart(study, tmp_path):
    folder = write_study(Study("01", {Modality.CBF: study.images[Modality.CBF]}), tmp_path) / "perf"
    a, b, c, d = (image_of(seed=s) for s in range(4))
    write_image(join_series([a, b, c, d]), folder / "sub-01_asl.nii.gz")
    context = folder / "sub-01_aslcontext.tsv"
    context.write_text("volume_type\nlabel\ncontrol\nlabel\ncontrol\n")
    (folder / "sub-01_asl.json").write_text('{"ArterialSpinLabelingType": "PCASL", "LabelingDuration": 1.8}')
    with pytest.raises(InputError, match="no M0"):
        read_study(tmp_path)
    write_image(image_of(seed=9), folder / "sub-01_m0scan.nii.gz")
    asl = read_study(tmp_path).images[Modality.CBF]
    array = sitk.GetArrayFromImage
    assert np.allclose(array(asl.label), (array(a) + array(c)) / 2)
    assert np.allclose(array(asl.control), (array(b) + array(d)) / 2)
    assert equal(asl.m0, image_of(seed=9))
    assert asl.post_label_delay is None
    context.write_text("volume_type\nlabel\ncontrol\n")
    with pytest.raises(InputError, match="2 volume types for the 4 volumes"):
        read_study(tmp_path)
    context.write_text("volume_type\nlabel\nlabel\ndeltam\nlabel\n")
    with pytest.raises(InputError, match="deltam"):
        read_study(tmp_path)
    context.write_text("volume_type\nlabel\nlabel\nlabel\nlabel\n")
    with pytest.raises(InputError, match="no control volume"):
        read_study(tmp_path)
    context.unlink()
    with pytest.raises(InputError, match="no sub-01_aslcontext"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("sidecar", "message"),
    [
        ('{"LabelingDuration": 1800}', "milliseconds"),
        ('{"PostLabelingDelay": [1.5, 2.0, 0]}', "one time for all volumes"),
        ('{"PostLabelingDelay": "soon"}', "a number of seconds"),
        ('{"PostLabelingDelay": NaN}', "a time in seconds"),
        ('{"ArterialSpinLabelingType": "CASL"}', "PCASL or PASL"),
        ("[1]", "a JSON list"),
        ("{", "not JSON"),
    ],
)
def test_asl_timing_is_checked(study, tmp_path, sidecar, message):
    folder = write_study(study, tmp_path)
    (folder / "perf" / "sub-01_asl.json").write_text(sidecar)
    with pytest.raises(InputError, match=message) as error:
        read_study(tmp_path)
    assert "sub-01_asl.json" in str(error.value)


@pytest.mark.parametrize("text", ["0 50 1000", "0\n50\n1000\n", "0, 50,1000\n\n", "\ufeff0\t50;1000 "])
def test_b_values_in_every_layout(tmp_path, text):
    path = write_image(join_series([image_of()] * 3), tmp_path / "x.nii.gz")
    (tmp_path / "x.bval").write_text(text, encoding="utf-8")
    assert read_diffusion(path).b_values == (0, 50, 1000)
    assert read_diffusion(path, [0, 1, 2]).b_values == (0, 1, 2)
    (tmp_path / "other.txt").write_text("3 4 5")
    assert read_diffusion(path, tmp_path / "other.txt").b_values == (3, 4, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"no b-values: x\.bval is not beside it"),
        ("", "no b-values: an empty file"),
        ("0 50", r"2 b-values for the 3 volumes of .*x\.nii\.gz"),
        ("0 nan 50", "the b-value nan"),
        ("0 -5 50", "the b-value -5"),
        ("0 b50 100", "'b50' among the b-values"),
        ("0 1 2\n0 1 2\n0 1 2", "a table of 3 rows"),
    ],
)
def test_bad_b_values_are_refused(tmp_path, text, message):
    path = write_image(join_series([image_of()] * 3), tmp_path / "x.nii.gz")
    if text is not None:
        (tmp_path / "x.bval").write_text(text)
    with pytest.raises(InputError, match=message):
        read_diffusion(path)


def test_single_volume_is_no_diffusion_series(tmp_path):
    path = write_image(image_of(), tmp_path / "x.nii.gz")
    (tmp_path / "x.bval").write_text("0")
    with pytest.raises(InputError, match="a single 3D volume"):
        read_diffusion(path)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x1f\x8b\x08broken"])
def test_damaged_images_are_refused_by_name(tmp_path, content, capfd):
    path = tmp_path / "t1.nii.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"t1\.nii\.gz"):
        read_image(path)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(InputError, match="no such file"):
        read_image(tmp_path / "t2.nii.gz")
    with pytest.raises(InputError, match="a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("share", [0.002, 0.1, 0.5, 0.999])
def test_image_cut_short_is_refused(tmp_path, suffix, share):
    path = write_image(image_of((20, 20, 20)), tmp_path / f"x{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=re.escape(f"x{suffix}")):
        read_image(path)


def test_nifti_2_is_refused_and_a_padded_file_accepted(tmp_path):
    array = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    nib.save(nib.Nifti2Image(array, np.eye(4)), tmp_path / "x.nii.gz")
    with pytest.raises(InputError, match=r"x\.nii\.gz: a NIfTI-2 file"):
        read_image(tmp_path / "x.nii.gz")
    path = write_image(image_of(), tmp_path / "y.nii.gz")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(100)))
    assert equal(read_image(path), image_of())


@pytest.mark.parametrize("compressed", [False, True])
def test_slightly_sheared_axes_are_repaired_and_strong_shear_refused(tmp_path, compressed):
    image = image_of()
    affine = nib.load(write_image(image, tmp_path / "x.nii")).affine
    for shear, accepted in ((0.008, True), (0.2, False)):
        sheared = affine.copy()
        sheared[:3, 0] += shear * affine[:3, 1]
        data = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
        file = nib.Nifti1Image(data, sheared)
        file.set_qform(None, 0)
        path = tmp_path / ("y.nii.gz" if compressed else "y.nii")
        nib.save(file, path)
        if accepted:
            again = read_image(path)
            assert np.array_equal(sitk.GetArrayViewFromImage(again), sitk.GetArrayViewFromImage(image))
            assert np.allclose(again.GetDirection(), image.GetDirection(), atol=0.02)
        else:
            with pytest.raises(InputError, match="sheared axes"):
                read_image(path)


def test_geometry_of_no_numbers_is_refused(tmp_path):
    path = write_image(image_of(), tmp_path / "x.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<3f", content, 268, np.nan, np.nan, np.nan)  # qoffset
    struct.pack_into("<12f", content, 280, *[np.nan] * 12)  # srow
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.nii"):
        read_image(path)


def test_failed_writing_leaves_nothing(tmp_path):
    target = tmp_path / "a" / "b" / "x.txt"
    with pytest.raises(ZeroDivisionError), written_whole(target) as (temporary,):
        temporary.write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="suffix"):
        write_image(image_of(), tmp_path / "x.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: a file; needed: a folder"):
        write_image(image_of(), tmp_path / "file" / "x.nii")
    assert names(tmp_path) == ["file"]


def test_existing_file_survives_failed_overwriting(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), written_whole(path) as (temporary,):
        temporary.write_text("new")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.txt"]


def test_study_from_loose_files(tmp_path):
    paths = {}
    for seed, part in enumerate(("control", "label", "m0", "T1w")):
        paths[part] = write_image(image_of(seed=seed), tmp_path / f"{part}.nii.gz")
    study = study_from_files(paths, subject="sub-07", post_label_delay=1.8)
    asl = study.images[Modality.CBF]
    assert study.subject == "07"
    assert (asl.label_duration, asl.post_label_delay) == (None, 1.8)
    assert equal(asl.label, image_of(seed=1))
    assert equal(study.images[Modality.T1W], image_of(seed=3))
    (tmp_path / "control.json").write_text('{"LabelingDuration": 1.2, "PostLabelingDelay": 2.0}')
    asl = study_from_files(paths, post_label_delay=1.8).images[Modality.CBF]
    assert (asl.label_duration, asl.post_label_delay) == (1.2, 1.8)
    with pytest.raises(InputError, match="milliseconds"):
        study_from_files(paths, label_duration=1800.0)
    with pytest.raises(InputError, match="no m0 image"):
        study_from_files({"control": paths["control"], "label": paths["label"]})
    with pytest.raises(InputError, match="a CBF map beside"):
        study_from_files({**paths, Modality.CBF: paths["T1w"]})
    with pytest.raises(InputError, match="given as 'T3w'"):
        study_from_files({"T3w": paths["T1w"]})
    with pytest.raises(InputError, match="no images"):
        study_from_files({})
    series = write_image(join_series([image_of()] * 2), tmp_path / "series.nii.gz")
    with pytest.raises(InputError, match="one 3D volume as T2w"):
        study_from_files({Modality.T2W: series})


def mask_of(*voxels):
    mask = sitk.Cast(image_of() * 0, sitk.sitkUInt8)
    for voxel in voxels:
        mask[voxel] = 1
    return mask


def test_regions_survive_a_round_trip(tmp_path):
    regions = {
        "White matter 1": mask_of((0, 0, 0)),
        "Tumour 2": mask_of((1, 1, 1), (2, 1, 1)),
        "Oedema, left": mask_of((3, 3, 2)),
    }
    path = write_regions(regions, tmp_path / "sub-01_dseg.nii.gz")
    again = read_regions(path)
    assert list(again) == ["Oedema, left", "Tumour 2", "White matter 1"]
    assert all(equal(again[name], mask) for name, mask in regions.items())
    (tmp_path / "sub-01_dseg.tsv").unlink()
    assert list(read_regions(path)) == ["Tumour 1", "Tumour 2", "White matter 1"]


def test_bad_regions_are_refused(tmp_path):
    path = tmp_path / "x.nii.gz"
    write_image(mask_of(), path)
    with pytest.raises(InputError, match="no region: all voxels are 0"):
        read_regions(path)
    write_image(mask_of((0, 0, 0)) * 7, path)
    with pytest.raises(InputError, match="label 7"):
        read_regions(path)
    (tmp_path / "x.tsv").write_text("index\tname\n1\tTumour 1\n")
    with pytest.raises(InputError, match=r"x\.tsv: no name for label 7"):
        read_regions(path)
    (tmp_path / "x.tsv").write_text("index\tname\n7\tTumour 1\n8\tTumour 1\n")
    with pytest.raises(InputError, match="comes twice"):
        read_regions(path)
    (tmp_path / "x.tsv").write_text("label,name\n")
    with pytest.raises(InputError, match=r"x\.tsv"):
        read_regions(path)
    write_image(image_of(), path)
    with pytest.raises(InputError, match="no integers"):
        read_regions(path)
    out = tmp_path / "out" / "y.nii.gz"
    for regions, message in (
        ({}, "no regions"),
        ({"Tumour 1": mask_of()}, "region Tumour 1: no voxels"),
        ({"A": mask_of((0, 0, 0)), "B": mask_of((0, 0, 0))}, "region B: voxels shared with A"),
        ({"A": mask_of((0, 0, 0)), "B": sitk.Image(3, 3, 3, sitk.sitkUInt8)}, "another grid than A"),
    ):
        with pytest.raises(InputError, match=message):
            write_regions(regions, out)
    assert not out.parent.exists()


def test_nrrd_series_with_b_values(tmp_path):
    volumes = [image_of(seed=s) for s in range(3)]
    path = write_image(join_vector(volumes), tmp_path / "x.nrrd")
    series = read_diffusion(path, (0, 500, 1000))
    assert all(equal(a, b) for a, b in zip(split_volumes(series.image), volumes, strict=True))
