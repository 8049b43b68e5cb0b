"""A head known at every point in space, so that images of it on any grid and in any pose are exact."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.imaging.study import like

#: White matter, grey matter, CSF, skull, scalp.
CONTRASTS = {"T1w": (1.0, 0.65, 0.2, 0.05, 1.8), "T2w": (0.45, 0.65, 1.6, 0.05, 0.4)}


class Head:
    """Ellipsoid brain with folded cortex and ventricles, CSF, skull and scalp."""

    axes = np.array([62.0, 78.0, 56.0])

    def __init__(self):
        rng = np.random.default_rng(3)
        self._waves, self._phases = rng.normal(size=(24, 3)) * 0.14, rng.uniform(0, 2 * np.pi, 24)

    def _depth(self, points, grow):
        axes = self.axes + grow
        return (1 - np.linalg.norm(points / axes, axis=-1)) * axes.min()

    def signal(self, points, contrast):
        def step(x):
            return 1 / (1 + np.exp(-np.clip(2 * x, -40, 40)))

        field = sum(np.cos(points @ k + p) for k, p in zip(self._waves, self._phases, strict=True)) / np.sqrt(
            12
        )
        depth = self._depth(points, 0.0)
        brain = step(depth)
        grey = step(2 * field - (depth - 5) * 0.4) * brain
        ventricle = np.zeros(points.shape[:-1])
        for side in (-11.0, 11.0):
            radius = np.linalg.norm((points - (side, 5.0, 8.0)) / (7.0, 28.0, 12.0), axis=-1)
            ventricle = np.maximum(ventricle, step((1 - radius) * 7))
        grey, csf = grey * (1 - ventricle), ventricle * brain
        rim = step(self._depth(points, 2.0))
        skull = step(self._depth(points, 9.0)) - rim
        scalp = step(self._depth(points, 15.0)) - step(self._depth(points, 9.0))
        white = np.clip(brain - grey - csf, 0, None)
        parts = (white, grey, csf + rim - brain, skull, scalp)
        return sum(w * part for w, part in zip(CONTRASTS[contrast], parts, strict=True))

    def image(self, contrast, spacing, size, pose=None, noise=0.03, seed=0, skull=True):
        """Image whose point x shows the head's point pose(x); slices are averaged over their thickness."""
        image = sitk.Image([int(n) for n in size], sitk.sitkFloat32)
        image.SetSpacing([float(s) for s in spacing])
        image.SetOrigin([-(n - 1) * s / 2 for n, s in zip(size, spacing, strict=True)])
        index = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1).astype(float)
        offsets = [(np.arange(n) + 0.5) / n - 0.5 for n in (max(1, min(3, round(s / 2))) for s in spacing)]
        total, count = np.zeros(size), 0
        for offset in itertools.product(*offsets):
            points = (index + offset) * spacing + np.array(image.GetOrigin())
            if pose is not None:
                matrix = np.array(pose.GetMatrix()).reshape(3, 3)
                points = points @ matrix.T + np.array(pose.TransformPoint((0.0, 0.0, 0.0)))
            signal = self.signal(points, contrast)
            total += signal if skull else np.where(self._depth(points, 0.0) > 0, signal, 0.0)
            count += 1
        array = total / count
        rng = np.random.default_rng(seed)
        noisy = np.hypot(array + noise * rng.normal(size=array.shape), noise * rng.normal(size=array.shape))
        array = noisy if skull else np.where(array > 0, noisy, 0.0)
        return like(array.transpose(2, 1, 0).astype(np.float32), image)

    def brain(self, image):
        """Truth of the brain on the grid of an image in the head's own pose."""
        index = np.stack(np.meshgrid(*map(np.arange, image.GetSize()), indexing="ij"), -1).astype(float)
        points = index * image.GetSpacing() + np.array(image.GetOrigin())
        return (self._depth(points, 0.0) > 0).transpose(2, 1, 0)


@pytest.fixture(scope="session")
def head():
    return Head()


@pytest.fixture(scope="session")
def shared_data():
    """Folder of real images; tests that need it are skipped where it is not."""
    folder = Path(__file__).resolve().parents[4] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder
