"""Draws the extension's icon: half a T2w slice of a brain, half its perfusion map, with a tumour.

Run ``python SynthCBV/Resources/Icons/draw_icon.py`` after a change; it writes SynthCBV.png here and at the
top of the repository.
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image

SIZE, OVERSAMPLING = 128, 8
#: The perfusion scale of the module (position, red, green, blue).
SCALE = (
    (0.00, 0.02, 0.02, 0.10),
    (0.18, 0.05, 0.05, 0.50),
    (0.38, 0.00, 0.40, 0.95),
    (0.52, 0.00, 0.80, 0.80),
    (0.64, 0.20, 0.80, 0.15),
    (0.78, 0.98, 0.90, 0.10),
    (0.90, 0.98, 0.45, 0.05),
    (1.00, 0.88, 0.05, 0.05),
)


def smooth(distance: np.ndarray, width: float) -> np.ndarray:
    """Step from 1 (negative distance) to 0 over a width."""
    return 1.0 / (1.0 + np.exp(np.clip(4.0 * distance / width, -60.0, 60.0)))


def draw() -> Image.Image:
    """Draw the icon, RGBA."""
    n = SIZE * OVERSAMPLING
    axis = (np.arange(n) + 0.5) / n * 2.0 - 1.0
    x, y = np.meshgrid(axis, axis)
    angle = np.arctan2(y, x)
    radius = np.hypot(x / 0.80, y / 0.95)
    # Head, skull and brain: nested outlines, the brain's with folds.
    head = smooth(radius - 1.0, 0.02)
    skull = smooth(radius - 0.93, 0.02)
    wave = np.cos(17 * angle + 1.1 * np.sin(3 * angle + 0.4))
    brain_edge = radius - 0.865 - 0.018 * wave
    brain = smooth(brain_edge, 0.03)
    inner = radius - 0.665 - 0.055 * wave - 0.03 * np.cos(5 * angle + 1.0)
    white = smooth(inner, 0.06)
    fissure = smooth(np.abs(x) - 0.012 - 0.020 * smooth(0.45 - np.abs(y), 0.05), 0.02)
    fissure = fissure * smooth(radius - 0.87, 0.05)
    horns = np.zeros_like(x)
    for side in (-1, 1):
        for centre, tilt, length in ((-0.17, 0.40, 0.17), (0.20, -0.50, 0.19)):
            u = (side * x - 0.11) * math.cos(tilt) + (y - centre) * math.sin(tilt)
            v = -(side * x - 0.11) * math.sin(tilt) + (y - centre) * math.cos(tilt)
            horns = np.maximum(horns, smooth(np.hypot(u / 0.06, v / length) - 1.0, 0.25))
    around = np.arctan2(y + 0.13, x - 0.40)
    tumour = np.hypot(x - 0.40, y + 0.13) - 0.025 * np.cos(3 * around + 0.6) - 0.015 * np.cos(5 * around)
    rim = smooth(tumour - 0.20, 0.10)
    core = 0.55 * smooth(np.hypot(x - 0.38, y + 0.11) - 0.075, 0.07)
    grey_matter = brain * (1.0 - white)
    liquid = np.maximum(horns, 0.85 * fissure) * brain

    t2w = 0.42 * grey_matter + 0.24 * white * brain
    t2w = np.maximum(t2w, 0.80 * brain * smooth(-brain_edge - 0.035, 0.03))
    t2w = t2w * (1 - liquid) + 0.95 * liquid
    t2w += 0.35 * (head - skull)

    uneven = 0.06 * np.sin(9 * x + 4 * y) * np.cos(7 * y - 3 * x)
    perfusion = (0.60 + uneven) * grey_matter + (0.32 + uneven) * white * brain
    perfusion = perfusion * (1 - 0.9 * liquid)
    perfusion = perfusion * (1 - rim) + (1.0 - core) * rim * brain
    positions = [stop[0] for stop in SCALE]
    colour = np.stack([np.interp(perfusion, positions, [s[k] for s in SCALE]) for k in (1, 2, 3)], axis=-1)

    right = smooth(-(x - 0.0), 0.01)[..., None]
    grey = np.repeat(np.clip(t2w, 0, 1)[..., None], 3, axis=-1)
    background = np.array([0.05, 0.06, 0.10])
    inside = skull[..., None]
    coloured = colour * brain[..., None] + np.array([0.02, 0.02, 0.08]) * (1 - brain[..., None])
    picture = grey * (1 - right) + coloured * right
    ring = (head - skull)[..., None]
    picture = picture * inside + ring * np.array([0.80, 0.83, 0.88]) + background * (1 - inside) * (1 - ring)
    # A rounded tile around the head.
    corner = 0.22
    edge = np.hypot(np.maximum(np.abs(x) - (1 - corner), 0), np.maximum(np.abs(y) - (1 - corner), 0)) - corner
    alpha = smooth(edge + 0.005, 0.01)
    rgba = np.concatenate([np.clip(picture, 0, 1), alpha[..., None]], axis=-1)
    rgba = rgba.reshape(SIZE, OVERSAMPLING, SIZE, OVERSAMPLING, 4).mean(axis=(1, 3))
    return Image.fromarray(np.round(255 * rgba).astype(np.uint8), "RGBA")


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    for folder in (here, here.parents[2]):
        draw().save(folder / "SynthCBV.png", optimize=True)
