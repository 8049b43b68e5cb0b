"""The pictures of the page, small."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SynthCBVLib.analysis.cohort.figures import chart_png
from SynthCBVLib.analysis.cohort.plots import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    Chart,
    Series,
    bland_altman_chart,
    groups_chart,
    regression_chart,
    roc_chart,
)
from SynthCBVLib.imaging.files import written_whole
from SynthCBVLib.training.evaluation.bars import combination_rows, shown
from SynthCBVLib.training.evaluation.calibration import ratio_coverage, voxel_coverage
from SynthCBVLib.training.evaluation.results import Evaluation, Workflow
from SynthCBVLib.training.evaluation.tables import cohort_analysis, recurrence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 75
_CURVE = np.linspace(0.05, 0.99, 48)


def write_figures(evaluation: Evaluation, folder: Path) -> dict[str, str]:
    """Write all pictures that the evaluation has numbers for.

    Returns
    -------
    dict
        File's name -> caption.
    """
    from SynthCBVLib.analysis.report.figures import png

    told: dict[str, str] = {}
    for workflow in evaluation.workflows:
        made: dict[str, tuple[bytes, str]] = {}
        strip = likeness_figure(workflow)
        if strip is not None:
            made["ssim"] = (
                png(strip, _DPI),
                ("SSIM of each patient, a point each, by model; bars are the means of the groups."),
            )
        for chart in ratio_charts(workflow):
            made[chart.key] = chart_png(chart, _DPI), chart.caption
        curve = coverage_chart(workflow)
        if curve is not None:
            made[curve.key] = chart_png(curve, _DPI), curve.caption
        for key, (content, caption) in made.items():
            name = f"evaluation-{workflow.name.lower()}-{key}.png"
            with written_whole(folder / name) as (temporary,):
                temporary.write_bytes(content)
            told[name] = caption
    return told


def likeness_figure(workflow: Workflow) -> Figure | None:
    """Give the SSIM of every patient by model and, for models of several combinations, by combination."""
    from SynthCBVLib.analysis.report.canvas import new_figure

    columns = []
    for index, contender in enumerate(workflow.contenders):
        for row in combination_rows(workflow, index):
            name = contender.inputs if row.combination == "all" else shown(row.combination, workflow)
            other = contender is not workflow.main and (
                contender.baseline or contender.inputs == workflow.main.inputs
            )
            label = f"{contender.baseline or contender.label}" if other else name
            if other and not contender.baseline and row.combination != "all":
                label = f"{contender.label}, {name}"
            columns.append((label, contender, row))
    if not columns:
        return None
    groups: list[str | None] = [*workflow.groups()] or [None]
    figure = new_figure(figsize=(max(6.0, 1.6 + 0.42 * len(columns)), 4.6), layout="constrained")
    axes = figure.add_subplot()
    rng = np.random.default_rng(1)
    for place, (_, contender, row) in enumerate(columns):
        for number, group in enumerate(groups):
            values = workflow.values("ssim", contender.label, row.combination, group)
            values = values[np.isfinite(values)]
            centre = place + 0.36 * (number - (len(groups) - 1) / 2) / max(1, len(groups) - 1) * (
                len(groups) > 1
            )
            x = centre + rng.uniform(-0.1, 0.1, values.size)
            name = (group or "patients") if place == 0 else "_nolegend_"
            axes.plot(
                x, values, "o", color=PALETTE[number % len(PALETTE)], markersize=3, alpha=0.7, label=name
            )
            if values.size:
                axes.plot([centre - 0.16, centre + 0.16], [values.mean()] * 2, color="#1B2733", linewidth=1.6)
    axes.set_xticks(
        range(len(columns)), [label for label, *_ in columns], rotation=40, ha="right", fontsize=8
    )
    axes.set_ylabel("SSIM")
    axes.set_title(f"{workflow.name}: likeness to real rCBV", fontsize=12, fontweight="bold", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e3e7eb", linewidth=0.7)
    figure.legend(fontsize=9, loc="outside right upper", frameon=False)
    return figure


def ratio_charts(workflow: Workflow) -> list[Chart]:
    """Give regression, Bland-Altman, groups and ROC of the ratios, and the ROC of recurrence."""
    found: list[Chart | None] = []
    analysis = cohort_analysis(workflow)
    if analysis is not None:
        pair = analysis.pair("synthetic")
        if pair is not None:
            found += [regression_chart(pair), bland_altman_chart(pair)]
        found += [groups_chart(analysis.comparisons_of_groups), roc_chart(analysis)]
    found.append(recurrence_chart(workflow))
    return [chart for chart in found if chart is not None]


def recurrence_chart(workflow: Workflow) -> Chart | None:
    """Give the ROC curves of recurrence against treatment response."""
    from SynthCBVLib.analysis import roc

    found = recurrence(workflow)
    if found is None:
        return None
    names = {"synthetic": ("Synthetic rCBV", ORANGE), "cbf": ("ASL CBF", GREEN), "real": ("Real rCBV", BLUE)}
    series = [Series("", np.array([0.0, 1.0]), np.array([0.0, 1.0]), GREY, line="dot")]
    for measure, scores in found.scores.items():
        curve = roc.curve(found.labels, scores)
        name, colour = names[measure]
        area = found.areas[measure].auc
        series.append(Series(f"{name}, AUC {area:.3f}", curve.false_positive_rate, curve.sensitivity, colour))
    caption = (
        f"T/WM ratios of {found.n_recurrence} recurrences against {found.n_response} treatment responses; "
        "higher ratios speak for recurrence."
    )
    return Chart(
        "recurrence", "Recurrence against treatment response", "1 – specificity", "Sensitivity",
        tuple(series), caption, (-0.02, 1.02), (-0.02, 1.02), equal=True,
    )  # fmt: skip


def coverage_chart(workflow: Workflow) -> Chart | None:
    """Give how often voxels lie in their interval over what the interval promises."""
    main = workflow.main.label
    series = [Series("as promised", np.array([0.0, 1.0]), np.array([0.0, 1.0]), GREY, line="dot")]
    factor = 1.0 if workflow.calibration is None else workflow.calibration.scale_factor
    groups: list[str | None] = [*workflow.groups()] or [None]
    for number, group in enumerate(groups):
        scores = [s for p in workflow.of_group(group) if (s := workflow.score(main, p)) is not None]
        if not any(sum(score.errors) for score in scores):
            continue
        for calibrated in (False, True):
            shares = [voxel_coverage(scores, float(q), factor if calibrated else 1.0) for q in _CURVE]
            if calibrated and factor == 1.0:
                continue
            name = f"{group or 'patients'}, {'calibrated' if calibrated else 'as given'}"
            colour = PALETTE[number % len(PALETTE)]
            series.append(
                Series(name, _CURVE, np.array(shares), colour, line="solid" if calibrated else "dash")
            )
    if len(series) == 1:
        return None
    caption = "Share of brain voxels within the Laplace interval of a level, the mean over patients."
    held = _ratio_sentence(workflow)
    return Chart(
        "coverage", "Do the intervals hold what they promise?", "Level of the interval",
        "Share of voxels in it", tuple(series), caption + held, (0.0, 1.0), (0.0, 1.0), equal=True,
    )  # fmt: skip


def _ratio_sentence(workflow: Workflow) -> str:
    if workflow.calibration is None:
        return ""
    known = [(p, s) for p in workflow.patients if (s := workflow.score(workflow.main.label, p)) is not None]
    real = [p.ratio("real") for p, _ in known]
    held = ratio_coverage([s for _, s in known], real, workflow.calibration, 0.9)
    if held is None or math.isnan(held.share):
        return ""
    return f" Conformal 90 % intervals of T/WM held {held.share:.0%} of {held.n} ratios."
