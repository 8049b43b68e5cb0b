"""How far the head moved between two volumes of one series, from the change of intensity at its edges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.imaging.quality.finding import Finding, listed
from SynthCBVLib.imaging.study import DiffusionSeries, Modality

#: Root mean square displacement in the head (mm) that blurs what is computed voxel by voxel.
MOST_MOTION = 1.2
#: Pixels are averaged to about this size (mm), then blurred to make the change linear in the motion.
_PIXEL, _BLUR = 3.0, 3.5
_FEWEST = 500


def displacement(moved: np.ndarray, still: np.ndarray, image: sitk.Image) -> float | None:
    """Estimate the rigid motion between two volumes of like contrast.

    Least squares of ``moved = a still + b + grad(still) . (t + w x r)`` over the head, where t is the
    translation and w the rotation (optical flow: Lucas and Kanade 1981, with one motion for the whole head).
    Motion of more than the blur is underestimated, but not overlooked.

    Parameters
    ----------
    moved, still : ndarray (z, y, x)
        Volumes of one grid.
    image : sitk.Image
        That grid.

    Returns
    -------
    float or None
        Root mean square displacement over the head, mm; None if there is no head to measure it on.
    """
    volumes = Reduced.of([moved, still], image)
    return volumes.between(0, 1)


class Reduced:
    """Volumes of one grid, reduced and blurred, with the head in them."""

    def __init__(self, volumes: list[np.ndarray], spacing: np.ndarray) -> None:
        self.volumes, self.spacing = volumes, spacing
        mean = sum(volumes) / len(volumes)
        self.inside = mean > 0.3 * np.percentile(mean, 98)
        inner = np.zeros_like(self.inside)
        inner[1:-1, 2:-2, 2:-2] = True
        grown = ndimage.binary_dilation(self.inside, iterations=1) & inner
        self.index = np.flatnonzero(grown.ravel())
        points = np.stack(np.unravel_index(self.index, mean.shape), 1) * spacing
        self.points = (points - points.mean(0)) if len(points) else points

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray], image: sitk.Image) -> Reduced:
        """Reduce arrays (z, y, x) of the grid of `image`."""
        spacing = np.array(image.GetSpacing()[::-1], dtype=float)
        step = np.maximum(1, np.round(_PIXEL / spacing).astype(int))
        step = np.where(np.array(arrays[0].shape) // step < 6, 1, step)
        size = [n // s for n, s in zip(arrays[0].shape, step, strict=True)]
        volumes = []
        for array in arrays:
            cut = array[tuple(slice(0, n * s) for n, s in zip(size, step, strict=True))]
            blocks = cut.reshape(size[0], step[0], size[1], step[1], size[2], step[2])
            means = blocks.mean((1, 3, 5), dtype=np.float32)
            volumes.append(ndimage.gaussian_filter(means, _BLUR / (spacing * step)))
        return cls(volumes, spacing * step)

    def between(self, moved: int, still: int, before: Sequence[int] = ()) -> float | None:
        """Estimate the motion (mm) between two of the volumes, by their numbers.

        `before` are volumes in the place of `still` whose contrast may mix into that of `moved`: CSF loses
        its signal faster than tissue, and where it lies on one side of the brain that looks like a shift.
        """
        if len(self.index) < _FEWEST or min(self.volumes[still].shape) < 4:
            return None
        fixed = self.volumes[still]
        target = self.volumes[moved].ravel()[self.index]
        levels = np.stack([fixed, *(self.volumes[k] for k in before)])
        flat = levels.reshape(len(levels), -1)[:, self.index].T
        flat = np.column_stack([flat, np.ones(len(flat))])
        # First the contrast alone, then its mixture again beside the motion of that mixture's edges
        mixture = _solved(flat, target)
        if mixture is None:
            return None
        predicted = np.tensordot(mixture[: len(levels)], levels, 1)
        gradient = np.stack(np.gradient(predicted, *self.spacing), -1).reshape(-1, 3)[self.index]
        turns = np.cross(self.points, gradient)
        solution = _solved(np.column_stack([gradient, turns, flat]), target)
        if solution is None:
            return None
        shift, turn = solution[0:3], solution[3:6]
        inside = self.inside.ravel()[self.index]
        path = shift + np.cross(turn, self.points[inside])
        return float(np.sqrt((path**2).sum(1).mean()))


def _solved(design: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    scale = np.linalg.norm(design, axis=0)
    if np.any(scale == 0):
        return None
    solution, *_ = np.linalg.lstsq(design / scale, target, rcond=None)
    return solution / scale


def check_series_motion(series: DiffusionSeries) -> Iterable[Finding]:
    """Look for motion between the volumes of a diffusion series.

    Only volumes of like contrast are compared: each with the mean of its b-value's others, and each b-value's
    mean with the next.
    """
    images = series.volumes()  # kept: a view does not keep its image alive
    arrays = [sitk.GetArrayViewFromImage(image) for image in images]
    reduced = Reduced.of(arrays, images[0])
    b_values = np.round(series.b_values, 1)
    levels = np.unique(b_values)
    single: list[str] = []
    worst = 0.0
    n = len(arrays)
    volumes = list(reduced.volumes)
    means = {b: sum(volumes[k] for k in np.flatnonzero(b_values == b)) / sum(b_values == b) for b in levels}
    for b in levels:
        members = np.flatnonzero(b_values == b)
        for k in members if len(members) > 1 else []:
            others = sum(volumes[j] for j in members if j != k) / (len(members) - 1)
            reduced.volumes = [*volumes, others]
            amount = reduced.between(int(k), n)
            if amount is not None and amount > MOST_MOTION:
                single.append(f"{k + 1} (b = {b:g})")
                worst = max(worst, amount)
    if single:
        yield Finding(
            "warning", Modality.DWI,
            f"the head moved by up to about {worst:.1f} mm between repeats: volumes {listed(single)}",
            "Align the volumes with each other before the synthesis, or leave out those that moved.",
            "motion",
        )  # fmt: skip
        return
    steps, since = [], 0
    for k, (low, high) in enumerate(pairwise(levels)):
        earlier = sorted({since, max(since, k - 1)} - {k})
        reduced.volumes = [means[high], means[low], *(means[levels[j]] for j in earlier)]
        amount = reduced.between(0, 1, range(2, 2 + len(earlier)))
        if amount is not None and amount > MOST_MOTION:
            steps.append((amount, f"b = {low:g} and {high:g}"))
            since = k + 1  # what lies before shows the head in its old place
    if steps:
        yield Finding(
            "warning", Modality.DWI,
            f"the head moved by about {max(steps)[0]:.1f} mm between "
            f"{listed(text for _, text in steps)} s/mm²",
            "Align the volumes with b = 0 before the synthesis.", "motion",
        )  # fmt: skip
