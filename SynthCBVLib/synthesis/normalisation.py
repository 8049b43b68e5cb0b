"""Normalisations that a model card can name; each is invariant to the scanner's scale.

All take arrays (..., z, y, x) on one grid and the brain mask (z, y, x).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_EPSILON = 1e-12


@dataclass(frozen=True)
class Normalisation:
    """A named normalisation.

    Parameters
    ----------
    scale : Callable
        ``scale(channels (c, z, y, x), mask (z, y, x)) -> divisor`` that broadcasts against the channels.
    unit : str
        Unit of the normalised map, in words.
    """

    scale: Callable[[np.ndarray, np.ndarray], np.ndarray]
    unit: str

    def __call__(self, channels: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Normalise `channels` (c, z, y, x); slices without signal become zero.

        Returns
        -------
        ndarray
            float32, same shape.
        """
        divisor = np.asarray(self.scale(channels, mask), dtype=np.float64)
        factor = np.where(divisor > _EPSILON, 1.0 / np.maximum(divisor, _EPSILON), 0.0)
        return (channels * factor).astype(np.float32)


def _slice_maximum(channels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Maximum of each slice of the first channel (Wang et al., section Proposed scheme)."""
    return channels[0].max(axis=(1, 2), initial=0.0)[None, :, None, None]


def _brain_mean(channels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean of the first channel over the brain."""
    inside = channels[0][mask > 0]
    return np.array(inside.mean() if inside.size else 0.0)[None, None, None, None]


NORMALISATIONS: dict[str, Normalisation] = {
    # T2w and rCBV of the IVIM card: "setting the maximum value of each image as the baseline".
    "slice-maximum": Normalisation(_slice_maximum, "fraction of the slice's maximum rCBV"),
    # DWI: channels ascend in b, so the first is b = 0: "the maximum value of b = 0 image as the baseline".
    "b0-slice-maximum": Normalisation(_slice_maximum, "fraction of the slice's maximum at b = 0"),
    "brain-mean": Normalisation(_brain_mean, "multiple of the brain's mean rCBV"),
}
