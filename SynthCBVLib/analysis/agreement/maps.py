"""Agreement of two maps voxel by voxel: exact sums over all voxels, a few slices in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.agreement.pairs import around
from SynthCBVLib.analysis.agreement.results import Interval
from SynthCBVLib.analysis.arrays import Volume, check_grid
from SynthCBVLib.analysis.checks import level_of
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import is_series

_BLOCK_VOXELS = 2_000_000


@dataclass(frozen=True)
class VoxelAgreement:
    """Agreement of two maps over the voxels of a mask.

    Voxels next to each other are not independent, so there is no P and no interval: the numbers describe
    the maps and carry no inference to other cases.

    Attributes
    ----------
    n_voxels, n_left_out : int
        Voxels of the mask that were compared, and those left out because a map is not finite there.
    mean_a, mean_b : float
        Means of the maps.
    bias, sd : float
        Mean and sample SD of a - b.
    lower, upper : float
        bias -+ 1.96 SD.
    mean_absolute : float
        Mean of |a - b|.
    slope, intercept : float
        Least-squares line a = slope * b + intercept; NaN where b is constant.
    r, concordance : float
        Pearson's and Lin's coefficients; NaN where a map is constant.
    """

    n_voxels: int
    n_left_out: int
    mean_a: float
    mean_b: float
    bias: float
    sd: float
    lower: float
    upper: float
    mean_absolute: float
    slope: float
    intercept: float
    r: float
    concordance: float


@dataclass(frozen=True)
class VoxelAgreementOfCases:
    """Voxelwise agreement of many cases, each case counting once.

    Attributes
    ----------
    cases : tuple of VoxelAgreement
        In the order given.
    bias, bias_sd : float
        Mean and sample SD of the cases' biases.
    bias_interval : Interval
        Confidence interval of the mean bias (cases are independent): t with n - 1 degrees of freedom.
    r, concordance : float
        Means of the cases' coefficients, over the cases that have them.
    """

    cases: tuple[VoxelAgreement, ...]
    bias: float
    bias_sd: float
    bias_interval: Interval
    r: float
    concordance: float


def voxelwise(a: Volume, b: Volume, mask: Volume) -> VoxelAgreement:
    """Compare two maps over the voxels of a mask.

    All voxels count, none are sampled; sums are taken in two passes (means first) and block by block, so
    that memory does not grow with the maps. Neighbouring voxels are not independent: there is no P.

    Parameters
    ----------
    a, b : sitk.Image or ndarray (z, y, x)
        Maps on one grid, in one unit and scale; the differences are a - b.
    mask : sitk.Image or ndarray (z, y, x)
        Inside where it is not zero.

    Raises
    ------
    InputError
        If the grids differ, a volume is no 3D map, or fewer than 3 voxels of the mask are finite in both.
    """
    check_grid(a, "first map", b, "second map")
    check_grid(mask, "mask", b, "second map")
    views = [_view(volume, name) for volume, name in ((a, "first map"), (b, "second map"), (mask, "mask"))]
    n_inside, counts, sums_a, sums_b = 0, [], [], []
    for inside, first, second in _blocks(*views):
        n_inside += inside
        counts.append(first.size)
        sums_a.append(float(first.sum()))
        sums_b.append(float(second.sum()))
    n = sum(counts)
    if n < 3:
        raise InputError(
            "mask", f"{n} of {n_inside} voxels with a finite value in both maps", "at least 3",
            "Check that mask and maps cover the same place.",
        )  # fmt: skip
    mean_a, mean_b = math.fsum(sums_a) / n, math.fsum(sums_b) / n
    parts: list[list[float]] = []
    for _, first, second in _blocks(*views):
        absolute = float(np.abs(first - second).sum())
        first, second = first - mean_a, second - mean_b
        apart = first - second
        parts.append(
            [
                float(first @ first),
                float(second @ second),
                float(first @ second),
                float(apart @ apart),
                absolute,
            ]
        )
    sums = [math.fsum(column) for column in zip(*parts, strict=True)]
    return _statistics(n, n_inside - n, mean_a, mean_b, sums)


def voxelwise_cases(
    cases: Sequence[tuple[Volume, Volume, Volume]], *, confidence: float = 0.95
) -> VoxelAgreementOfCases:
    """Compare the maps of many cases; each case counts once, whatever its number of voxels.

    Parameters
    ----------
    cases : sequence of (a, b, mask)
        As in `voxelwise`.
    confidence : float
        Level of the interval of the mean bias.

    Raises
    ------
    InputError
        If there is no case, or as `voxelwise`.
    """
    from scipy.stats import t as student

    if not cases:
        raise InputError("cases", "none", "at least one pair of maps with a mask")
    level = level_of(confidence)
    found = tuple(voxelwise(*case) for case in cases)
    biases = np.array([one.bias for one in found])
    n, bias = biases.size, float(biases.mean())
    sd = float(biases.std(ddof=1)) if n > 1 else math.nan
    interval = Interval(math.nan, math.nan)
    if n > 1:
        interval = around(bias, float(student.ppf(level, n - 1)) * sd / math.sqrt(n))
    return VoxelAgreementOfCases(
        found, bias, sd, interval, _mean([one.r for one in found]), _mean([one.concordance for one in found])
    )


def _statistics(n: int, left_out: int, mean_a: float, mean_b: float, sums: Sequence[float]) -> VoxelAgreement:
    aa, bb, ab, apart, absolute = sums
    bias, sd = mean_a - mean_b, math.sqrt(apart / (n - 1))
    noise = 1e-24 * n  # of the squares: what rounding leaves of a constant map
    flat_a, flat_b = aa <= noise * mean_a**2, bb <= noise * mean_b**2
    r = math.nan if flat_a or flat_b else max(-1.0, min(1.0, ab / math.sqrt(aa) / math.sqrt(bb)))
    slope = math.nan if flat_b else ab / bb
    concordance = math.nan if flat_a or flat_b else 2 * ab / (aa + bb + n * bias**2)
    return VoxelAgreement(
        n, left_out, mean_a, mean_b, bias, sd, bias - 1.96 * sd, bias + 1.96 * sd, absolute / n,
        slope, mean_a - slope * mean_b, r, concordance,
    )  # fmt: skip


def _view(volume: Volume, name: str) -> np.ndarray:
    """Give a view (z, y, x) of the voxels, without a copy."""
    if isinstance(volume, sitk.Image) and not is_series(volume):
        view = sitk.GetArrayViewFromImage(volume)
    elif isinstance(volume, np.ndarray):
        view = volume
    else:
        raise InputError(name, f"a {type(volume).__name__}", "one scalar 3D image or array (z, y, x)")
    if view.ndim != 3 or view.size == 0 or view.dtype.kind not in "biuf":
        raise InputError(name, f"shape {view.shape} of {view.dtype}", "real numbers on 3 axes, not empty")
    return view


def _blocks(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Give the number of voxels inside, and both maps' finite values there (n,), for a few slices each."""
    step = max(1, _BLOCK_VOXELS // max(1, a[0].size))
    for start in range(0, a.shape[0], step):
        part = slice(start, start + step)
        inside = (mask[part] != 0) & ~np.isnan(mask[part])
        first = a[part][inside].astype(np.float64)
        second = b[part][inside].astype(np.float64)
        kept = np.isfinite(first) & np.isfinite(second)
        yield int(inside.sum()), first[kept], second[kept]


def _mean(values: Sequence[float]) -> float:
    kept = [value for value in values if not math.isnan(value)]
    return math.fsum(kept) / len(kept) if kept else math.nan
