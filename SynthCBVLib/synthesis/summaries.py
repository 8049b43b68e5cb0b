"""A study's normalised inputs in a few dozen numbers, to hold against those of a training."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from SynthCBVLib.synthesis.card import InputSpec, ModelCard

#: Group of the numbers that describe the brain's shape in the field of view.
BRAIN = "brain"
#: At most so many voxels are ranked.
_RANKED = 20_000
_SMALL = 1e-4
#: Correlations are no surer than this.
_CLOSEST = 0.98

Feature = tuple[str, tuple[str, ...]]


def features_of(card: ModelCard) -> list[Feature]:
    """Name the numbers of a summary, each with the inputs it needs.

    Returns
    -------
    list of (str, tuple of str)
        In the order of `summary_of`.
    """
    found: list[Feature] = [("brain area", ()), ("brain shape", ())]
    for spec in card.inputs:
        own = (spec.modality.value,)
        for channel in range(spec.channels):
            place = f"{spec.modality.value} {channel + 1}" if spec.channels > 1 else spec.modality.value
            names = ("level", "noise") if channel else ("filled", "level", "low", "high", "top", "noise")
            found += [(f"{place} {name}", own) for name in names]
    for a, b in itertools.combinations(card.inputs, 2):
        pair = (a.modality.value, b.modality.value)
        found.append((f"{pair[0]} against {pair[1]}", pair))
    return found


def summary_of(channels: np.ndarray, present: np.ndarray, mask: np.ndarray, card: ModelCard) -> np.ndarray:
    """Summarise the inputs inside the brain.

    Parameters
    ----------
    channels : ndarray
        (C, z, y, x), normalised as by `SynthCBVLib.synthesis.preprocess.prepare`.
    present : ndarray
        (M,), above 0 for each input that is there.
    mask : ndarray
        (z, y, x), above 0 in the brain.
    card : ModelCard
        Whose inputs these are.

    Returns
    -------
    ndarray
        (n,), as `features_of` names them; NaN where an input is absent. Logarithms of quantiles relative to
        the median, of the median itself, of the noise from voxel to voxel relative to the median; the share
        of the brain that an image covers; rank correlations between inputs.
    """
    inside = np.asarray(mask) > 0
    values = list(_shape(inside))
    first = 0
    leading: list[np.ndarray | None] = []
    for spec, there in zip(card.inputs, present, strict=True):
        block = channels[first : first + spec.channels]
        first += spec.channels
        if there > 0:
            values += _of_input(block, inside, spec)
            leading.append(np.asarray(block[0], dtype=np.float32)[inside])
        else:
            values += [np.nan] * (6 + 2 * (spec.channels - 1))
            leading.append(None)
    values += [_correlation(a, b) for a, b in itertools.combinations(leading, 2)]
    return np.array(values, dtype=np.float64)


def _shape(inside: np.ndarray) -> tuple[float, float]:
    """Log of the largest slice's area in voxels, and of the brain's height over its width."""
    if not inside.any():
        return 0.0, 0.0
    rows, columns = (np.flatnonzero(inside.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    return float(np.log(inside.sum(axis=(1, 2)).max())), float(np.log(height / width))


def _of_input(block: np.ndarray, inside: np.ndarray, spec: InputSpec) -> list[float]:
    found: list[float] = []
    for index, channel in enumerate(block):
        array = np.asarray(channel, dtype=np.float32)
        values = array[inside]
        values = values[np.isfinite(values)]
        covered = values[values > 0]
        if covered.size < 10:
            found += [0.0, 0.0] if index else [0.0] * 6
            continue
        low, middle, high, top = np.maximum(np.quantile(covered, (0.25, 0.5, 0.75, 0.95)), _SMALL)
        level, noise = float(np.log(middle)), float(np.log(max(_noise(array, inside), _SMALL) / middle))
        if index:
            found += [level, noise]
        else:
            shares = (low / middle, high / middle, top / middle)
            found += [covered.size / values.size, level, *(float(np.log(s)) for s in shares), noise]
    return found


def _noise(array: np.ndarray, inside: np.ndarray) -> float:
    """Median size of the second difference along rows, inside the brain."""
    second = np.abs(2 * array[..., 1:-1] - array[..., :-2] - array[..., 2:])
    within = inside[..., 1:-1] & inside[..., :-2] & inside[..., 2:]
    return float(np.median(second[within])) if within.any() else 0.0


def _correlation(a: np.ndarray | None, b: np.ndarray | None) -> float:
    """Rank correlation of two inputs' brain voxels, as its inverse hyperbolic tangent."""
    if a is None or b is None:
        return np.nan
    both = np.isfinite(a) & np.isfinite(b) & (a > 0) & (b > 0)
    step = max(1, int(both.sum()) // _RANKED)
    a, b = a[both][::step], b[both][::step]
    if a.size < 10:
        return 0.0
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float) for values in (a, b)]
    return float(np.arctanh(np.clip(np.corrcoef(*ranks)[0, 1], -_CLOSEST, _CLOSEST)))
