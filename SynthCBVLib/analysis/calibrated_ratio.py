"""The interval that holds the real T/WM ratio of a synthetic map, from the calibration of the map's model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from SynthCBVLib.analysis.regions.results import RatioRow
from SynthCBVLib.synthesis.calibration import ConformalInterval, check_calibration, ratio_interval


def real_ratio_interval(row: RatioRow, provenance: Mapping[str, Any]) -> ConformalInterval | None:
    """Give the interval that holds the real ratio in as many patients as its level says.

    Parameters
    ----------
    row : RatioRow
        Ratio of a synthetic map, with the interval of the uncertainty map that came with it.
    provenance : Mapping
        How the map was made, as `SynthCBVLib.synthesis.Synthesis` tells.

    Returns
    -------
    ConformalInterval or None
        Of the same level as the row's interval; None if the model was not calibrated for it, or the map was
        made elsewhere.
    """
    calibration = calibration_of(provenance)
    if row.interval is None or not calibration:
        return None
    return ratio_interval(row.ratio.ratio, calibration, row.interval.relative_sd, row.interval.level)


def calibration_of(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the calibration of the model that a map was made with; empty where there is none."""
    found: Any = provenance
    for key in ("model", "card", "calibration"):
        found = found.get(key) if isinstance(found, Mapping) else None
    try:
        check_calibration(found)
    except (TypeError, ValueError):  # none, or something else has written the provenance
        return {}
    return found
