"""Cases of a ROC analysis: labels and scores checked, turned and parted by class."""

from __future__ import annotations

from typing import Literal

import numpy as np

from SynthCBVLib.analysis.checks import Labels, Values, finite, same_length, shown, two_classes, varying
from SynthCBVLib.errors import InputError

Direction = Literal["higher", "lower"]


def oriented(values: np.ndarray, direction: str) -> np.ndarray:
    """Turn scores so that higher means positive.

    Raises
    ------
    InputError
        If the direction is neither "higher" nor "lower".
    """
    if direction not in ("higher", "lower"):
        raise InputError("direction", shown(direction), "higher or lower")
    return values if direction == "higher" else -values


def paired_cases(
    labels: Labels,
    scores: Values,
    positive: object,
    name: str = "scores",
    labels_name: str = "labels",
) -> tuple[np.ndarray, np.ndarray]:
    """Give the scores (n,) and True (n,) for the positive cases.

    Raises
    ------
    InputError
        If lengths differ, a score or label is missing, or there are not two classes.
    """
    values = finite(scores, name, 2)
    is_positive = two_classes(labels, positive, labels_name)
    same_length(is_positive, values, f"{labels_name} and {name}")
    return values, is_positive


def by_class(
    labels: Labels,
    scores: Values,
    positive: object,
    direction: str,
    name: str = "scores",
    labels_name: str = "labels",
) -> tuple[np.ndarray, np.ndarray]:
    """Give the scores of the positive and of the negative cases, turned so that higher means positive.

    Raises
    ------
    InputError
        As `paired_cases`, and if the scores are all the same.
    """
    values, is_positive = paired_cases(labels, scores, positive, name, labels_name)
    varying(values, name)
    values = oriented(values, direction)
    return values[is_positive], values[~is_positive]


def too_few(m: int, n: int, remedy: str) -> InputError:
    """Give the error that a class has too few cases for a variance."""
    return InputError(
        "labels", f"{m} positive and {n} negative cases", "at least 2 of each for DeLong's variance", remedy
    )
