"""Batches of augmented patches; each patch is a function of (seed, step, member) alone.

So training can resume, and several processes can draw one batch between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.training.cases import Case
from SynthCBVLib.training.config import TrainingConfig


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes
    ----------
    images : Tensor
        (N, C, D, H, W).
    present : Tensor
        (N, M).
    target, mask, known : Tensor
        (N, 1, D, H, W); mask and known are 0 or 1.
    data_range : Tensor
        (N,), range of the real map in the whole brain, in its unit.
    """

    images: Tensor
    present: Tensor
    target: Tensor
    mask: Tensor
    known: Tensor
    data_range: Tensor

    def to(self, device: torch.device) -> Batch:
        """Give the batch on a device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class _Source:
    """What is kept of a case in memory: where to draw patches, and the map's range."""

    case: Case
    brain: np.ndarray
    centre: np.ndarray
    data_range: float


class Sampler:
    """Draws batches of patches from cases.

    Parameters
    ----------
    cases : sequence of Case
        In memory, or mapped from the disk.
    card : ModelCard
        For the inputs' channels and which of them may be left out.
    config : TrainingConfig
        Patch size, batch and augmentation.
    """

    def __init__(self, cases: Sequence[Case], card: ModelCard, config: TrainingConfig) -> None:
        self._card, self._config = card, config
        self._sources = [_source(case) for case in cases]
        self._of_channel = np.repeat(np.arange(len(card.inputs)), [spec.channels for spec in card.inputs])
        self._optional = np.array([not spec.required for spec in card.inputs])

    def batch(self, step: int, members: Iterable[int] | None = None) -> Batch:
        """Draw the batch of a step, or some members of it; the same step gives the same batch."""
        members = range(self._config.batch) if members is None else members
        patches, kept, ranges = zip(*(self._patch(step, member) for member in members), strict=True)
        stacked = torch.stack(patches)
        present = torch.from_numpy(np.stack(kept))
        keep = present[:, torch.from_numpy(self._of_channel)][..., None, None, None]
        mask, known = (stacked[:, -2:] > 0.5).float().split(1, dim=1)
        return Batch(stacked[:, :-3] * keep, present, stacked[:, -3:-2], mask, known, torch.tensor(ranges))

    def _patch(self, step: int, member: int) -> tuple[Tensor, np.ndarray, float]:
        """Draw one patch (C + 3, D, H, W) with target, mask and known last; what is present; the range."""
        config = self._config
        rng = np.random.default_rng([config.seed, step, member])
        source = self._sources[int(rng.integers(len(self._sources)))]
        depth, height, width = config.patch
        slices = source.case.mask.shape[0]
        centre = source.brain[rng.integers(len(source.brain))].astype(float)
        jitter = rng.integers([-height // 4, -width // 4], [height // 4 + 1, width // 4 + 1])
        first = centre[0] - rng.integers(depth)
        if config.whole:
            centre, jitter, first = source.centre, np.zeros(2), round(source.centre[0] - (depth - 1) / 2)
        first = int(np.clip(first, min(0, slices - depth), max(slices - depth, 0)))
        angle = np.deg2rad(rng.uniform(-config.rotation, config.rotation))
        zoom = float(np.exp(rng.uniform(-1, 1) * np.log1p(config.zoom)))
        flip = bool(rng.integers(2)) and config.flip
        # Rows and columns of the source as linear functions of those of the patch.
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turn * zoom * np.array([1.0, -1.0 if flip else 1.0])
        patch = _sampled(source.case, (first, depth), (height, width), centre[1:] + jitter, matrix)
        gains = np.exp(rng.uniform(-1, 1, len(self._card.inputs)) * np.log1p(config.gain))
        strip = rng.random() < config.strip
        if config.gain:
            patch[:-3] *= torch.from_numpy(gains[self._of_channel].astype(np.float32))[:, None, None, None]
        if strip:
            patch[:-3] *= patch[-2:-1] > 0.5
        return patch, self._drop(np.asarray(source.case.present), rng), source.data_range

    def _drop(self, present: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Leave out inputs that the card does not require, never all of them."""
        if self._config.drop_evenly:
            optional = np.flatnonzero(self._optional & (present > 0))
            fewest = int(optional.size == np.count_nonzero(present))  # one stays where none is required
            stay = rng.integers(fewest, optional.size + 1)
            dropped = np.isin(np.arange(len(present)), rng.permutation(optional)[: optional.size - stay])
        else:
            dropped = self._optional & (rng.random(len(present)) < self._config.drop)
        kept = np.where(dropped, 0.0, present)
        if kept.sum() == 0:
            kept[rng.choice(np.flatnonzero(present))] = 1.0
        return kept.astype(np.float32)


def _source(case: Case) -> _Source:
    inside = (case.mask > 0) & (case.known > 0)
    brain = np.argwhere(case.mask[:, ::4, ::4]) * (1, 4, 4)
    if not len(brain):
        brain = np.argwhere(case.mask)
    extent = np.argwhere(case.mask)
    centre = (extent.min(axis=0) + extent.max(axis=0)) / 2
    peak = float(case.target[inside].max()) if inside.any() else 0.0
    return _Source(case, brain.astype(np.int16), centre, max(peak, 1e-3))


def _sampled(
    case: Case, planes: tuple[int, int], size: tuple[int, int], centre: np.ndarray, matrix: np.ndarray
) -> Tensor:
    """Sample inputs, target, mask and known (C + 3, D, h, w) on a turned and scaled grid, zero outside.

    Parameters
    ----------
    case : Case
        From which no more than the box around the grid is read.
    planes : tuple of int
        First slice (below 0 for volumes thinner than the patch) and number of slices.
    size : tuple of int
        Of the patch in-plane.
    centre : ndarray
        (row, column) of the source at the patch's centre.
    matrix : ndarray
        (2, 2), patch's rows and columns to the source's.
    """
    first, depth = planes
    shape = np.array(case.mask.shape)
    half = (np.array(size) - 1) / 2
    reach = np.abs(matrix) @ half
    low = np.clip(np.floor(centre - reach).astype(int), 0, shape[1:] - 1)
    high = np.clip(np.ceil(centre + reach).astype(int) + 1, low + 1, shape[1:])
    taken = slice(max(first, 0), min(first + depth, int(shape[0])))
    rows, columns = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
    inputs = case.crop(taken, rows, columns)
    box = np.empty((len(inputs) + 3, *inputs.shape[1:]), dtype=np.float32)
    box[:-3] = inputs
    for i, maps in enumerate((case.target, case.mask, case.known)):
        box[i - 3] = maps[taken, rows, columns]
    # grid_sample counts (x, y) from -1 to 1 over the outer edges of the box's voxels.
    extent = np.array(box.shape[2:])
    scaled = (matrix * np.array(size)) / extent[:, None]
    offset = (2 * (centre - low) + 1) / extent - 1
    affine = np.array(
        [[scaled[1, 1], scaled[1, 0], offset[1]], [scaled[0, 1], scaled[0, 0], offset[0]]], dtype=np.float32
    )
    grid = functional.affine_grid(torch.from_numpy(affine)[None], [1, 1, *size], align_corners=False)
    flat = torch.from_numpy(box).flatten(0, 1)[None]
    patch = functional.grid_sample(flat, grid, align_corners=False)[0]
    patch = patch.reshape(box.shape[0], box.shape[1], *size)
    missing = (taken.start - first, first + depth - taken.stop)
    return functional.pad(patch, (0, 0, 0, 0, *missing)) if any(missing) else patch
