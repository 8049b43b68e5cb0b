"""Tumour-to-white-matter (T/WM) ratios and statistics of regions drawn on maps.

Both papers draw three tumour and three contralateral normal-appearing white-matter regions of about
0.25 cm² each, average the voxels of each region, average the region means of each kind, and divide.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.arrays import (
    Volume,
    check_grid,
    inside_of,
    is_volume,
    values_of,
)
from SynthCBVLib.analysis.regions.results import Ratio, RatioInterval, RatioRow, RegionCounts, RegionStatistic
from SynthCBVLib.analysis.regions.table import write_ratios_csv
from SynthCBVLib.errors import InputError

__all__ = [
    "Ratio",
    "RatioInterval",
    "RatioRow",
    "RegionCounts",
    "RegionStatistic",
    "Regions",
    "named_regions",
    "ratio_row",
    "ratio_table",
    "region_statistics",
    "split_regions",
    "t_wm_ratio",
    "write_ratios_csv",
]

#: Regions by name, or in order (then called "Tumour 1", "White matter 2" and so on), or a single one.
Regions = Mapping[str, Volume] | Sequence[Volume] | Volume

_TUMOUR = re.compile(r"\s*tumou?rs?(?![a-z])", re.IGNORECASE)
_WHITE_MATTER = re.compile(r"\s*(white[\s_-]*matter|nawm|wm)(?![a-z])", re.IGNORECASE)


def t_wm_ratio(map: Volume, tumour: Regions, white_matter: Regions, *, name: str = "map") -> Ratio:
    """Give the tumour-to-white-matter ratio of a map.

    Parameters
    ----------
    map : sitk.Image or ndarray
        Scalar map, any unit that is proportional to the quantity.
    tumour, white_matter : sequence or mapping of masks
        Regions on the map's grid, inside wherever the mask is not zero; image or array (z, y, x).
    name : str
        How messages call the map.

    Returns
    -------
    Ratio
        Mean of the tumour regions' means, mean of the white-matter regions' means, their quotient and the
        numbers of regions. Every region weighs the same, whatever its size, as in both papers.

    Raises
    ------
    InputError
        If there is no region of a kind, or a region is empty, lies on another grid or on voxels that are
        not finite, or the white matter's mean is not positive.
    """
    return ratio_row(name, map, tumour, white_matter).ratio


def region_statistics(
    map: Volume, regions: Regions, *, name: str = "map", kind: str = "Region"
) -> list[RegionStatistic]:
    """Give mean, standard deviation and size of each region of a map.

    Parameters
    ----------
    map : sitk.Image or ndarray
        Scalar map.
    regions : sequence or mapping of masks
        Regions on the map's grid.
    name : str
        How messages call the map.
    kind : str
        Regions without names are called `kind` 1, 2, ...

    Raises
    ------
    InputError
        If there is no region, or one is empty, on another grid or on voxels that are not finite.
    """
    values, statistics = values_of(map, name), []
    for region, mask in named_regions(regions, kind).items():
        check_grid(mask, region, map, name)
        inside = inside_of(mask, region)
        inner = values[inside]
        n_bad = int((~np.isfinite(inner)).sum())
        if n_bad:
            raise InputError(
                f"{region} on {name}",
                f"{n_bad} of {inner.size} voxels without a finite value",
                "a region wholly within the map",
                "Move the region to where the map has values.",
            )
        area, volume = _sizes(inside, map)
        spread = float(inner.std(ddof=1)) if inner.size > 1 else math.nan
        statistics.append(RegionStatistic(region, float(inner.mean()), spread, inner.size, area, volume))
    return statistics


def ratio_row(name: str, map: Volume, tumour: Regions, white_matter: Regions) -> RatioRow:
    """Give one map's T/WM ratio with the statistics of its regions; parameters as `t_wm_ratio`."""
    tumours = region_statistics(map, tumour, name=name, kind="Tumour")
    whites = region_statistics(map, white_matter, name=name, kind="White matter")
    twice = {region.name for region in tumours} & {region.name for region in whites}
    if twice:
        raise InputError(f"region {min(twice)}", "both tumour and white matter", "a name for one kind only")
    tumour_mean = float(np.mean([region.mean for region in tumours]))
    white_mean = float(np.mean([region.mean for region in whites]))
    if not white_mean > 0:
        raise InputError(
            f"white matter on {name}",
            f"a mean of {white_mean:.4g}",
            "a mean above 0 to divide by",
            "Place the white-matter regions where the map has signal.",
        )
    ratio = tumour_mean / white_mean
    if not math.isfinite(ratio):
        raise InputError(
            f"white matter on {name}", f"a mean of {white_mean:.4g}", "a mean large enough to divide by"
        )
    counts = RegionCounts(len(tumours), len(whites))
    return RatioRow(name, Ratio(tumour_mean, white_mean, ratio, counts), (*tumours, *whites))


def ratio_table(maps: Mapping[str, Volume], tumour: Regions, white_matter: Regions) -> list[RatioRow]:
    """Give the T/WM ratio of several maps with the same regions, one row a map in the order given.

    Raises
    ------
    InputError
        As `t_wm_ratio`, or if there is no map.
    """
    if not maps:
        raise InputError("maps", "none", "at least one map")
    return [ratio_row(name, map, tumour, white_matter) for name, map in maps.items()]


def split_regions(regions: Mapping[str, Volume]) -> tuple[dict[str, Volume], dict[str, Volume]]:
    """Sort regions by name into tumour and white matter.

    Names that start with "Tumour" or "Tumor", and with "White matter", "NAWM" or "WM", in any case, are
    taken; others, such as a brain segment, are left out.

    Returns
    -------
    tumour, white_matter : dict of str to mask

    Raises
    ------
    InputError
        If one of the two kinds is missing.
    """
    tumour = {name: mask for name, mask in regions.items() if _TUMOUR.match(name)}
    white_matter = {name: mask for name, mask in regions.items() if _WHITE_MATTER.match(name)}
    for kind, found in (("Tumour", tumour), ("White matter", white_matter)):
        if not found:
            names = ", ".join(repr(name[:40]) for name in list(regions)[:12]) or "none"
            raise InputError(
                "regions",
                f"no name starting with '{kind}' (names: {names})",
                "regions named 'Tumour 1', 'Tumour 2', ... and 'White matter 1', 'White matter 2', ...",
            )
    return tumour, white_matter


def named_regions(regions: Regions, kind: str) -> dict[str, Volume]:
    """Give regions by name; those without names are called `kind` 1, 2, ...

    Raises
    ------
    InputError
        If there is no region.
    """
    if is_volume(regions):
        named = {f"{kind} 1": regions}
    elif isinstance(regions, Mapping):
        named = {str(name): mask for name, mask in regions.items()}
    else:
        named = {f"{kind} {i}": mask for i, mask in enumerate(regions, start=1)}
    if not named:
        raise InputError(f"{kind} regions", "an empty list", "at least one mask")
    return named


def _sizes(inside: np.ndarray, map: Volume) -> tuple[float | None, float | None]:
    if not isinstance(map, sitk.Image):
        return None, None
    spacing = map.GetSpacing()
    slices = inside.reshape(-1, *inside.shape[-2:])
    area = int(slices.sum(axis=(1, 2)).max()) * spacing[0] * spacing[1]
    volume = int(inside.sum()) * math.prod(spacing) if map.GetDimension() == 3 else None
    return area, volume
