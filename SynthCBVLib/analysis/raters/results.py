"""What the statistics of several raters give back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from SynthCBVLib.analysis.agreement.results import Interval


class AgreementLevel(StrEnum):
    """Levels of agreement as the ASL paper grades an ICC or r_wg."""

    VERY_GOOD = "very good"
    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"


@dataclass(frozen=True)
class Icc:
    """Intraclass correlation.

    Attributes
    ----------
    n_targets, n_raters : int
        Shape of the ratings.
    form : str
        Shrout & Fleiss's name: "ICC(1,1)" to "ICC(3,k)".
    model, unit : str
        As asked for.
    icc : float
        Coefficient; may be below 0.
    interval : Interval
        Confidence interval from F; equal to the coefficient where raters agree without exception.
    f, df1, df2, p : float
        F test of icc = 0.
    confidence : float
        Level of the interval.
    """

    n_targets: int
    n_raters: int
    form: str
    model: str
    unit: str
    icc: float
    interval: Interval
    f: float
    df1: float
    df2: float
    p: float
    confidence: float


@dataclass(frozen=True, eq=False)
class Rwg:
    """Within-group agreement.

    Attributes
    ----------
    n_targets, n_raters, n_items : int
        Shape of the ratings.
    rwg : float
        Mean over the targets.
    each : np.ndarray (n_targets,)
        Agreement on each target, 0 to 1.
    n_below_zero : int
        Targets whose ratings vary more than at random; they count as 0.
    null_variance : float
        Variance of ratings spread evenly over the categories.
    """

    n_targets: int
    n_raters: int
    n_items: int
    rwg: float
    each: np.ndarray
    n_below_zero: int
    null_variance: float


@dataclass(frozen=True)
class ScoreSummary:
    """Distribution of scores on a scale.

    Attributes
    ----------
    n, n_missing : int
        Scores given and not given.
    scores : tuple of int
        The scale's scores.
    counts : tuple of int
        How often each was given.
    percentages : tuple of float
        The same in % of n.
    mean : float
    """

    n: int
    n_missing: int
    scores: tuple[int, ...]
    counts: tuple[int, ...]
    percentages: tuple[float, ...]
    mean: float
