"""The groups of a cohort: which is positive, t-tests between them, ROC curves and their comparison."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from SynthCBVLib.analysis import agreement, roc
from SynthCBVLib.analysis.cohort.results import (
    MEASURES,
    GroupAnalysis,
    NotComputed,
    RocAnalysis,
    RocComparison,
)
from SynthCBVLib.analysis.cohort.values import CohortValues
from SynthCBVLib.errors import InputError

#: Groups analysed or named one by one; more are no groups.
MOST_GROUPS = 12
#: Which published cut-off belongs to which measure.
PUBLISHED = {"real": "ivim-real", "synthetic": "ivim-synthetic"}


def positive_group(
    cohort: CohortValues, groups: Mapping[str, int], positive: str | None, direction: roc.Direction | None
) -> tuple[str | None, roc.Direction | None]:
    """Give the group that ROC curves call positive and the side of its ratios, as `analyze` describes."""
    what = "Comparison of groups, ROC curves"
    if positive is not None and positive not in groups:
        known = ", ".join(repr(name)[:60] for name in list(groups)[:MOST_GROUPS]) or "none"
        raise InputError("positive group", repr(positive)[:60], f"one of the groups in the table: {known}")
    if len(groups) < 2 or (positive is None and len(groups) > 2):
        why = f"{len(groups)} groups in the table; needed: two, or the name of the positive one"
        cohort.not_computed.append(NotComputed(what, why))
        return None, None
    names = list(groups)
    named = None
    if positive is None:
        named = _by_word(names, "mut") or _by_word(names, "recur")
        positive = named or max(names, key=lambda name: cohort.mean(cohort.group == name))
    if direction is None:
        if "mut" in positive.lower():
            direction = "lower"
        elif "recur" in positive.lower():
            direction = "higher"
        else:
            is_positive = cohort.group == positive
            others = ~is_positive & (cohort.group != None)  # noqa: E711 - elementwise
            direction = "higher" if cohort.mean(is_positive) >= cohort.mean(others) else "lower"
            cohort.notes.append(
                f'ROC curves call the group "{positive}" positive because of its {direction} mean ratio; '
                "a side chosen by the same cases makes areas near 0.5 optimistic."
            )
    if named is not None:
        cohort.notes.append(
            f'ROC curves call the group "{positive}" positive, {direction} ratios speaking for it.'
        )
    return positive, direction


def _two_groups(
    cohort: CohortValues, *measures: str, positive: str
) -> tuple[np.ndarray, list[np.ndarray], int, str]:
    """Give labels (n,), the measures' values (n,), the cases left out, and the other group's name."""
    member = np.array([name is not None for name in cohort.group])
    kept = member & np.all([np.isfinite(cohort.ratios[measure]) for measure in measures], axis=0)
    labels = (cohort.group[kept] == positive).astype(int)
    others = sorted(set(cohort.group[member]) - {positive})
    negative = others[0] if len(others) == 1 else "all other groups"
    return labels, [cohort.ratios[m][kept] for m in measures], int(member.sum() - kept.sum()), negative


def group_analysis(cohort: CohortValues, measure: str, positive: str) -> GroupAnalysis | None:
    """Compare the mean ratios of the positive and the other group; None if no case has the ratio."""
    labels, (values,), n_missing, negative = _two_groups(cohort, measure, positive=positive)
    if values.size == 0:
        return None
    a, b = values[labels == 1], values[labels == 0]
    name = f"t-test of the groups, {MEASURES[measure][1]}"
    student = cohort.attempt(name, lambda: agreement.unpaired_t(a, b, confidence=cohort.confidence))
    welch = None
    if student is not None:
        welch = agreement.unpaired_t(a, b, equal_variances=False, confidence=cohort.confidence)
    return GroupAnalysis(measure, positive, negative, a, b, n_missing, student, welch)


def roc_analysis(
    cohort: CohortValues, measure: str, positive: str, direction: roc.Direction, cut_offs: Mapping[str, float]
) -> RocAnalysis | None:
    """Give the ROC curve of a map's ratio with its area and operating points; None where there is none."""
    labels, (values,), n_missing, _ = _two_groups(cohort, measure, positive=positive)
    if values.size == 0:
        return None
    options = {"direction": direction, "confidence": cohort.confidence}

    def compute() -> RocAnalysis:
        points = {}
        if measure in cut_offs:
            name = f"cut-off {cut_offs[measure]:g}"
            points[name] = roc.operating_point(labels, values, cut_offs[measure], **options)
        elif measure in PUBLISHED and "mut" in positive.lower() and direction == "lower":
            cut_off = roc.CUT_OFFS[PUBLISHED[measure]]
            name = f"published cut-off {cut_off.threshold:g}"
            points[name] = roc.operating_point(labels, values, cut_off, confidence=cohort.confidence)
        return RocAnalysis(
            measure,
            n_missing,
            roc.curve(labels, values, direction=direction),
            roc.auc(labels, values, ci="logit", **options),
            roc.auc(labels, values, ci="exact", **options),
            roc.youden(labels, values, **options),
            points,
        )

    return cohort.attempt(f"ROC curve, {MEASURES[measure][1]}", compute)


def roc_comparison(
    cohort: CohortValues, first: str, second: str, positive: str, direction: roc.Direction
) -> RocComparison | None:
    """Compare the areas of two maps over the cases that have both ratios; None where there is none."""
    labels, (a, b), n_missing, _ = _two_groups(cohort, first, second, positive=positive)
    name = f"comparison of areas, {MEASURES[first][1]} and {MEASURES[second][1]}"
    found = cohort.attempt(
        name, lambda: roc.compare(labels, a, b, direction=direction, confidence=cohort.confidence)
    )
    return None if found is None else RocComparison(first, second, labels.size, n_missing, found)


def _by_word(names: list[str], word: str) -> str | None:
    found = [name for name in names if word in name.lower()]
    return found[0] if len(found) == 1 else None
