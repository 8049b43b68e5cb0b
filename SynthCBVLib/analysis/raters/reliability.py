"""Agreement of raters: intraclass correlation, within-group agreement, distribution of scores.

The sheet that scores are collected on is in `SynthCBVLib.analysis.raters.sheet`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Literal

import numpy as np
import numpy.typing as npt

from SynthCBVLib.analysis.agreement.results import Interval
from SynthCBVLib.analysis.checks import finite, level_of, numbers, shown
from SynthCBVLib.analysis.raters.results import AgreementLevel, Icc, Rwg, ScoreSummary
from SynthCBVLib.analysis.raters.sheet import LIKERT, Scale, ScoringSheet, read_scores, write_scores
from SynthCBVLib.errors import InputError

__all__ = [
    "LIKERT",
    "AgreementLevel",
    "Icc",
    "Rwg",
    "Scale",
    "ScoreSummary",
    "ScoringSheet",
    "agreement_level",
    "icc",
    "read_scores",
    "rwg",
    "rwg_items",
    "score_summary",
    "write_scores",
]

Ratings = Sequence[Sequence[float]] | npt.NDArray
Model = Literal["one-way-random", "two-way-random", "two-way-mixed"]
_MODELS = ("one-way-random", "two-way-random", "two-way-mixed")
_UNITS = ("single", "average")
_LEVELS = ((0.9, AgreementLevel.VERY_GOOD), (0.7, AgreementLevel.GOOD), (0.5, AgreementLevel.FAIR))


def icc(
    ratings: Ratings,
    model: Model = "two-way-random",
    unit: Literal["single", "average"] = "single",
    *,
    confidence: float = 0.95,
) -> Icc:
    """Give one of the six intraclass correlations of Shrout & Fleiss (Psychol Bull 1979;86:420).

    Parameters
    ----------
    ratings : array-like (targets, raters)
        One rating each, at least 2 x 2, none missing.
    model : {"one-way-random", "two-way-random", "two-way-mixed"}
        ICC(1): every target has its own raters. ICC(2): raters drawn from many, absolute agreement. ICC(3):
        these raters alone, consistency.
    unit : {"single", "average"}
        Reliability of one rater's rating, or of the mean of all.
    confidence : float
        Level of the interval: exact for ICC(1) and ICC(3), Satterthwaite's approximation for ICC(2).

    Raises
    ------
    InputError
        If a rating is missing, there are too few, or all ratings are the same.
    """
    from scipy.special import fdtrc, fdtri

    if model not in _MODELS:
        raise InputError("model", shown(model), "one of " + ", ".join(_MODELS))
    if unit not in _UNITS:
        raise InputError("unit", shown(unit), "single or average")
    level = level_of(confidence)
    x = finite(ratings, "ratings", 2, ndim=2)
    n, k = x.shape
    if k < 2:
        raise InputError("ratings", f"{k} rater", "at least 2 raters, one a column")
    if np.ptp(x) == 0:
        raise InputError("ratings", f"the rating {x[0, 0]:.6g} throughout", "ratings that vary")
    between, raters, error, within = _mean_squares(x)
    noise = within if model == "one-way-random" else error
    df2 = float(n * (k - 1) if model == "one-way-random" else (n - 1) * (k - 1))
    if between == 0 and noise == 0:
        raise InputError("ratings", "targets all rated the same", "targets that differ")
    f = between / noise if noise > 0 else math.inf
    if model == "two-way-random":
        total = between + (k - 1) * error + k * (raters - error) / n
        single = (between - error) / total if total > 0 else -math.inf
        _defined(single)
        interval = _random_raters(single, between, raters, error, n, k, level)
    else:
        single = 1.0 if noise == 0 else (between - noise) / (between + (k - 1) * noise)
        low, high = f / float(fdtri(n - 1, df2, level)), f * float(fdtri(df2, n - 1, level))
        interval = Interval(*(1.0 if noise == 0 else (r - 1) / (r + k - 1) for r in (low, high)))
    value = single
    if unit == "average":
        value, interval = _of_the_mean(single, k), Interval(*(_of_the_mean(r, k) for r in interval))
        _defined(value)
    form = f"ICC({_MODELS.index(model) + 1},{'1' if unit == 'single' else 'k'})"
    p = float(fdtrc(n - 1, df2, f))
    return Icc(n, k, form, model, unit, value, interval, f, float(n - 1), df2, p, confidence)


def rwg(ratings: Ratings, n_categories: int) -> Rwg:
    """Give the within-group agreement r_wg on a single item (James, Demaree & Wolf, JAP 1984;69:85).

    1 - variance of the raters / variance of ratings spread evenly over the categories, for each target.

    Parameters
    ----------
    ratings : array-like (targets, raters)
        Ratings on a scale of `n_categories` steps of 1, at least 2 raters, none missing.
    n_categories : int
        Steps of the scale, such as 4 for scores 0 to 3.

    Raises
    ------
    InputError
        If a rating is missing, there is one rater, or ratings span more than the scale.
    """
    x = finite(ratings, "ratings", 1, ndim=2)
    return _within_group(x[:, :, None], n_categories)


def rwg_items(ratings: Sequence[Ratings] | npt.NDArray, n_categories: int) -> Rwg:
    """Give the within-group agreement r_wg(J) on J parallel items (James et al., equation 2).

    Parameters
    ----------
    ratings : array-like (targets, raters, items)
        As for `rwg`, with every rater's rating of every item.
    n_categories : int
        Steps of the scale.

    Raises
    ------
    InputError
        As `rwg`.
    """
    return _within_group(finite(ratings, "ratings", 1, ndim=3), n_categories)


def score_summary(scores: Sequence[float | None] | npt.NDArray, scale: Scale | None = None) -> ScoreSummary:
    """Count how often each score was given.

    Parameters
    ----------
    scores : array-like of any shape
        Scores; None or NaN where none was given.
    scale : Scale, optional
        `LIKERT` (0 to 3) if not given.

    Raises
    ------
    InputError
        If a value is not on the scale, or there is no score at all.
    """
    scale = scale or LIKERT
    array = numbers(scores, "scores", ndim=np.ndim(scores)).ravel()
    given = array[~np.isnan(array)]
    if given.size == 0:
        raise InputError("scores", f"none given, {array.size} missing", "at least one score")
    scale.check(given, "scores")
    counts = tuple(int((given == score).sum()) for score in scale.scores)
    return ScoreSummary(
        given.size,
        array.size - given.size,
        scale.scores,
        counts,
        tuple(100 * count / given.size for count in counts),
        float(given.mean()),
    )


def agreement_level(value: float) -> AgreementLevel:
    """Grade an ICC or r_wg: very good from .9, good from .7, fair from .5, else poor, as the ASL paper does.

    The paper leaves gaps between two-digit bounds (.70-.89, >= .9); a value within one takes the lower level.

    Raises
    ------
    InputError
        If the value is not finite or above 1.
    """
    if not isinstance(value, int | float) or not math.isfinite(value) or value > 1:
        raise InputError("agreement", shown(value), "a coefficient of at most 1")
    return next((level for bound, level in _LEVELS if value >= bound), AgreementLevel.POOR)


def _mean_squares(x: np.ndarray) -> tuple[float, float, float, float]:
    """Give the mean squares between targets, between raters, of the rest, and within targets."""
    n, k = x.shape
    x = x - x.mean()  # large offsets must not eat the digits
    targets, raters = x.mean(axis=1, keepdims=True), x.mean(axis=0, keepdims=True)
    rest, inside = x - targets - raters, x - targets
    tiny = (1e-14 * np.abs(x).max()) ** 2  # rounding must not look like variation
    squares = (
        k * float((targets**2).sum()) / (n - 1),
        n * float((raters**2).sum()) / (k - 1),
        float((rest**2).sum()) / ((n - 1) * (k - 1)),
        float((inside**2).sum()) / (n * (k - 1)),
    )
    return tuple(0.0 if square < tiny else square for square in squares)


def _random_raters(
    single: float, between: float, raters: float, error: float, n: int, k: int, level: float
) -> Interval:
    """Give the interval of ICC(2,1), Shrout & Fleiss 1979, page 424."""
    from scipy.special import fdtri

    if error == 0 and raters == 0:
        return Interval(1.0, 1.0)
    # Satterthwaite's degrees of freedom, with mean squares in place of their ratio so that error may be 0.
    a = k * single * raters
    b = (n * (1 + (k - 1) * single) - k * single) * error
    v = (k - 1) * (n - 1) * (a + b) ** 2 / ((n - 1) * a**2 + b**2) if a or b else 0.0
    v = max(v, k - 1)  # binds only where a negative coefficient makes the parts cancel
    upper, lower = float(fdtri(n - 1, v, level)), float(fdtri(v, n - 1, level))
    rest = k * raters + (k * n - k - n) * error
    return Interval(
        n * (between - upper * error) / (upper * rest + n * between),
        n * (lower * between - error) / (rest + n * lower * between),
    )


def _of_the_mean(single: float, k: int) -> float:
    """Give the reliability of the mean of k raters (Spearman-Brown)."""
    denominator = 1 + (k - 1) * single
    return k * single / denominator if denominator > 0 else -math.inf


def _defined(coefficient: float) -> None:
    if coefficient == -math.inf:
        raise InputError(
            "ratings", "raters who differ on targets that do not", "targets that differ",
            "No intraclass correlation of this form is defined for them.",
        )  # fmt: skip


def _within_group(x: np.ndarray, n_categories: int) -> Rwg:
    n_targets, n_raters, n_items = x.shape
    if isinstance(n_categories, bool) or not isinstance(n_categories, Integral) or n_categories < 2:
        raise InputError("n_categories", shown(n_categories), "a whole number of at least 2")
    if n_raters < 2:
        raise InputError("ratings", f"{n_raters} rater", "at least 2 raters of each target")
    if np.ptp(x) > n_categories - 1:
        raise InputError(
            "ratings", f"from {x.min():.6g} to {x.max():.6g}", f"a scale of {n_categories} steps of 1"
        )
    null = (n_categories**2 - 1) / 12
    ratio = x.var(axis=1, ddof=1).mean(axis=1) / null
    agreed = n_items * (1 - ratio)
    each = np.where(ratio < 1, agreed / np.where(ratio < 1, agreed + ratio, 1.0), 0.0)
    each.setflags(write=False)
    return Rwg(n_targets, n_raters, n_items, float(each.mean()), each, int((ratio > 1).sum()), null)
