"""All statistics of both papers over a cohort table: agreement with real rCBV, groups, ROC curves.

Each statistic takes the cases that have the values it needs and counts those left out; what the data do
not allow is named with its reason instead of a number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from itertools import combinations

import numpy as np

from SynthCBVLib.analysis import roc
from SynthCBVLib.analysis.checks import level_of
from SynthCBVLib.analysis.cohort.groups import (
    MOST_GROUPS,
    group_analysis,
    positive_group,
    roc_analysis,
    roc_comparison,
)
from SynthCBVLib.analysis.cohort.pairs import pair_analysis
from SynthCBVLib.analysis.cohort.results import MEASURES, CohortAnalysis, Summary
from SynthCBVLib.analysis.cohort.scores import rater_analysis
from SynthCBVLib.analysis.cohort.table import CohortTable, is_number_column
from SynthCBVLib.analysis.cohort.values import LARGEST_RATIO, CohortValues
from SynthCBVLib.errors import InputError


def analyze(
    table: CohortTable,
    *,
    positive: str | None = None,
    direction: roc.Direction | None = None,
    cut_offs: Mapping[str, float] | None = None,
    model: str | None = None,
    confidence: float = 0.95,
) -> CohortAnalysis:
    """Analyse a cohort.

    Parameters
    ----------
    table : CohortTable
        At least one case.
    positive : str, optional
        Group that ROC curves call positive, against all others. By default, of two groups, the one called
        mutant (as in the IVIM paper) or recurrence (as in the ASL paper), else the one with the higher
        ratios; the notes say which.
    direction : {"higher", "lower"}, optional
        Side on which the positive group's ratios lie. "lower" by default for the mutant, "higher" for
        recurrence, else as the means of the groups say, which the notes tell.
    cut_offs : mapping of str to float, optional
        Measure ("real", "synthetic", "f") -> cut-off for an operating point. The IVIM paper's are taken
        for real and synthetic where the positive group is the mutant and none is given.
    model : str, optional
        Take the cases of this model alone; needed where a subject is there with several models.
    confidence : float
        Level of all intervals.

    Raises
    ------
    InputError
        If there is no case, no such model, group or measure, a subject is there with several models, or a
        ratio is beyond all measure.
    """
    level_of(confidence)  # refuses what is none
    table = _of_model(table, model)
    if direction not in (None, "higher", "lower"):
        raise InputError("direction", repr(direction)[:60], "higher or lower")
    for measure in cut_offs or {}:
        if measure not in MEASURES:
            raise InputError("cut-off", repr(measure)[:60], "one for " + ", ".join(MEASURES))
    cohort, cut_offs = CohortValues(table, confidence), dict(cut_offs or {})
    groups = dict(sorted(Counter(name for name in cohort.group if name is not None).items()))
    n_without = len(cohort.table) - sum(groups.values())
    if groups and n_without:
        cohort.notes.append(f"{_cases(n_without)} without a group: only in the statistics of all cases.")
    positive, direction = positive_group(cohort, groups, positive, direction)
    scopes: list[str | None] = [None]
    if len(groups) > MOST_GROUPS:
        cohort.notes.append(f"{len(groups)} groups: too many to be analysed one by one.")
    elif len(groups) > 1:
        scopes += list(groups)
    pairs = [
        found
        for measure in ("synthetic", "f")
        for scope in scopes
        if (found := pair_analysis(cohort, measure, scope)) is not None
    ]
    comparisons, rocs, contrasts = [], [], []
    if positive is not None:
        comparisons = [
            one for name in MEASURES if (one := group_analysis(cohort, name, positive)) is not None
        ]
        rocs = [
            one for name in MEASURES if (one := roc_analysis(cohort, name, positive, direction, cut_offs))
        ]
        contrasts = [
            one
            for first, second in combinations([found.measure for found in rocs], 2)
            if (one := roc_comparison(cohort, first, second, positive, direction))
        ]
    raters = rater_analysis(cohort)
    return CohortAnalysis(
        cohort.table, groups, positive, direction, _summaries(cohort.table), tuple(pairs), tuple(comparisons),
        tuple(rocs), tuple(contrasts), tuple(cohort.not_computed), tuple(cohort.notes), cohort.confidence,
        raters,
    )  # fmt: skip


def _summaries(table: CohortTable) -> tuple[Summary, ...]:
    return tuple(
        found
        for column in table.columns
        if is_number_column(column) and (found := _summary(column, table.numbers(column))).n
    )


def _of_model(table: CohortTable, model: str | None) -> CohortTable:
    if not len(table):
        raise InputError("cohort table", "no case", "at least one case")
    models = table.column("model")
    known = ", ".join(repr(name)[:60] for name in dict.fromkeys(models) if name is not None) or "none"
    if model is not None:
        rows = tuple(row for row, own in zip(table.rows, models, strict=True) if own == model)
        if not rows:
            raise InputError("model", repr(model)[:60], f"one of the models in the table: {known}")
        return CohortTable(table.columns, rows)
    subjects = table.column("subject")
    if len(set(subjects)) < len(subjects):
        raise InputError(
            "cohort table", "subjects that are there with several models", "one row a subject",
            f"Choose one of the models: {known}.",
        )  # fmt: skip
    return table


def _summary(column: str, values: np.ndarray) -> Summary:
    kept = values[np.abs(values) <= LARGEST_RATIO]  # NaN and infinity are beyond
    n, missing = kept.size, values.size - kept.size
    if not n:
        return Summary(column, 0, missing, *(math.nan,) * 5)
    sd = float(kept.std(ddof=1)) if n > 1 else math.nan
    ends = float(np.median(kept)), float(kept.min()), float(kept.max())
    return Summary(column, n, missing, float(kept.mean()), sd, *ends)


def _cases(n: int) -> str:
    return f"{n} case" if n == 1 else f"{n} cases"
