"""Dynamic susceptibility contrast: the series of a contrast bolus, and the rCBV map a scanner makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from SynthCBVLib.phantom.acquire import bias_field, rician
from SynthCBVLib.phantom.artefacts import ghosted, moved
from SynthCBVLib.phantom.body import Body, Compartment
from SynthCBVLib.phantom.bolus import TissueCurves, draw_bolus
from SynthCBVLib.phantom.fields import smooth_field
from SynthCBVLib.phantom.protocol import Acquisition
from SynthCBVLib.phantom.simulate import Scan

#: ΔR2* per blood volume fraction and concentration, 1/s/(mmol/l): the network of small vessels (PMC5454781).
CAPILLARY_RELAXIVITY = 78.0
#: The same around large vessels, per large-vessel fraction of the voxel.
VESSEL_RELAXIVITY = 55.0
#: ΔR2* of blood itself at 3 T, linear and quadratic in its concentration.
BLOOD_LINEAR, BLOOD_SQUARE = 0.49, 2.62
#: Longitudinal relaxivity, l/mmol/s, and extravascular extracellular space of enhancing tissue (AJNR 37:80).
LONGITUDINAL_RELAXIVITY, EXTRACELLULAR = 4.5, 0.285
#: Transfer constant (1/min) of tissue that holds 1 mmol/l of agent minutes after the bolus.
KTRANS_PER_UPTAKE = 0.22
#: Share of a voxel's signal that the field of its large vessels does not reach.
BEYOND_REACH = 0.12
#: Highest value that the scanner's map keeps, relative to the brain's median: some 11 times white matter. A
#: few voxels in the sinuses would otherwise set the range of every map.
CEILING = 6.5
#: Standard deviation of baseline images over grey matter's signal: measured on a real series.
BASELINE_NOISE = 0.021
#: Standard deviation of the logarithm of what large vessels weigh, from place to place: susceptibility
#: depends on their angle to the main field.
VESSEL_ANGLE = 0.55
#: Decay during the echo train spreads this share of the signal along the phase direction, over so many
#: mm (full width at half maximum): the tails of the point spread.
TAIL, TAIL_WIDTH = 0.12, 9.0
#: T2* (ms) of each tissue's water at 3 T.
_T2_STAR = {"grey": 48.0, "white": 46.0, "csf": 300.0, "solid": 60.0, "necrosis": 120.0, "margin": 65.0,
            "cavity": 200.0, "fluid": 300.0, "artery": 48.0, "vein": 18.0}  # fmt: skip


@dataclass(frozen=True)
class DscSeries:
    """One dynamic series.

    Attributes
    ----------
    signal : ndarray (slices, rows, columns, n_t)
        Magnitudes, arbitrary unit.
    times : ndarray (n_t,)
        s.
    brain : ndarray of bool (slices, rows, columns)
        The scanner's brain mask.
    """

    signal: np.ndarray
    times: np.ndarray
    brain: np.ndarray


@dataclass(frozen=True)
class _Part:
    """One compartment's share of the brain's voxels and its mean properties there, each (n,)."""

    name: str
    fraction: np.ndarray
    t1: np.ndarray | float
    water: float
    volume: np.ndarray
    transit: np.ndarray
    delay: np.ndarray
    ktrans: np.ndarray | float


def dynamic_series(rng: np.random.Generator, scan: Scan) -> DscSeries:
    """Simulate a gradient-echo series through the passage of a bolus.

    Compartments are averaged within themselves and mixed by their signals in every voxel. Blood in small
    vessels lowers T2* in proportion to its volume; large vessels saturate and darken their surroundings;
    agent that leaks into tissue shortens T1 and T2*. Then come the point spread of echo-planar imaging and
    Rician noise.
    """
    p = scan.protocol
    acquisition = p.dsc
    times = p.dsc_tr * np.arange(p.dsc_phases)
    curves = TissueCurves(draw_bolus(rng, p.dsc_tr * (p.dsc_injection - 1)), times)
    parts, brain = _parts(scan)
    inside = brain > 0.5
    share = {part.name: part for part in parts}
    arterial = curves.arterial()
    venous = curves.tissue(np.array([4.5]), np.array([1.5]))[0]
    # Susceptibility around large vessels acts on everything in their voxel, by their angle to the field.
    spacing = (acquisition.distance, acquisition.pixel, acquisition.pixel)
    angle = smooth_field(rng, inside.shape, spacing, 8.0)[inside]
    aligned = VESSEL_RELAXIVITY * np.exp(np.float32(VESSEL_ANGLE) * angle - np.float32(VESSEL_ANGLE**2 / 2))
    around = aligned[:, None] * (
        share["artery"].fraction[:, None] * arterial + share["vein"].fraction[:, None] * venous
    )  # fmt: skip
    te, tr = np.float32(p.dsc_te / 1000), p.dsc_tr
    leak_t2 = rng.uniform(8.0, 55.0)
    shade = np.float32(BEYOND_REACH) + np.float32(1 - BEYOND_REACH) * np.exp(-te * around)
    total = np.zeros_like(around)
    for part in parts:
        base = part.water * np.exp(-p.dsc_te / _T2_STAR[part.name]) * part.fraction
        r1 = 1000 / np.asarray(part.t1, np.float32)
        rate: np.ndarray | float
        if part.name in ("artery", "vein"):
            c = arterial if part.name == "artery" else venous
            rate, leaked = (BLOOD_LINEAR * c + BLOOD_SQUARE * c * c)[None], None
        else:
            rate, leaked = _tissue_rate(part, curves, leak_t2)
        weight = base * -np.expm1(-tr * r1)
        signal = weight[:, None] * shade * np.exp(-te * rate)
        if leaked is not None:
            at, amount = leaked
            r1 = np.broadcast_to(r1, part.fraction.shape)[at, None]
            gain = np.expm1(-tr * (r1 + LONGITUDINAL_RELAXIVITY * amount)) / np.expm1(-tr * r1)
            signal[at] *= gain
        total += signal
    full = np.zeros((*inside.shape, times.size), np.float32)
    full[inside] = total
    full = point_spread(full, acquisition)
    if p.ghost:
        full = ghosted(full, p.ghost)
    if p.motion:
        reference = scan.prescription.grid_image(acquisition)
        for k in range(times.size):
            full[..., k] = moved(rng, full[..., k], reference, p.motion)
    full *= bias_field(rng, acquisition, rng.uniform(0.03, 0.08))[..., None]
    grey = share["grey"].fraction
    level = full[inside][grey >= np.quantile(grey, 0.9), 0].mean()
    full[inside] = rician(rng, full[inside], float(BASELINE_NOISE * level))
    return DscSeries(full, times, inside)


def point_spread(volumes: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """Blur as the series is blurred: within the slice, with tails along the phase direction (columns).

    Parameters
    ----------
    volumes : ndarray (slices, rows, columns[, n])
        What is blurred.
    acquisition : Acquisition
        Its grid and blur.
    """
    rest = [0.0] * (volumes.ndim - 3)
    narrow = acquisition.blur / 2.355 / acquisition.pixel
    if narrow <= 0:
        return volumes
    sharp = ndimage.gaussian_filter(volumes, (0, narrow, narrow, *rest), truncate=3.0)
    wide = ndimage.gaussian_filter1d(sharp, TAIL_WIDTH / 2.355 / acquisition.pixel, axis=1, truncate=2.5)
    return np.float32(1 - TAIL) * sharp + np.float32(TAIL) * wide


def _tissue_rate(
    part: _Part, curves: TissueCurves, leak_t2: float
) -> tuple[np.ndarray | float, tuple[np.ndarray, np.ndarray] | None]:
    """Give a part's ΔR2* (n, n_t), and where (indices) and how much agent (mmol/l) leaked."""
    at = np.flatnonzero((part.fraction > 1e-3) & (part.volume > 0))
    if not at.size:
        return 0.0, None
    rate = np.zeros((part.fraction.size, curves.arterial().size), np.float32)
    blood = curves.tissue(part.transit[at], part.delay[at])
    rate[at] = np.float32(CAPILLARY_RELAXIVITY / 100) * part.volume[at, None] * blood
    ktrans = np.broadcast_to(part.ktrans, part.fraction.shape)[at] / 60
    leaky = ktrans > 1e-5
    if not leaky.any():
        return rate, None
    plasma = blood[leaky] / np.float32(1 - 0.42)
    amount = curves.leaked(plasma, ktrans[leaky].astype(np.float32), EXTRACELLULAR)
    rate[at[leaky]] += np.float32(leak_t2) * amount
    return rate, (at[leaky], amount)


def _parts(scan: Scan) -> tuple[list[_Part], np.ndarray]:
    """Average every compartment within the voxels of the series; gives also the brain's fraction."""
    body = scan.body
    channels: list[np.ndarray] = []
    layout: list[tuple[Compartment, list[int]]] = []
    for c in body.compartments:
        if c.name not in _T2_STAR or not c.index.size:
            continue
        perfused = np.any(np.asarray(c.cbv) > 0) and c.name not in ("artery", "vein")
        wanted = [_one]
        if perfused:
            wanted += [_volume, _transit, _delay]
        if np.any(np.asarray(c.gadolinium) > 0.03) and perfused:
            wanted += [_uptake]
        layout.append((c, list(range(len(channels), len(channels) + len(wanted)))))
        channels += [body.mix(quantity, (c.name,)) for quantity in wanted]
    channels.append((body.anatomy.depth < 1.0).astype(np.float32))
    sharp = scan.protocol.dsc.sharp()
    sampled = scan.sampled(np.stack(channels, -1), sharp)
    brain = sampled[..., -1]
    voxels = sampled[brain > 0.5]
    parts = []
    for c, where in layout:
        fraction = voxels[:, where[0]]
        safe = np.maximum(fraction, 1e-6)
        values = [voxels[:, i] / safe for i in where[1:]]
        values += [np.zeros_like(fraction)] * (4 - len(values))
        volume, transit, delay, uptake = values
        t1 = float(np.mean(c.t1))
        water = float(np.mean(c.water))
        ktrans = KTRANS_PER_UPTAKE * uptake
        parts.append(_Part(c.name, fraction, t1, water, volume, transit, delay, ktrans))
    return parts, brain


def _one(c: Compartment) -> float:
    return 1.0


def _volume(c: Compartment) -> np.ndarray:
    return np.asarray(c.cbv) * np.asarray(c.calibre)


def _transit(c: Compartment) -> np.ndarray:
    return 60 * np.asarray(c.cbv) / np.maximum(np.asarray(c.cbf), 1.0)


def _delay(c: Compartment) -> np.ndarray:
    # The bolus' arrival is that of early cortex.
    return np.maximum(np.asarray(c.transit_time) - 0.8, 0)


def _uptake(c: Compartment) -> np.ndarray:
    return np.asarray(c.gadolinium)


def scanner_rcbv(rng: np.random.Generator, scan: Scan) -> np.ndarray:
    """Give the relative CBV map of a scanner, in its own arbitrary unit; 0 outside the brain.

    The series goes through `physiology.dsc` with the leakage correction that scanners have (Boxerman,
    Schmainda and Weisskoff).
    """
    from SynthCBVLib.physiology import dsc

    series = dynamic_series(rng, scan)
    evaluation = dsc.DscProtocol(echo_time=scan.protocol.dsc_te / 1000, leakage="unidirectional")
    volume = dsc.relative_cbv(series.signal, series.times, evaluation, series.brain)
    volume = np.clip(volume, 0, CEILING * np.median(volume[series.brain]))
    scale = np.exp(rng.uniform(np.log(0.2), np.log(1.2)))
    return (volume * scale * 20).astype(np.float32)


def white_reference(body: Body) -> float:
    """Mean blood volume of normal white matter, ml/100 ml: what relative CBV is relative to."""
    white = body.named("white")
    pure = white.fraction > 0.9
    return float(np.mean(np.asarray(white.cbv)[pure] if pure.any() else white.cbv))
