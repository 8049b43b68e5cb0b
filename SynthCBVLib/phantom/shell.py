"""What lies around the brain: fluid, skull and scalp, so that a brain mask is not trivial."""

from __future__ import annotations

import numpy as np

from SynthCBVLib.phantom.fields import smooth_field
from SynthCBVLib.phantom.warp import Grid


def draw_shell(rng: np.random.Generator, depth: np.ndarray, grid: Grid, age: float) -> tuple[np.ndarray, ...]:
    """Lay subarachnoid CSF (wider in the old), skull with marrow, scalp fat and skin around the brain.

    Returns
    -------
    tuple of ndarray
        Fractions of CSF, bone, fat and skin; they sum to one between brain and air.
    """
    outside = depth > 0
    flat = np.flatnonzero((outside & (depth < 24)).ravel())
    distance = depth.ravel()[flat]
    bounds = np.zeros((), np.float32)
    edges = []
    for low, high, spread in (
        (0.8 + 2 * age, 2.5 + 2.5 * age, 0.5),
        (4.5, 8.0, 1.3),
        (2.5, 6.5, 1.2),
        (1.5, 2.5, 0.3),
    ):
        noise = smooth_field(rng, grid.shape, grid.spacing, 22.0).ravel()[flat]
        thickness = np.maximum(np.float32(rng.uniform(low, high)) + np.float32(spread) * noise, 0.5)
        edges.append((bounds, bounds + thickness))
        bounds = bounds + thickness
    half = np.float32(grid.spacing)

    def within(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        return np.clip((distance - lower) / half + 0.5, 0, 1) - np.clip((distance - upper) / half + 0.5, 0, 1)

    fluid, bone, fat, skin = (within(lower, upper) for lower, upper in edges)
    fluid += np.clip(0.5 - distance / half, 0, 1)  # what the first half voxel lacks
    inner, outer = edges[1]
    marrow = np.float32(0.6) * within(inner + 0.35 * (outer - inner), inner + 0.7 * (outer - inner))
    marrow = np.minimum(marrow, bone)
    result = []
    for layer in (fluid, bone - marrow, fat + marrow, skin):
        full = np.zeros(depth.size, np.float32)
        full[flat] = np.maximum(layer, 0)
        result.append(full.reshape(depth.shape))
    return tuple(result)
