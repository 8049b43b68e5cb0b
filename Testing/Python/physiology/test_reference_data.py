"""Real data and published reference objects; skipped where they are not beside the repository."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.imaging.study import AslSeries
from SynthCBVLib.physiology import asl, dsc, ivim, maps


def read(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.fixture(scope="module")
def cord(reference_data):
    """Signals, b-values and published maps of the voxels with R² > .9."""
    folder = reference_data / "ivim_cord7T"
    names = {"s0": "S0_map", "d": "D_map", "f": "Fivim_map", "d_star": "Dstar_map"}
    chosen = read(folder / "R2_map.nii.gz") > 0.9
    published = {name: read(folder / f"{file}.nii.gz")[chosen] for name, file in names.items()}
    signals = np.moveaxis(read(folder / "dwi_rl.nii.gz"), 0, -1)
    b = np.array((folder / "bval_rl.txt").read_text().split(), float)
    return signals, chosen, b, published


def test_cord_at_7_tesla_agrees_with_the_published_maps(cord):
    """The published fit kept f below .37 and D* below .0373, as the maps' largest values tell."""
    signals, chosen, b, published = cord
    bounds = ivim.Bounds(d=(1e-4, 5.2e-3), f=(0.0, 0.3675), d_star=(1e-4, 0.0373))
    found = ivim.fit(signals[chosen], b, method="nlls", bounds=bounds)
    least = {"s0": 0.99, "d": 0.97, "f": 0.85, "d_star": 0.75}
    for name, bar in least.items():
        assert np.corrcoef(getattr(found, name), published[name])[0, 1] >= bar, name


def test_cord_by_the_default_fit(cord):
    signals, chosen, b, published = cord
    found = ivim.fit(signals, b)
    assert found.d.shape == signals.shape[:-1]
    assert np.isfinite([found.d, found.f, found.d_star, found.s0]).all()
    assert found.valid[chosen].all()
    least = {"s0": 0.97, "d": 0.9, "f": 0.6}
    for name, bar in least.items():
        assert np.corrcoef(getattr(found, name)[chosen], published[name])[0, 1] >= bar, name


def test_dsc_reference_object_within_its_tolerances(reference_data):
    rows = list(csv.DictReader((reference_data / "osipi_dsc" / "dsc_data.csv").open()))
    assert len(rows) == 14
    for row in rows:
        tissue, artery = (np.array(row[name].split(), float) for name in ("C_tis", "C_aif"))
        times = np.arange(tissue.size) * float(row["tr"])
        protocol = dsc.DscProtocol(quantity="delta_r2star")
        found = dsc.perfusion(tissue[None], times, protocol, arterial_input=artery)
        assert abs(found.cbv[0] - float(row["cbv"])) <= 1 + 0.1 * float(row["cbv"]), row["label"]
        assert abs(found.cbf[0] - float(row["cbf"])) <= 15 + 0.1 * float(row["cbf"]), row["label"]


def test_real_dsc_patch_is_highest_at_the_artery(reference_data):
    """The patch repeats one curve at several delays; the artery's comes first and reaches highest."""
    curves = np.moveaxis(read(reference_data / "osipi_dsc" / "test_concentration.nii"), 0, -1)
    times = np.arange(curves.shape[-1]) * 1.5
    half = (curves > 0.2 * curves.max(-1, keepdims=True)).argmax(-1)
    artery = half == half.min()
    assert artery[np.unravel_index(curves.max(-1).argmax(), artery.shape)]
    for leakage in ("none", "unidirectional", "bidirectional"):
        found = dsc.relative_cbv(curves, times, dsc.DscProtocol(quantity="delta_r2star", leakage=leakage))
        assert np.isfinite(found).all()
        assert found[artery].mean() > found[~artery].mean()
        assert artery[np.unravel_index(found.argmax(), found.shape)]
    # As signals the same is seen.
    found = dsc.relative_cbv(800 * np.exp(-0.03 * 30 * curves), times)
    assert artery[np.unravel_index(found.argmax(), found.shape)]


def test_real_asl_shows_cortical_perfusion(reference_data):
    folder = reference_data / "siemens_pcasl"
    # Control and label means are stored tenfold.
    control, label = (
        sitk.ReadImage(str(folder / f"pcasl3d_{name}_mean_x10.nii.gz"), sitk.sitkFloat32) / 10
        for name in ("control", "label")
    )
    m0 = sitk.ReadImage(str(folder / "pcasl3d_m0.nii.gz"), sitk.sitkFloat32)
    series = AslSeries(control, label, m0, "pcasl")
    cbf = sitk.GetArrayFromImage(maps.cbf_map(series, asl.AslProtocol()))
    assert np.isfinite(cbf).all()
    bright = sitk.GetArrayFromImage(m0) > 0.3 * np.percentile(sitk.GetArrayFromImage(m0), 99)
    relative = sitk.GetArrayFromImage(control - label)[bright] / sitk.GetArrayFromImage(m0)[bright]
    assert np.corrcoef(cbf[bright], relative)[0, 1] > 0.999
    assert 5 < np.median(cbf[bright]) < 150
