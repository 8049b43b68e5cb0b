"""Areas under ROC curves, their comparison, operating points.

A higher score speaks for the positive class unless ``direction="lower"`` is given (an IDH-mutant glioma,
for example, has the lower ratio). A score equal to a threshold is called positive. Labels are 1 and 0, or
any two values with ``positive`` naming one of them.
"""

from __future__ import annotations

import math
from typing import Literal

from SynthCBVLib.analysis import proportions
from SynthCBVLib.analysis.agreement.results import Interval
from SynthCBVLib.analysis.checks import Labels, Values, level_of, shown
from SynthCBVLib.analysis.roc.cases import Direction, by_class, too_few
from SynthCBVLib.analysis.roc.comparison import compare, compare_areas, compare_independent, normal_interval
from SynthCBVLib.analysis.roc.points import CUT_OFFS, curve, operating_point, youden
from SynthCBVLib.analysis.roc.results import Auc, Comparison, Curve, CutOff, OperatingPoint, RateIntervals
from SynthCBVLib.analysis.roc.variance import (
    area_correlation,
    delong_covariance,
    hanley_mcneil_error,
    newcombe_error,
    placements,
)
from SynthCBVLib.errors import InputError

__all__ = [
    "CUT_OFFS",
    "Auc",
    "Comparison",
    "Curve",
    "CutOff",
    "Direction",
    "OperatingPoint",
    "RateIntervals",
    "area_correlation",
    "auc",
    "compare",
    "compare_areas",
    "compare_independent",
    "curve",
    "hanley_mcneil_error",
    "operating_point",
    "youden",
]

_INTERVALS = ("logit", "delong", "newcombe", "exact")


def auc(
    labels: Labels,
    scores: Values,
    ci: Literal["logit", "delong", "newcombe", "exact"] = "logit",
    *,
    confidence: float = 0.95,
    positive: object = None,
    direction: Direction = "higher",
) -> Auc:
    """Give the area under the ROC curve with its confidence interval.

    Parameters
    ----------
    labels : sequence (n,)
        Class of each case, see the module.
    scores : sequence of float (n,)
        Such as tumour-to-white-matter ratios.
    ci : {"logit", "delong", "newcombe", "exact"}
        "delong": normal with DeLong's standard error, cut at 0 and 1. "logit": the same on the logit
        scale, which covers better in small samples and near 1. "newcombe": the area's score interval
        (method 5 of Stat Med 2006;25:559). "exact": Clopper-Pearson with area x n successes of n cases, as
        the IVIM paper gives it. Where DeLong's variance is 0 (an area of 0 or 1) the first two have no
        width; the third is given instead, and the result says so. docs/statistics-coverage.md tells how
        often each holds the truth.
    confidence : float
        Level of the interval.
    positive : optional
        Label of the positive class if not 1.
    direction : {"higher", "lower"}
        Scores that speak for the positive class.

    Raises
    ------
    InputError
        If lengths differ, a score or label is missing, scores are all the same, there are not two classes
        or, but for "newcombe" and "exact", a class has one case.
    """
    if ci not in _INTERVALS:
        raise InputError("ci", shown(ci), "one of " + ", ".join(_INTERVALS))
    level = level_of(confidence)
    above, below = by_class(labels, scores, positive, direction)
    m, n = above.size, below.size
    counts = placements(above, below)
    u = float(counts[0].sum())
    area = u / (m * n)
    error = math.nan
    if min(m, n) >= 2:
        error = math.sqrt(float(delong_covariance(counts[0][None], counts[1][None])[0, 0]))
    elif ci in ("logit", "delong"):
        raise too_few(m, n, 'Ask for ci="newcombe".')
    if ci in ("logit", "delong") and error == 0:
        ci = "newcombe"
    if ci == "exact":
        interval = proportions.exact(area * (m + n), m + n, confidence)
    elif ci == "newcombe":
        interval = _newcombe(area, m, n, level)
    elif ci == "logit":
        interval = _logit(area, error, level)
    else:
        interval = normal_interval(area, error, level, 0.0)
    return Auc(m, n, area, error, interval, ci, u, direction, confidence)


def _logit(area: float, error: float, level: float) -> Interval:
    from scipy.special import expit, logit, ndtri

    half = float(ndtri(level)) * error / (area * (1 - area))
    return Interval(float(expit(logit(area) - half)), float(expit(logit(area) + half)))


def _newcombe(area: float, m: int, n: int, level: float) -> Interval:
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z = float(ndtri(level))

    def beyond(theta: float) -> float:
        return (theta - area) ** 2 - (z * newcombe_error(theta, m, n)) ** 2

    # At an area of 0 or 1 the area itself is a root, but not the end that is looked for.
    low = float(brentq(beyond, 0.0, min(area, 1 - 1e-9), xtol=1e-14)) if area > 0 else 0.0
    high = float(brentq(beyond, max(area, 1e-9), 1.0, xtol=1e-14)) if area < 1 else 1.0
    return Interval(low, high)
