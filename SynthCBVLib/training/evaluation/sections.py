"""The tables of an evaluation as Markdown, for its page and for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from SynthCBVLib.analysis.agreement.t_tests import PairedT
from SynthCBVLib.analysis.cohort.statistics import p_text, sentences
from SynthCBVLib.training.evaluation.bars import Bar, bias_percent, combination_rows, shown
from SynthCBVLib.training.evaluation.calibration import LEVELS, ratio_coverage, voxel_coverage
from SynthCBVLib.training.evaluation.results import Evaluation, Workflow
from SynthCBVLib.training.evaluation.scoring import ALL, combination
from SynthCBVLib.training.evaluation.tables import (
    TABLE_2,
    TABLE_2_PLAIN,
    cohort_analysis,
    likeness,
    mean_and_sd,
    paired,
    recurrence,
    twins,
)

#: What a network's or a baseline's column "kind" says.
_KINDS = {"unet2d": "2D U-Net", "iedn": "IEDN", "encoder-decoder-3d": "plain 3D encoder-decoder"}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Give a Markdown table, and an empty line after it."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return [*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows), ""]


def bar_lines(bars: Sequence[Bar]) -> list[str]:
    """Give the bars with what was found."""
    met = sum(bar.met for bar in bars)
    rows = [
        [bar.workflow, bar.name, bar.found, bar.needed, "met" if bar.met else "**missed**"] for bar in bars
    ]
    told = f"{met} of {len(bars)} met."
    return [told, "", *table(("workflow", "figure", "found", "needed", ""), rows)]


def model_lines(evaluation: Evaluation) -> list[str]:
    """Give who competed: inputs, network, training and SHA-256."""
    rows = []
    for workflow in evaluation.workflows:
        for one in workflow.contenders:
            facts = one.card.training
            network = one.baseline or _KINDS.get(one.card.network, one.card.network)
            if one.baseline:
                told = "on the training cases"
            else:
                width = one.card.network_arguments.get("width", "")
                network += f", width {width}" if width else ""
                network += ", conditioned" if one.card.network_arguments.get("conditioned") else ""
                lengths = [f"{steps:,}" for steps in one.parts] or [str(facts.get("steps", "?"))]
                told = f"{facts.get('cases', '?')} cases, {' + '.join(lengths)} steps"
                if "first_seed" in facts:
                    told += f", seeds from {facts['first_seed']}"
            rows.append([workflow.name, one.label, one.inputs, network, told, f"`{one.sha256}`"])
    return table(("workflow", "model", "inputs", "network", "trained", "SHA-256"), rows)


def likeness_lines(workflow: Workflow) -> list[str]:
    """Give SSIM and PSNR of each model with all of its inputs, against the evaluated one."""
    groups = workflow.groups()
    twin = next(iter(twins(workflow)), None)
    rows = []
    for one in workflow.contenders:
        row = likeness(workflow, one)
        if row is None:
            continue
        against = [_change(row.against)]
        if twin is not None:
            values = (workflow.values("ssim", each.label, ALL) for each in (twin, one))
            against.append("–" if one is twin else _change(paired(*values)))
        by_group = [_pm(*row.by_group.get(group, (math.nan, math.nan))) for group in groups]
        rows.append([one.label, one.inputs, _pm(row.ssim, row.ssim_sd), *by_group,
                     _pm(row.psnr, row.psnr_sd, 2), str(row.n), *against])  # fmt: skip
    compared = [each.label for each in (workflow.main, twin) if each is not None]
    header = ("model", "inputs", "SSIM", *(f"SSIM, {group}" for group in groups), "PSNR, dB", "n",
              *(f"{label} minus this, 95 % CI" for label in compared))  # fmt: skip
    lines = table(header, rows)
    if twin is not None:
        note = (
            f"{twin.label} has the inputs of {workflow.main.label} and another training: see Models for which"
        )
        lines += [f"{note} of the two a model is to be held against.", ""]
    return lines


def _change(found: PairedT | None) -> str:
    if found is None:
        return "–"
    low, high = found.interval
    return f"{_signed(found.difference)} ({_signed(low)} to {_signed(high)}), {p_text(found.p)}"


def combination_lines(workflow: Workflow) -> list[str]:
    """Give table 2 of the ASL paper: SSIM and PSNR by combination, the paper's patients beside."""
    published = {combination(workflow.main.card, key): value for key, value in TABLE_2.items()}
    plain = {combination(workflow.main.card, key): value for key, value in TABLE_2_PLAIN.items()}
    rows = []
    for index, one in enumerate(workflow.contenders):
        found = combination_rows(workflow, index)
        if len(found) < 2:
            continue
        for row in found:
            name = shown(row.combination, workflow)
            paper = (published if one is workflow.main else plain).get(name)
            told = "–" if paper is None else f"{paper[0] / 100:.3f} ± {paper[1] / 100:.3f}"
            noise = "–" if paper is None else _pm(paper[2], paper[3], 2)
            rows.append([one.label, name.replace("+", " + "), _pm(row.ssim, row.ssim_sd),
                         _pm(row.psnr, row.psnr_sd, 2), told, noise])  # fmt: skip
    if not rows:
        return []
    header = ("model", "inputs", "SSIM", "PSNR, dB", "SSIM, paper's patients", "PSNR, paper's patients")
    return table(header, rows)


def ratio_lines(workflow: Workflow) -> list[str]:
    """Give regression, correlation and Bland-Altman of the ratios, by group."""
    analysis = cohort_analysis(workflow)
    if analysis is None:
        return []
    rows = []
    for measure, name in (("synthetic", "synthetic rCBV"), ("f", "fitted f")):
        for group in (None, *(workflow.groups() if len(workflow.groups()) > 1 else ())):
            pair = analysis.pair(measure, group)
            if pair is None or pair.bland_altman is None:
                continue
            line, r, limits = pair.regression, pair.pearson, pair.bland_altman
            rows.append([
                name, group or "all", str(pair.n),
                "–" if line is None else f"{line.slope:.3f} ({_ends(line.slope_interval)})",
                "–" if line is None else f"{line.intercept:.3f}",
                "–" if r is None else f"{r.r:.3f} ({_ends(r.interval)})",
                "–" if r is None else p_text(r.p),
                f"{bias_percent(pair.real, pair.other):+.1f} %",
                f"{-limits.upper:.2f} to {-limits.lower:.2f}",
            ])  # fmt: skip
    header = ("map", "group", "n", "slope (95 % CI)", "intercept", "r (95 % CI)", "P of r",
              "bias, % of real mean", "limits of agreement (map – real)")  # fmt: skip
    lines = table(header, rows)
    groups = []
    for one in analysis.comparisons_of_groups:
        if one.student is None:
            continue
        a, b = mean_and_sd(one.values_positive), mean_and_sd(one.values_negative)
        groups.append([one.measure, f"{one.positive} {_pm(*a, 2)}", f"{one.negative} {_pm(*b, 2)}",
                       p_text(one.student.p)])  # fmt: skip
    if groups:
        lines += table(("T/WM of", "mean ± SD", "mean ± SD", "unpaired t-test"), groups)
    curves = []
    for one in analysis.rocs:
        for name, point in (("Youden", one.youden), *one.points.items()):
            curves.append([
                one.measure, f"{one.auc.auc:.3f} ({_ends(one.auc.interval)})",
                _ends(one.auc_exact.interval), f"{name}, {point.threshold:.3f}",
                f"{point.sensitivity:.0%}", f"{point.specificity:.0%}",
            ])  # fmt: skip
    if curves:
        lines += [f'Positive: "{analysis.positive}", {analysis.direction} ratios.', ""]
        lines += table(
            ("T/WM of", "AUC (95 % CI)", "exact CI", "cut-off", "sensitivity", "specificity"), curves
        )
    compared = [
        [f"{one.first} – {one.second}", _signed(one.result.difference), p_text(one.result.p)]
        for one in analysis.roc_comparisons
    ]
    if compared:
        lines += table(("difference of areas", "", "DeLong"), compared)
    return lines


def recurrence_lines(workflow: Workflow) -> list[str]:
    """Give recurrence against treatment response."""
    found = recurrence(workflow)
    if found is None:
        return []
    names = {"synthetic": "synthetic rCBV", "cbf": "ASL CBF", "real": "real rCBV"}
    rows = []
    for measure, area in found.areas.items():
        a, a_sd, b, b_sd = found.means[measure]
        rows.append(
            [names[measure], f"{area.auc:.3f} ({_ends(area.interval)})", _pm(a, a_sd, 2), _pm(b, b_sd, 2)]
        )
    told = (
        f"{found.n_recurrence} recurrences, {found.n_response} treatment responses. Synthetic minus ASL: "
        f"{_signed(found.against_cbf.difference)}, DeLong {p_text(found.against_cbf.p)}. The paper's readers "
        "reached .87 with synthetic maps and .76 with ASL, each beside standard MRI."
    )
    header = ("T/WM of", "AUC (95 % CI)", "recurrence", "treatment response")
    return [told, "", *table(header, rows)]


def uncertainty_lines(workflow: Workflow) -> list[str]:
    """Give how often the intervals held."""
    main, calibration = workflow.main.label, workflow.calibration
    factors = [("as the network gives it", 1.0)]
    if calibration is not None:
        factors.append((f"× {calibration.scale_factor:.3f}", calibration.scale_factor))
    rows = []
    for group in [*workflow.groups()] or [None]:
        scores = [s for p in workflow.of_group(group) if (s := workflow.score(main, p)) is not None]
        if not any(sum(score.errors) for score in scores):
            continue
        for name, factor in factors:
            shares = [f"{voxel_coverage(scores, level, factor):.1%}" for level in LEVELS]
            rows.append(["voxels", group or "all", name, *shares])
    if calibration is not None:
        for group in (*workflow.groups(), None):
            known = [(p, s) for p in workflow.of_group(group) if (s := workflow.score(main, p)) is not None]
            real = [p.ratio("real") for p, _ in known]
            for plain in (False, True):
                held = [
                    ratio_coverage([s for _, s in known], real, calibration, level, plain) for level in LEVELS
                ]
                if any(held):
                    name = "conformal, plain" if plain else "conformal, by the map's uncertainty"
                    shares = ["–" if one is None else f"{one.share:.1%}" for one in held]
                    rows.append(["T/WM", group or "all", name, *shares])
    if not rows:
        return []
    lines = table(("interval of", "group", "scale", *(f"{level:.0%}" for level in LEVELS)), rows)
    if calibration is not None:
        quantiles = ", ".join(
            f"{level:.0%}: {value:.2f}" for level, value in calibration.ratio_quantiles.items()
        )
        lines += [
            f"Calibrated on {calibration.cases} validation patients ({calibration.ratios} with a ratio): the "
            f"Laplace scale times {calibration.scale_factor:.3f}; conformal quantiles of "
            f"|ln(synthetic / real)| in propagated standard deviations: {quantiles or 'none'}.",
            "",
        ]
    return lines


def sentence_lines(workflow: Workflow) -> Iterator[str]:
    """Give the statistics of the ratios in words."""
    analysis = cohort_analysis(workflow)
    if analysis is not None:
        yield from sentences(analysis)


def notes_of(workflow: Workflow) -> list[str]:
    """Give what was noticed about the patients."""
    return [note for patient in (*workflow.patients, *workflow.treated) for note in patient.notes]


def seconds_of(workflow: Workflow) -> float:
    """Give the mean CPU time of preparing one patient for the evaluated model."""
    values = np.array([p.seconds for p in workflow.patients])
    return float(values.mean()) if values.size else math.nan


def missing_of(workflow: Workflow) -> int:
    """Count the patients without a score of the evaluated model."""
    return sum(workflow.score(workflow.main.label, p, ALL) is None for p in workflow.patients)


def _pm(mean: float, sd: float, digits: int = 3) -> str:
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" if math.isnan(sd) else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def _ends(interval: Sequence[float]) -> str:
    low, high = interval
    return "not defined" if math.isnan(low + high) else f"{low:.2f} to {high:.2f}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
