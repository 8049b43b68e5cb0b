import argparse
import importlib
import json

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.image_files import write_image
from SynthCBVLib.imaging.study import join_series
from SynthCBVLib.physiology import asl, dsc, ivim

B = (0, 50, 100, 200, 400, 800, 1000)
SIZE = (3, 4, 5)


def run(verb, *arguments):
    module = importlib.import_module(f"SynthCBVLib.cli.{verb}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    assert module.HELP
    module.run(parser.parse_args([str(argument) for argument in arguments]))


def image(values):
    return sitk.GetImageFromArray(np.asarray(values, np.float32))


def read(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.fixture
def dwi(tmp_path):
    f = np.linspace(0.05, 0.2, 60).reshape(SIZE)
    signals = ivim.signal(B, 400.0, 1e-3, f, 15e-3)
    path = tmp_path / "sub-01_dwi.nii.gz"
    write_image(join_series([image(signals[..., i]) for i in range(len(B))]), path)
    (tmp_path / "sub-01_dwi.bval").write_text(" ".join(map(str, B)))
    return path, f


def test_fit_ivim_writes_maps_with_sidecars(dwi, tmp_path, capsys):
    path, f = dwi
    out = tmp_path / "derivatives" / "synthcbv"
    run("fit_ivim", path, "--adc", "--out", out)
    np.testing.assert_allclose(read(out / "sub-01_model-ivim_param-f_dwimap.nii.gz"), f, rtol=0.02)
    np.testing.assert_allclose(read(out / "sub-01_model-ivim_param-d_dwimap.nii.gz"), 1e-3, rtol=0.02)
    sidecar = json.loads((out / "sub-01_model-ivim_param-dstar_dwimap.json").read_text())
    assert sidecar["Units"] == "mm^2/s"
    assert sidecar["Method"] == "bayes"
    assert sidecar["BValues"] == list(B)
    assert sidecar["Sources"] == ["sub-01_dwi.nii.gz"]
    assert sidecar["GeneratedBy"][0]["Name"] == "SynthCBV"
    written = {p.name.removesuffix(".nii.gz") for p in out.glob("*.nii.gz")}
    assert written == {p.stem for p in out.glob("*.json")}
    assert len(written) == 10
    assert "sub-01_model-ivim_param-f_dwimap.nii.gz" in capsys.readouterr().out


def test_fit_ivim_takes_mask_method_and_b_values(dwi, tmp_path):
    path, f = dwi
    mask = np.zeros(SIZE)
    mask[1] = 1
    write_image(image(mask), tmp_path / "mask.nii.gz")
    other = tmp_path / "b.txt"
    (tmp_path / "sub-01_dwi.bval").rename(other)
    run("fit_ivim", path, "--b-values", other, "--mask", tmp_path / "mask.nii.gz", "--method", "nlls")
    found = read(tmp_path / "sub-01_model-ivim_param-f_dwimap.nii.gz")
    assert (found[0] == 0).all()
    np.testing.assert_allclose(found[1], f[1], rtol=0.02)


def test_fit_ivim_leaves_nothing_behind_where_it_fails(dwi, tmp_path):
    path, _ = dwi
    (tmp_path / "sub-01_dwi.bval").write_text("0 300 400 500 600 800 1000".replace("0 300", "250 300", 1))
    out = tmp_path / "out"
    with pytest.raises(InputError, match="one below and one above 200"):
        run("fit_ivim", path, "--out", out)
    assert not out.exists()
    with pytest.raises(InputError, match="a file"):
        (tmp_path / "sub-01_dwi.bval").write_text(" ".join(map(str, B)))
        run("fit_ivim", path, "--out", path)


@pytest.fixture
def labelled(tmp_path):
    flow = np.linspace(20, 80, 60).reshape(SIZE)
    control, m0 = np.full(SIZE, 900.0), np.full(SIZE, 1000.0)
    parts = {"control": control, "label": control - asl.general_kinetic(flow, m0=m0), "m0": m0}
    paths = {}
    for name, values in parts.items():
        paths[name] = tmp_path / f"sub-01_{name}.nii.gz"
        write_image(image(values), paths[name])
    return paths, flow


def test_quantify_asl_from_three_images(labelled, tmp_path):
    paths, flow = labelled
    given = [word for name, path in paths.items() for word in (f"--{name}", path)]
    run("quantify_asl", *given, "--label-duration", 1.8, "--delay", 1.8, "--out", tmp_path / "out")
    np.testing.assert_allclose(read(tmp_path / "out" / "sub-01_cbf.nii.gz"), flow, rtol=1e-3)
    sidecar = json.loads((tmp_path / "out" / "sub-01_cbf.json").read_text())
    assert sidecar["Units"] == "ml/100 g/min"
    assert sidecar["Protocol"]["labelling_efficiency"] == 0.85


def test_quantify_asl_asks_for_what_is_missing(labelled):
    paths, _ = labelled
    with pytest.raises(InputError, match="no --m0"):
        run("quantify_asl", "--control", paths["control"], "--label", paths["label"])
    given = [word for name, path in paths.items() for word in (f"--{name}", path)]
    with pytest.raises(InputError, match="post-labelling delay"):
        run("quantify_asl", *given, "--label-duration", 1.8)
    with pytest.raises(InputError, match="milliseconds"):
        run("quantify_asl", *given, "--label-duration", 1800, "--delay", 1.8)


def test_quantify_asl_from_a_bids_series(labelled, tmp_path):
    paths, flow = labelled
    series = tmp_path / "sub-02_asl.nii.gz"
    write_image(
        join_series([image(read(paths[name])) for name in ("m0", "control", "label")]),
        series,
        {"ArterialSpinLabelingType": "PCASL", "LabelingDuration": 1.8, "PostLabelingDelay": 1.8},
    )
    (tmp_path / "sub-02_aslcontext.tsv").write_text("volume_type\nm0scan\ncontrol\nlabel\n")
    run("quantify_asl", series)
    np.testing.assert_allclose(read(tmp_path / "sub-02_cbf.nii.gz"), flow, rtol=1e-3)


@pytest.fixture
def bolus(tmp_path):
    times = np.arange(50) * 1.5
    volumes = np.where(np.arange(60).reshape(SIZE) % 2, 2.0, 5.0)
    signal = 800 * np.exp(-0.03 * volumes[..., None] * 5 * dsc.gamma_variate(times, 1.0, 15.0, 3.0, 1.5))
    path = tmp_path / "sub-01_dsc.nii.gz"
    write_image(
        join_series([image(signal[..., i]) for i in range(50)]),
        path,
        {"EchoTime": 0.03, "RepetitionTime": 1.5},
    )
    write_image(image(volumes == 2), tmp_path / "white.nii.gz")
    return path, volumes


def test_quantify_dsc_writes_maps_with_sidecars(bolus, tmp_path):
    path, volumes = bolus
    out = tmp_path / "out"
    run("quantify_dsc", path, "--white-matter", tmp_path / "white.nii.gz", "--perfusion", "--out", out)
    np.testing.assert_allclose(read(out / "sub-01_rcbv.nii.gz"), volumes / 2, rtol=0.01)
    sidecar = json.loads((out / "sub-01_rcbv.json").read_text())
    assert sidecar["Units"] == "1 (white matter)"
    assert sidecar["Protocol"]["echo_time"] == 0.03
    assert (out / "sub-01_desc-deconvolved_cbf.nii.gz").is_file()


def test_quantify_dsc_asks_for_the_timing(bolus, tmp_path):
    path, _ = bolus
    (tmp_path / "sub-01_dsc.json").unlink()
    with pytest.raises(InputError, match="EchoTime in seconds"):
        run("quantify_dsc", path)
    with pytest.raises(InputError, match="1500 ms"):
        run("quantify_dsc", path, "--te", 0.03, "--tr", 1500)
    run("quantify_dsc", path, "--te", 0.03, "--tr", 1.5)
    assert (tmp_path / "sub-01_rcbv.nii.gz").is_file()


def test_inputs_are_never_replaced(bolus, tmp_path):
    path, _ = bolus
    taken = tmp_path / "sub-01_rcbv.nii.gz"
    (tmp_path / "white.nii.gz").rename(taken)
    with pytest.raises(InputError, match="another folder"):
        run("quantify_dsc", path, "--white-matter", taken)
