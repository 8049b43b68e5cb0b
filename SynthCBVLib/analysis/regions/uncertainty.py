"""How sure a T/WM ratio is, from the map's own uncertainty, by the delta method.

Neighbouring voxels of a synthetic map err together, since the network sees them together and they share
noise and tissue; the mean of a region is then hardly surer than one of its voxels. By default errors are
taken as fully correlated within a region and as independent between regions, so that

    sd(mean of region) = mean of the voxels' standard deviations,
    var(T) = sum of var(mean of region) / n²     over the n tumour regions, likewise var(W),
    var(ln(T/W)) = var(T)/T² + var(W)/W².

The interval is symmetric in the ratio's logarithm, so that it cannot reach below zero.
"""

from __future__ import annotations

import math
from statistics import NormalDist  # scipy.stats takes half a second to load, and the panel waits for this

import numpy as np

from SynthCBVLib.analysis.arrays import Volume, check_grid, inside_of, values_of
from SynthCBVLib.analysis.regions.ratios import Regions, named_regions, ratio_row
from SynthCBVLib.analysis.regions.results import RatioInterval
from SynthCBVLib.errors import InputError


def ratio_uncertainty(
    map: Volume,
    uncertainty: Volume,
    tumour: Regions,
    white_matter: Regions,
    level: float = 0.9,
    scale: float = 1.0,
    *,
    correlation: float = 1.0,
    name: str = "map",
) -> RatioInterval:
    """Give the T/WM ratio of a map with an interval from its uncertainty map.

    Parameters
    ----------
    map, uncertainty : sitk.Image or ndarray
        Map, and the standard deviation of its error in each voxel in the map's units, on one grid.
    tumour, white_matter : sequence or mapping of masks
        As `t_wm_ratio`.
    level : float
        Probability that the interval is to hold, if the errors are as stated.
    scale : float
        Factor on the uncertainty map, such as one found by calibrating it on cases that are known.
    correlation : float
        Correlation of the errors of any two voxels of one region, 0 to 1. Between regions it is 0.
    name : str
        How messages call the map.

    Raises
    ------
    InputError
        As `t_wm_ratio`; if the tumour's mean is not above 0, an uncertainty is negative or not finite, or a
        parameter is out of range.
    """
    for what, value, sound, needed in (
        ("level", level, 0 < level < 1, "a share between 0 and 1"),
        ("scale", scale, 0 < scale < math.inf, "a factor above 0"),
        ("correlation", correlation, 0 <= correlation <= 1, "a correlation from 0 to 1"),
    ):
        if not sound:
            raise InputError(what, f"{value}", needed)
    ratio = ratio_row(name, map, tumour, white_matter).ratio
    if not ratio.tumour > 0:
        raise InputError(
            f"tumour on {name}", f"a mean of {ratio.tumour:.4g}", "a mean above 0",
            "Place the tumour regions where the map has signal.",
        )  # fmt: skip
    about = f"uncertainty of {name}"
    check_grid(uncertainty, about, map, name)
    spread = values_of(uncertainty, about) * scale
    sd = {
        kind: _sd_of_mean(spread, named_regions(regions, kind), correlation, about)
        for kind, regions in (("Tumour", tumour), ("White matter", white_matter))
    }
    relative = math.hypot(sd["Tumour"] / ratio.tumour, sd["White matter"] / ratio.white_matter)
    width = NormalDist().inv_cdf(0.5 + level / 2) * relative
    # Beyond e^700 there is no double; the ratio is then simply not known.
    factor = math.exp(width) if width < 700 else math.inf
    return RatioInterval(
        ratio.ratio, ratio.ratio / factor, ratio.ratio * factor, level, relative, sd["Tumour"],
        sd["White matter"],
    )  # fmt: skip


def _sd_of_mean(spread: np.ndarray, regions: dict[str, Volume], correlation: float, about: str) -> float:
    """Give the standard deviation of the mean of the regions' means."""
    total = 0.0
    for region, mask in regions.items():
        inner = spread[inside_of(mask, region)]
        bad = int((~np.isfinite(inner) | (inner < 0)).sum())
        if bad:
            raise InputError(
                f"{region} on {about}", f"{bad} of {inner.size} voxels negative or not finite",
                "a standard deviation in each voxel of the regions",
                "Give the uncertainty map that came with the map.",
            )  # fmt: skip
        together, apart = float(inner.sum()) ** 2, float((inner**2).sum())
        total += (correlation * together + (1 - correlation) * apart) / inner.size**2
    return math.sqrt(total) / len(regions)
