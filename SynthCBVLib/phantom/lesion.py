"""A glioma: site, shape, and the properties of its solid tissue voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from SynthCBVLib.phantom.anatomy import Anatomy
from SynthCBVLib.phantom.fields import smooth_field
from SynthCBVLib.phantom.tissue import COUPLING, MUTANT, WILDTYPE, TumourPrior

#: Tumour prior of each kind of patient; "none" has no lesion.
PRIORS: dict[str, TumourPrior | None] = {"wildtype": WILDTYPE, "mutant": MUTANT, "none": None}


@dataclass(frozen=True)
class Lesion:
    """Fractions that the lesion takes of the brain, and its solid tissue's properties.

    Attributes
    ----------
    solid, necrosis, margin : ndarray
        Fractions (z, y, x): solid (enhancing or not) tumour, necrosis, oedema with infiltration.
    index : ndarray
        Flat indices of the voxels with solid tumour; the arrays below have one value for each.
    cbv, f, d, d_star, t1, t2, cbf, transit_time : ndarray
        Properties there, units of `tissue.Tissue`.
    water : float
        Water fraction of the solid part.
    gadolinium : ndarray
        Contrast agent in solid tissue after the bolus, mmol/l.
    """

    solid: np.ndarray
    necrosis: np.ndarray
    margin: np.ndarray
    index: np.ndarray
    cbv: np.ndarray
    f: np.ndarray
    d: np.ndarray
    d_star: np.ndarray
    t1: np.ndarray
    t2: np.ndarray
    cbf: np.ndarray
    transit_time: np.ndarray
    water: float
    gadolinium: np.ndarray


def draw_lesion(rng: np.random.Generator, anatomy: Anatomy, prior: TumourPrior, normal: np.ndarray,
                top: float) -> Lesion:  # fmt: skip
    """Draw a tumour.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all of the lesion's randomness.
    anatomy : Anatomy
        The head it grows in.
    prior : TumourPrior
        What its properties are drawn from.
    normal : ndarray
        Slice normal (3,) of the exam, and
    top : float
        where the slices' coverage begins along it, mm: the tumour stays within 105 mm of that.
    """
    grid = anatomy.grid
    radius = rng.uniform(12, 28)
    centre = _draw_site(rng, anatomy, radius, normal, top)
    side = np.sign(anatomy.sagittal_plane[0] @ centre - anatomy.sagittal_plane[1])
    # Only a box around the tumour is worked on: the margin's reach and the noise stay inside.
    reach = radius * 1.5 + prior.oedema[1] + 14
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

    lumps = np.float32(0.17 * radius) * smooth_field(rng, shape, grid.spacing, 16.0)
    lumps += np.float32(0.05 * radius) * smooth_field(rng, shape, grid.spacing, 6.0)
    beyond = distance - np.float32(radius) + lumps  # mm outside the solid part's surface
    tissue = anatomy.grey[box] + anatomy.white[box]
    # Tumour fills sulci but little of a ventricle, and the falx holds it on its side.
    room = (tissue + np.float32(0.7) * anatomy.csf[box]) * np.clip((to_falx - 1.5) / 3, 0, 1)
    solid = np.clip(0.5 - beyond / 2.5, 0, 1) * room

    white = ndimage.gaussian_filter(anatomy.white[box], 1.0)
    fingers = smooth_field(rng, shape, grid.spacing, 8.0)
    spread = np.float32(rng.uniform(*prior.oedema)) * (1.5 * white - 0.45 + np.float32(0.45) * fingers)
    margin = np.clip(0.5 - (beyond - spread) / 4, 0, 1) * tissue * np.clip((to_falx + 4) / 4, 0, 1)
    margin = np.minimum(margin * np.float32(rng.uniform(0.75, 0.95)), 1 - solid)

    if rng.uniform() < prior.necrosis_rate:
        core = np.float32(radius * rng.uniform(*prior.necrosis))
        hollow = distance - core + np.float32(0.8) * lumps
        hollow += np.float32(0.16) * core * smooth_field(rng, shape, grid.spacing, 7.0)
        dead = np.clip(0.5 - hollow / 3, 0, 1) * solid
    else:
        dead = np.zeros_like(solid)
    solid = solid - dead

    full = [np.zeros(grid.shape, np.float32) for _ in range(3)]
    for array, part in zip(full, (solid, dead, margin), strict=True):
        array[box] = part
    inside = np.flatnonzero(solid > 1e-3)
    index = np.ravel_multi_index(
        tuple(i + o for i, o in zip(np.unravel_index(inside, shape), low, strict=True)), grid.shape
    )
    properties = _draw_properties(rng, prior, shape, grid.spacing, inside)
    leak = smooth_field(rng, shape, grid.spacing, 7.0).ravel()[inside]
    gadolinium = np.float32(rng.uniform(*prior.enhancement)) * np.exp(np.float32(0.3) * leak)
    return Lesion(*full, index, **properties, water=prior.water, gadolinium=gadolinium)


def _draw_site(
    rng: np.random.Generator, anatomy: Anatomy, radius: float, normal: np.ndarray, top: float
) -> np.ndarray:
    """Draw the centre: mostly white matter around it, one hemisphere, within the slices."""
    grid, step = anatomy.grid, 3
    smooth = ndimage.gaussian_filter(anatomy.white[::step, ::step, ::step], 6 / (step * grid.spacing))
    depth = anatomy.depth[::step, ::step, ::step]
    flat = np.flatnonzero((smooth > 0.5) & (depth < -12))
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


def _draw_properties(rng: np.random.Generator, prior: TumourPrior, shape: tuple[int, ...], spacing: float,
                     inside: np.ndarray) -> dict[str, np.ndarray]:  # fmt: skip
    """Draw properties that share part of their variation with CBV, over patients and over voxels."""
    shared = np.clip(rng.standard_normal(), -2, 2)
    texture = smooth_field(rng, shape, spacing, 6.5, coarse_scale=14.0).ravel()[inside]
    median, spread = prior.cbv
    values = {"cbv": median * np.exp(spread * shared + prior.texture * texture)}
    for name, correlation in COUPLING.items():
        median, spread = getattr(prior, name)
        rest = np.sqrt(1 - correlation**2)
        patient = correlation * shared + rest * rng.standard_normal()
        own = smooth_field(rng, shape, spacing, 6.5, coarse_scale=14.0).ravel()[inside]
        voxel = correlation * texture + rest * own
        # Relaxation and diffusion vary less inside a tumour than perfusion does.
        scale = {"t1": 0.3, "t2": 0.6, "d": 0.7, "transit_time": 0.7}.get(name, 1.0)
        values[name] = median * np.exp(spread * (patient + scale * voxel))
    limits = {"cbv": (0.8, 24), "f": (0.01, 0.35), "d": (0.5e-3, 2.4e-3), "d_star": (4e-3, 60e-3),
              "t1": (900, 2600), "t2": (80, 700), "cbf": (8, 350), "transit_time": (0.5, 3.2)}  # fmt: skip
    return {name: np.clip(value, *limits[name]).astype(np.float32) for name, value in values.items()}
