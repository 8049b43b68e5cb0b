"""How well a model's uncertainty fits its errors, and the numbers that mend it, from patients that are known.

Voxels: the network's Laplace scale b says |error| <= -b ln(1 - level) in a share `level` of the voxels; the
factor that makes this true at 90 % on validation patients is `scale_factor`. Ratios: split-conformal
prediction (Vovk et al., Algorithmic Learning in a Random World, 2005; Lei et al., JASA 2018;113:1094) of the
logarithm of T/WM, whose quantiles hold whatever the errors' distribution, as long as the next patient is like
those.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.training.evaluation.scoring import ERROR_EDGES, Score

#: Levels that are measured.
LEVELS = (0.5, 0.8, 0.9, 0.95)
#: The level at which the scale is fitted.
FITTED = 0.9


@dataclass(frozen=True)
class Calibration:
    """What validation patients say about a model's uncertainty; `as_card` is for the model card.

    Attributes
    ----------
    scale_factor : float
        Factor on the Laplace scale (and on the standard deviation made of it) for which the nominal 90 %
        interval holds 90 % of the validation patients' brain voxels.
    ratio_quantiles : Mapping
        Level to conformal quantile of |ln(synthetic T/WM / real T/WM)|, in units of the standard deviation of
        that logarithm as propagated from the calibrated uncertainty map: the interval is ratio * exp(-+
        quantile * sd). Levels that so few patients cannot give are left out.
    log_ratio_quantiles : Mapping
        The same in plain units of the logarithm: the interval is ratio * exp(-+ quantile).
    cases : int
        Patients whose voxels counted.
    ratios : int
        Patients with a ratio.
    """

    scale_factor: float = 1.0
    ratio_quantiles: Mapping[float, float] = field(default_factory=dict)
    log_ratio_quantiles: Mapping[float, float] = field(default_factory=dict)
    cases: int = 0
    ratios: int = 0

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Calibration:
        """Read what `as_card` gave."""
        tables = {
            name: {float(level): float(value) for level, value in card.get(name, {}).items()}
            for name in ("ratio_quantiles", "log_ratio_quantiles")
        }
        counts = {name: int(card.get(name, 0)) for name in ("cases", "ratios")}
        return cls(float(card.get("scale_factor", 1.0)), **tables, **counts)

    def as_card(self) -> dict[str, Any]:
        """Give the calibration as JSON for a model card, numbers rounded."""
        card = asdict(self)
        card["scale_factor"] = round(self.scale_factor, 4)
        for name in ("ratio_quantiles", "log_ratio_quantiles"):
            card[name] = {f"{level:g}": round(value, 4) for level, value in card[name].items()}
        return card


@dataclass(frozen=True)
class Coverage:
    """How often intervals held.

    Attributes
    ----------
    level : float
        What they promise.
    share : float
        How often they held.
    n : int
        Patients.
    """

    level: float
    share: float
    n: int


def scale_factor(scores: Sequence[Score], level: float = FITTED) -> float:
    """Give the factor on the Laplace scale for which intervals of a level hold that share of the voxels.

    Every patient counts the same.

    Raises
    ------
    InputError
        If no score has errors.
    """
    shares = _cumulated(scores)
    if shares is None:
        raise InputError("calibration", "no voxel with a real value", "patients with real rCBV maps")
    return _crossing(shares, level) / -math.log1p(-level)


def voxel_coverage(scores: Sequence[Score], level: float, factor: float = 1.0) -> float:
    """Give the share of brain voxels in their interval, the mean over patients; NaN without patients."""
    shares = _cumulated(scores)
    if shares is None:
        return math.nan
    bound = -math.log1p(-level) * factor
    return float(np.interp(math.log(bound), np.log(ERROR_EDGES), shares))


def _cumulated(scores: Sequence[Score]) -> np.ndarray | None:
    """Give the share of voxels below each edge, the mean over patients."""
    counts = np.array([score.errors for score in scores if sum(score.errors)], dtype=float)
    if not len(counts):
        return None
    return (np.cumsum(counts, axis=1)[:, :-1] / counts.sum(axis=1, keepdims=True)).mean(axis=0)


def _crossing(shares: np.ndarray, level: float) -> float:
    """Give where the share of voxels passes a level."""
    after = int(np.searchsorted(shares, level))
    if after in (0, len(shares)):
        return float(ERROR_EDGES[min(after, len(shares) - 1)])
    low, high = shares[after - 1], shares[after]
    part = (level - low) / (high - low) if high > low else 1.0
    ends = np.log(ERROR_EDGES[after - 1 : after + 1])
    return float(math.exp(ends[0] + part * (ends[1] - ends[0])))


def conformal_quantile(values: Sequence[float], level: float) -> float:
    """Give the split-conformal quantile: the ceil((n + 1) level)-th smallest of n values.

    A new value drawn like these lies at or below it with a probability of at least `level`. Infinite where n
    values cannot promise that.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    rank = math.ceil((ordered.size + 1) * level - 1e-9)
    return float(ordered[rank - 1]) if 1 <= rank <= ordered.size else math.inf


def log_errors(scores: Sequence[Score], real: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Give |ln(synthetic / real)| and the propagated SD of the ratios that both have, (n,) each."""
    kept = [
        (abs(math.log(score.ratio / truth)), score.log_sd)
        for score, truth in zip(scores, real, strict=True)
        if score.ratio > 0 and truth > 0
    ]
    return tuple(np.array(kept, dtype=float).reshape(-1, 2).T)


def calibrate(scores: Sequence[Score], real: Sequence[float]) -> Calibration:
    """Find the calibration of a model from validation patients.

    Parameters
    ----------
    scores : sequence of Score
        The model's, with errors and, where there are regions, ratios.
    real : sequence of float
        Real T/WM ratio of each patient; NaN where there is none.
    """
    factor = scale_factor(scores)
    errors, sds = log_errors(scores, real)
    known = np.isfinite(sds) & (sds > 0)
    quantiles = {}
    for name, values in (("own", errors[known] / (factor * sds[known])), ("plain", errors)):
        found = {level: conformal_quantile(values, level) for level in LEVELS}
        quantiles[name] = {level: value for level, value in found.items() if math.isfinite(value)}
    counted = sum(bool(sum(score.errors)) for score in scores)
    return Calibration(factor, quantiles["own"], quantiles["plain"], counted, len(errors))


def ratio_coverage(
    scores: Sequence[Score],
    real: Sequence[float],
    calibration: Calibration,
    level: float,
    plain: bool = False,
) -> Coverage | None:
    """Tell how often the calibrated interval of T/WM held; None where there is no such interval."""
    quantile = (calibration.log_ratio_quantiles if plain else calibration.ratio_quantiles).get(level)
    errors, sds = log_errors(scores, real)
    if quantile is None or not len(errors):
        return None
    width = quantile if plain else quantile * calibration.scale_factor * sds
    return Coverage(level, float(np.mean(errors <= width)), len(errors))
