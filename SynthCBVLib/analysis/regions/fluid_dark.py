"""The image of a diffusion series in which fluid is dark and tumour bright, as in FLAIR.

Tumour's T2 is long, so it is bright without diffusion weighting; fluid is still brighter, but fades soon. At
about 500 s/mm² fluid is dark, and tumour, which diffuses more slowly, is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.study import DiffusionSeries, like, volume_of

#: b-values (s/mm²) of diffusion-weighted images in which fluid is dark and tumour bright, and their middle.
MIDDLE, ABOUT = (300.0, 700.0), 500.0


@dataclass(frozen=True)
class FluidDark:
    """How the image comes of the volumes of a series.

    The mean of the images with b-values in the middle; without them, what a single exponential through the
    nearest below and above says (the nearest alone where there is none on one side).

    Attributes
    ----------
    weights : tuple of ndarray
        Of each volume in one mean, or in two; every b-value of a mean counts the same.
    share : float
        Exponent of the second mean, 1 minus that of the first.
    """

    weights: tuple[np.ndarray, ...]
    share: float = 0.0

    @classmethod
    def of(cls, b_values: Sequence[float]) -> FluidDark:
        """Choose the volumes of a series by their b-values, s/mm²."""
        own = np.round(np.asarray(b_values, dtype=float), 1)
        known = np.unique(own)

        def mean(wanted: np.ndarray) -> np.ndarray:
            return sum((own == b) / (np.sum(own == b) * len(wanted)) for b in wanted)

        middle = known[(known >= MIDDLE[0]) & (known <= MIDDLE[1])]
        if middle.size:
            return cls((mean(middle),))
        below, above = known[known < ABOUT][-1:], known[known > ABOUT][:1]
        if not (below.size and above.size):
            return cls((mean(below if below.size else above),))
        share = (ABOUT - below[0]) / (above[0] - below[0])
        return cls((mean(below), mean(above)), float(share))

    def image(self, means: Sequence[np.ndarray]) -> np.ndarray:
        """Put the means together, float32."""
        if len(means) == 1:
            return means[0].astype(np.float32)
        low, high = (np.maximum(each, 0) for each in means)
        return (low ** (1 - self.share) * high**self.share).astype(np.float32)


def fluid_dark_image(series: DiffusionSeries) -> sitk.Image:
    """Give the image of a diffusion series in which fluid is dark and tumour bright (float32)."""
    way = FluidDark.of(series.b_values)
    means = []
    for weights in way.weights:
        members = np.flatnonzero(weights)
        means.append(
            sum(
                np.float32(weights[i]) * sitk.GetArrayFromImage(volume_of(series.image, int(i)))
                for i in members
            )
        )
    return like(way.image(means), volume_of(series.image, 0))
