"""Scores to the papers' tables: input combinations, nested combinations, recurrence."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from SynthCBVLib.analysis import agreement, roc
from SynthCBVLib.analysis.agreement.t_tests import PairedT
from SynthCBVLib.analysis.cohort.analysis import analyze
from SynthCBVLib.analysis.cohort.results import CohortAnalysis
from SynthCBVLib.analysis.cohort.table import CohortTable, table_of
from SynthCBVLib.analysis.roc.results import Auc, Comparison
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.training.evaluation.results import Contender, Workflow
from SynthCBVLib.training.evaluation.scoring import ALL

_C, _1, _2, _F, _A, _G = (
    Modality.CBF, Modality.T1W, Modality.T2W, Modality.FLAIR, Modality.ADC, Modality.T1C,
)  # fmt: skip
#: The 17 combinations of the ASL paper's table 2, with its SSIM (%) and PSNR (dB), mean and SD, of the IEDN.
TABLE_2: dict[tuple[Modality, ...], tuple[float, float, float, float]] = {
    (_C,): (78.66, 4.91, 29.44, 2.69),
    (_C, _2): (83.54, 5.36, 30.92, 3.31),
    (_C, _1): (83.45, 4.00, 30.71, 2.90),
    (_C, _F): (83.23, 3.84, 30.70, 2.88),
    (_C, _A): (84.81, 3.83, 30.91, 3.05),
    (_C, _1, _2): (84.87, 4.30, 31.08, 3.10),
    (_C, _1, _F): (83.94, 3.99, 31.06, 3.02),
    (_C, _1, _A): (85.10, 3.77, 31.16, 3.09),
    (_C, _F, _A): (85.06, 3.80, 31.17, 3.12),
    (_C, _2, _F): (84.87, 4.32, 31.10, 3.13),
    (_C, _2, _A): (85.36, 4.08, 31.44, 3.31),
    (_C, _1, _2, _F): (85.22, 4.17, 31.14, 3.11),
    (_C, _1, _2, _A): (85.52, 3.93, 31.43, 3.24),
    (_C, _2, _F, _A): (85.43, 3.97, 31.42, 3.26),
    (_C, _1, _F, _A): (85.06, 3.81, 31.18, 3.09),
    (_C, _1, _2, _F, _A): (85.42, 3.94, 31.39, 3.21),
    (_C, _1, _2, _A, _G): (88.69, 3.97, 32.76, 3.39),
}
#: Cards of the papers' own recipes.
RECIPES = ("wang2023", "wang2023-small", "pan-iedn")
#: Those in which other networks are compared.
COMPARED: tuple[tuple[Modality, ...], ...] = (
    (_C,), (_C, _2, _A), (_C, _1, _2, _A), (_C, _1, _2, _A, _G),
)  # fmt: skip
#: The paper's plain 3D encoder-decoder in those.
TABLE_2_PLAIN = {
    (_C,): (77.48, 4.21, 29.29, 2.43),
    (_C, _2, _A): (85.09, 4.32, 31.15, 3.22),
    (_C, _1, _2, _A): (85.33, 4.45, 31.19, 3.23),
    (_C, _1, _2, _A, _G): (86.68, 4.65, 32.45, 3.45),
}


@dataclass(frozen=True)
class Likeness:
    """SSIM and PSNR of one model with one combination of inputs over the cohort.

    Attributes
    ----------
    contender : Contender
        The model.
    combination : str
        `ALL` or as `scoring.combination` gives it.
    n : int
        Patients.
    ssim, ssim_sd, psnr, psnr_sd : float
        Mean and sample SD over the patients.
    by_group : dict
        Group -> mean SSIM, SD.
    against : PairedT or None
        SSIM of the evaluated model with the same combination (`ALL` if that is the contender's) minus this
        one's, over the patients that have both.
    """

    contender: Contender
    combination: str
    n: int
    ssim: float
    ssim_sd: float
    psnr: float
    psnr_sd: float
    by_group: dict[str, tuple[float, float]]
    against: PairedT | None = None


def likeness(workflow: Workflow, contender: Contender, combination: str = ALL) -> Likeness | None:
    """Give SSIM and PSNR of a model; None where no patient has them."""
    ssim, psnr = (workflow.values(what, contender.label, combination) for what in ("ssim", "psnr"))
    if not np.isfinite(ssim).any():
        return None
    by_group = {}
    for group in workflow.groups():
        by_group[group] = mean_and_sd(workflow.values("ssim", contender.label, combination, group))
    against = None
    if contender is not workflow.main:
        against = paired(workflow.values("ssim", workflow.main.label, combination), ssim)
    return Likeness(
        contender, combination, int(np.isfinite(ssim).sum()), *mean_and_sd(ssim), *mean_and_sd(psnr),
        by_group, against,
    )  # fmt: skip


def peer_of(workflow: Workflow, other: Contender) -> Contender:
    """Give whom a model is to be held against: one like the evaluated one that was trained as long as itself.

    That is the evaluated model for its own baselines, where there is no such other, or where the cards do not
    say.
    """
    if other.baseline:
        return workflow.main
    for one in twins(workflow):
        if one is not other and one.parts and sum(one.parts) == sum(other.parts):
            return one
    return workflow.main


def twins(workflow: Workflow) -> list[Contender]:
    """Give the other models of the evaluated one's inputs and network, the papers' recipes apart."""
    main = workflow.main
    return [
        one
        for one in workflow.contenders
        if one is not main and not one.baseline and one.card.name not in RECIPES
        and one.card.network == main.card.network and one.inputs == main.inputs
    ]  # fmt: skip


def mean_and_sd(values: np.ndarray) -> tuple[float, float]:
    """Give mean and sample SD of the values that are there; NaN without."""
    kept = values[~np.isnan(values)]
    if not kept.size:
        return math.nan, math.nan
    return float(kept.mean()), float(kept.std(ddof=1)) if kept.size > 1 else math.nan


def paired(a: np.ndarray, b: np.ndarray) -> PairedT | None:
    """Give the paired t-test of a - b over the pairs that are there; None where there is none."""
    kept = np.isfinite(a) & np.isfinite(b)
    try:
        return agreement.paired_t(a[kept], b[kept])
    except InputError:  # too few, or the same map
        return None


def cohort_table(workflow: Workflow, contender: Contender | None = None) -> CohortTable:
    """Give the cohort table of a model: ratios, SSIM and PSNR of each patient."""
    contender = contender or workflow.main
    records = []
    for patient in workflow.patients:
        score = workflow.score(contender.label, patient)
        records.append(
            {
                "subject": patient.subject.name,
                "model": contender.label,
                "group": patient.subject.group,
                "ratio_real": patient.ratio("real"),
                "ratio_synthetic": math.nan if score is None else score.ratio,
                "ratio_f": patient.ratio("f"),
                "ratio_uncertainty": math.nan if score is None else score.log_sd * score.ratio,
                "ssim": math.nan if score is None else score.ssim,
                "psnr": math.nan if score is None else score.psnr,
                "weights": contender.sha256,
            }
        )
    return table_of(records)


@functools.lru_cache(maxsize=8)
def cohort_analysis(workflow: Workflow) -> CohortAnalysis | None:
    """Give the statistics of the evaluated model's ratios; None where nobody has regions."""
    table = cohort_table(workflow)
    if not np.isfinite(table.numbers("ratio_synthetic")).any():
        return None
    return analyze(table)


@dataclass(frozen=True)
class Nested:
    """Two combinations, one within the other.

    Attributes
    ----------
    smaller, larger : str
        Names of the combinations.
    gain : float
        Mean SSIM of the larger minus that of the smaller.
    """

    smaller: str
    larger: str
    gain: float


def nested(rows: list[Likeness], everything: str) -> list[Nested]:
    """Give the gain of every combination over each that lies within it, the smallest gain first.

    Parameters
    ----------
    rows : list of Likeness
        Of one model.
    everything : str
        The combination that `ALL` stands for.
    """
    known = {frozenset(_name(row, everything).split("+")): row for row in rows}
    found = [
        Nested(_name(small, everything), _name(large, everything), large.ssim - small.ssim)
        for inner, small in known.items()
        for outer, large in known.items()
        if inner < outer
    ]
    return sorted(found, key=lambda one: one.gain)


def _name(row: Likeness, everything: str) -> str:
    return everything if row.combination == ALL else row.combination


@dataclass(frozen=True)
class Recurrence:
    """How well T/WM ratios tell recurrence from treatment response.

    Attributes
    ----------
    n_recurrence, n_response : int
        Patients with both ratios.
    areas : dict
        "synthetic", "cbf" and, where it is known, "real" -> area under the ROC curve.
    against_cbf : Comparison
        Synthetic minus CBF, DeLong.
    means : dict
        Map -> mean and SD of the ratio in recurrence, mean and SD in response.
    scores : dict
        Map -> ratios (n,).
    labels : ndarray (n,)
        1 for recurrence.
    """

    n_recurrence: int
    n_response: int
    areas: dict[str, Auc]
    against_cbf: Comparison
    means: dict[str, tuple[float, float, float, float]]
    scores: dict[str, np.ndarray]
    labels: np.ndarray


def recurrence(workflow: Workflow) -> Recurrence | None:
    """Compare synthetic rCBV with ASL's CBF in patients after treatment; None where they lack ratios."""
    none = math.nan
    synthetic = np.array([
        getattr(workflow.treated_scores.get(p.subject.name), "ratio", none) for p in workflow.treated
    ], dtype=float)  # fmt: skip
    maps = {"synthetic": synthetic}
    maps |= {
        name: np.array([p.ratio(name) for p in workflow.treated], dtype=float) for name in ("cbf", "real")
    }
    labels = np.array([int("recur" in (p.subject.group or "").lower()) for p in workflow.treated], dtype=int)
    kept = np.isfinite(maps["synthetic"]) & np.isfinite(maps["cbf"]) if len(labels) else np.zeros(0, bool)
    if len(set(labels[kept])) < 2:
        return None
    if not np.isfinite(maps["real"][kept]).all():
        del maps["real"]
    labels, maps = labels[kept], {name: values[kept] for name, values in maps.items()}
    try:
        areas = {name: roc.auc(labels, values) for name, values in maps.items()}
        against = roc.compare(labels, maps["synthetic"], maps["cbf"])
    except InputError:
        return None
    means = {
        name: (*mean_and_sd(values[labels == 1]), *mean_and_sd(values[labels == 0]))
        for name, values in maps.items()
    }
    return Recurrence(int(labels.sum()), int((1 - labels).sum()), areas, against, means, maps, labels)
