"""Large vessels: dural sinuses and arteries of the base as tubes, cortical vessels as surface lines."""

from __future__ import annotations

import numpy as np

from SynthCBVLib.phantom.anatomy import Anatomy
from SynthCBVLib.phantom.fields import smooth_field

# Courses in the template's space, LPS mm (x left, y back, z up); paired vessels are given for the left side.
_SAGITTAL_SINUS = (
    (0, -66, 30), (0, -52, 55), (0, -30, 72), (0, 0, 82), (0, 35, 84), (0, 65, 70), (0, 88, 48), (0, 103, 22),
    (0, 106, 0), (0, 104, -8),
)  # fmt: skip
_STRAIGHT_SINUS = ((0, 42, 12), (0, 62, 10), (0, 85, 2), (0, 103, -7))
_TRANSVERSE_SINUS = ((0, 104, -8), (22, 98, -13), (44, 84, -17), (58, 64, -22), (60, 50, -32),
    (52, 42, -44), (38, 34, -56),
)  # fmt: skip
_MIDDLE_CEREBRAL = (
    (4, -4, -14),
    (14, -4, -14),
    (26, -6, -14),
    (36, -4, -8),
    (42, 6, -2),
    (46, 18, 8),
    (50, 30, 18),
)
_MIDDLE_CEREBRAL_UPPER = ((36, -4, -8), (42, -12, 4), (46, -14, 18), (50, -10, 32))
_ANTERIOR_CEREBRAL = (
    (4, -4, -14),
    (3, -16, -10),
    (2, -32, 2),
    (2, -40, 18),
    (2, -30, 34),
    (2, -8, 40),
    (2, 16, 44),
)
_POSTERIOR_CEREBRAL = ((2, 14, -14), (12, 18, -14), (20, 30, -8), (20, 48, -2), (14, 70, 2), (12, 86, 6))
_BASILAR = ((0, 22, -50), (0, 18, -32), (0, 14, -14))
_COMMUNICATING = ((4, -4, -14), (7, 4, -14), (9, 16, -14))
_CAROTID = ((16, 0, -52), (14, 4, -40), (12, 0, -28), (13, -8, -22), (9, -4, -17), (4, -4, -14))
_ANTERIOR_COMMUNICATING = ((3, -16, -10), (0, -17, -10), (-3, -16, -10))
_SUPERIOR_CEREBELLAR = ((1, 15, -18), (12, 22, -18), (22, 38, -20), (26, 55, -22))
_PERICALLOSAL = ((2, -38, 12), (2, -26, 26), (2, 0, 32), (2, 26, 30), (2, 38, 20))
_INTERNAL_CEREBRAL = ((3, 0, 12), (3, 20, 14), (2, 38, 12))


def draw_vessels(rng: np.random.Generator, anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Draw the arterial and venous fraction of each voxel.

    Courses are jittered per patient and carried along by the patient's warp. Cortical vessels lie where the
    zero level of a random field cuts the borders of CSF and grey matter, which gives lines on the surface and
    in the sulci.

    Returns
    -------
    tuple of ndarray
        Fractions of arteries and of veins (z, y, x); their sum is at most one.
    """
    right = rng.uniform(0.6, 1.3)  # one transverse sinus usually dominates
    arteries = [(_BASILAR, 1.5), (_ANTERIOR_COMMUNICATING, 0.8)]
    veins = [(_SAGITTAL_SINUS, 3.6), (_STRAIGHT_SINUS, 2.0), (_TRANSVERSE_SINUS, 3.2)]
    veins.append((_mirror(_TRANSVERSE_SINUS), 3.2 * right))
    paired = (
        (_MIDDLE_CEREBRAL, 1.5), (_MIDDLE_CEREBRAL_UPPER, 1.2), (_ANTERIOR_CEREBRAL, 1.1),
        (_POSTERIOR_CEREBRAL, 1.2), (_COMMUNICATING, 0.9), (_CAROTID, 2.0), (_SUPERIOR_CEREBELLAR, 0.7),
        (_PERICALLOSAL, 0.8),
    )  # fmt: skip
    for course, radius in paired:
        arteries += [(course, radius), (_mirror(course), radius)]
    veins += [(_INTERNAL_CEREBRAL, 1.1), (_mirror(_INTERNAL_CEREBRAL), 1.1)]
    artery = _tubes(rng, anatomy, arteries, jitter=1.8)
    vein = _tubes(rng, anatomy, veins, jitter=0.8)

    border = 4 * anatomy.csf * (1 - anatomy.csf)
    # Outside the brain mask the surface itself carries veins.
    shell = np.exp(-np.square((anatomy.depth - np.float32(0.5)) / np.float32(2.0)))
    border = np.maximum(border * (anatomy.depth > -25), shell)
    richness = rng.uniform(0.6, 1.1)
    for vessel, scale, width, share in ((artery, 13.0, 0.09, 0.35), (vein, 19.0, 0.10, 0.55)):
        level = smooth_field(rng, anatomy.grid.shape, anatomy.grid.spacing, scale)
        lines = np.exp(-np.square(level / np.float32(width)))
        np.maximum(vessel, np.float32(share * richness) * lines * border, out=vessel)
    inside = anatomy.depth < 6.0
    artery *= inside
    vein *= inside
    total = np.maximum(artery + vein, 1)
    return artery / total, vein / total


def _mirror(course: tuple[tuple[float, float, float], ...]) -> tuple[tuple[float, float, float], ...]:
    return tuple((-x, y, z) for x, y, z in course)


def _tubes(rng: np.random.Generator, anatomy: Anatomy, tubes: list, jitter: float) -> np.ndarray:
    """Fraction of each voxel inside tubes of soft edge along polylines of template points."""
    grid = anatomy.grid
    centres, radii = [], []
    for course, radius in tubes:
        nodes = np.asarray(course, float)
        nodes = nodes + rng.normal(0, jitter, nodes.shape)
        steps = np.maximum(np.ceil(np.linalg.norm(np.diff(nodes, axis=0), axis=1)).astype(int), 1)
        for start, stop, n in zip(nodes[:-1], nodes[1:], steps, strict=True):
            t = np.arange(n)[:, None] / n
            centres.append(start + t * (stop - start))
            radii.append(np.full(n, radius * rng.uniform(0.85, 1.15)))
    points = anatomy.warp.to_patient(np.concatenate(centres), grid)
    radius = np.concatenate(radii).astype(np.float32)
    index = ((points - np.array(grid.start)) / grid.spacing)[:, ::-1]
    nearest = np.round(index).astype(int)
    reach = int(np.ceil((radius.max() + grid.spacing) / grid.spacing))
    offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    fraction = np.zeros(grid.shape, np.float32)
    for offset in offsets:
        voxel = nearest + offset
        distance = np.linalg.norm(voxel - index, axis=1).astype(np.float32) * np.float32(grid.spacing)
        # Soft edge one voxel wide: a thin tube becomes a fraction below one instead of a staircase.
        value = np.clip((radius - distance) / np.float32(grid.spacing) + 0.5, 0, 1)
        good = (value > 0) & np.all((voxel >= 0) & (voxel < grid.shape), axis=1)
        np.maximum.at(fraction, tuple(voxel[good].T), value[good])
    return fraction
