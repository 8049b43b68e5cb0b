"""Diffusion series and studies from every way that Slicer holds them."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.errors import InputError  # noqa: E402
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, same_grid  # noqa: E402
from SynthCBVLib.scene.series import copy_study  # noqa: E402
from SynthCBVLib.scene.steps import finished  # noqa: E402
from SynthCBVLib.scene.volumes import fill  # noqa: E402

B_VALUES = (0.0, 50.0, 150.0, 1000.0)


@pytest.fixture
def scene():
    return mrml.new_scene()


def volume(level: float, size: tuple[int, int, int] = (3, 4, 5)) -> sitk.Image:
    image = sitk.GetImageFromArray(np.full(size, level, np.float32))
    image.SetSpacing((1.5, 1.5, 4.0))
    image.SetOrigin((-10.0, 20.0, 30.0))
    return image


def levels(series: DiffusionSeries) -> list[float]:
    return [float(sitk.GetArrayViewFromImage(v)[0, 0, 0]) for v in series.volumes()]


def vector_node(count: int = 4, name: str = "multi"):
    return mrml.image_to_volume(sitk.Compose([volume(10.0 + i) for i in range(count)]), name)


def sequence_node(scene, index_name: str, unit: str, values=B_VALUES):
    node = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "frames")
    node.SetIndexName(index_name)
    node.SetIndexUnit(unit)
    for i, value in enumerate(values):
        item = mrml.image_to_volume(volume(10.0 + i), f"frame {i}", scene=slicer.vtkMRMLScene())
        node.SetDataNodeAtValue(item, f"{value:g}")
    return node


def test_diffusion_weighted_volume_keeps_its_b_values(scene):
    series = DiffusionSeries(sitk.Compose([volume(10.0 + i) for i in range(4)]), B_VALUES)
    node = mrml.series_to_volume(series, "dwi")
    assert [node.GetBValue(i) for i in range(4)] == list(B_VALUES)
    read = mrml.diffusion_series(node)
    assert read.b_values == B_VALUES
    assert read.name == "dwi"
    assert levels(read) == [10.0, 11.0, 12.0, 13.0]
    assert same_grid(read.volumes()[0], volume(0.0), 1e-9)


def test_the_phase_direction_comes_from_the_files_sidecar(scene, tmp_path):
    series = DiffusionSeries(sitk.Compose([volume(10.0 + i) for i in range(4)]), B_VALUES)
    node = mrml.series_to_volume(series, "dwi")
    assert mrml.diffusion_series(node).phase_encoding == ""
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(tmp_path / "dwi.nii.gz"))
    node.SetAndObserveStorageNodeID(storage.GetID())
    assert mrml.diffusion_series(node).phase_encoding == ""
    (tmp_path / "dwi.json").write_text('{"PhaseEncodingDirection": "i-"}')
    assert mrml.diffusion_series(node).phase_encoding == "i-"
    handed = finished(copy_study("01", {Modality.DWI: node}))
    assert handed.phase_encoding == "i-"


def test_b_values_come_back_from_a_nrrd_file(scene, tmp_path):
    """As from Slicer's DICOM and NRRD readers: b is the squared gradient length of the nominal value."""
    array = np.arange(4 * 3 * 4 * 5, dtype=np.int16).reshape(5, 4, 3, 4)
    header = "\n".join(
        (
            "NRRD0005",
            "type: short",
            "dimension: 4",
            "space: left-posterior-superior",
            "sizes: 4 3 4 5",
            "space directions: none (2,0,0) (0,2,0) (0,0,3)",
            "kinds: vector space space space",
            "endian: little",
            "encoding: raw",
            "space origin: (1,2,3)",
            "measurement frame: (1,0,0) (0,1,0) (0,0,1)",
            "modality:=DWMRI",
            "DWMRI_b-value:=1000",
            "DWMRI_gradient_0000:=0 0 0",
            "DWMRI_gradient_0001:=0.5 0 0",
            "DWMRI_gradient_0002:=0 1 0",
            "DWMRI_gradient_0003:=0 0.70710678 0.70710678",
            "\n",
        )
    )
    (tmp_path / "dwi.nrrd").write_bytes(header.encode() + array.tobytes())
    node = scene.AddNewNodeByClass("vtkMRMLDiffusionWeightedVolumeNode", "from file")
    storage = scene.AddNewNodeByClass("vtkMRMLNRRDStorageNode")
    storage.SetFileName(str(tmp_path / "dwi.nrrd"))
    assert storage.ReadData(node)
    series = mrml.diffusion_series(node)
    assert series.b_values == (0.0, 250.0, 1000.0, 1000.0)
    assert series.image.GetOrigin() == pytest.approx((1.0, 2.0, 3.0))


def test_one_nominal_b_value_means_zero_without_a_direction(scene):
    node = scene.AddNewNodeByClass("vtkMRMLDiffusionWeightedVolumeNode", "nominal")
    fill(node, sitk.Compose([volume(1.0), volume(2.0), volume(3.0)]))
    node.SetNumberOfGradients(3)
    for i, gradient in enumerate(([0, 0, 0], [1, 0, 0], [0, 0, 1])):
        node.SetBValue(i, 800.0)
        node.SetDiffusionGradient(i, gradient)
    assert mrml.diffusion_series(node).b_values == (0.0, 800.0, 800.0)


def test_given_b_values_win(scene):
    series = DiffusionSeries(sitk.Compose([volume(1.0), volume(2.0)]), (0.0, 1000.0))
    assert mrml.diffusion_series(mrml.series_to_volume(series, "dwi"), [0, 800]).b_values == (0.0, 800.0)


def test_volumes_without_b_values_ask_for_them(scene):
    node = vector_node()
    with pytest.raises(InputError, match="multi: no b-values; needed: 4 b-values"):
        mrml.diffusion_series(node)
    assert mrml.diffusion_series(node, B_VALUES).b_values == B_VALUES
    assert mrml.series_b_values(node, B_VALUES) == B_VALUES
    for read in (mrml.diffusion_series, mrml.series_b_values):
        with pytest.raises(InputError, match="3 b-values for 4 volumes"):
            read(node, (0, 1, 2))
        with pytest.raises(InputError, match="no b-values"):
            read(node)


@pytest.mark.parametrize(
    ("tag", "labels", "expected"),
    [
        ("Siemens.B-value", "0,50,150,1000", B_VALUES),
        ("GE.B-value", "1000000000,1000000050,1000000150,1000001000", B_VALUES),
        ("GE.B-value", "1000000,1000050,1000150,1001000", B_VALUES),
        ("AcquisitionTime", "0,50,150,1000", None),
        ("Standard.B-value", "a,b,c,d", None),
        ("Standard.B-value", "0,0,0,0", None),
    ],
)
def test_multi_volume_labels(scene, tag, labels, expected):
    node = vector_node()
    node.SetAttribute("MultiVolume.FrameLabels", labels)
    node.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagName", tag)
    if expected is None:
        with pytest.raises(InputError, match="no b-values"):
            mrml.diffusion_series(node)
    else:
        assert mrml.diffusion_series(node).b_values == expected


def test_sequences(scene):
    known = mrml.diffusion_series(sequence_node(scene, "b-value", "s/mm2"))
    assert known.b_values == B_VALUES
    assert mrml.series_b_values(sequence_node(scene, "b-value", "s/mm2")) == B_VALUES
    assert levels(known) == [10.0, 11.0, 12.0, 13.0]
    frames = sequence_node(scene, "time", "s", range(4))
    with pytest.raises(InputError, match="frames: no b-values"):
        mrml.diffusion_series(frames)
    assert mrml.diffusion_series(frames, B_VALUES).b_values == B_VALUES


def test_separate_volumes(scene):
    nodes = [mrml.image_to_volume(volume(10.0 + i), f"b{b:g}") for i, b in enumerate(B_VALUES)]
    series = mrml.diffusion_series(nodes, B_VALUES)
    assert levels(series) == [10.0, 11.0, 12.0, 13.0]
    with pytest.raises(InputError, match="no b-values"):
        mrml.diffusion_series(nodes)
    other = mrml.image_to_volume(volume(1.0, (2, 2, 2)), "other grid")
    with pytest.raises(InputError, match="other grid"):
        mrml.diffusion_series([*nodes, other], (*B_VALUES, 5.0))
    with pytest.raises(InputError, match="a single volume"):
        mrml.diffusion_series(nodes[:1], [0])


@pytest.mark.parametrize("text", ["", "x", "3", "[1, null]", '{"a": 1}'])
def test_an_edited_attribute_is_passed_over(scene, text):
    node = mrml.series_to_volume(
        DiffusionSeries(sitk.Compose([volume(1.0), volume(2.0)]), (0.0, 900.0)), "dwi"
    )
    node.SetAttribute("SynthCBV.BValues", text)
    assert mrml.diffusion_series(node).b_values == (0.0, 900.0)


def test_a_single_volume_is_no_series(scene):
    with pytest.raises(InputError, match="b0: a single volume"):
        mrml.diffusion_series(mrml.image_to_volume(volume(1.0), "b0"))


def test_study_goes_into_the_scene_and_comes_back(scene):
    asl = AslSeries(volume(5.0), volume(4.0), volume(9.0), "pcasl", 1.8, 2.0)
    series = DiffusionSeries(sitk.Compose([volume(10.0 + i) for i in range(4)]), B_VALUES)
    study = Study("07", {Modality.T2W: volume(3.0), Modality.DWI: series, Modality.CBF: asl})
    nodes = mrml.add_study(study)
    assert nodes[Modality.T2W].GetName() == "sub-07 T2w"
    back = mrml.study_from_nodes(
        "07",
        {Modality.T2W: nodes[Modality.T2W], Modality.DWI: nodes[Modality.DWI]},
        asl=mrml.AslNodes(nodes["control"], nodes["label"], nodes["M0"], "pcasl", 1.8, 2.0),
    )
    assert back.images[Modality.DWI].b_values == B_VALUES
    assert back.images[Modality.CBF].post_label_delay == 2.0
    assert sitk.GetArrayFromImage(back.images[Modality.CBF].m0).mean() == 9.0
    assert same_grid(back.images[Modality.T2W], volume(0.0), 1e-9)


def test_repeats_of_control_and_label_are_averaged(scene):
    control = mrml.image_to_volume(sitk.Compose([volume(4.0), volume(8.0)]), "control")
    m0 = mrml.image_to_volume(volume(9.0), "M0")
    study = mrml.study_from_nodes("1", {}, asl=mrml.AslNodes(control, control, m0))
    assert sitk.GetArrayFromImage(study.images[Modality.CBF].control).mean() == 6.0


def test_unusable_studies_are_refused(scene):
    good = mrml.image_to_volume(volume(1.0), "good")
    zeros = mrml.image_to_volume(volume(0.0), "blank")
    holes = mrml.image_to_volume(volume(np.nan), "holes")
    with pytest.raises(InputError, match="blank: only zeros"):
        mrml.study_from_nodes("1", {Modality.T1W: zeros})
    with pytest.raises(InputError, match="holes: 60 voxels"):
        mrml.study_from_nodes("1", {Modality.T1W: holes})
    with pytest.raises(InputError, match="letters and digits"):
        mrml.study_from_nodes("a b", {Modality.T1W: good})
    with pytest.raises(InputError, match="no volumes"):
        mrml.study_from_nodes("1", {})
    with pytest.raises(InputError, match="4 components"):
        mrml.study_from_nodes("1", {Modality.T1W: vector_node()})
    with pytest.raises(InputError, match="one of the two"):
        mrml.study_from_nodes("1", {Modality.CBF: good}, asl=mrml.AslNodes(good, good, good))
