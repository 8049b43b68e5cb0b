"""What the analysis of a cohort gives back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from SynthCBVLib.analysis.agreement.results import (
    BlandAltman,
    Concordance,
    Correlation,
    RatioBlandAltman,
    Regression,
    StructuralLine,
)
from SynthCBVLib.analysis.agreement.t_tests import PairedT, TTest
from SynthCBVLib.analysis.cohort.table import CohortTable
from SynthCBVLib.analysis.raters.results import Icc, Rwg, ScoreSummary
from SynthCBVLib.analysis.roc.results import Auc, Comparison, Curve, OperatingPoint

#: Group of rows over the whole table.
ALL = "all cases"
#: The maps whose T/WM ratios are analysed: short name -> (column, name to show).
MEASURES: Mapping[str, tuple[str, str]] = {
    "real": ("ratio_real", "Real rCBV"),
    "synthetic": ("ratio_synthetic", "Synthetic rCBV"),
    "f": ("ratio_f", "IVIM f"),
}


@dataclass(frozen=True)
class NotComputed:
    """A statistic that the data do not allow, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Summary:
    """One column of numbers.

    Attributes
    ----------
    column : str
        Its name.
    n, n_missing : int
        Cases with a finite value, and without.
    mean, sd, median, low, high : float
        Of the finite values; low and high are the smallest and the largest. NaN without values.
    """

    column: str
    n: int
    n_missing: int
    mean: float
    sd: float
    median: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class PairAnalysis:
    """T/WM ratios of a map against those of real rCBV, in one group or in all cases.

    A statistic that the data do not allow is None; `CohortAnalysis.not_computed` says why.

    Attributes
    ----------
    measure : str
        "synthetic" or "f".
    group : str or None
        None for all cases.
    n, n_missing : int
        Cases with both ratios, and those of the group without one of them.
    subjects : tuple of str (n,)
        Cases analysed.
    real, other : ndarray (n,)
        Ratios on the real map, and on the map compared.
    groups : tuple of str or None (n,)
        Group of each case.
    bland_altman : BlandAltman or None
        Of real - other, as in the IVIM paper.
    bland_altman_ratio : RatioBlandAltman or None
        Of other / real.
    regression : Regression or None
        Other on real.
    deming, passing_bablok : StructuralLine or None
        Other on real with error in both; Passing-Bablok up to 1000 cases.
    pearson, concordance, paired_t
        Of real and other.
    """

    measure: str
    group: str | None
    n: int
    n_missing: int
    subjects: tuple[str, ...]
    real: np.ndarray
    other: np.ndarray
    groups: tuple[str | None, ...]
    bland_altman: BlandAltman | None
    bland_altman_ratio: RatioBlandAltman | None
    regression: Regression | None
    deming: StructuralLine | None
    passing_bablok: StructuralLine | None
    pearson: Correlation | None
    concordance: Concordance | None
    paired_t: PairedT | None


@dataclass(frozen=True, eq=False)
class GroupAnalysis:
    """T/WM ratios of a map in the positive group against those in the other.

    Attributes
    ----------
    measure : str
        "real", "synthetic" or "f".
    positive, negative : str
        Names of the groups.
    values_positive, values_negative : ndarray
        Their ratios.
    n_missing : int
        Cases of both groups without the ratio.
    student, welch : TTest or None
        Positive - negative, with equal variances (the papers' test) and without that assumption.
    """

    measure: str
    positive: str
    negative: str
    values_positive: np.ndarray
    values_negative: np.ndarray
    n_missing: int
    student: TTest | None
    welch: TTest | None


@dataclass(frozen=True, eq=False)
class RocAnalysis:
    """How well a map's T/WM ratio tells the positive group from the other.

    Attributes
    ----------
    measure : str
        "real", "synthetic" or "f".
    n_missing : int
        Cases of both groups without the ratio.
    curve : Curve
        The empirical curve.
    auc, auc_exact : Auc
        The area with DeLong's interval on the logit scale, and with the exact binomial one of the IVIM paper.
    youden : OperatingPoint
        The point of largest sensitivity + specificity, found on these very cases: it is optimistic.
    points : mapping of str to OperatingPoint
        At given cut-offs, by name.
    """

    measure: str
    n_missing: int
    curve: Curve
    auc: Auc
    auc_exact: Auc
    youden: OperatingPoint
    points: Mapping[str, OperatingPoint]


@dataclass(frozen=True)
class RocComparison:
    """DeLong's comparison of two maps' areas over the cases that have both ratios.

    Attributes
    ----------
    first, second : str
        Measures.
    n, n_missing : int
        Cases compared, and those of both groups without one of the ratios.
    result : Comparison
        First - second.
    """

    first: str
    second: str
    n: int
    n_missing: int
    result: Comparison


@dataclass(frozen=True, eq=False)
class RaterAnalysis:
    """What raters scored, and how far they agree.

    Attributes
    ----------
    raters : tuple of str
        Who scored.
    n, n_missing : int
        Cases that every rater scored, and the others.
    summary : ScoreSummary
        All scores that were given.
    meanings : tuple of str
        What the scores of the summary mean.
    icc : Icc or None
        ICC(2,1) over the cases that every rater scored.
    rwg : Rwg or None
        Within-group agreement over the same cases.
    """

    raters: tuple[str, ...]
    n: int
    n_missing: int
    summary: ScoreSummary
    meanings: tuple[str, ...]
    icc: Icc | None
    rwg: Rwg | None


@dataclass(frozen=True)
class StatisticRow:
    """One number with all that belongs to it.

    Attributes
    ----------
    section : str
        Agreement, Groups, ROC, Raters or Summary.
    subject_of : str
        What was measured or compared, such as "Synthetic rCBV against Real rCBV".
    group : str
        Group, or "all cases".
    statistic : str
        Name of the number.
    n, n_missing : int
        Cases that went in, and those left out for a missing value.
    value, low, high : float
        The number and its confidence interval; NaN without one.
    p : float
        Two-sided P; NaN without one.
    """

    section: str
    subject_of: str
    group: str
    statistic: str
    n: int
    n_missing: int
    value: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan


@dataclass(frozen=True, eq=False)
class CohortAnalysis:
    """All statistics of a cohort.

    Attributes
    ----------
    table : CohortTable
        The cases analysed.
    groups : mapping of str to int
        Cases of each group; those without a group are not in it.
    positive, direction : str or None
        The group that ROC curves call positive, and the side on which its ratios lie.
    summaries : tuple of Summary
        Of each column of numbers that has a value.
    pairs : tuple of PairAnalysis
        All cases first, then each group; the synthetic map first.
    comparisons_of_groups : tuple of GroupAnalysis
        Real, synthetic, f.
    rocs : tuple of RocAnalysis
        Real, synthetic, f.
    roc_comparisons : tuple of RocComparison
        Every two of them.
    not_computed : tuple of NotComputed
        What the data do not allow.
    notes : tuple of str
        What a reader of the numbers has to know, full sentences.
    confidence : float
        Level of all intervals.
    raters : RaterAnalysis or None
        Of the score columns; None without scores.
    """

    table: CohortTable
    groups: Mapping[str, int]
    positive: str | None
    direction: str | None
    summaries: tuple[Summary, ...]
    pairs: tuple[PairAnalysis, ...]
    comparisons_of_groups: tuple[GroupAnalysis, ...]
    rocs: tuple[RocAnalysis, ...]
    roc_comparisons: tuple[RocComparison, ...]
    not_computed: tuple[NotComputed, ...]
    notes: tuple[str, ...]
    confidence: float
    raters: RaterAnalysis | None = None

    def pair(self, measure: str, group: str | None = None) -> PairAnalysis | None:
        """Give the analysis of a measure in a group (None: all cases), or None if there is none."""
        return next((one for one in self.pairs if (one.measure, one.group) == (measure, group)), None)

    def roc(self, measure: str) -> RocAnalysis | None:
        """Give a measure's ROC analysis, or None if there is none."""
        return next((one for one in self.rocs if one.measure == measure), None)
