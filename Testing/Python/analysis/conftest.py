"""A drawn head whose halves mirror each other but for a tumour; every tissue is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk


@dataclass(frozen=True)
class Head:
    """Images of one grid, and the truth."""

    t2w: sitk.Image
    t1w: sitk.Image
    rcbv: sitk.Image
    mask: sitk.Image
    tumour: sitk.Image
    vessel: np.ndarray
    white: np.ndarray
    normal: np.ndarray
    offset: float


def draw_head(turn: float = 0.0, tilt: float = 0.0, seed: int = 1, shift: float = 3.0) -> Head:
    """Draw a head whose mid-plane is turned and tilted (degrees) and `shift` mm off the grid's middle."""
    rng = np.random.default_rng(seed)
    size, spacing = (80, 96, 18), np.array([2.0, 2.0, 6.0])
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin((-(np.array(size) - 1) * spacing / 2).tolist())
    k, j, i = np.indices(size[::-1])
    points = np.stack([i, j, k], -1) * spacing + np.array(image.GetOrigin())
    normal = np.array([1.0, np.tan(np.deg2rad(turn)), np.tan(np.deg2rad(tilt))])
    normal /= np.linalg.norm(normal)
    front = np.array([0.0, 1.0, 0.0]) - normal[1] * normal
    front /= np.linalg.norm(front)
    x, y, z = ((points @ axis) for axis in (normal, front, np.cross(normal, front)))
    x = x - shift

    def blob(centre, radii, side=None):
        across = np.abs(x) if side is None else side * x
        return np.sqrt(
            ((across - centre[0]) / radii[0]) ** 2
            + ((y - centre[1]) / radii[1]) ** 2
            + ((z - centre[2]) / radii[2]) ** 2
        )

    radius = blob((0, 0, 0), (62, 80, 58))
    brain = radius < 1
    folds = 0.06 * np.sin(y / 5.0 + 0.6) * np.cos(np.abs(x) / 6.0) + 0.03 * np.sin(z / 7.0)
    white = brain & (radius + folds < 0.8)
    fluid = brain & (blob((11, -5, 8), (6, 28, 14)) < 1)
    nuclei = brain & (blob((26, 0, 0), (8, 16, 12)) < 1)
    solid = brain & (blob((36, 18, 6), (15, 17, 16), side=-1) < 1)
    white &= ~fluid & ~nuclei & ~solid
    vessel = brain & (np.abs(-x - 40) < 1.5) & (np.abs(z - 6) < 8) & (y > 0) & (y < 45)

    def painted(white_value, grey, csf, lesion, noise):
        values = np.where(brain, np.where(fluid, csf, np.where(white, white_value, grey)), 0.0)
        values = np.where(solid, lesion, values)
        field = 1 + 0.1 * x / 62 + 0.05 * y / 80
        return made(brain * (values * field + noise * white_value * rng.standard_normal(values.shape)))

    def made(array, kind=np.float32):
        out = sitk.GetImageFromArray(array.astype(kind))
        out.CopyInformation(image)
        return out

    hot = sum(3 * np.exp(-(blob(c, (6, 6, 9), side=-1) ** 2)) for c in ((30, 12, 6), (32, 28, 6), (42, 8, 6)))
    flow = np.where(brain, np.where(fluid, 0.1, np.where(white, 1.0, 2.4)), 0.0)
    flow = np.where(solid, 3.0 + hot, flow)
    flow = np.where(vessel, 15.0, flow) + brain * 0.05 * rng.standard_normal(flow.shape)
    return Head(
        painted(300, 520, 1500, 900, 0.03), painted(600, 380, 80, 330, 0.03), made(np.maximum(flow, 0)),
        made(brain, np.uint8), made(solid, np.uint8), vessel, white, normal, float(shift),
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_head():
    return draw_head


@pytest.fixture(scope="session")
def head() -> Head:
    return draw_head(turn=6.0, tilt=-4.0)
