"""Comparison of two areas under ROC curves."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from SynthCBVLib.analysis.agreement.results import Interval
from SynthCBVLib.analysis.checks import Labels, Values, finite, level_of, shown
from SynthCBVLib.analysis.roc.cases import Direction, by_class, too_few
from SynthCBVLib.analysis.roc.results import Comparison
from SynthCBVLib.analysis.roc.variance import (
    area_correlation,
    delong_covariance,
    hanley_mcneil_error,
    placements,
)
from SynthCBVLib.errors import InputError

Method = Literal["delong", "hanley-mcneil"]
_METHODS = ("delong", "hanley-mcneil")


def compare(
    labels: Labels,
    scores_a: Values,
    scores_b: Values,
    *,
    method: Method = "delong",
    correlation: Literal["pearson", "kendall"] = "pearson",
    confidence: float = 0.95,
    positive: object = None,
    direction: Direction = "higher",
) -> Comparison:
    """Compare the areas of two scores of the same cases.

    Parameters
    ----------
    labels : sequence (n,)
        Class of each case, see the module.
    scores_a, scores_b : sequence of float (n,)
        The two scores, both with the same direction.
    method : {"delong", "hanley-mcneil"}
        DeLong's test, or Hanley & McNeil's Z (Radiology 1983;148:839): standard errors from the areas,
        their correlation by `area_correlation`.
    correlation : {"pearson", "kendall"}
        For Hanley & McNeil: correlation of the scores within each class; Kendall's tau for ratings.
    confidence, positive, direction
        As in `auc`.

    Raises
    ------
    InputError
        As `auc`; and where areas differ but neither has a standard error, or scores within a class are all
        the same and so not correlated.
    """
    _check_method(method)
    above_a, below_a = by_class(labels, scores_a, positive, direction, "scores_a")
    above_b, below_b = by_class(labels, scores_b, positive, direction, "scores_b")
    m, n = above_a.size, below_a.size
    counts_a, counts_b = placements(above_a, below_a), placements(above_b, below_b)
    area_a, area_b = (float(counts[0].sum()) / (m * n) for counts in (counts_a, counts_b))
    if method == "hanley-mcneil":
        errors = tuple(hanley_mcneil_error(area, m, n) for area in (area_a, area_b))
        r = 0.0
        if min(errors) > 0:
            within = [
                _correlation(above_a, above_b, correlation),
                _correlation(below_a, below_b, correlation),
            ]
            r = area_correlation(max(-1.0, min(1.0, sum(within) / 2)), (area_a + area_b) / 2)
        variance = errors[0] ** 2 + errors[1] ** 2 - 2 * r * errors[0] * errors[1]
        return _comparison(area_a, area_b, errors, r, variance, method, confidence)
    if min(m, n) < 2:
        raise too_few(m, n, "")
    below = np.stack([counts_a[0], counts_b[0]])
    above = np.stack([counts_a[1], counts_b[1]])
    s = delong_covariance(below, above)
    errors = (math.sqrt(s[0, 0]), math.sqrt(s[1, 1]))
    r = float(s[0, 1]) / (errors[0] * errors[1]) if min(errors) > 0 else 0.0
    # The variance of the differences of the placements: equal to s00 + s11 - 2 s01 without cancellation.
    variance = float(delong_covariance(below[:1] - below[1:], above[:1] - above[1:])[0, 0])
    return _comparison(area_a, area_b, errors, r, variance, method, confidence)


def compare_independent(
    labels_a: Labels,
    scores_a: Values,
    labels_b: Labels,
    scores_b: Values,
    *,
    method: Method = "delong",
    confidence: float = 0.95,
    positive: object = None,
    direction: Direction = "higher",
) -> Comparison:
    """Compare the areas of two groups of different cases.

    Parameters
    ----------
    labels_a, scores_a : sequence (n_a,)
        Classes and scores of the first group.
    labels_b, scores_b : sequence (n_b,)
        Those of the second.
    method : {"delong", "hanley-mcneil"}
        Where the standard errors come from.
    confidence, positive, direction
        As in `auc`.

    Raises
    ------
    InputError
        As `auc`, and where areas differ but neither has a standard error.
    """
    _check_method(method)
    areas, errors = [], []
    for labels, scores, name in ((labels_a, scores_a, "a"), (labels_b, scores_b, "b")):
        above, below = by_class(labels, scores, positive, direction, f"scores_{name}", f"labels_{name}")
        m, n = above.size, below.size
        counts = placements(above, below)
        areas.append(float(counts[0].sum()) / (m * n))
        if method == "hanley-mcneil":
            errors.append(hanley_mcneil_error(areas[-1], m, n))
        elif min(m, n) < 2:
            raise too_few(m, n, "")
        else:
            errors.append(math.sqrt(float(delong_covariance(counts[0][None], counts[1][None])[0, 0])))
    variance = errors[0] ** 2 + errors[1] ** 2
    return _comparison(areas[0], areas[1], (errors[0], errors[1]), 0.0, variance, method, confidence)


def compare_areas(
    auc_a: float,
    error_a: float,
    auc_b: float,
    error_b: float,
    correlation: float = 0.0,
    *,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two areas known by their standard errors, such as published ones, by Hanley & McNeil's Z.

    Parameters
    ----------
    auc_a, auc_b : float
        The areas.
    error_a, error_b : float
        Their standard errors.
    correlation : float
        Correlation of the areas: 0 for different cases, `area_correlation` for the same cases.
    confidence : float

    Raises
    ------
    InputError
        If a value is out of range or the difference has no standard error.
    """
    areas = finite([auc_a, auc_b], "areas", 2)
    errors = finite([error_a, error_b], "standard errors", 2)
    r = finite([correlation], "correlation", 1)[0]
    if areas.min() < 0 or areas.max() > 1 or errors.min() < 0 or not -1 <= r <= 1:
        raise InputError(
            "areas to compare",
            f"areas {auc_a} and {auc_b}, standard errors {error_a} and {error_b}, correlation {correlation}",
            "areas from 0 to 1, standard errors not below 0, a correlation from -1 to 1",
        )
    variance = float(errors @ errors - 2 * r * errors[0] * errors[1])
    a, b = (float(value) for value in areas)
    return _comparison(a, b, (float(errors[0]), float(errors[1])), float(r), variance, "given", confidence)


def _comparison(
    area_a: float,
    area_b: float,
    errors: tuple[float, float],
    correlation: float,
    variance: float,
    method: str,
    confidence: float,
) -> Comparison:
    from scipy.special import ndtr

    level = level_of(confidence)
    difference, error = area_a - area_b, math.sqrt(max(0.0, variance))
    if error > 0:
        z, interval = difference / error, normal_interval(difference, error, level, -1.0)
    elif difference == 0:
        known = max(errors) > 0  # the same ranking twice: no difference, whatever the sample
        z, interval = 0.0, Interval(0.0, 0.0) if known else Interval(math.nan, math.nan)
    else:
        raise InputError(
            "areas to compare", f"{area_a:.6g} and {area_b:.6g} without a standard error of their difference",
            "areas other than 0 and 1", "More cases are needed to tell how sure the difference is.",
        )  # fmt: skip
    p = 2 * float(ndtr(-abs(z)))
    return Comparison(
        area_a, area_b, *errors, correlation, difference, error, z, p, interval, method, confidence
    )


def _correlation(a: np.ndarray, b: np.ndarray, kind: str) -> float:
    from scipy.stats import kendalltau

    if kind not in ("pearson", "kendall"):
        raise InputError("correlation", shown(kind), "pearson or kendall")
    for values, name in ((a, "scores_a"), (b, "scores_b")):
        if values.size < 2 or np.ptp(values) == 0:
            raise InputError(
                f"{name} within one class", "values that do not vary", "at least two different values",
                'Take method="delong".',
            )  # fmt: skip
    return float(kendalltau(a, b).statistic if kind == "kendall" else np.corrcoef(a, b)[0, 1])


def normal_interval(centre: float, error: float, level: float, lowest: float) -> Interval:
    """Give the normal interval at an upper quantile, cut at `lowest` and 1."""
    from scipy.special import ndtri

    half = float(ndtri(level)) * error
    return Interval(max(lowest, centre - half), min(1.0, centre + half))


def _check_method(method: str) -> None:
    if method not in _METHODS:
        raise InputError("method", shown(method), "one of " + ", ".join(_METHODS))
