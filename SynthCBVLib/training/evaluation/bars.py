"""What was aimed at, with what was found: met or missed, plainly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from SynthCBVLib.analysis.cohort.results import CohortAnalysis
from SynthCBVLib.analysis.cohort.statistics import p_text
from SynthCBVLib.errors import InputError
from SynthCBVLib.training.evaluation.calibration import FITTED, ratio_coverage, voxel_coverage
from SynthCBVLib.training.evaluation.results import Contender, Evaluation, Workflow
from SynthCBVLib.training.evaluation.scoring import ALL
from SynthCBVLib.training.evaluation.tables import (
    RECIPES,
    Likeness,
    cohort_analysis,
    likeness,
    nested,
    paired,
    peer_of,
    recurrence,
)

_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Bar:
    """One figure that was aimed at.

    Attributes
    ----------
    workflow : str
        "IVIM" or "ASL".
    name : str
        What is measured.
    found : str
        The figure found.
    needed : str
        What it should be.
    met : bool
        Whether it is.
    """

    workflow: str
    name: str
    found: str
    needed: str
    met: bool


def bars(evaluation: Evaluation) -> list[Bar]:
    """Give every bar that the evaluation has figures for."""
    found: list[Bar] = []
    for workflow in evaluation.workflows:
        rows = [row for one in workflow.contenders if (row := likeness(workflow, one)) is not None]
        if rows and rows[0].contender is workflow.main:
            found += _likeness_bars(workflow, rows)
        if workflow.name == "ASL":
            found += _combination_bars(workflow)
            found += _recurrence_bars(workflow)
        else:
            found += _ratio_bars(workflow)
        found += _coverage_bars(workflow)
    return found


def _likeness_bars(workflow: Workflow, rows: list[Likeness]) -> Iterator[Bar]:
    main = rows[0]
    if workflow.name == "IVIM":
        name = f"mean SSIM of {main.contender.label} ({main.contender.inputs})"
        yield Bar("IVIM", name, f"{main.ssim:.3f} ± {main.ssim_sd:.3f}", "at least 0.90", main.ssim >= 0.9)
    variants = []
    for row in rows[1:]:
        peer = peer_of(workflow, row.contender)
        against = paired(*(workflow.values("ssim", each.label, ALL) for each in (peer, row.contender)))
        gain = main.ssim - row.ssim if against is None else against.difference
        p = math.nan if against is None else against.p
        equal = _equally_long(workflow, peer)
        told = f"{_signed(gain)} ({p_text(p)})" if math.isfinite(p) else _signed(gain)
        if row.contender.baseline:
            name = f"SSIM above {row.contender.baseline} ({row.ssim:.3f})"
            yield Bar(workflow.name, name, told, "at least +0.05", gain >= 0.05)
        elif row.contender.card.name in RECIPES:
            name = f"SSIM above the paper's recipe {row.contender.label} ({row.ssim:.3f}{equal})"
            yield Bar(workflow.name, name, told, "above 0", gain > 0)
        elif workflow.name == "IVIM" and row.contender.inputs != main.contender.inputs:
            variants.append(row)
            name = f"SSIM above {row.contender.inputs} ({row.ssim:.3f}{equal})"
            yield Bar("IVIM", name, told, "above 0, P < 0.05", gain > 0 and p < _SIGNIFICANT)
    fraction = [row for row in variants if row.contender.inputs.startswith("f")]
    if fraction and len(variants) > 1:
        lowest = min([*variants, main], key=lambda row: row.ssim)
        told = f"{lowest.contender.inputs} ({lowest.ssim:.3f})"
        name = f"worst combination of inputs, {fraction[0].contender.inputs} having {fraction[0].ssim:.3f}"
        yield Bar("IVIM", name, told, fraction[0].contender.inputs, lowest is fraction[0])


def _ratio_bars(workflow: Workflow) -> Iterator[Bar]:
    analysis = cohort_analysis(workflow)
    if analysis is None:
        return
    for group in workflow.groups():
        pair = analysis.pair("synthetic", group)
        if pair is None or pair.pearson is None or pair.regression is None or pair.bland_altman is None:
            continue
        of = f"T/WM, synthetic against real, {group} (n = {pair.n})"
        low, high = pair.pearson.interval
        yield Bar(
            workflow.name, f"r of {of}", f"{pair.pearson.r:.3f} ({low:.2f} to {high:.2f})", "at least 0.90",
            pair.pearson.r >= 0.9,
        )  # fmt: skip
        low, high = pair.regression.slope_interval
        slope = pair.regression.slope
        yield Bar(
            workflow.name, f"slope of {of}", f"{slope:.3f} ({low:.2f} to {high:.2f})", "0.85 to 1.15",
            0.85 <= slope <= 1.15,
        )  # fmt: skip
        bias = bias_percent(pair.real, pair.other)
        yield Bar(workflow.name, f"bias of {of}", f"{bias:+.1f} % of the mean", "within 8 %", abs(bias) <= 8)
    yield from _area_bars(workflow.name, analysis)


def bias_percent(real: np.ndarray, other: np.ndarray) -> float:
    """Give the mean of other - real in % of the mean of real."""
    return 100 * float(np.mean(other - real) / np.mean(real))


def _area_bars(name: str, analysis: CohortAnalysis) -> Iterator[Bar]:
    areas = {one.measure: one.auc.auc for one in analysis.rocs}
    for one in analysis.roc_comparisons:
        result = one.result
        if (one.first, one.second) == ("real", "synthetic"):
            told = f"{areas['synthetic']:.3f} against {areas['real']:.3f}, {p_text(result.p)}"
            yield Bar(
                name, "AUC of synthetic rCBV against that of real rCBV", told, "not different, P > 0.05",
                result.p > _SIGNIFICANT,
            )  # fmt: skip
        if (one.first, one.second) == ("real", "f"):
            told = f"{areas['f']:.3f} against {areas['real']:.3f}, {p_text(result.p)}"
            worse = result.difference > 0 and result.p < _SIGNIFICANT
            yield Bar(name, "AUC of f against that of real rCBV", told, "lower, P < 0.05", worse)


def _combination_bars(workflow: Workflow) -> Iterator[Bar]:
    rows = combination_rows(workflow, workflow.contenders.index(workflow.main))
    if not rows:
        return
    best = max(rows, key=lambda row: row.ssim)
    name = shown(best.combination, workflow)
    yield Bar("ASL", f"SSIM of the best combination ({name})", f"{best.ssim:.3f} ± {best.ssim_sd:.3f}",
              "at least 0.89", best.ssim >= 0.89)  # fmt: skip
    yield Bar("ASL", f"PSNR of the best combination ({name})", f"{best.psnr:.2f} ± {best.psnr_sd:.2f} dB",
              "at least 32.8 dB", best.psnr >= 32.8)  # fmt: skip
    pairs = nested(rows, workflow.main.inputs)
    if pairs:
        worst = pairs[0]
        told = f"{_signed(worst.gain)} from {worst.smaller} to {worst.larger}, of {len(pairs)} pairs"
        yield Bar("ASL", "smallest change of SSIM by adding modalities", told, "at least -0.005",
                  worst.gain >= -0.005)  # fmt: skip
    for index, other in enumerate(workflow.contenders):
        if other.card.network != "encoder-decoder-3d":
            continue
        changes = []
        peer = peer_of(workflow, other)
        held = combination_rows(workflow, workflow.contenders.index(peer))
        for row in combination_rows(workflow, index):
            mine = next((one for one in held if one.combination == row.combination), None)
            if mine is not None:
                changes.append((mine.ssim - row.ssim, shown(row.combination, workflow)))
        if changes:
            least = min(changes)
            against = f"{other.label}{_equally_long(workflow, peer)}"
            name = f"SSIM above the plain network ({against}), least of {len(changes)} combinations"
            yield Bar(
                "ASL", name,
                f"{_signed(least[0])} ({least[1]})", "at least 0", least[0] >= 0,
            )  # fmt: skip


def combination_rows(workflow: Workflow, index: int) -> list[Likeness]:
    """Give the rows of table 2 of one contender, in its order, all inputs together last."""
    contender = workflow.contenders[index]
    names = dict.fromkeys(
        name for found in workflow.scores.get(contender.label, {}).values() for name in found if name != ALL
    )
    rows = [likeness(workflow, contender, name) for name in (*names, ALL)]
    return [row for row in rows if row is not None]


def shown(combination: str, workflow: Workflow) -> str:
    """Give a combination's name for people."""
    return workflow.main.inputs if combination == ALL else combination


def _recurrence_bars(workflow: Workflow) -> Iterator[Bar]:
    found = recurrence(workflow)
    if found is None:
        return
    result = found.against_cbf
    told = f"{found.areas['synthetic'].auc:.3f} against {found.areas['cbf'].auc:.3f}, {p_text(result.p)}"
    name = f"AUC for recurrence of synthetic rCBV above ASL's ({found.n_recurrence + found.n_response} cases)"
    yield Bar("ASL", name, told, "above, P < 0.05", result.difference > 0 and result.p < _SIGNIFICANT)


def _coverage_bars(workflow: Workflow) -> Iterator[Bar]:
    calibration, main = workflow.calibration, workflow.main.label
    if calibration is None:
        return
    groups: list[str | None] = [*workflow.groups()] or [None]
    for group in groups:
        scores = [s for p in workflow.of_group(group) if (s := workflow.score(main, p)) is not None]
        share = voxel_coverage(scores, FITTED, calibration.scale_factor)
        if math.isfinite(share):
            name = f"voxels in the calibrated 90 % interval, {group or 'all cases'}"
            yield Bar(workflow.name, name, f"{share:.1%}", "85 to 95 %", 0.85 <= share <= 0.95)
    known = [(p, s) for p in workflow.patients if (s := workflow.score(main, p)) is not None]
    try:
        held = ratio_coverage([s for _, s in known], [p.ratio("real") for p, _ in known], calibration, FITTED)
    except InputError:
        held = None
    if held is not None:
        name = f"T/WM ratios in their conformal 90 % interval (n = {held.n})"
        yield Bar(workflow.name, name, f"{held.share:.1%}", "85 to 97 %", 0.85 <= held.share <= 0.97)


def _equally_long(workflow: Workflow, peer: Contender) -> str:
    return "" if peer is workflow.main else f", both {sum(peer.parts):,} steps"


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")
