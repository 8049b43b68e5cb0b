"""Variances of areas under ROC curves: DeLong's from the data, Hanley & McNeil's from the area alone."""

from __future__ import annotations

import math

import numpy as np

from SynthCBVLib.errors import InputError


def placements(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count for every case the cases of the other class that it is on the right side of.

    By sorting, in O(n log n), as midranks do (Sun & Xu, IEEE Signal Process Lett 2014;21:1389). A tie
    counts half; counts are multiples of one half and so exact.

    Parameters
    ----------
    positive : np.ndarray (m,)
        Scores of the positive cases, higher meaning positive.
    negative : np.ndarray (n,)
        Scores of the negative cases.

    Returns
    -------
    np.ndarray (m,), np.ndarray (n,)
        Negatives below each positive, positives above each negative.
    """
    return _below(positive, np.sort(negative)), positive.size - _below(negative, np.sort(positive))


def delong_covariance(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Give DeLong's covariance of k areas measured on the same cases (Biometrics 1988;44:837, eq. 6).

    Parameters
    ----------
    below : np.ndarray (k, m)
        Counts of `placements` of the positive cases, m >= 2.
    above : np.ndarray (k, n)
        Those of the negative cases, n >= 2.

    Returns
    -------
    np.ndarray (k, k)
        Exactly 0 where placements do not vary.
    """
    m, n = below.shape[1], above.shape[1]
    return _covariance(below / n) / m + _covariance(above / m) / n


def hanley_mcneil_error(auc: float, n_positive: int, n_negative: int) -> float:
    """Give the standard error of an area under exponential score distributions (Radiology 1982;143:29).

    Parameters
    ----------
    auc : float
        0 to 1.
    n_positive, n_negative : int
        Cases of each class, at least 1.

    Raises
    ------
    InputError
        If the area or a number is out of range.
    """
    _check_area(auc, n_positive, n_negative)
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (n_positive - 1) * (q1 - auc**2) + (n_negative - 1) * (q2 - auc**2)
    return math.sqrt(max(0.0, variance) / (n_positive * n_negative))


def newcombe_error(auc: float, n_positive: int, n_negative: int) -> float:
    """Give Newcombe's variant of Hanley & McNeil's error, even in the classes (Stat Med 2006;25:559).

    Raises
    ------
    InputError
        If the area or a number is out of range.
    """
    _check_area(auc, n_positive, n_negative)
    middle = (n_positive + n_negative) / 2 - 1
    spread = 1 + middle * ((1 - auc) / (2 - auc) + auc / (1 + auc))
    return math.sqrt(auc * (1 - auc) * spread / (n_positive * n_negative))


def area_correlation(score_correlation: float, auc: float) -> float:
    """Give the correlation of two areas measured on the same cases (Hanley & McNeil, Radiology 1983;148:839).

    Their table lists it by the mean of the correlations of the scores within the two classes and the mean
    of the two areas. Here it comes from the bivariate normal model with equal variances, in large samples
    of equal size: with h = Phi^-1(area), the covariance of the probabilities of placement at a correlation
    c of the scores is the integral of exp(-h² / (1 + t)) / (2 pi sqrt(1 - t²)) over t from 0 to c / 2.

    Parameters
    ----------
    score_correlation : float
        -1 to 1.
    auc : float
        Mean area, between 0 and 1.

    Raises
    ------
    InputError
        If a value is out of range.
    """
    from scipy.integrate import quad
    from scipy.special import ndtri

    if not -1 <= score_correlation <= 1:
        raise InputError("correlation of the scores", f"{score_correlation}", "a value from -1 to 1")
    if not 0 < auc < 1:
        raise InputError("mean area", f"{auc}", "a value between 0 and 1")
    h2 = float(ndtri(auc)) ** 2

    def covariance(correlation: float) -> float:
        # Scaled by exp(h² / 1.5) so that areas next to 1 do not underflow.
        return quad(
            lambda t: math.exp(h2 / 1.5 - h2 / (1 + t)) / math.sqrt(1 - t * t), 0, correlation / 2, epsabs=0
        )[0]

    return covariance(score_correlation) / covariance(1.0) if score_correlation else 0.0


def _below(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2


def _covariance(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    centred[np.ptp(rows, axis=1) == 0] = 0.0  # a rounded mean must not give constant rows a variance
    return centred @ centred.T / (rows.shape[1] - 1)


def _check_area(auc: float, n_positive: int, n_negative: int) -> None:
    if not 0 <= auc <= 1:
        raise InputError("area under the ROC curve", f"{auc}", "a value from 0 to 1")
    if n_positive < 1 or n_negative < 1:
        raise InputError(
            "numbers of cases", f"{n_positive} positive and {n_negative} negative", "at least 1 of each"
        )
