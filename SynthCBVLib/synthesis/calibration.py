"""What validation patients say of a model's uncertainty, as its card holds it, and intervals of ratios.

Fields of the card's `calibration`, all optional:

- ``scale_factor``: factor on the network's Laplace scale for which the nominal 90 % interval holds 90 % of
  the validation patients' brain voxels; `synthesize` applies it to the uncertainty map.
- ``ratio_quantiles``: level ("0.9") to conformal quantile of abs(ln(synthetic T/WM / real T/WM)) in units of
  the standard deviation of that logarithm, as propagated from the calibrated uncertainty map.
- ``log_ratio_quantiles``: the same in plain units of the logarithm, for maps without an uncertainty map.
- ``cases``, ``ratios``: how many patients these rest on.

Split-conformal intervals (Lei et al., JASA 2018;113:1094) hold the real ratio at their level whatever the
errors' distribution, as long as the next patient is like those of the calibration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from SynthCBVLib.synthesis.card import ModelCard

QUANTILES = ("ratio_quantiles", "log_ratio_quantiles")
_COUNTS = ("cases", "ratios")
#: A factor beyond these says that scale and errors have nothing to do with each other.
_FACTORS = (0.01, 100.0)


class ConformalInterval(NamedTuple):
    """An interval of a T/WM ratio.

    Attributes
    ----------
    lower, upper : float
        Its ends.
    level : float
        Share of patients whose real ratio it holds.
    """

    lower: float
    upper: float
    level: float


def check_calibration(calibration: Mapping[str, Any]) -> None:
    """Refuse what is no calibration.

    Raises
    ------
    ValueError
        If a field is unknown, not finite or out of bounds.
    """
    if not isinstance(calibration, Mapping):
        raise ValueError(f"calibration {type(calibration).__name__}: an object")
    unknown = set(calibration) - {"scale_factor", *QUANTILES, *_COUNTS}
    if unknown:
        raise ValueError(f"calibration fields {sorted(unknown)}: unknown")
    factor = calibration.get("scale_factor", 1.0)
    if not (_is_number(factor) and _FACTORS[0] <= factor <= _FACTORS[1]):
        raise ValueError(f"calibration scale_factor {factor!r}: a number from {_FACTORS[0]} to {_FACTORS[1]}")
    for name in _COUNTS:
        count = calibration.get(name, 0)
        if not (_is_number(count) and count >= 0):
            raise ValueError(f"calibration {name} {count!r}: a count")
    for name in QUANTILES:
        table = calibration.get(name, {})
        if not isinstance(table, Mapping):
            raise ValueError(f"calibration {name} {table!r}: levels and their quantiles")
        for level, value in table.items():
            if not 0 < float(level) < 1 or not (_is_number(value) and value >= 0):
                raise ValueError(f"calibration {name} {level!r}: {value!r}: a level below 1, a quantile >= 0")


def scale_factor(card: ModelCard) -> float:
    """Give the factor on the network's scale that a card asks for; 1 where it was not calibrated."""
    return float(card.calibration.get("scale_factor", 1.0))


def ratio_interval(
    ratio: float, card: ModelCard | Mapping[str, Any], relative_sd: float | None = None, level: float = 0.9
) -> ConformalInterval | None:
    """Give the interval that holds the real T/WM ratio at a level, by conformal calibration.

    Parameters
    ----------
    ratio : float
        T/WM of the synthetic map, above 0.
    card : ModelCard or Mapping
        Of the model, or its `calibration` alone.
    relative_sd : float, optional
        Standard deviation of the ratio's logarithm as propagated from the uncertainty map that `synthesize`
        gave (`SynthCBVLib.analysis.regions.uncertainty.ratio_uncertainty(...).relative_sd`). Without it the
        interval is as wide for every patient.
    level : float
        Share of patients.

    Returns
    -------
    ConformalInterval or None
        ``ratio * exp(-+ quantile * relative_sd)``, or ``ratio * exp(-+ quantile)`` without `relative_sd`;
        None if the model was not calibrated for the level, or the ratio is not above 0.
    """
    calibration = card if isinstance(card, Mapping) else card.calibration
    own = relative_sd is not None
    if own and not (math.isfinite(relative_sd) and relative_sd >= 0):
        return None
    table = calibration.get(QUANTILES[0] if own else QUANTILES[1], {})
    quantile = next((q for name, q in table.items() if abs(float(name) - level) < 1e-9), None)
    if quantile is None or not (math.isfinite(ratio) and ratio > 0):
        return None
    width = float(quantile) * (relative_sd if own else 1.0)
    factor = math.exp(width) if width < 700 else math.inf
    return ConformalInterval(ratio / factor, ratio * factor, level)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
