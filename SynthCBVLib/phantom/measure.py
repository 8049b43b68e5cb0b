"""What one digital patient shows when it is measured as a real one would be."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, like
from SynthCBVLib.phantom.best_guess import SHOWN, guessed_rcbv
from SynthCBVLib.phantom.contrast import point_spread
from SynthCBVLib.phantom.patient import DigitalPatient
from SynthCBVLib.phantom.truth import Truth

#: Inputs of the voxelwise regression besides the averaged DWI.
INPUTS = (Modality.T2W, Modality.T1W, Modality.FLAIR, Modality.T1C, Modality.ADC, Modality.CBF)
#: True maps and the measured ones that are held against them.
TRUE_MAPS = ("f", "d", "d_star", "cbv", "cbf", "arterial_transit_time")
TISSUES = ("grey", "white", "solid")
#: Later blood than this (s) does not reach tissue within the label's delay.
LATE = 1.8


@dataclass(frozen=True)
class Measured:
    """Figures and maps of one patient, on the grid of its rCBV map.

    Attributes
    ----------
    seed, idh : int and str
    means : dict
        Mean of each true and measured map in pure tissue: ``means[tissue][map]``.
    ratios : dict
        T/WM ratio of real rCBV ("rcbv"), fitted f ("f"), ASL CBF ("cbf"), true CBV ("cbv"), and the best
        guess from what each workflow's inputs show ("IVIM", "ASL"; see `best_guess`).
    snr : float
        Of one DWI image at b = 0, white matter.
    grey_correlation, lesion_correlation : float
        Of ASL CBF with DSC CBV over cortex and over solid tumour, on the ASL grid.
    arrival : float
        Mean arrival time in solid tumour, s.
    real, true, vessels, brain, features : ndarray
        Real rCBV over that of white matter, true rCBV and large vessels' fraction with the blur of DSC, brain
        mask, inputs (n, ...) over their brain means.
    image : sitk.Image
        `real` as an image.
    """

    seed: int
    idh: str
    means: dict[str, dict[str, float]]
    ratios: dict[str, float]
    snr: float
    grey_correlation: float
    lesion_correlation: float
    arrival: float
    real: np.ndarray = field(repr=False)
    true: np.ndarray = field(repr=False)
    vessels: np.ndarray = field(repr=False)
    brain: np.ndarray = field(repr=False)
    features: np.ndarray = field(repr=False)
    image: sitk.Image = field(repr=False)


def measure(patient: DigitalPatient) -> Measured:
    """Simulate a patient with all modalities and measure it.

    f and D are fitted by `physiology.ivim`; everything is brought to the rCBV map's grid by the true
    transforms, so that no registration error enters.
    """
    array = sitk.GetArrayFromImage
    study = patient.study()
    truth = patient.truth(Modality.RCBV)
    reference = study.scalar(Modality.RCBV)
    pure = _pure_tissue(truth)

    def brought(image: sitk.Image, modality: Modality) -> sitk.Image:
        return resample(image, reference, patient.transform(modality, Modality.RCBV))

    maps = {modality: array(brought(study.scalar(modality), modality)) for modality in INPUTS}
    series = study.images[Modality.DWI]
    mean = series.averaged()
    averaged = [array(brought(v, Modality.DWI)) for v in DiffusionSeries(mean.image, mean.b_values).volumes()]
    fitted = _fitted(patient, np.concatenate([array(m)[None] for m in series.volumes()]), truth, reference)
    real = array(reference)
    level = real[pure["white"]].mean()
    real = real / level
    means: dict[str, dict[str, float]] = {}
    for tissue, mask in pure.items():
        if mask.sum() < 20:
            continue
        of = {
            **{name: array(getattr(truth, name)) for name in TRUE_MAPS},
            "true rCBV": array(truth.rcbv),
            "real rCBV": real,
            "fitted f": fitted["f"],
            "fitted D": fitted["d"],
            "ADC": maps[Modality.ADC],
            "ASL CBF": maps[Modality.CBF],
        }
        values = {name: float(np.nanmean(image[mask])) for name, image in of.items()}
        means[tissue] = values
    brain = array(truth.brain) > 0
    blurred = [point_spread(array(i), patient.protocol.dsc) for i in (truth.rcbv, truth.vessels)]
    features = [*averaged, *(maps[m] for m in INPUTS)]
    first = features[0][brain].mean()
    scales = [first] * len(averaged) + [float(m[brain].mean()) for m in features[len(averaged) :]]
    stacked = np.stack([f / s for f, s in zip(features, scales, strict=True)]).astype(np.float32)
    grey_r, lesion_r = _flow_against_volume(patient, study.scalar(Modality.CBF), reference, truth)
    arrival = means["solid"]["arterial_transit_time"] if "solid" in means else float("nan")
    return Measured(
        patient.seed, patient.idh, means, _ratios(patient, truth, real, fitted["f"], maps[Modality.CBF]),
        _snr(patient, series.volumes(), truth), grey_r, lesion_r, arrival, real.astype(np.float32),
        blurred[0], blurred[1], brain, stacked, like(real.astype(np.float32), reference),
    )  # fmt: skip


def _pure_tissue(truth: Truth) -> dict[str, np.ndarray]:
    """Masks of voxels that are almost one tissue, away from large vessels."""
    array = sitk.GetArrayFromImage
    free = (array(truth.vessels) < 0.01) & (array(truth.brain) > 0)
    healthy = free & (array(truth.lesion_fraction) < 0.001)
    return {
        "grey": healthy & (array(truth.grey) > 0.85),
        "white": healthy & (array(truth.white) > 0.95),
        "solid": free & (array(truth.solid) > 0.9),
    }


def _fitted(
    patient: DigitalPatient, volumes: np.ndarray, truth: Truth, reference: sitk.Image
) -> dict[str, np.ndarray]:
    """Fit IVIM where it is looked at and bring the maps to the reference; NaN elsewhere."""
    from SynthCBVLib.physiology import ivim

    array = sitk.GetArrayFromImage
    grid = patient.grid(Modality.DWI)
    pure = _pure_tissue(truth)
    wanted = pure["solid"].copy()
    rng = np.random.default_rng(0)
    for tissue in ("grey", "white"):
        flat = np.flatnonzero(pure[tissue])
        wanted.ravel()[rng.choice(flat, min(flat.size, 1500), replace=False)] = True
    for mask in (*truth.tumour, *truth.white_matter):
        wanted |= array(mask) > 0
    near = ndimage.binary_dilation(wanted, np.ones((3, 3, 3)))
    there = resample(
        like(near.astype(np.uint8), reference),
        grid,
        patient.transform(Modality.RCBV, Modality.DWI),
        "nearest",
    )
    inside = array(there) > 0
    maps = ivim.fit(np.moveaxis(volumes, 0, -1)[inside], patient.protocol.b_values, workers=1)
    back = patient.transform(Modality.DWI, Modality.RCBV)
    result = {}
    known = array(resample(like(inside.astype(np.float32), grid), reference, back))
    for name in ("f", "d"):
        full = np.zeros(inside.shape, np.float32)
        full[inside] = getattr(maps, name)
        values = array(resample(like(full, grid), reference, back))
        result[name] = np.where(
            known > 0.99, values, np.where(known > 0.5, values / np.maximum(known, 0.5), np.nan)
        )
    return result


def _ratios(
    patient: DigitalPatient, truth: Truth, real: np.ndarray, f: np.ndarray, cbf: np.ndarray
) -> dict[str, float]:
    from SynthCBVLib.analysis.regions import t_wm_ratio

    if not truth.tumour:
        return {}
    maps = {"rcbv": real, "f": np.nan_to_num(f), "cbf": cbf, "cbv": sitk.GetArrayFromImage(truth.cbv)}
    maps |= {workflow: guessed_rcbv(patient, shown) for workflow, shown in SHOWN.items()}
    tumour, white = (
        [sitk.GetArrayFromImage(m) for m in masks] for masks in (truth.tumour, truth.white_matter)
    )
    return {name: t_wm_ratio(values, tumour, white, name=name).ratio for name, values in maps.items()}


def _snr(patient: DigitalPatient, volumes: list[sitk.Image], truth: Truth) -> float:
    """SNR of one b = 0 image in white matter, from the difference of its first two repeats."""
    array = sitk.GetArrayFromImage
    white = array(resample(truth.white, volumes[0], patient.transform(Modality.RCBV, Modality.DWI))) > 0.95
    first, second = (
        array(v)[white] for v, b in zip(volumes, patient.protocol.b_values, strict=True) if b == 0
    )
    return float(np.mean((first + second) / 2) / (np.std(first - second) / np.sqrt(2)))


def _flow_against_volume(
    patient: DigitalPatient, cbf: sitk.Image, rcbv: sitk.Image, truth: Truth
) -> tuple[float, float]:
    """Correlate ASL CBF with DSC CBV over grey matter and over solid tumour, voxel by voxel of the ASL grid.

    CBV is brought to the resolution of ASL; voxels with a large vessel, or at the brain's surface with its
    veins, are left out.
    """
    array = sitk.GetArrayFromImage
    transform = patient.transform(Modality.RCBV, Modality.CBF)
    sigma = patient.protocol.asl.blur / 2.355 / cbf.GetSpacing()[0]
    volume, grey, vessels, sick, solid, brain = (
        ndimage.gaussian_filter(array(resample(image, cbf, transform)).astype(np.float32), (0, sigma, sigma))
        for image in (rcbv, truth.grey, truth.vessels, truth.lesion_fraction, truth.solid, truth.brain)
    )
    flow = array(cbf)
    inner = (vessels < 0.01) & (brain > 0.98)

    def correlation(mask: np.ndarray) -> float:
        return float(np.corrcoef(flow[mask], volume[mask])[0, 1]) if mask.sum() > 12 else float("nan")

    return correlation(inner & (grey > 0.25) & (sick < 0.01)), correlation(inner & (solid > 0.5))
