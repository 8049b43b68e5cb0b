"""Charts of a cohort as plain numbers: the figures of the report and the plot nodes are both made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from SynthCBVLib.analysis.cohort.results import MEASURES, CohortAnalysis, GroupAnalysis, PairAnalysis
from SynthCBVLib.analysis.cohort.statistics import p_text, short_name

#: Okabe & Ito's palette: told apart by colour-blind eyes; with marks of their own as well.
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
GREY, BLACK = "#7A7A7A", "#1B2733"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY)
MEASURE_COLOURS = {"real": BLUE, "synthetic": ORANGE, "f": GREEN}

Mark = Literal["circle", "square", "diamond", "cross", "plus", "none"]
MARKS: tuple[Mark, ...] = ("circle", "square", "diamond", "cross", "plus")
Style = Literal["solid", "dash", "dot", "none"]
_MOST_GROUPS_SHOWN = len(PALETTE)


@dataclass(frozen=True, eq=False)
class Series:
    """Points or a line of a chart.

    Attributes
    ----------
    name : str
        For the legend; empty keeps the series out of it.
    x, y : ndarray (n,)
        Values in the axes' units.
    colour : str
        "#RRGGBB".
    mark : str
        Shape of the points, "none" for a line alone.
    line : str
        Style of the line, "none" for points alone.
    labels : tuple of str
        Names of the points, one each, or empty.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    mark: Mark = "none"
    line: Style = "solid"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Chart:
    """One figure.

    Attributes
    ----------
    key : str
        For names of files: letters, digits and hyphens.
    title, x_title, y_title : str
        Texts.
    series : tuple of Series
        In the order in which they are drawn.
    caption : str
        What the lines mean and the numbers beside them, full sentences.
    x_range, y_range : tuple of float
        Limits of the axes.
    ticks : tuple of (float, str)
        Names of places on the x axis instead of numbers; empty for numbers.
    band : tuple of int or None
        The two series between which the area may be filled.
    equal : bool
        Both axes have one scale.
    """

    key: str
    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    caption: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    ticks: tuple[tuple[float, str], ...] = ()
    band: tuple[int, int] | None = None
    equal: bool = False


def charts(analysis: CohortAnalysis) -> list[Chart]:
    """Give all charts that an analysis has numbers for.

    Regression and Bland-Altman of synthetic and f against real over all cases, the ratios by group, and the
    ROC curves.
    """
    found: list[Chart | None] = []
    for measure in ("synthetic", "f"):
        pair = analysis.pair(measure)
        if pair is not None:
            found += [regression_chart(pair), bland_altman_chart(pair)]
    found += [groups_chart(analysis.comparisons_of_groups), roc_chart(analysis)]
    return [chart for chart in found if chart is not None]


def regression_chart(pair: PairAnalysis) -> Chart | None:
    """Give the scatter of a map's ratios over the real ones, with line and confidence band."""
    line = pair.regression
    if line is None:
        return None
    name = _in_text(pair.measure)
    low, high = (
        float(min(pair.real.min(), pair.other.min(), 0)),
        float(max(pair.real.max(), pair.other.max())),
    )
    limits = _padded(low, high)
    x = np.linspace(float(pair.real.min()), float(pair.real.max()), 60)
    below, above = line.band(x)
    level = f"{line.confidence:.0%}"
    series = (
        Series("identity", np.array(limits), np.array(limits), GREY, line="dot"),
        Series(f"{level} band of the line", x, below, BLACK, line="dash"),
        Series("", x, above, BLACK, line="dash"),
        Series("regression", x, line.intercept + line.slope * x, BLACK),
        *_points(pair, pair.real, pair.other),
    )
    sign = "+" if line.intercept >= 0 else "−"
    r = "" if pair.pearson is None else f" Pearson's r = {pair.pearson.r:.3f}, {p_text(pair.pearson.p)}."
    caption = (
        f"Line: {name} = {_minus(line.slope)} × real {sign} {abs(line.intercept):.3f}, "
        f"R² = {line.r_squared:.3f}, with the {level} confidence band of the line; dotted: identity. "
        f"{_counted(pair)}{r}"
    )
    return Chart(
        f"regression-{pair.measure}", f"{MEASURES[pair.measure][1]} against real rCBV",
        "T/WM ratio, real rCBV", f"T/WM ratio, {name}", series, caption,
        limits, limits, band=(1, 2), equal=True,
    )  # fmt: skip


def bland_altman_chart(pair: PairAnalysis) -> Chart | None:
    """Give the differences from real over the means, with bias and limits of agreement."""
    limits = pair.bland_altman
    if limits is None:
        return None
    name = _in_text(pair.measure)
    mean, difference = (pair.real + pair.other) / 2, pair.real - pair.other
    x_range = _padded(float(mean.min()), float(mean.max()))
    ends = [float(difference.min()), float(difference.max()), limits.lower, limits.upper, 0.0]
    x = np.array(x_range)
    series = (
        Series("no difference", x, np.zeros(2), GREY, line="dot"),
        Series("bias", x, np.full(2, limits.bias), BLACK),
        Series(f"bias ± {limits.multiplier:g} SD", x, np.full(2, limits.upper), BLACK, line="dash"),
        Series("", x, np.full(2, limits.lower), BLACK, line="dash"),
        *_points(pair, mean, difference),
    )
    caption = (
        f"Bias {_minus(limits.bias)} ({limits.confidence:.0%} CI {_minus(limits.bias_interval.low)} to "
        f"{_minus(limits.bias_interval.high)}), limits of agreement {_minus(limits.lower)} and "
        f"{_minus(limits.upper)}; {limits.inside:.0%} of the cases lie within them. {_counted(pair)}"
    )
    return Chart(
        f"bland-altman-{pair.measure}", f"Real rCBV – {name}, Bland-Altman",
        f"Mean of T/WM ratios, real and {name}", f"Difference of T/WM ratios, real – {name}", series, caption,
        x_range, _padded(min(ends), max(ends)),
    )  # fmt: skip


def groups_chart(found: Sequence[GroupAnalysis]) -> Chart | None:
    """Give the ratios of each map by group, every case a point, with the groups' means."""
    found = [one for one in found if one.values_positive.size + one.values_negative.size]
    if not found:
        return None
    series: list[Series] = []
    ticks, told, place = [], [], 0.0
    top = bottom = 0.0
    names = (found[0].positive, found[0].negative)
    for one in found:
        for side, values in enumerate((one.values_positive, one.values_negative)):
            if values.size:
                top, bottom = max(top, float(values.max())), min(bottom, float(values.min()))
                legend = short_name(names[side], 24) if one is found[0] else ""
                x = place + side + _spread(values)
                series.append(Series(legend, x, values, PALETTE[side], MARKS[side], "none"))
                mean = np.full(2, values.mean())
                series.append(Series("", place + side + np.array([-0.34, 0.34]), mean, BLACK))
        ticks.append((place + 0.5, MEASURES[one.measure][1]))
        if one.student is not None:
            told.append(f"{MEASURES[one.measure][1]}: {p_text(one.student.p)}")
        place += 2.8
    tests = f" Unpaired t-test: {'; '.join(told)}." if told else ""
    return Chart(
        "groups", "T/WM ratios by group", "", "T/WM ratio", tuple(series),
        f"Each point is a case, the bars are the means.{tests}", (-0.7, place - 1.1), _padded(bottom, top),
        ticks=tuple(ticks),
    )  # fmt: skip


def roc_chart(analysis: CohortAnalysis) -> Chart | None:
    """Give the ROC curves of all maps, with their operating points."""
    if not analysis.rocs:
        return None
    series = [Series("", np.array([0.0, 1.0]), np.array([0.0, 1.0]), GREY, line="dot")]
    told = []
    for i, one in enumerate(analysis.rocs):
        name, colour = MEASURES[one.measure][1], MEASURE_COLOURS[one.measure]
        curve = one.curve
        style: Style = ("solid", "dash", "dot")[i % 3]
        series.append(
            Series(
                f"{name}, AUC {one.auc.auc:.3f}",
                curve.false_positive_rate,
                curve.sensitivity,
                colour,
                line=style,
            )
        )
        for point in one.points.values():
            at = np.array([1 - point.specificity]), np.array([point.sensitivity])
            series.append(Series(f"{name} at {point.threshold:g}", *at, colour, MARKS[i], "none"))
        low, high = one.auc.interval
        missing = f", {one.n_missing} left out" if one.n_missing else ""
        told.append(
            f"{name}: area {one.auc.auc:.3f} ({analysis.confidence:.0%} CI {low:.3f} to {high:.3f}; "
            f"n = {one.auc.n}{missing})"
        )
    caption = (
        f'Positive: "{short_name(analysis.positive or "")}" ({analysis.direction} ratios). {"; ".join(told)}.'
    )
    return Chart(
        "roc", "ROC curves", "1 – specificity", "Sensitivity", tuple(series), caption,
        (-0.02, 1.02), (-0.02, 1.02), equal=True,
    )  # fmt: skip


def _in_text(measure: str) -> str:
    """Give a map's name as it stands within a sentence."""
    return {"real": "real rCBV", "synthetic": "synthetic rCBV"}.get(measure, MEASURES[measure][1])


def _points(pair: PairAnalysis, x: np.ndarray, y: np.ndarray) -> list[Series]:
    """Give the cases' points, a series a group."""
    groups = np.array(pair.groups, dtype=object)
    names = sorted({name for name in pair.groups if name is not None})
    if not 0 < len(names) <= _MOST_GROUPS_SHOWN:
        return [Series("cases", x, y, BLUE, "circle", "none", pair.subjects)]
    found = []
    for i, name in enumerate([*names, None]):
        inside = np.array([one == name for one in groups])
        if inside.any():
            labels = tuple(np.array(pair.subjects, dtype=object)[inside])
            colour, mark = (GREY, "plus") if name is None else (PALETTE[i], MARKS[i])
            legend = "no group" if name is None else short_name(name, 24)
            found.append(Series(legend, x[inside], y[inside], colour, mark, "none", labels))
    return found


def _spread(values: np.ndarray) -> np.ndarray:
    """Give places beside 0 for the points of one group, so that near ones do not hide each other."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return 0.26 * (((order * 0.6180339887498949) % 1.0) * 2 - 1)


def _padded(low: float, high: float) -> tuple[float, float]:
    span = high - low
    margin = 0.06 * span if span > 0 else max(0.5, 0.06 * abs(high))
    return low - margin, high + margin


def _counted(pair: PairAnalysis) -> str:
    left = f", {pair.n_missing} left out for a missing value" if pair.n_missing else ""
    return f"n = {pair.n}{left}."


def _minus(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}".replace("-", "−")
