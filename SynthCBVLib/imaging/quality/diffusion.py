"""b-values against the model's, averages, and a signal that falls with b."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.quality.finding import Finding, listed
from SynthCBVLib.imaging.quality.noise import foreground
from SynthCBVLib.imaging.study import DiffusionSeries, Modality

#: A measured b-value serves for a wanted one within this relative or absolute (s/mm²) distance.
B_TOLERANCE, B_TOLERANCE_ABSOLUTE = 0.05, 5.0
#: A median that rises by more than this fraction of the b = 0 signal is no decay.
RISE = 0.05
#: A volume this far (log of its median) off the decay of all others has another b-value than it says.
ASTRAY = 0.035
#: Slices of one volume that lost this much (log) against the other volumes of the series.
DROPPED = 0.3
#: Rates (mm²/s) of the decay that volumes are held against: perfusion and diffusion.
_FAST = 0.015


def check_b_values(series: DiffusionSeries, wanted: Sequence[float]) -> Iterable[Finding]:
    """Hold the b-values of a series against those of a model card."""
    there = np.unique(np.round(series.b_values, 1))
    if there.min() > B_TOLERANCE_ABSOLUTE:
        yield _found(
            "error", f"no b = 0 image; the lowest b-value is {there.min():g} s/mm²",
            "Add the b = 0 images: all others are measured against them.",
        )  # fmt: skip
    distance = [float(np.abs(there - b).min()) for b in wanted]
    reach = [max(B_TOLERANCE * b, B_TOLERANCE_ABSOLUTE) for b in wanted]
    missing = [b for b, d, r in zip(wanted, distance, reach, strict=True) if d > r and b > 0]
    if missing:
        yield _found(
            "error", f"no image at b = {listed(missing)} s/mm²; there are b = {listed(there)}",
            "Use a model trained for these b-values, or check the .bval file and its unit (s/mm²).",
        )  # fmt: skip
    shifted = [b for b, d, r in zip(wanted, distance, reach, strict=True) if 1 < d <= r]
    if shifted:
        yield _found(
            "warning", f"b = {listed(shifted)} s/mm² only nearly among b = {listed(there)}",
            "The nearest b-values are used in their place.",
        )  # fmt: skip
    unused = [
        b for b in there
        if wanted and np.abs(np.array(wanted) - b).min() > max(B_TOLERANCE * b, B_TOLERANCE_ABSOLUTE)
    ]  # fmt: skip
    if unused:
        yield _found(
            "info", f"b = {listed(unused)} s/mm² is not used by this model", "Nothing needs to be done."
        )


def check_decay(series: DiffusionSeries) -> Iterable[Finding]:
    """Look at the repeats and the decay of a diffusion series."""
    rounded = np.round(series.b_values, 1)
    levels, counts = np.unique(rounded, return_counts=True)
    once = [f"{b:g}" for b, n in zip(levels, counts, strict=True) if n == 1]
    if once and len(once) < len(levels):
        yield _found(
            "info", f"b = {', '.join(once)} s/mm² measured once only", "More averages lower the noise.",
            "averages",
        )  # fmt: skip
    elif once:
        yield _found(
            "warning", "every b-value measured once only", "More averages lower the noise of the map.",
            "averages",
        )  # fmt: skip
    volumes = series.volumes()
    arrays = [sitk.GetArrayViewFromImage(volume) for volume in volumes]
    inside = _brightest_head(volumes, arrays)
    medians = np.array([float(np.median(array[inside])) for array in arrays])
    means = np.array([medians[rounded == b].mean() for b in levels])
    if len(levels) >= 2 and means[0] > 0:
        if means[-1] >= means[0]:
            yield _found(
                "error",
                f"the signal does not fall with b: median {means[0]:.4g} at b = {levels[0]:g}, "
                f"{means[-1]:.4g} at b = {levels[-1]:g}",
                "Check the order of the b-values against the volumes.", "decay",
            )  # fmt: skip
            return
        astray = list(_astray(rounded, medians))
        if astray:
            yield _found(
                "warning", f"the signal does not fall with b as in the other volumes: {listed(astray)}",
                "Check the order of the b-values against the volumes.", "decay",
            )  # fmt: skip
        for k in range(1, len(levels)):
            if means[k] > means[k - 1] + RISE * means[0]:
                yield _found(
                    "warning",
                    f"the signal rises from b = {levels[k - 1]:g} to {levels[k]:g} s/mm² "
                    f"by {(means[k] - means[k - 1]) / means[0]:.0%} of b = 0",
                    "Check the order of the b-values, and the images for motion.", "decay",
                )  # fmt: skip
    yield from _dropped(rounded, arrays, inside)


def _brightest_head(volumes: Sequence[sitk.Image], arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Find the head in the volume with most signal, whatever its b-value is said to be."""
    return foreground(volumes[int(np.argmax([float(a.mean(dtype=np.float64)) for a in arrays]))])


def _astray(b_values: np.ndarray, medians: np.ndarray) -> Iterable[str]:
    """Name the volumes whose signal is not that of their b-value, by the decay through most volumes."""
    if len(medians) < 6 or np.any(medians <= 0):
        return
    logs = np.log(medians)
    b = b_values / 1000.0
    design = np.column_stack([np.ones_like(b), b, b**2, 1 - np.exp(-_FAST * b_values)])
    if len(np.unique(b_values)) < 5:
        design = design[:, :2]
    weights = np.ones_like(logs)
    residual = logs
    for _ in range(50):  # least absolute deviations by reweighting: a few wrong volumes do not bend the decay
        root = np.sqrt(weights)[:, None]
        solution, *_ = np.linalg.lstsq(design * root, logs * root[:, 0], rcond=None)
        residual = logs - design @ solution
        weights = 1 / np.maximum(np.abs(residual), 1e-4)
    limit = max(ASTRAY, 6 * 1.4826 * float(np.median(np.abs(residual))))
    for k in np.flatnonzero(np.abs(residual) > limit):
        yield f"volume {k + 1} (b = {b_values[k]:g}) is {np.expm1(residual[k]):+.0%} off"


def _dropped(
    b_values: np.ndarray, arrays: Sequence[np.ndarray], inside: np.ndarray
) -> Iterable[Finding]:  # fmt: skip
    """Find slices of single volumes that lost their signal, as motion during the weighting makes them."""
    area = inside.sum((1, 2))
    usable = np.flatnonzero(area > 0.1 * area.max())
    if len(usable) < 4 or len(arrays) < 2:
        return
    profile = np.array(
        [[float(array[z][inside[z]].mean(dtype=np.float64)) for z in usable] for array in arrays]
    )
    logs = np.log(np.maximum(profile, 1e-6 * max(float(profile.max()), 1e-30)))
    logs -= np.median(logs, axis=1, keepdims=True)
    lost = []
    for k in range(len(arrays)):
        nearest = np.argsort(np.abs(b_values - b_values[k]), kind="stable")
        near = [j for j in nearest if j != k][:4]
        off = logs[k] - np.median(logs[near], axis=0)
        lost += [f"slice {usable[z] + 1} of volume {k + 1} (b = {b_values[k]:g})"
                 for z in np.flatnonzero(off < -DROPPED)]  # fmt: skip
    if lost:
        yield _found(
            "warning", f"signal lost in single slices: {listed(lost)}",
            "The head may have moved during these: leave out the volumes, or measure again.", "slices",
        )  # fmt: skip


def _found(severity: str, what: str, remedy: str, kind: str = "b-values") -> Finding:
    return Finding(severity, Modality.DWI, what, remedy, kind)  # type: ignore[arg-type]
