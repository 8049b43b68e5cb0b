"""What a T/WM ratio consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class RegionCounts(NamedTuple):
    """How many regions of each kind went into a ratio."""

    tumour: int
    white_matter: int


class Ratio(NamedTuple):
    """A T/WM ratio and what it was made from.

    Attributes
    ----------
    tumour, white_matter : float
        Means of the region means, in the map's units.
    ratio : float
        `tumour` / `white_matter`, no unit.
    n : RegionCounts
        Numbers of regions (not voxels): (tumour, white_matter).
    """

    tumour: float
    white_matter: float
    ratio: float
    n: RegionCounts


@dataclass(frozen=True)
class RatioInterval:
    """A T/WM ratio with the interval that the map's uncertainty gives it.

    Attributes
    ----------
    ratio : float
        The T/WM ratio.
    lower, upper : float
        Limits of the interval.
    level : float
        Its level, such as 0.9.
    relative_sd : float
        Standard deviation of the ratio relative to the ratio (to first order that of its logarithm).
    tumour_sd, white_matter_sd : float
        Standard deviations of the two means, map units.
    """

    ratio: float
    lower: float
    upper: float
    level: float
    relative_sd: float
    tumour_sd: float
    white_matter_sd: float


@dataclass(frozen=True)
class RegionStatistic:
    """What a map holds within one region.

    Attributes
    ----------
    name : str
        Name of the region.
    mean, sd : float
        Mean and sample standard deviation (n - 1; NaN for one voxel), map units.
    n_voxels : int
        Number of voxels.
    area_mm2 : float or None
        Largest area in one slice, mm²; None if the map came without geometry.
    volume_mm3 : float or None
        Volume, mm³; None if the map came without geometry.
    """

    name: str
    mean: float
    sd: float
    n_voxels: int
    area_mm2: float | None
    volume_mm3: float | None


@dataclass(frozen=True)
class RatioRow:
    """One map's line in a ratio table.

    Attributes
    ----------
    map : str
        Name of the map, such as "Synthetic rCBV".
    ratio : Ratio
        Its T/WM ratio.
    regions : tuple of RegionStatistic
        Its regions, tumour first.
    interval : RatioInterval or None
        How sure the ratio is, where the map has an uncertainty map.
    """

    map: str
    ratio: Ratio
    regions: tuple[RegionStatistic, ...]
    interval: RatioInterval | None = None
