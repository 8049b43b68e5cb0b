"""NRRD with DWMRI and MultiVolume keys: b-values from gradient lengths, axes and spaces of all kinds."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import read_diffusion, read_image, write_diffusion
from SynthCBVLib.imaging.study import DiffusionSeries, join_series, join_vector, same_grid

N, Z, Y, X = 4, 2, 3, 5
VOXELS = np.arange(N * Z * Y * X, dtype="<f4").reshape(N, Z, Y, X)
STEPS = ("(2,0,0)", "(0,3,0)", "(0,0,4)")
GRADIENTS = ("0 0 0", "0.5 0 0", "0 -1 0", "0 0 0.70710678118654752")


def nrrd_file(path, axis=0, kind="list", space="left-posterior-superior", keys=(), nominal="1000", **changed):
    """Write a DWMRI file with the list axis anywhere (0 is the fastest)."""
    sizes, steps, kinds = [X, Y, Z], list(STEPS), ["domain"] * 3
    sizes.insert(axis, N)
    steps.insert(axis, "none")
    kinds.insert(axis, kind)
    data = np.moveaxis(VOXELS, 0, 3 - axis)
    gradients = changed.pop("gradients", GRADIENTS)
    fields = {
        "type": "float",
        "dimension": "4",
        "space": space,
        "sizes": " ".join(map(str, sizes)),
        "space directions": " ".join(steps),
        "kinds": " ".join(kinds),
        "endian": "little",
        "encoding": "raw",
        "space origin": "(1,2,3)",
        "measurement frame": "(1,0,0) (0,1,0) (0,0,1)",
    } | {key.replace("_", " "): value for key, value in changed.items()}
    lines = ["NRRD0005", *(f"{key}: {value}" for key, value in fields.items() if value is not None)]
    if gradients is not None:
        lines += ["modality:=DWMRI", f"DWMRI_b-value:={nominal}"]
        lines += [f"DWMRI_gradient_{i:04d}:={text}" for i, text in enumerate(gradients)]
    text = "\n".join([*lines, *keys]) + "\n\n"
    path.write_bytes(text.encode() + np.ascontiguousarray(data).tobytes())
    return path


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["list", "vector", "time", "domain", "???"])
def test_list_axis_anywhere_and_of_any_kind(tmp_path, axis, kind):
    series = read_diffusion(nrrd_file(tmp_path / "x.nrrd", axis, kind))
    # b = nominal (|g| / max |g|)²
    assert series.b_values == (0.0, 250.0, 1000.0, 500.0)
    for volume, array in zip(series.volumes(), VOXELS, strict=True):
        np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), array)
        assert volume.GetSpacing() == pytest.approx((2, 3, 4))
        assert volume.GetOrigin() == pytest.approx((1, 2, 3))


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (1, 1, 1)),
        ("LPS", (1, 1, 1)),
        ("right-anterior-superior", (-1, -1, 1)),
        ("RAS", (-1, -1, 1)),
        ("left-anterior-superior", (1, -1, 1)),
    ],
)
def test_every_anatomical_space_becomes_lps(tmp_path, space, signs):
    volume = read_diffusion(nrrd_file(tmp_path / "x.nrrd", space=space)).volumes()[0]
    point = volume.TransformIndexToPhysicalPoint((4, 2, 1))  # 1 + 4*2, 2 + 2*3, 3 + 1*4 in the file's space
    assert point == pytest.approx(np.array((9, 8, 7)) * signs)


@pytest.mark.parametrize("space", ["scanner-xyz", "3D-right-handed"])
def test_space_without_left_and_right_is_refused(tmp_path, space):
    with pytest.raises(InputError, match="left from right"):
        read_image(nrrd_file(tmp_path / "x.nrrd", space=space))


def test_lengths_count_relative_to_the_longest(tmp_path):
    doubled = [" ".join(str(2 * float(part)) for part in text.split()) for text in GRADIENTS]
    series = read_diffusion(nrrd_file(tmp_path / "x.nrrd", gradients=doubled))
    assert series.b_values == (0.0, 250.0, 1000.0, 500.0)


@pytest.mark.parametrize("digits", [3, 4, 6, 10])
def test_b_values_are_as_round_as_the_digits_allow(tmp_path, digits):
    rng = np.random.default_rng(digits)
    truth = (0.0, 50.0, 1000.0, 800.0)
    directions = rng.normal(size=(N, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    vectors = directions * np.sqrt(np.array(truth) / 1000.0)[:, None]
    texts = [" ".join(f"{part:.{digits}f}" for part in vector) for vector in vectors]
    assert read_diffusion(nrrd_file(tmp_path / "x.nrrd", gradients=texts)).b_values == truth


def test_exact_lengths_are_not_rounded_away(tmp_path):
    gradients = ("0 0 0", "0.25 0 0", "1 0 0", "0.5 0 0")
    assert read_diffusion(nrrd_file(tmp_path / "x.nrrd", gradients=gradients)).b_values == (
        0,
        62.5,
        1000,
        250,
    )


def test_repeats_are_expanded(tmp_path):
    path = tmp_path / "x.nrrd"
    nrrd_file(path, gradients=None, keys=(
        "modality:=DWMRI", "DWMRI_b-value:=700", "DWMRI_gradient_0000:=0 0 0", "DWMRI_NEX_0000:=3",
        "DWMRI_gradient_0003:=1 0 0",
    ))  # fmt: skip
    assert read_diffusion(path).b_values == (0, 0, 0, 700)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gradients": GRADIENTS[:3]}, "3 DWMRI gradients for 4 volumes"),
        ({"gradients": (*GRADIENTS[:3], "1 0")}, "DWMRI_gradient_0003 '1 0'"),
        ({"gradients": (*GRADIENTS[:3], "1 0 nan")}, "DWMRI_gradient_0003 '1 0 nan'"),
        ({"gradients": ("0 0 0",) * 4}, "4 gradients of no length"),
        ({"nominal": "many"}, "DWMRI_b-value 'many'"),
        ({"nominal": "-5"}, "DWMRI_b-value -5"),
        ({"nominal": "nan"}, "DWMRI_b-value nan"),
        ({"keys": ("DWMRI_B-matrix_0000:=1 0 0 1 0 1",)}, "B-matrices"),
        ({"keys": ("DWMRI_NEX_0000:=2",)}, "two gradients for volume 1"),
        ({"gradients": None}, "no b-values: x.bval is not beside it"),
        ({"gradients": None, "keys": ("modality:=DWMRI",)}, "no DWMRI_b-value"),
    ],
)
def test_unclear_diffusion_keys_are_refused_and_given_b_values_win(tmp_path, changes, message):
    path = nrrd_file(tmp_path / "x.nrrd", **changes)
    with pytest.raises(InputError, match=message):
        read_diffusion(path)
    assert read_diffusion(path, (0, 1, 2, 3)).b_values == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": "4 5 3 2000000000"}, "cut short"),
        ({"sizes": "4 0 3 2"}, "the sizes"),
        ({"sizes": "4 x 3 2"}, "the sizes"),
        ({"type": "block"}, "the type"),
        ({"encoding": "zip"}, "the encoding"),
        ({"data_file": "gone.raw"}, "is not there"),
    ],
)
def test_damaged_headers_are_refused_before_room_is_made(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_image(nrrd_file(tmp_path / "x.nrrd", **changes))


def test_multivolume_frame_labels(tmp_path):
    def keys(labels, name="b-value", units="s/mm^2"):
        return (f"MultiVolume.FrameLabels:={labels}", f"MultiVolume.FrameIdentifyingDICOMTagName:={name}",
                f"MultiVolume.FrameIdentifyingDICOMTagUnits:={units}")  # fmt: skip

    path = tmp_path / "x.nrrd"
    nrrd_file(path, gradients=None, keys=keys("0,50,400,1000000800"))
    assert read_diffusion(path).b_values == (0, 50, 400, 800)
    nrrd_file(path, gradients=None, keys=keys("0,50,400"))
    with pytest.raises(InputError, match="4 b-values"):
        read_diffusion(path)
    nrrd_file(path, gradients=None, keys=keys("0,1.5,3,4.5", "AcquisitionTime", "ms"))
    with pytest.raises(InputError, match="no b-values"):
        read_diffusion(path)


def test_header_and_file_beside_it_must_agree(tmp_path):
    path = nrrd_file(tmp_path / "x.nrrd")
    (tmp_path / "x.bval").write_text("0 250 1000 500")
    assert read_diffusion(path).b_values == (0, 250, 1000, 500)
    (tmp_path / "x.bval").write_text("0 250 500 1000")
    with pytest.raises(InputError, match=r"other b-values in its header \(0 250 1000 500\) than in x\.bval"):
        read_diffusion(path)


def oblique(seed, pixel=sitk.sitkFloat32, size=(5, 4, 3), angles=(0.1, -0.2, 0.3)):
    array = np.random.default_rng(seed).normal(100, 20, size[::-1])
    image = sitk.Cast(sitk.GetImageFromArray(array), pixel)
    image.SetSpacing((2, 2.5, 6.1))
    image.SetOrigin((-9.123, 4, 30))
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*angles)
    image.SetDirection(turn.GetMatrix())
    return image


@settings(max_examples=25, deadline=None)
@given(
    b_values=st.lists(st.floats(0, 5000).map(lambda b: round(b, 3)), min_size=2, max_size=5),
    vector=st.booleans(),
    pixel=st.sampled_from(
        [sitk.sitkFloat32, sitk.sitkFloat64, sitk.sitkInt16, sitk.sitkUInt16, sitk.sitkUInt8]
    ),
    angles=st.tuples(*[st.floats(-3.1, 3.1).map(lambda angle: round(angle, 6))] * 3),
)
def test_series_survives_a_round_trip(tmp_path_factory, b_values, vector, pixel, angles):
    volumes = [oblique(seed, pixel, angles=angles) for seed in range(len(b_values))]
    series = DiffusionSeries((join_vector if vector else join_series)(volumes), tuple(b_values))
    path = write_diffusion(series, tmp_path_factory.mktemp("nrrd") / "x.nrrd")
    again = read_diffusion(path)
    assert again.b_values == tuple(b_values)
    for volume, wanted in zip(again.volumes(), volumes, strict=True):
        assert volume.GetPixelID() == pixel
        assert same_grid(volume, wanted, 1e-9)
        np.testing.assert_array_equal(sitk.GetArrayViewFromImage(volume), sitk.GetArrayViewFromImage(wanted))


@pytest.mark.parametrize("name", ["x.nii.gz", "x.nii", "x.mha"])
def test_other_formats_get_a_bval_file(tmp_path, name):
    series = DiffusionSeries(join_series([oblique(s) for s in range(3)]), (0, 62.5, math.pi))
    assert read_diffusion(write_diffusion(series, tmp_path / name)).b_values == series.b_values
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "x.bval"])


def test_slicer_reads_what_is_written(tmp_path):
    slicer = pytest.importorskip("slicer")
    series = DiffusionSeries(join_series([oblique(s) for s in range(4)]), (0.0, 50.0, 400.0, 1000.0))
    path = write_diffusion(series, tmp_path / "x.nrrd")
    storage, node = slicer.vtkMRMLNRRDStorageNode(), slicer.vtkMRMLDiffusionWeightedVolumeNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    assert [round(node.GetBValue(i), 3) for i in range(node.GetNumberOfGradients())] == [0, 50, 400, 1000]
    assert node.GetImageData().GetNumberOfScalarComponents() == 4
    assert node.GetSpacing() == pytest.approx((2, 2.5, 6.1))
    assert node.GetOrigin() == pytest.approx((9.123, -4, 30))  # RAS
