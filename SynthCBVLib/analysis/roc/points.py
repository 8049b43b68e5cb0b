"""The points of a ROC curve: all of them, at a given threshold, at Youden's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from SynthCBVLib.analysis import proportions
from SynthCBVLib.analysis.agreement.results import Interval
from SynthCBVLib.analysis.checks import Labels, Values, finite, level_of, shown, varying
from SynthCBVLib.analysis.roc.cases import Direction, oriented, paired_cases
from SynthCBVLib.analysis.roc.results import Curve, CutOff, OperatingPoint, RateIntervals
from SynthCBVLib.errors import InputError

_IVIM_PAPER = (
    "Wang et al., DSC-MRI derived relative CBV maps synthesized from IVIM-MRI data: IDH mutation in 40 "
    "gliomas (20 mutant, 20 wildtype), 3 T Siemens Skyra. IDH-mutant gliomas had the lower ratios; the "
    "paper does not say which class its sensitivity counts, here it is the mutant"
)

#: The IVIM paper's thresholds of the T/WM ratio. They hold for its scanner, its regions and its maps.
CUT_OFFS: Mapping[str, CutOff] = MappingProxyType(
    {
        "ivim-real": CutOff(
            "ivim-real", 4.176, "lower", "IDH-mutant", 0.95, 0.70, f"{_IVIM_PAPER}; DSC rCBV"
        ),
        "ivim-synthetic": CutOff(
            "ivim-synthetic", 3.419, "lower", "IDH-mutant", 1.0, 0.60, f"{_IVIM_PAPER}; synthetic rCBV"
        ),
    }
)


def curve(
    labels: Labels, scores: Values, *, positive: object = None, direction: Direction = "higher"
) -> Curve:
    """Give every point of the empirical ROC curve.

    Parameters
    ----------
    labels : sequence (n,)
        Class of each case: 1 and 0, or two values with `positive` naming one.
    scores : sequence of float (n,)
    positive : optional
        Label of the positive class if not 1.
    direction : {"higher", "lower"}
        Scores that speak for the positive class.

    Returns
    -------
    Curve
        One point a distinct score, and the one where no case is called positive.

    Raises
    ------
    InputError
        If lengths differ, a score or label is missing, scores are all the same, or there are not two classes.
    """
    values, is_positive = paired_cases(labels, scores, positive)
    varying(values, "scores")
    turned = oriented(values, direction)
    order = np.argsort(-turned, kind="stable")
    last = np.append(np.flatnonzero(np.diff(turned[order])), values.size - 1)
    true = np.cumsum(is_positive[order])[last]
    infinite = math.inf if direction == "higher" else -math.inf
    return Curve(
        np.concatenate([[infinite], values[order][last]]),
        np.concatenate([[0], true]),
        np.concatenate([[0], last + 1 - true]),
        int(is_positive.sum()),
        int((~is_positive).sum()),
        direction,
    )


def operating_point(
    labels: Labels,
    scores: Values,
    threshold: float | str | CutOff,
    *,
    direction: Direction | None = None,
    confidence: float = 0.95,
    positive: object = None,
) -> OperatingPoint:
    """Call cases positive by a threshold and count.

    Parameters
    ----------
    labels : sequence (n,)
        Class of each case: 1 and 0, or two values with `positive` naming one.
    scores : sequence of float (n,)
    threshold : float, str or CutOff
        A score equal to it is called positive. A name takes the published threshold of `CUT_OFFS`
        with its direction.
    direction : {"higher", "lower"}, optional
        Side of the threshold called positive; "higher" if not given by a published threshold.
    confidence : float
        Level of the intervals.
    positive : optional
        Label of the positive class if not 1.

    Raises
    ------
    InputError
        If lengths differ, a score, a label or the threshold is missing, or there are not two classes.
    """
    if isinstance(threshold, str):
        if threshold not in CUT_OFFS:
            raise InputError("threshold", shown(threshold), "a number or one of " + ", ".join(CUT_OFFS))
        threshold = CUT_OFFS[threshold]
    if isinstance(threshold, CutOff):
        direction, threshold = direction or threshold.direction, threshold.threshold
    direction = direction or "higher"
    at = float(finite([threshold], "threshold", 1)[0])
    values, is_positive = paired_cases(labels, scores, positive)
    level_of(confidence)
    called = oriented(values, direction) >= oriented(np.array([at]), direction)[0]
    true, false = int((called & is_positive).sum()), int((called & ~is_positive).sum())
    n_positive = int(is_positive.sum())
    return _point(at, direction, true, false, n_positive, values.size - n_positive, confidence)


def youden(
    labels: Labels,
    scores: Values,
    *,
    direction: Direction = "higher",
    confidence: float = 0.95,
    positive: object = None,
) -> OperatingPoint:
    """Give the operating point with the largest sensitivity + specificity - 1 (Youden, Cancer 1950;3:32).

    The threshold is one of the scores; of equally good ones the most specific. Chosen and tested on the same
    cases, it promises too much: confirm it on others.

    Parameters
    ----------
    labels, scores, direction, confidence, positive
        As in `operating_point`.

    Raises
    ------
    InputError
        As `curve`.
    """
    found = curve(labels, scores, positive=positive, direction=direction)
    # In whole numbers, so that equally good thresholds are equal.
    index = found.true_positives * found.n_negative - found.false_positives * found.n_positive
    best = 1 + int(np.argmax(index[1:]))
    return _point(
        float(found.thresholds[best]),
        direction,
        int(found.true_positives[best]),
        int(found.false_positives[best]),
        found.n_positive,
        found.n_negative,
        confidence,
    )


def _point(
    threshold: float,
    direction: str,
    true: int,
    false: int,
    n_positive: int,
    n_negative: int,
    confidence: float,
) -> OperatingPoint:
    missed, rejected = n_positive - true, n_negative - false
    counts = {
        "sensitivity": (true, n_positive),
        "specificity": (rejected, n_negative),
        "ppv": (true, true + false),
        "npv": (rejected, rejected + missed),
        "accuracy": (true + rejected, n_positive + n_negative),
    }
    rates = {name: count / n if n else math.nan for name, (count, n) in counts.items()}

    def intervals(method: object) -> RateIntervals:
        return RateIntervals(
            **{
                name: method(count, n, confidence) if n else Interval(math.nan, math.nan)
                for name, (count, n) in counts.items()
            }
        )

    return OperatingPoint(
        threshold,
        direction,
        true,
        false,
        missed,
        rejected,
        **rates,
        youden=(true * n_negative - false * n_positive) / (n_positive * n_negative),
        wilson=intervals(proportions.wilson),
        exact=intervals(proportions.exact),
        confidence=confidence,
    )
