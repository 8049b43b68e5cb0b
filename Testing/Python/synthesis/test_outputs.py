"""Maps of a synthesis in every format, with equal values and geometry, all or none."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import read_image
from SynthCBVLib.imaging.study import Modality, same_grid
from SynthCBVLib.synthesis.outputs import write_synthesis
from SynthCBVLib.synthesis.pipeline import Synthesis


@pytest.fixture
def result():
    array = np.random.default_rng(0).gamma(2.0, 1.0, (4, 5, 6)).astype(np.float32)
    rcbv = sitk.GetImageFromArray(array)
    rcbv.SetSpacing((1.5, 1.5, 5.0))
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.2, 0.1, -0.3)
    rcbv.SetDirection(turn.GetMatrix())
    provenance = {
        "software": {"name": "SynthCBV", "version": "1"},
        "unit": "multiple of the brain's mean rCBV",
        "model": {"name": "asl", "version": "1", "weights_sha256": "ab" * 32},
        "inputs": {"CBF": {"sha256": "x"}},
    }
    mask = sitk.Cast(rcbv > 1.0, sitk.sitkUInt8)
    return Synthesis(rcbv, rcbv * 0.5, mask, provenance, (), Modality.T1W, {})


@pytest.mark.parametrize(("format", "suffix"), [("nifti", ".nii.gz"), ("nrrd", ".nrrd")])
def test_images_with_sidecars(result, tmp_path, format, suffix):
    paths = write_synthesis(result, tmp_path / "out", "01", format)
    for kind, image in (("rcbv", result.rcbv), ("uncertainty", result.uncertainty), ("mask", result.mask)):
        assert paths[kind].name.endswith(suffix)
        again = read_image(paths[kind])
        assert same_grid(again, image)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(again), sitk.GetArrayFromImage(image))
        sidecar = json.loads(
            paths[kind].with_name(paths[kind].name.removesuffix(suffix) + ".json").read_text()
        )
        assert sidecar["GeneratedBy"] == result.provenance
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_dicom_maps_with_their_mask(result, tmp_path):
    pm = pytest.importorskip("highdicom.pm")
    paths = write_synthesis(result, tmp_path / "out", "07", "dicom")
    for kind, image in (("rcbv", result.rcbv), ("uncertainty", result.uncertainty)):
        data = pm.ParametricMap.from_file(paths[kind])
        assert data.PatientID == "07"
        volume = data.get_volume()
        for index in np.ndindex(*volume.array.shape):
            place = image.TransformPhysicalPointToIndex((volume.affine @ (*index, 1))[:3])
            assert image[place] == volume.array[index]
    assert same_grid(read_image(paths["mask"]), result.mask)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "sub-07_desc-brain_mask.json", "sub-07_desc-brain_mask.nii.gz", "sub-07_desc-synthetic_rcbv.dcm",
        "sub-07_desc-synthetic_stat-sd_rcbv.dcm",
    ]  # fmt: skip


def test_failed_dicom_leaves_nothing(result, tmp_path):
    pytest.importorskip("highdicom")
    with pytest.raises(InputError, match="without source files"):
        write_synthesis(result, tmp_path / "out", "01", "dicom", identified=True)
    with pytest.raises(InputError, match="one of nifti, nrrd, dicom"):
        write_synthesis(result, tmp_path / "out", "01", "jpeg")
    assert not list(tmp_path.iterdir())
