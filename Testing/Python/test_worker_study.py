"""A study on its way to the worker arrives as it was, to the last digit of its geometry."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import DiffusionSeries, Modality
from SynthCBVLib.worker.handover import Volume, read_volumes, write_volumes
from SynthCBVLib.worker.study import AslTiming, HandedStudy


def image(level: float, dtype=np.float32) -> sitk.Image:
    rng = np.random.default_rng(int(level))
    made = sitk.GetImageFromArray((level + rng.random((3, 5, 4))).astype(dtype))
    made.SetSpacing((1 / 3, 1.1, 5.000000001))
    made.SetOrigin((-20.123456789123, 1e-7, 3.25))
    made.SetDirection([0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1])
    return made


def same(a: sitk.Image, b: sitk.Image) -> bool:
    return (
        a.GetPixelID() == b.GetPixelID()
        and np.array_equal(sitk.GetArrayViewFromImage(a), sitk.GetArrayViewFromImage(b))
        and (a.GetSpacing(), a.GetOrigin(), a.GetDirection())
        == (b.GetSpacing(), b.GetOrigin(), b.GetDirection())
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_a_volume_comes_back_bit_for_bit(tmp_path, dtype):
    scalar, vector = image(3.0, dtype), sitk.Compose([image(4.0, dtype), image(5.0, dtype)])
    write_volumes(tmp_path, {"a": Volume.of(scalar, "a b/ü"), "b": Volume.of(vector, "b")}, {"x": [1, None]})
    volumes, more = read_volumes(tmp_path)
    assert same(volumes["a"].image(), scalar)
    assert same(volumes["b"].image(), vector)
    assert volumes["a"].name == "a b/ü"
    assert more == {"x": [1, None]}


def test_a_study_comes_back(tmp_path):
    dwi = (Volume.of(sitk.Compose([image(9.0), image(5.0), image(1.0)]), "dwi"),)
    handed = HandedStudy("01", {Modality.T2W: (Volume.of(image(3.0), "t2"),), Modality.DWI: dwi},
                         (0.0, 50.0, 1000.0), series="my DWI")  # fmt: skip
    handed.write(tmp_path)
    study, again = handed.study(), HandedStudy.read(tmp_path).study()
    assert again.subject == "01"
    assert same(again.images[Modality.T2W], study.images[Modality.T2W])
    series = again.images[Modality.DWI]
    assert isinstance(series, DiffusionSeries)
    assert (series.b_values, series.name) == ((0.0, 50.0, 1000.0), "my DWI")
    assert same(series.image, study.images[Modality.DWI].image)


def test_labelling_comes_back_with_its_timing_and_means_of_repeats(tmp_path):
    repeats = sitk.Compose([image(10.0), image(20.0)])
    parts = (Volume.of(repeats, "c"), Volume.of(image(8.0), "l"), Volume.of(image(99.0), "m0"))
    HandedStudy("02", {}, asl=parts, timing=AslTiming("pasl", 0.7, None)).write(tmp_path)
    asl = HandedStudy.read(tmp_path).study().images[Modality.CBF]
    assert (asl.labelling, asl.label_duration, asl.post_label_delay, asl.name) == ("pasl", 0.7, None, "c")
    mean = (sitk.GetArrayFromImage(image(10.0)) + sitk.GetArrayFromImage(image(20.0))) / 2
    np.testing.assert_allclose(sitk.GetArrayFromImage(asl.control), mean, rtol=1e-6)


def test_what_the_voxels_lack_is_told_at_the_other_end(tmp_path):
    empty = image(0.0) * 0.0
    HandedStudy("01", {Modality.T2W: (Volume.of(empty, "blank"),)}).write(tmp_path)
    with pytest.raises(InputError, match="blank: only zeros"):
        HandedStudy.read(tmp_path).study()
