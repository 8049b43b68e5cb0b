"""A lesion: site, shape, and the properties of its solid tissue voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from SynthCBVLib.phantom.anatomy import Anatomy
from SynthCBVLib.phantom.disease import COUPLED, LIMITS, TEXTURE, LesionPrior
from SynthCBVLib.phantom.fields import smooth_field

#: What places a patient's lesion in the population: CBV, and what each coupled property has of its own.
PATIENT_SCORES = 1 + len(COUPLED)


@dataclass(frozen=True)
class Lesion:
    """Fractions that the lesion takes of the brain, and its solid tissue's properties.

    Attributes
    ----------
    solid, necrosis, margin, cavity : ndarray
        Fractions (z, y, x): solid (enhancing or not) tumour with what infiltrates the margin, necrosis,
        oedema, resection cavity.
    index : ndarray
        Flat indices of the voxels with solid tumour; the arrays below have one value for each.
    cbv, f, d, d_star, t1, t2, cbf, transit_time, calibre : ndarray
        Properties there, units of `tissue.Tissue`.
    water, blood_t2 : float
        Water fraction of the solid part, and T2 of the blood in it, ms.
    gadolinium : ndarray
        Contrast agent in solid tissue after the bolus, mmol/l.
    """

    solid: np.ndarray
    necrosis: np.ndarray
    margin: np.ndarray
    cavity: np.ndarray
    index: np.ndarray
    cbv: np.ndarray
    f: np.ndarray
    d: np.ndarray
    d_star: np.ndarray
    t1: np.ndarray
    t2: np.ndarray
    cbf: np.ndarray
    transit_time: np.ndarray
    calibre: np.ndarray
    water: float
    blood_t2: float
    gadolinium: np.ndarray


def draw_lesion(rng: np.random.Generator, anatomy: Anatomy, prior: LesionPrior, normal: np.ndarray,
                top: float, scores: np.ndarray) -> Lesion:  # fmt: skip
    """Draw a patient's lesion, or lesions, as one.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all other randomness of the lesion.
    anatomy : Anatomy
        The head it grows in.
    prior : LesionPrior
        What its properties are drawn from.
    normal : ndarray
        Slice normal (3,) of the exam, and
    top : float
        where the slices' coverage begins along it, mm: the tumour stays within 105 mm of that.
    scores : ndarray
        `PATIENT_SCORES` standard normal numbers: where the patient stands in the distributions of CBV and of
        each of `COUPLED`.
    """
    low, high = prior.count
    late = rng.uniform() < prior.late_rate
    if late:
        prior = replace(prior, transit_time=(float(rng.uniform(*prior.late)), 0.08))
    lesion = _draw_one(rng, anatomy, prior, normal, top, scores)
    for _ in range(int(rng.integers(low, high + 1)) - 1):
        more = rng.standard_normal(PATIENT_SCORES)
        lesion = _together(lesion, _draw_one(rng, anatomy, prior, normal, top, more))
    return lesion


def _together(first: Lesion, second: Lesion) -> Lesion:
    """Make one lesion of two; where they meet, the first stays."""
    room = np.clip(1 - first.solid - first.necrosis - first.cavity, 0, 1)
    fractions = {name: getattr(first, name) + room * getattr(second, name) for name in ("necrosis", "cavity")}
    new = ~np.isin(second.index, first.index, assume_unique=True)
    solid = first.solid.copy()
    solid.ravel()[second.index[new]] += (room * second.solid).ravel()[second.index[new]]
    margin = np.minimum(np.maximum(first.margin, second.margin),
                        1 - np.clip(solid + fractions["necrosis"] + fractions["cavity"], 0, 1))  # fmt: skip
    properties = {
        name: np.concatenate([getattr(first, name), getattr(second, name)[new]])
        for name in ("index", "cbv", *COUPLED, "gadolinium")
    }
    return Lesion(
        solid=solid, margin=margin, water=first.water, blood_t2=first.blood_t2, **fractions, **properties
    )


def _draw_one(rng: np.random.Generator, anatomy: Anatomy, prior: LesionPrior, normal: np.ndarray,
              top: float, scores: np.ndarray) -> Lesion:  # fmt: skip
    grid = anatomy.grid
    radius = rng.uniform(*prior.radius)
    centre = _draw_site(rng, anatomy, radius, normal, top, prior.junction)
    side = np.sign(anatomy.sagittal_plane[0] @ centre - anatomy.sagittal_plane[1])
    # Only a box around the tumour is worked on: the margin's reach and the noise stay inside.
    reach = radius * (1.5 + 1.6 * prior.cavity[1]) + prior.oedema[1] + 14
    low = np.maximum(((centre - grid.start - reach) / grid.spacing).astype(int), 0)[::-1]
    high = np.minimum(((centre - grid.start + reach) / grid.spacing).astype(int)[::-1] + 1, grid.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    shape = tuple(int(n) for n in high - low)
    axes = [axis[part] for axis, part in zip(grid.axes(), box[::-1], strict=True)]
    x, y, z = np.meshgrid(*[a.astype(np.float32) for a in axes], indexing="ij", sparse=True)
    stretch = np.exp(rng.normal(0, 0.15, 3)).astype(np.float32)
    stretch /= np.prod(stretch) ** np.float32(1 / 3)
    c = centre.astype(np.float32)
    distance = np.sqrt(
        ((x - c[0]) / stretch[0]) ** 2 + ((y - c[1]) / stretch[1]) ** 2 + ((z - c[2]) / stretch[2]) ** 2
    ).transpose(2, 1, 0)
    n, offset = anatomy.sagittal_plane
    to_falx = ((n[0] * x + n[1] * y + n[2] * z - offset) * side).transpose(2, 1, 0).astype(np.float32)

    rough = prior.roughness * radius
    lumps = np.float32(0.17 * rough) * smooth_field(rng, shape, grid.spacing, 16.0)
    lumps += np.float32(0.05 * rough) * smooth_field(rng, shape, grid.spacing, 6.0)
    beyond = distance - np.float32(radius) + lumps  # mm outside the solid part's surface
    tissue = anatomy.grey[box] + anatomy.white[box]
    # Tumour fills sulci but little of a ventricle, and the falx holds it on its side.
    room = (tissue + np.float32(0.7) * anatomy.csf[box]) * np.clip((to_falx - 1.5) / 3, 0, 1)
    hole = np.zeros_like(beyond)
    if prior.cavity[1] > 0:
        size = np.float32(radius * rng.uniform(*prior.cavity))
        towards = rng.normal(size=3)
        towards *= (0.75 * radius + 0.8 * size) / np.linalg.norm(towards)
        h = (centre + towards).astype(np.float32)
        away = np.sqrt((x - h[0]) ** 2 + (y - h[1]) ** 2 + (z - h[2]) ** 2).transpose(2, 1, 0)
        hole = np.clip(0.5 - (away - size + np.float32(0.6) * lumps) / 2, 0, 1) * room
    solid = np.clip(0.5 - beyond / 2.5, 0, 1) * room * (1 - hole)

    white = ndimage.gaussian_filter(anatomy.white[box], 1.0)
    fingers = smooth_field(rng, shape, grid.spacing, 8.0)
    spread = np.float32(rng.uniform(*prior.oedema)) * (1.5 * white - 0.45 + np.float32(0.45) * fingers)
    margin = np.clip(0.5 - (beyond - spread) / 4, 0, 1) * tissue * np.clip((to_falx + 4) / 4, 0, 1)
    margin = np.minimum(margin * np.float32(rng.uniform(0.75, 0.95)), 1 - solid - hole)

    if rng.uniform() < prior.necrosis_rate:
        core = np.float32(radius * rng.uniform(*prior.necrosis))
        hollow = distance - core + np.float32(0.8) * lumps
        hollow += np.float32(0.16) * core * smooth_field(rng, shape, grid.spacing, 7.0)
        dead = np.clip(0.5 - hollow / 3, 0, 1) * solid
    else:
        dead = np.zeros_like(solid)
    solid = solid - dead
    core = solid
    if prior.infiltration > 0:
        # Tumour cells among the oedema's fibres, fewer with the distance from the solid part.
        spreads = np.float32(prior.infiltration) * margin * np.exp(-np.maximum(beyond, 0) / np.float32(6.0))
        solid, margin = solid + spreads, margin - spreads

    full = [np.zeros(grid.shape, np.float32) for _ in range(4)]
    for array, part in zip(full, (solid, dead, margin, hole), strict=True):
        array[box] = part
    inside = np.flatnonzero(solid > 5e-3)
    index = np.ravel_multi_index(
        tuple(i + o for i, o in zip(np.unravel_index(inside, shape), low, strict=True)), grid.shape
    )
    properties = _draw_properties(rng, prior, shape, grid.spacing, inside, scores)
    leak = smooth_field(rng, shape, grid.spacing, 7.0).ravel()[inside]
    # The barrier holds where single cells infiltrate.
    whole = (core.ravel()[inside] / solid.ravel()[inside]).astype(np.float32)
    gadolinium = np.float32(rng.uniform(*prior.enhancement)) * np.exp(np.float32(0.3) * leak) * whole
    return Lesion(
        *full, index, **properties, water=prior.water, blood_t2=prior.blood_t2, gadolinium=gadolinium
    )


def _draw_site(
    rng: np.random.Generator, anatomy: Anatomy, radius: float, normal: np.ndarray, top: float,
    junction: bool,
) -> np.ndarray:  # fmt: skip
    """Draw the centre: mostly white matter around it, one hemisphere, within the slices."""
    grid, step = anatomy.grid, 3
    smooth = ndimage.gaussian_filter(anatomy.white[::step, ::step, ::step], 6 / (step * grid.spacing))
    depth = anatomy.depth[::step, ::step, ::step]
    shallow = (smooth > 0.25) & (smooth < 0.6) & (depth < -7) & (depth > -22)
    flat = np.flatnonzero(shallow if junction else (smooth > 0.5) & (depth < -12))
    coarse = np.stack(np.unravel_index(flat, smooth.shape)[::-1], 1) * (step * grid.spacing) + np.array(
        grid.start
    )
    n, offset = anatomy.sagittal_plane
    lateral = np.abs(np.einsum("ij,j->i", coarse, n) - offset)
    below = top - np.einsum("ij,j->i", coarse, normal)
    good = (lateral > max(16, 0.85 * radius)) & (below + 0.9 * radius < 105) & (below > 0.9 * radius + 8)
    # Low sites have little white matter on the other side of their slices.
    good &= below < 88
    if not good.any():
        good = lateral > 16
    weight = np.where(good, smooth.ravel()[flat] ** 2, 0).astype(float)
    chosen = rng.choice(len(flat), p=weight / weight.sum())
    return coarse[chosen] + rng.uniform(-1, 1, 3)


def _draw_properties(rng: np.random.Generator, prior: LesionPrior, shape: tuple[int, ...], spacing: float,
                     inside: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:  # fmt: skip
    """Draw properties that share part of their variation with CBV, over patients and over voxels."""
    shared, *others = np.clip(scores, -2.5, 2.5)
    texture = smooth_field(rng, shape, spacing, 6.5, coarse_scale=14.0).ravel()[inside]
    median, spread = prior.cbv
    values = {"cbv": median * np.exp(spread * shared + prior.texture * texture)}
    for name, other in zip(COUPLED, others, strict=True):
        correlation, (median, spread) = prior.coupling(name), getattr(prior, name)
        rest = np.sqrt(1 - correlation**2)
        patient = correlation * shared + rest * other
        own = smooth_field(rng, shape, spacing, 6.5, coarse_scale=14.0).ravel()[inside]
        voxel = correlation * texture + rest * own
        values[name] = median * np.exp(spread * (patient + TEXTURE.get(name, 1.0) * voxel))
    return {name: np.clip(value, *LIMITS[name]).astype(np.float32) for name, value in values.items()}
