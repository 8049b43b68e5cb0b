"""Synthesis from study to map: geometry, determinism, provenance, fall-backs."""

import dataclasses
import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SynthCBVLib.errors import Cancelled, InputError
from SynthCBVLib.imaging.files import read_image
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, same_grid
from SynthCBVLib.synthesis import inference, synthesize
from SynthCBVLib.synthesis.companions import companions
from SynthCBVLib.synthesis.outputs import write_synthesis

WORKFLOWS = ("ivim", "asl")


@pytest.fixture(scope="module")
def results(study, models):
    return {workflow: synthesize(study, models[workflow], device="cpu") for workflow in WORKFLOWS}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_maps_lie_on_the_reference(results, study, workflow):
    result = results[workflow]
    reference = study.scalar({"ivim": Modality.T2W, "asl": Modality.T1W}[workflow])
    for image in (result.rcbv, result.uncertainty, result.mask):
        assert same_grid(image, reference)
    values, mask = sitk.GetArrayFromImage(result.rcbv), sitk.GetArrayFromImage(result.mask)
    assert values.dtype == np.float32
    assert mask.dtype == np.uint8
    assert values.min() >= 0
    assert not values[mask == 0].any()
    assert (sitk.GetArrayFromImage(result.uncertainty)[mask > 0] > 0).all()


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_same_input_same_bytes(results, study, models, workflow):
    again = synthesize(study, models[workflow], device="cpu")
    for name in ("rcbv", "uncertainty", "mask"):
        first, second = getattr(results[workflow], name), getattr(again, name)
        assert sitk.GetArrayFromImage(first).tobytes() == sitk.GetArrayFromImage(second).tobytes()
    assert json.dumps(again.provenance) == json.dumps(results[workflow].provenance)


def test_scanner_scale_does_not_matter(results, study, models):
    series = study.images[Modality.DWI]
    louder = sitk.JoinSeries([volume * 7.0 for volume in series.volumes()])
    scaled = {m: image * 0.25 for m, image in study.images.items() if m is not Modality.DWI}
    scaled[Modality.DWI] = DiffusionSeries(louder, series.b_values)
    for workflow in WORKFLOWS:
        other = synthesize(Study("01", scaled), models[workflow], device="cpu")
        np.testing.assert_allclose(
            sitk.GetArrayFromImage(other.rcbv), sitk.GetArrayFromImage(results[workflow].rcbv), atol=1e-4
        )


def test_provenance_names_what_was_used(results, models):
    for workflow in WORKFLOWS:
        found = results[workflow].provenance
        assert found["model"]["weights_sha256"] == models[workflow].sha256
        assert found["device"] == "cpu"
        assert found["unit"] == models[workflow].card.output.unit
        assert set(found["inputs"]) == {spec.modality.value for spec in models[workflow].card.inputs}
        assert set(found["registration"]) == set(found["inputs"]) - {found["reference"]}
        assert all({"before", "after", "applied"} <= entry.keys() for entry in found["registration"].values())


def test_relative_perfusion_is_a_finding(study, models):
    m0 = study.scalar(Modality.T1W)
    images = {Modality.T1W: m0, Modality.CBF: AslSeries(m0, m0 * 0.99, m0)}
    result = synthesize(Study("01", images), models["asl"], device="cpu")
    assert any("No label duration and no post-labelling delay recorded" in f.what for f in result.findings)
    assert any("recorded" in entry["what"] for entry in result.provenance["findings"])


def test_progress_rises_to_one_and_can_cancel(study, models):
    seen = []
    synthesize(study, models["asl"], device="cpu", progress=lambda fraction, _: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def stop(fraction, message):
        if fraction > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        synthesize(study, models["asl"], device="cpu", progress=stop)


def test_required_image_missing(study, models):
    with pytest.raises(InputError, match="DWI"):
        synthesize(Study("01", {Modality.T2W: study.images[Modality.T2W]}), models["ivim"])


def test_full_device_falls_back_to_the_cpu_and_says_so(study, models, monkeypatch, results):
    run = inference._run

    def full(network, channels, present, target):
        if target.type != "cpu":
            raise torch.OutOfMemoryError("no room")
        return run(network, channels, present, target)

    monkeypatch.setattr(inference, "_run", full)
    monkeypatch.setattr(inference, "choose_device", lambda device: torch.device("cuda"))
    result = synthesize(study, models["asl"])
    assert result.provenance["device"] == "cpu"
    assert any("ran out of memory" in finding.what for finding in result.findings)
    assert np.array_equal(
        sitk.GetArrayViewFromImage(result.rcbv), sitk.GetArrayViewFromImage(results["asl"].rcbv)
    )


def test_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="abacus"):
        inference.choose_device("abacus")


def test_written_maps_read_back_with_their_provenance(results, tmp_path):
    result = results["ivim"]
    paths = write_synthesis(result, tmp_path / "out", "01")
    assert same_grid(read_image(paths["rcbv"]), result.rcbv)
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(read_image(paths["rcbv"])), sitk.GetArrayFromImage(result.rcbv)
    )
    sidecar = json.loads((tmp_path / "out" / "sub-01_desc-synthetic_rcbv.json").read_text(encoding="utf-8"))
    assert sidecar["Units"] == result.provenance["unit"]
    assert sidecar["GeneratedBy"]["model"]["weights_sha256"] == result.provenance["model"]["weights_sha256"]
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_failed_writing_leaves_nothing(results, tmp_path, monkeypatch):
    calls = []

    def failing(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError("disk full")
        return write(*arguments, **options)

    write = sitk.WriteImage
    monkeypatch.setattr(sitk, "WriteImage", failing)
    with pytest.raises(InputError, match="cannot be written"):
        write_synthesis(results["ivim"], tmp_path / "out", "01")
    assert not list(tmp_path.iterdir())


def test_companions_lie_on_the_reference(results, study, models):
    images = {**study.images, Modality.RCBV: study.images[Modality.CBF][:, :, 2:]}
    found = companions(Study("01", images), results["ivim"], models["ivim"].card)
    for image in (found.real, found.real_normalised, found.compared, found.f):
        assert same_grid(image, results["ivim"].rcbv)
    compared = sitk.GetArrayFromImage(found.compared)
    assert not compared[:2].any()
    assert (compared <= sitk.GetArrayFromImage(results["ivim"].mask)).all()
    f = sitk.GetArrayFromImage(found.f)
    assert f.min() >= 0
    assert f.max() <= 1
    assert np.median(f[compared > 0]) < 0.05, "a mono-exponential head has next to no perfusion fraction"


def test_two_b_values_cost_the_f_map_and_nothing_else(results, study, models):
    series = study.images[Modality.DWI]
    volumes = series.volumes()
    clinical = DiffusionSeries(sitk.JoinSeries([volumes[0], volumes[-1]]), (0, 1000))
    found = companions(
        Study("01", {**study.images, Modality.DWI: clinical}), results["asl"], models["asl"].card
    )
    assert found.f is None
    assert any("no IVIM f map" in finding.what for finding in found.findings)


def test_nan_outside_the_brain_of_a_real_map_is_no_hindrance(results, study, models):
    array = sitk.GetArrayFromImage(study.scalar(Modality.CBF))
    array[0, 0, 0] = np.nan
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(study.scalar(Modality.CBF))
    with_real = Study("01", {**study.images, Modality.RCBV: image})
    synthesize(with_real, models["asl"], device="cpu")
    found = companions(with_real, results["asl"], models["asl"].card)
    assert np.isfinite(sitk.GetArrayFromImage(found.real)).all()
    assert any("not finite" in finding.what for finding in found.findings)


def test_network_that_finds_no_brain_is_told_and_the_images_mask_used(study, models, monkeypatch):
    from SynthCBVLib.synthesis import pipeline

    run = pipeline.infer_brain

    def blind(*arguments, **options):
        return dataclasses.replace(run(*arguments, **options), mask=np.zeros((10, 32, 32), dtype=bool))

    monkeypatch.setattr(pipeline, "infer_brain", blind)
    result = synthesize(study, models["asl"], device="cpu")
    assert sitk.GetArrayFromImage(result.mask).any()
    assert any("found no brain" in finding.what for finding in result.findings)


@pytest.mark.parametrize("device", ["cpu:abc", "cuda:99", ""])
def test_device_names_that_torch_refuses_are_bad_input(device):
    with pytest.raises(InputError, match="device"):
        inference.choose_device(device)
