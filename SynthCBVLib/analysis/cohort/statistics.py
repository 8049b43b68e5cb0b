"""The statistics of a cohort as rows of a table and as sentences."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from SynthCBVLib.analysis.agreement.results import Interval
from SynthCBVLib.analysis.arrays import csv_text
from SynthCBVLib.analysis.cohort.results import (
    ALL,
    MEASURES,
    CohortAnalysis,
    GroupAnalysis,
    PairAnalysis,
    RocAnalysis,
    StatisticRow,
)
from SynthCBVLib.analysis.cohort.scores import rater_rows, rater_sentences
from SynthCBVLib.imaging.files import written_whole

_NONE = Interval(math.nan, math.nan)


#: Headings of the columns, as shown.
HEADER = ("Section", "What", "Group", "Statistic", "n", "Missing", "Value", "CI low", "CI high", "P")


def statistic_rows(analysis: CohortAnalysis) -> list[StatisticRow]:
    """Give every number of an analysis as a row, in the order in which they are read."""
    rows: list[StatisticRow] = []
    for pair in analysis.pairs:
        rows += _pair_rows(pair)
    for groups in analysis.comparisons_of_groups:
        rows += _group_rows(groups)
    for one in analysis.rocs:
        rows += _roc_rows(one, analysis)
    for found in analysis.roc_comparisons:
        what = f"{_name(found.first)} – {_name(found.second)}"
        result = found.result
        rows.append(
            StatisticRow(
                "ROC", what, ALL, "difference of areas (DeLong)", found.n, found.n_missing,
                result.difference, *result.interval, result.p,
            )
        )  # fmt: skip
    rows += rater_rows(analysis.raters)
    for one in analysis.summaries:
        for statistic in ("mean", "sd", "median", "low", "high"):
            name = {"sd": "SD", "low": "smallest", "high": "largest"}.get(statistic, statistic)
            value = getattr(one, statistic)
            rows.append(StatisticRow("Summary", one.column, ALL, name, one.n, one.n_missing, value))
    return rows


def write_statistics(analysis: CohortAnalysis, path: str | os.PathLike[str]) -> Path:
    """Write the rows as CSV, whole or not at all; a number that is not there is empty.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    names = [field.name for field in fields(StatisticRow)]
    cells = [
        [None if isinstance(value, float) and math.isnan(value) else value for value in astuple(row)]
        for row in statistic_rows(analysis)
    ]
    content = csv_text([names, *cells]).encode("utf-8", errors="replace")
    with written_whole(path) as (temporary,):
        temporary.write_bytes(content)
    return Path(path)


def sentences(analysis: CohortAnalysis) -> list[str]:
    """Say the main results in words, a sentence or two each; what is not there is not said."""
    said = [f"{_cases(len(analysis.table))} in the table{_listed_groups(analysis)}."]
    for pair in analysis.pairs:
        said += _pair_sentences(pair)
    for groups in analysis.comparisons_of_groups:
        if groups.student is not None:
            test = groups.student
            said.append(
                f"{_name(groups.measure)}: the mean ratio in {short_name(groups.positive)} "
                f"({test.n_a} cases) is "
                f"{_direction(test.difference)} than in {short_name(groups.negative)} ({test.n_b} cases) by "
                f"{_number(abs(test.difference))} ({_interval(test.interval, test.confidence)} for the "
                f"signed difference; unpaired t-test, {p_text(test.p)}){_without(groups.n_missing)}."
            )
    for one in analysis.rocs:
        said.append(
            f"{_name(one.measure)}: area under the ROC curve {_number(one.auc.auc, 4)} "
            f"({_interval(one.auc.interval, one.auc.confidence)}; exact binomial "
            f"{_ends(one.auc_exact.interval)}), {_cases(one.auc.n)}{_without(one.n_missing)}."
        )
    for found in analysis.roc_comparisons:
        said.append(
            f"Areas of {_name(found.first)} and {_name(found.second)} differ by "
            f"{_number(found.result.difference, 3)} "
            f"({_interval(found.result.interval, analysis.confidence)}; DeLong, "
            f"{p_text(found.result.p)}), {_cases(found.n)}{_without(found.n_missing)}."
        )
    return said + rater_sentences(analysis.raters)


def p_text(p: float) -> str:
    """Give a P as journals print it: "P = 0.0368", "P < 0.0001"."""
    if math.isnan(p):
        return "P not defined"
    if p < 1e-4:
        return "P < 0.0001"
    return f"P = {p:.2g}" if p < 0.1 else f"P = {p:.2f}"


def short_name(name: str, longest: int = 40) -> str:
    """Give a name on one line, cut where it is too long to be read."""
    plain = " ".join(name.split())
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def _pair_rows(pair: PairAnalysis) -> Iterator[StatisticRow]:
    what, group = f"{_name(pair.measure)} against Real rCBV", pair.group or ALL

    def row(name: str, value: float, interval: Interval = _NONE, p: float = math.nan) -> StatisticRow:
        return StatisticRow("Agreement", what, group, name, pair.n, pair.n_missing, value, *interval, p)

    if (limits := pair.bland_altman) is not None:
        p = math.nan if pair.paired_t is None else pair.paired_t.p
        yield row("bias (real – map; P of the paired t-test)", limits.bias, limits.bias_interval, p)
        yield row("SD of the differences", limits.sd)
        yield row("lower limit of agreement", limits.lower, limits.lower_interval)
        yield row("upper limit of agreement", limits.upper, limits.upper_interval)
        yield row("share within the limits", limits.inside)
        if (trend := limits.proportional) is not None:
            yield row("slope of the differences on the means", trend.slope, trend.slope_interval, trend.p)
    if (ratios := pair.bland_altman_ratio) is not None:
        yield row("geometric mean of map / real", ratios.ratio, ratios.ratio_interval)
        yield row("lower limit of map / real", ratios.lower, ratios.lower_interval)
        yield row("upper limit of map / real", ratios.upper, ratios.upper_interval)
    if (line := pair.regression) is not None:
        yield row("regression slope", line.slope, line.slope_interval, line.p)
        yield row("regression intercept", line.intercept, line.intercept_interval)
        yield row("R²", line.r_squared)
        yield row("residual SD", line.residual_sd)
    for line in (pair.deming, pair.passing_bablok):
        if line is not None:
            yield row(f"{line.method} slope", line.slope, line.slope_interval)
            yield row(f"{line.method} intercept", line.intercept, line.intercept_interval)
    if pair.passing_bablok is not None:
        yield row("Passing-Bablok, P of linearity", math.nan, p=pair.passing_bablok.linearity_p)
    if pair.pearson is not None:
        yield row("Pearson's r", pair.pearson.r, pair.pearson.interval, pair.pearson.p)
    if pair.concordance is not None:
        yield row("Lin's concordance", pair.concordance.rho, pair.concordance.interval)


def _group_rows(found: GroupAnalysis) -> Iterator[StatisticRow]:
    what = _name(found.measure)
    for name, values in ((found.positive, found.values_positive), (found.negative, found.values_negative)):
        if values.size:
            yield StatisticRow(
                "Groups", what, name, "mean", values.size, found.n_missing, float(values.mean())
            )
        if values.size > 1:
            sd = float(values.std(ddof=1))
            yield StatisticRow("Groups", what, name, "SD", values.size, found.n_missing, sd)
    both = f"{found.positive} – {found.negative}"
    for name, test in (("Student's t-test", found.student), ("Welch's t-test", found.welch)):
        if test is not None:
            yield StatisticRow(
                "Groups", what, both, f"difference of means, {name}", test.n_a + test.n_b, found.n_missing,
                test.difference, *test.interval, test.p,
            )  # fmt: skip


def _roc_rows(found: RocAnalysis, analysis: CohortAnalysis) -> Iterator[StatisticRow]:
    what, n, missing = _name(found.measure), found.auc.n, found.n_missing

    def row(name: str, value: float, interval: Interval = _NONE) -> StatisticRow:
        return StatisticRow("ROC", what, f"positive: {analysis.positive}", name, n, missing, value, *interval)

    yield row(f"area under the curve (interval: {_AREA[found.auc.ci]})", found.auc.auc, found.auc.interval)
    yield row("area under the curve (interval: exact)", found.auc_exact.auc, found.auc_exact.interval)
    for name, point in (*found.points.items(), ("Youden's point", found.youden)):
        yield row(f"{name}: threshold ({point.direction} is positive)", point.threshold)
        yield row(f"{name}: sensitivity (Wilson)", point.sensitivity, point.wilson.sensitivity)
        yield row(f"{name}: specificity (Wilson)", point.specificity, point.wilson.specificity)
        yield row(f"{name}: accuracy (Wilson)", point.accuracy, point.wilson.accuracy)


_AREA = {"logit": "DeLong, logit", "delong": "DeLong", "newcombe": "Newcombe", "exact": "exact"}


def _pair_sentences(pair: PairAnalysis) -> list[str]:
    said, where = [], f"{_name(pair.measure)} against real rCBV, {short_name(pair.group or ALL)}"
    counted = f"{_cases(pair.n)}{_without(pair.n_missing)}"
    if (limits := pair.bland_altman) is not None:
        trend = limits.proportional
        said.append(
            f"{where} ({counted}): the ratio on the real map is {_direction(limits.bias)} by "
            f"{_number(abs(limits.bias))} on average "
            f"({_interval(limits.bias_interval, limits.confidence)} for real – map), with limits of "
            f"agreement from {_number(limits.lower)} to {_number(limits.upper)}; "
            f"{limits.inside:.0%} of the cases lie within them."
            + (
                " The difference changes with the size of the ratio "
                f"(slope {_number(trend.slope)}, {p_text(trend.p)})."
                if trend is not None and trend.p < 0.05
                else ""
            )
        )
    if (line := pair.regression) is not None and pair.pearson is not None:
        sign = "+" if line.intercept >= 0 else "−"
        said.append(
            f"{where}: ratio = {_number(line.slope, 4)} × real {sign} {_number(abs(line.intercept), 4)} "
            f"(R² = {_number(line.r_squared, 4)}); Pearson's r = {_number(pair.pearson.r, 4)} "
            f"({_interval(pair.pearson.interval, line.confidence)}; {p_text(pair.pearson.p)})"
            + (f"; Lin's concordance {_number(pair.concordance.rho)}" if pair.concordance is not None else "")
            + "."
        )
    return said


def _listed_groups(analysis: CohortAnalysis) -> str:
    if not analysis.groups:
        return ", without groups"
    shown = [f"{count} {short_name(name)}" for name, count in list(analysis.groups.items())[:12]]
    return ": " + ", ".join(shown) + (" and others" if len(analysis.groups) > 12 else "")


def _name(measure: str) -> str:
    return MEASURES[measure][1]


def _cases(n: int) -> str:
    return f"{n} case" if n == 1 else f"{n} cases"


def _without(n: int) -> str:
    return f", {n} left out for a missing value" if n else ""


def _direction(value: float) -> str:
    return "higher" if value >= 0 else "lower"


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}g}".replace("-", "−")


def _ends(interval: Sequence[float]) -> str:
    low, high = interval
    return "not defined" if math.isnan(low + high) else f"{_number(low)} to {_number(high)}"


def _interval(interval: Sequence[float], confidence: float) -> str:
    return f"{confidence:.0%} CI {_ends(interval)}"
