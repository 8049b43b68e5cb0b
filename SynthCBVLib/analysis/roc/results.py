"""What the ROC statistics give back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SynthCBVLib.analysis.agreement.results import Interval


@dataclass(frozen=True)
class Auc:
    """Area under the empirical ROC curve.

    Attributes
    ----------
    n_positive, n_negative : int
        Cases of each class.
    auc : float
        Probability that a positive case scores above a negative one, ties counting half.
    standard_error : float
        DeLong's; NaN if a class has one case.
    interval : Interval
        Confidence interval by `ci`.
    ci : str
        How the interval was made: "logit", "delong", "newcombe" or "exact". "newcombe" stands here also
        where "logit" or "delong" was asked for but every variance is 0, as at an area of 1.
    mann_whitney_u : float
        auc x n_positive x n_negative.
    direction : str
        "higher" or "lower": the scores that speak for the positive class.
    confidence : float
        Level of the interval.
    """

    n_positive: int
    n_negative: int
    auc: float
    standard_error: float
    interval: Interval
    ci: str
    mann_whitney_u: float
    direction: str
    confidence: float

    @property
    def n(self) -> int:
        """Number of cases."""
        return self.n_positive + self.n_negative


@dataclass(frozen=True)
class Comparison:
    """Comparison of two areas under ROC curves.

    Attributes
    ----------
    auc_a, auc_b : float
        The areas.
    error_a, error_b : float
        Their standard errors.
    correlation : float
        Correlation of the two areas over samples; 0 for independent samples.
    difference : float
        auc_a - auc_b.
    standard_error : float
        That of the difference.
    z, p : float
        difference / standard_error and its two-sided P.
    interval : Interval
        Normal confidence interval of the difference; NaN where both areas are 0 or 1 and so without error.
    method : str
        "delong", "hanley-mcneil" or "given".
    confidence : float
        Level of the interval.
    """

    auc_a: float
    auc_b: float
    error_a: float
    error_b: float
    correlation: float
    difference: float
    standard_error: float
    z: float
    p: float
    interval: Interval
    method: str
    confidence: float


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of the empirical ROC curve, from (0, 0) to (1, 1).

    Attributes
    ----------
    thresholds : np.ndarray (k,)
        A case is called positive at this score or beyond it; the first is infinite (no case is).
    true_positives, false_positives : np.ndarray (k,) of int
        Positive and negative cases called positive.
    n_positive, n_negative : int
        Cases of each class.
    direction : str
        "higher": beyond means above; "lower": below.
    """

    thresholds: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray
    n_positive: int
    n_negative: int
    direction: str

    @property
    def sensitivity(self) -> np.ndarray:
        """True-positive rate (k,)."""
        return self.true_positives / self.n_positive

    @property
    def specificity(self) -> np.ndarray:
        """1 - false-positive rate (k,)."""
        return 1 - self.false_positive_rate

    @property
    def false_positive_rate(self) -> np.ndarray:
        """1 - specificity (k,)."""
        return self.false_positives / self.n_negative


@dataclass(frozen=True)
class RateIntervals:
    """Confidence intervals of the rates of an operating point; NaN where the rate is."""

    sensitivity: Interval
    specificity: Interval
    ppv: Interval
    npv: Interval
    accuracy: Interval


@dataclass(frozen=True)
class OperatingPoint:
    """Results of calling cases positive by one threshold.

    Attributes
    ----------
    threshold : float
        A score equal to it is called positive.
    direction : str
        "higher" or "lower": the side of the threshold called positive.
    true_positives, false_positives, false_negatives, true_negatives : int
        The four counts.
    sensitivity, specificity : float
        Share of the positive cases called positive, of the negative called negative.
    ppv, npv : float
        Share of those called positive that are, of those called negative that are; NaN where none was
        called so. They hold for the mix of classes in this sample.
    accuracy : float
        Share called rightly.
    youden : float
        sensitivity + specificity - 1.
    wilson, exact : RateIntervals
        Wilson's and Clopper-Pearson's intervals of the five rates.
    confidence : float
        Level of the intervals.
    """

    threshold: float
    direction: str
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    sensitivity: float
    specificity: float
    ppv: float
    npv: float
    accuracy: float
    youden: float
    wilson: RateIntervals
    exact: RateIntervals
    confidence: float


@dataclass(frozen=True)
class CutOff:
    """A published threshold of the tumour-to-white-matter ratio.

    Attributes
    ----------
    name : str
        How it is called here.
    threshold : float
        Ratio.
    direction : str
        Side that speaks for the positive class.
    positive : str
        The positive class.
    sensitivity, specificity : float
        As published.
    source : str
        Where it was published and what it was measured on.
    """

    name: str
    threshold: float
    direction: str
    positive: str
    sensitivity: float
    specificity: float
    source: str
