"""A map's ratios against those on the real map: all statistics of agreement, over all cases or one group."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from SynthCBVLib.analysis import agreement
from SynthCBVLib.analysis.cohort.results import MEASURES, NotComputed, PairAnalysis
from SynthCBVLib.analysis.cohort.values import CohortValues

#: Passing-Bablok regression looks at all pairs of cases; beyond this Deming's stands alone.
MOST_FOR_PASSING_BABLOK = 1000

_Result = TypeVar("_Result")


def pair_analysis(cohort: CohortValues, measure: str, group: str | None) -> PairAnalysis | None:
    """Compare the ratios on a map with those on the real one.

    Parameters
    ----------
    cohort : CohortValues
        The cases.
    measure : str
        "synthetic" or "f".
    group : str or None
        Take the cases of this group alone; None for all.

    Returns
    -------
    PairAnalysis or None
        None if no case has such a ratio.
    """
    inside = np.ones(len(cohort.table), bool) if group is None else cohort.group == group
    real, other = cohort.ratios["real"], cohort.ratios[measure]
    if not np.isfinite(other).any():
        if group is None:
            why = f"no case has a T/WM ratio of {MEASURES[measure][1]}"
            cohort.not_computed.append(NotComputed(f"{MEASURES[measure][1]} against real rCBV", why))
        return None
    kept = inside & np.isfinite(real) & np.isfinite(other)
    x, y = real[kept], other[kept]
    name = f"{MEASURES[measure][1]} against real rCBV, {group or 'all cases'}"
    level = {"confidence": cohort.confidence}

    def attempt(what: str, call: Callable[[], _Result]) -> _Result | None:
        return cohort.attempt(f"{name}: {what}", call)

    n = int(kept.sum())
    limits = attempt("Bland-Altman", lambda: agreement.bland_altman(x, y, **level))
    if limits is None:  # fewer than 3 pairs: nothing else can be computed either
        others = (None,) * 7
    else:
        others = (
            attempt("Bland-Altman of ratios", lambda: agreement.bland_altman_ratio(y, x, **level)),
            attempt("regression", lambda: agreement.regression(x, y, **level)),
            attempt("Deming regression", lambda: agreement.deming(x, y, **level)),
            attempt("Passing-Bablok regression", lambda: agreement.passing_bablok(x, y, **level))
            if n <= MOST_FOR_PASSING_BABLOK
            else None,
            attempt("Pearson's correlation", lambda: agreement.pearson(x, y, **level)),
            attempt("concordance", lambda: agreement.concordance(x, y, **level)),
            attempt("paired t-test", lambda: agreement.paired_t(x, y, **level)),
        )
        if n > MOST_FOR_PASSING_BABLOK:
            why = f"{n} cases; it is computed for up to {MOST_FOR_PASSING_BABLOK}"
            cohort.not_computed.append(NotComputed(f"{name}: Passing-Bablok regression", why))
    return PairAnalysis(
        measure, group, n, int(inside.sum()) - n, tuple(cohort.subjects[kept]), x, y,
        tuple(cohort.group[kept]), limits, *others,
    )  # fmt: skip
