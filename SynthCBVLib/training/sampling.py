"""Batches of augmented patches; each is a function of (seed, step) alone, so that training can resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.training.cases import Case
from SynthCBVLib.training.presets import TrainingConfig


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
    """

    images: Tensor
    present: Tensor
    target: Tensor
    mask: Tensor
    known: Tensor


class Sampler:
    """Draws batches of patches from cases.

    Parameters
    ----------
    cases : sequence of Case
        All in memory.
    card : ModelCard
        For the inputs' channels and which of them may be left out.
    config : TrainingConfig
        Patch size, batch and augmentation.
    """

    def __init__(self, cases: Sequence[Case], card: ModelCard, config: TrainingConfig) -> None:
        self._cases, self._card, self._config = cases, card, config
        self._brains = [np.argwhere(case.mask[:, ::4, ::4]) * (1, 4, 4) for case in cases]
        self._of_channel = np.repeat(np.arange(len(card.inputs)), [spec.channels for spec in card.inputs])

    def batch(self, step: int) -> Batch:
        """Draw the batch of a step; the same step gives the same batch."""
        rng = np.random.default_rng([self._config.seed, step])
        return self._collate([self._patch(rng) for _ in range(self._config.batch)])

    def _patch(self, rng: np.random.Generator) -> tuple[Tensor, np.ndarray]:
        """Draw one patch: (C + 3, D, H, W) with target, mask and known last, and what is present."""
        config = self._config
        index = int(rng.integers(len(self._cases)))
        case, brain = self._cases[index], self._brains[index]
        centre = brain[rng.integers(len(brain))]
        depth, height, width = config.patch
        slices = case.mask.shape[0]
        first = int(np.clip(centre[0] - rng.integers(depth), 0, max(slices - depth, 0)))
        planes = slice(first, first + depth)
        maps = np.stack([case.target[planes], case.mask[planes], case.known[planes]])
        stack = np.concatenate([case.channels[:, planes], maps])
        if stack.shape[1] < depth:
            missing = depth - stack.shape[1]
            stack = np.pad(stack, ((0, 0), (0, missing), (0, 0), (0, 0)))
        jitter = rng.integers(-height // 4, height // 4 + 1, size=2)
        sampling = _in_plane_grid(
            shape=stack.shape[2:], patch=(height, width), centre=centre[1:] + jitter,
            angle=np.deg2rad(rng.uniform(-config.rotation, config.rotation)),
            zoom=np.exp(rng.uniform(-1, 1) * np.log1p(config.zoom)),
            flip=bool(rng.integers(2)),
        )  # fmt: skip
        flat = torch.from_numpy(stack.astype(np.float32)).flatten(0, 1)[None]
        patch = functional.grid_sample(flat, sampling, align_corners=False)[0]
        patch = patch.reshape(stack.shape[0], depth, height, width)
        gains = np.exp(rng.uniform(-1, 1, len(self._card.inputs)) * np.log1p(config.gain))
        patch[:-3] *= torch.from_numpy(gains[self._of_channel].astype(np.float32))[:, None, None, None]
        if rng.random() < config.strip:
            patch[:-3] *= patch[-2:-1] > 0.5
        return patch, self._drop(case.present, rng)

    def _drop(self, present: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Leave out inputs that the card does not require, never all of them."""
        optional = np.array([not spec.required for spec in self._card.inputs])
        dropped = optional & (rng.random(len(present)) < self._config.drop)
        kept = np.where(dropped, 0.0, present)
        if kept.sum() == 0:
            kept[rng.choice(np.flatnonzero(present))] = 1.0
        return kept.astype(np.float32)

    def _collate(self, patches: list[tuple[Tensor, np.ndarray]]) -> Batch:
        stacked = torch.stack([patch for patch, _ in patches])
        present = torch.from_numpy(np.stack([kept for _, kept in patches]))
        keep = present[:, torch.from_numpy(self._of_channel)][..., None, None, None]
        mask, known = (stacked[:, -2:] > 0.5).float().split(1, dim=1)
        return Batch(stacked[:, :-3] * keep, present, stacked[:, -3:-2], mask, known)


def _in_plane_grid(
    shape: tuple[int, ...], patch: tuple[int, int], centre: np.ndarray, angle: float, zoom: float, flip: bool
) -> Tensor:
    """Give the sampling grid (1, h, w, 2) of a rotated, zoomed and perhaps left-right flipped patch."""
    rows = (np.arange(patch[0]) - (patch[0] - 1) / 2) * zoom
    columns = (np.arange(patch[1]) - (patch[1] - 1) / 2) * (-zoom if flip else zoom)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    cos, sin = np.cos(angle), np.sin(angle)
    source_y, source_x = centre[0] + cos * y - sin * x, centre[1] + sin * y + cos * x
    normalised = [
        (2 * source + 1) / size - 1
        for source, size in ((source_x, shape[1]), (source_y, shape[0]))
    ]  # fmt: skip
    return torch.from_numpy(np.stack(normalised, axis=-1).astype(np.float32))[None]
