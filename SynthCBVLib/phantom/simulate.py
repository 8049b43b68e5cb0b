"""Signals of a whole patient for each kind of image, on the patient's grid or on the acquisition's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.phantom import signals
from SynthCBVLib.phantom.acquire import Prescription, bias_field, rician, sample
from SynthCBVLib.phantom.artefacts import Distortion, ghosted, moved
from SynthCBVLib.phantom.body import PARENCHYMA, Body, Compartment
from SynthCBVLib.phantom.fields import smooth_field
from SynthCBVLib.phantom.protocol import Acquisition, Protocol
from SynthCBVLib.phantom.tissue import CSF, FAT_LEFT

#: Signal that moving blood keeps in turbo spin echo (flow void) and in echo-planar spin echo.
_FLOW_VOID, _EPI_FLOW = 0.15, 0.5
#: What is left of it in T1-weighted images, and the deviation of its logarithm from place to place: fast
#: arterial blood loses more than slow venous blood, and speed and direction vary.
_T1_FLOW, _FLOW_SPREAD = {"artery": 0.35, "vein": 0.75}, 0.6
_VESSELS = ("artery", "vein")


@dataclass(frozen=True)
class Scan:
    """What one acquisition needs: patient, exam, the head's pose in it and the image's distortion."""

    body: Body
    protocol: Protocol
    prescription: Prescription
    pose: sitk.Transform
    distortion: Distortion | None = None

    def sampled(self, volumes: np.ndarray, acquisition: Acquisition, in_plane: int = 1) -> np.ndarray:
        """Sample volumes of the patient's grid on an acquisition's."""
        sampled = sample(volumes, self.body.grid, acquisition, self.prescription, self.pose, in_plane)
        return sampled if self.distortion is None else self.distortion.apply(sampled)


def structural_signal(modality: Modality, protocol: Protocol) -> Callable[[Compartment], np.ndarray]:
    """Give the signal of a compartment in T1w, T2w, FLAIR or T1c, as if nothing flowed."""
    p = protocol

    def t1w(c: Compartment) -> np.ndarray:
        return signals.inversion_recovery(c.water, c.t1, p.t1w_tr, p.t1w_ti)

    def t1c(c: Compartment) -> np.ndarray:
        return signals.inversion_recovery(
            c.water, signals.enhanced_t1(c.t1, c.gadolinium), p.t1w_tr, p.t1w_ti
        )  # fmt: skip

    def t2w(c: Compartment) -> np.ndarray:
        return signals.spin_echo(c.water, c.t1, c.t2, p.t2w_tr, p.t2w_te)

    def flair(c: Compartment) -> np.ndarray:
        ti = signals.nulling_inversion_time(CSF.t1, p.flair_tr)
        return signals.flair(c.water, c.t1, c.t2, p.flair_tr, p.flair_te, ti)

    return {Modality.T1W: t1w, Modality.T1C: t1c, Modality.T2W: t2w, Modality.FLAIR: flair}[modality]


def structural(rng: np.random.Generator, scan: Scan, modality: Modality) -> np.ndarray:
    """Simulate T1w, T2w, FLAIR or T1c with coil sensitivity, Rician noise and an arbitrary scale."""
    acquisition = scan.protocol.acquisition(modality)
    signal = structural_signal(modality, scan.protocol)
    grid = scan.body.grid
    speed = np.exp(np.float32(_FLOW_SPREAD) * smooth_field(rng, grid.shape, grid.spacing, 11.0).ravel())

    def flowing(c: Compartment) -> np.ndarray:
        if c.name not in _VESSELS:
            return signal(c)
        keep = _T1_FLOW[c.name] if modality in (Modality.T1W, Modality.T1C) else _FLOW_VOID
        return np.minimum(keep * speed[c.index], 1) * signal(c)

    clean = scan.sampled(scan.body.mix(flowing), acquisition)
    white = float(np.mean(signal(scan.body.named("white"))))
    clean = clean * bias_field(rng, acquisition, rng.uniform(0.10, 0.25))
    noisy = rician(rng, clean, white / rng.uniform(25, 55))
    return noisy * np.float32(_scale(rng) / white)


def diffusion(rng: np.random.Generator, scan: Scan) -> np.ndarray:
    """Simulate the IVIM series; (volumes, slices, rows, columns), in the order of the protocol's b-values.

    Every image, repeats included, has its own Rician noise at an SNR of 33 to 55 (white matter at b = 0 over
    the standard deviation of a channel).
    """
    p = scan.protocol
    unique = sorted(set(p.b_values))

    def weighting(c: Compartment) -> np.ndarray:
        keep = FAT_LEFT if c.name == "fat" else _EPI_FLOW if c.name in _VESSELS else 1.0
        return keep * np.asarray(c.water, np.float32) * (1 - np.exp(-p.dwi_tr / np.asarray(c.t1, np.float32)))

    base = {c.name: weighting(c) for c in scan.body.compartments}

    def signal(c: Compartment, b_value: float) -> np.ndarray:
        # In large vessels all water moves and decays with the vessel's own T2.
        blood_t2 = c.t2 if c.name in _VESSELS else c.blood_t2
        return base[c.name] * signals.ivim(b_value, c.f, c.d, c.d_star, c.t2, p.dwi_te, blood_t2)

    volumes = np.empty((*scan.body.grid.shape, len(unique)), np.float32)
    for k, b_value in enumerate(unique):
        volumes[..., k] = scan.body.mix(lambda c, b=b_value: signal(c, b))
    clean = scan.sampled(volumes, p.dwi)
    white = float(np.mean(signal(scan.body.named("white"), 0.0)))
    field = bias_field(rng, p.dwi, rng.uniform(0.03, 0.10))
    clean *= (field / np.average(field, weights=clean[..., 0]))[..., None]
    scale = np.float32(_scale(rng) / white)
    sigma = white / rng.uniform(33, 55)
    if p.ghost:
        clean = ghosted(clean, p.ghost)
    reference = scan.prescription.grid_image(p.dwi)
    series = np.empty((len(p.b_values), *clean.shape[:3]), np.float32)
    for k, b_value in enumerate(p.b_values):
        volume = clean[..., unique.index(b_value)]
        if p.motion:
            volume = moved(rng, volume, reference, p.motion)
        series[k] = scale * rician(rng, volume, sigma)
    return series


def apparent_diffusion(series: np.ndarray, b_values: tuple[float, ...]) -> np.ndarray:
    """Fit the mono-exponential ADC (mm²/s) log-linearly to b = 0 and b >= 200 s/mm²; 0 without signal.

    Parameters
    ----------
    series : ndarray
        (volumes, ...) magnitudes.
    b_values : tuple of float
        b-value of each volume, s/mm².
    """
    b = np.asarray(b_values)
    used = np.flatnonzero((b == 0) | (b >= 200))
    levels = np.unique(b[used])
    means = np.stack([series[b == level].mean(0) for level in levels])
    floor = np.float32(0.06 * np.percentile(means[0], 99))
    logs = np.log(np.maximum(means, 1e-3 * floor))
    centred = levels - levels.mean()
    slope = np.einsum("i,i...->...", centred.astype(np.float32), logs) / np.float32((centred**2).sum())
    return np.where(means[0] > floor, np.clip(-slope, 0, 5e-3), 0).astype(np.float32)


def labelling(rng: np.random.Generator, scan: Scan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate mean control, mean label and M0 of pseudo-continuous arterial spin labelling.

    The noise leaves a perfusion signal-to-noise ratio of 8 to 14 a voxel in grey matter: that of 20 to 60
    pairs of 3D GRASE, each of which has 1.85.
    """
    p = scan.protocol

    def difference(c: Compartment) -> np.ndarray:
        if c.name not in PARENCHYMA:
            return np.float32(0)
        return signals.labelled_difference(
            c.cbf, c.transit_time, c.t1, p.label_duration, p.post_label_delay
        )  # fmt: skip

    def density(c: Compartment) -> np.ndarray:
        keep = FAT_LEFT if c.name == "fat" else 1.0
        decay = np.exp(-12.0 / np.maximum(np.asarray(c.t2, np.float32), 15))
        return keep * decay * np.asarray(c.water, np.float32)

    def relaxed(c: Compartment) -> np.ndarray:
        return density(c) * (1 - np.exp(-p.asl_tr / np.asarray(c.t1, np.float32)))

    volumes = np.stack([scan.body.mix(s) for s in (relaxed, difference, density)], -1)
    control, delta, m0 = np.moveaxis(scan.sampled(volumes, p.asl, in_plane=2), -1, 0)
    delta = delta * np.float32(np.exp(-12.0 / 90.0))
    field = bias_field(rng, p.asl, rng.uniform(0.03, 0.08))
    perfusion = float(np.mean(difference(scan.body.named("grey"))))
    sigma = perfusion / rng.uniform(8, 14) / np.sqrt(2)
    scale = np.float32(_scale(rng))
    background = np.float32(rng.uniform(0.15, 0.4))  # what background suppression leaves
    return tuple(
        scale * rician(rng, field * image, level)
        for image, level in (
            (background * control, sigma),
            (background * control - delta, sigma),
            (m0, 2 * sigma),
        )
    )


def _scale(rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(200), np.log(1200))))
