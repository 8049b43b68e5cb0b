"""The audit: whether digital patients are as perfusion physics expects, and their synthesis is hard enough.

Seeds are fixed here; nothing was tuned on those of the audit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.phantom.best_guess import Bound, bounds
from SynthCBVLib.phantom.contrast import CEILING
from SynthCBVLib.phantom.measure import LATE, Measured, measure
from SynthCBVLib.phantom.patient import DigitalPatient
from SynthCBVLib.phantom.protocol import Protocol, find_protocol
from SynthCBVLib.progress import Progress, part, silent

#: Audited patients: a block of 20 of each; the regression learns from others; recurrences show what late
#: blood does.
AUDITED = tuple((seed, "wildtype") for seed in range(40000, 40020)) + tuple(
    (seed, "mutant") for seed in range(40020, 40040)
)
TEACHERS = tuple((seed, ("wildtype", "mutant")[seed % 2]) for seed in range(41000, 41008))
RECURRENCES = tuple((seed, "recurrence") for seed in range(42000, 42020))
#: Pairs of audited patients whose maps are laid over each other.
PAIRS = tuple((i, i + 20) for i in range(0, 20, 2))

#: Ranges of the tissues' means: low, high (units of `truth.Truth`).
#: Those of gliomas are of solid tumour.
RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "grey": {"f": (0.055, 0.077), "d": (0.75e-3, 0.95e-3), "d_star": (8e-3, 14e-3), "cbv": (3.6, 6.4),
             "cbf": (40, 60), "arterial_transit_time": (0.7, 1.5), "true rCBV": (2.0, 2.7)},
    "white": {"f": (0.025, 0.041), "d": (0.63e-3, 0.78e-3), "d_star": (7e-3, 13e-3), "cbv": (1.1, 2.6),
              "cbf": (16, 30), "arterial_transit_time": (1.0, 1.4), "true rCBV": (0.9, 1.1)},
    "wildtype": {"f": (0.10, 0.15), "d": (0.8e-3, 1.2e-3), "d_star": (15e-3, 25e-3), "cbv": (8, 14),
                 "cbf": (80, 180), "arterial_transit_time": (1.0, 2.2), "real rCBV": (3, 8)},
    "mutant": {"f": (0.05, 0.10), "d": (1.2e-3, 1.6e-3), "d_star": (6e-3, 10e-3), "cbv": (3, 7),
               "cbf": (35, 60), "arterial_transit_time": (1.1, 1.5), "real rCBV": (1.3, 4)},
}  # fmt: skip


@dataclass(frozen=True)
class Bar:
    """One requirement: what was found and what is needed.

    Attributes
    ----------
    name : str
    found : float
    low, high : float
        Bounds, both allowed.
    note : str
        Spread, interval or number of cases.
    """

    name: str
    found: float
    low: float
    high: float
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure found lies within its bounds."""
        return self.low <= self.found <= self.high


@dataclass(frozen=True)
class Audit:
    """All that the audit found.

    Attributes
    ----------
    bars : tuple of Bar
    tissues : tuple of tuple
        Tissue, map, mean over patients, standard deviation over patients, low, high (NaN: no range).
    patients : int
        How many were audited.
    bounds : tuple of Bound
        How near T/WM ratios come to those of real rCBV at best.
    """

    bars: tuple[Bar, ...]
    tissues: tuple[tuple[str, str, float, float, float, float], ...]
    patients: int
    bounds: tuple[Bound, ...] = ()


def run_audit(
    protocol: Protocol | str = "compact", workers: int = 1, progress: Progress | None = None
) -> Audit:
    """Simulate and measure the audit's patients and hold every figure against its bar.

    Parameters
    ----------
    protocol : Protocol or str
        Of the exams.
    workers : int
        Processes.
    progress : Progress, optional
        Called after each patient; may raise `Cancelled`.
    """
    progress = progress or silent
    jobs = [*TEACHERS, *AUDITED, *RECURRENCES]
    measured = _measure_all(jobs, find_protocol(protocol), workers, part(progress, 0, 0.9))
    teachers, rest = measured[: len(TEACHERS)], measured[len(TEACHERS) :]
    audited, recurrences = rest[: len(AUDITED)], rest[len(AUDITED) :]
    bars = [
        *_group_bars(audited),
        *_flow_bars(audited, recurrences),
        Bar("SNR of one DWI image, lowest", min(m.snr for m in audited), 30, 60),
        Bar("SNR of one DWI image, highest", max(m.snr for m in audited), 30, 60),
        *_likeness_bars(teachers, audited),
    ]
    progress(0.95, "laying patients over each other")
    bars.append(_pairs_bar(audited))
    tissues = _tissue_table(audited)
    outside = sum(not low <= mean <= high for *_, mean, _, low, high in tissues if math.isfinite(low))
    bars.insert(0, Bar("Tissue means outside the table's ranges", outside, 0, 0, f"{len(tissues)} means"))
    progress(1.0, "audited")
    return Audit(tuple(bars), tissues, len(audited), bounds([(m.idh, m.ratios) for m in audited]))


def _measure_all(
    jobs: Sequence[tuple[int, str]], protocol: Protocol, workers: int, progress: Progress
) -> list[Measured]:
    measured: list[Measured] = []
    if workers <= 1:
        for seed, kind in jobs:
            measured.append(_measure_one(seed, kind, protocol))
            progress(len(measured) / len(jobs), f"patient {len(measured)} of {len(jobs)}")
        return measured
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        futures = [pool.submit(_measure_one, seed, kind, protocol) for seed, kind in jobs]
        try:
            for future in futures:
                measured.append(future.result())
                progress(len(measured) / len(jobs), f"patient {len(measured)} of {len(jobs)}")
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return measured


def _measure_one(seed: int, kind: str, protocol: Protocol) -> Measured:
    return measure(DigitalPatient(seed, kind, protocol))


def one_thread() -> None:
    """Leave the other cores to the other workers."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _of(patients: Sequence[Measured], kind: str, name: str) -> np.ndarray:
    return np.array([m.ratios[name] for m in patients if m.idh == kind])


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float:
    """Give the chance that a positive case has the higher score, ties counting half."""
    difference = positive[:, None] - negative[None, :]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def _group_bars(audited: Sequence[Measured]) -> list[Bar]:
    from SynthCBVLib.analysis.agreement import pearson

    bars = []
    for kind in ("wildtype", "mutant"):
        real, f = _of(audited, kind, "rcbv"), _of(audited, kind, "f")
        found = pearson(f, real)
        low, high = found.interval
        note = f"n = {len(real)}, 95 % interval {low:.2f} to {high:.2f}"
        bars.append(Bar(f"r of T/WM, fitted f and real rCBV, {kind}", found.r, 0.1, 0.5, note))
    for name, label, low, high in (("rcbv", "real rCBV", 0.78, 0.90), ("f", "fitted f", 0.0, 0.70)):
        groups = [_of(audited, kind, name) for kind in ("wildtype", "mutant")]
        note = ", ".join(f"{np.mean(g):.2f} ± {np.std(g, ddof=1):.2f}" for g in groups)
        bars.append(Bar(f"AUC for IDH, T/WM of {label}", area_under_curve(*groups), low, high,
                        f"T/WM wildtype, mutant: {note}"))  # fmt: skip
    return bars


def _flow_bars(audited: Sequence[Measured], recurrences: Sequence[Measured]) -> list[Bar]:
    grey = [m.grey_correlation for m in audited]
    bars = [Bar("r of ASL CBF and DSC CBV, grey matter", float(np.median(grey)), 0.7, 0.95,
                f"median, patients {min(grey):.2f} to {max(grey):.2f}")]  # fmt: skip
    late, early = ([m for m in recurrences if (m.arrival > LATE) == is_late] for is_late in (True, False))
    for name, bound in (("cbf", "ASL CBF"), ("rcbv", "real rCBV")):
        means = [float(np.median([m.ratios[name] for m in group])) for group in (late, early)]
        note = f"medians {means[0]:.2f} ({len(late)} late) and {means[1]:.2f} ({len(early)} early)"
        low, high = (0.0, 0.75) if name == "cbf" else (0.75, 1.35)
        bars.append(
            Bar(f"T/WM of {bound} in recurrences, late over early", means[0] / means[1], low, high, note)
        )
    everyone = [*audited, *recurrences]
    pooled = []
    for group in ([m for m in everyone if m.arrival > LATE], [m for m in everyone if m.arrival <= LATE]):
        values = [m.lesion_correlation for m in group if math.isfinite(m.lesion_correlation)]
        pooled.append(float(np.median(values)))
    note = f"medians: late lesions {pooled[0]:.2f}, other lesions {pooled[1]:.2f}"
    name = "r of ASL CBF and DSC CBV, late lesions minus grey matter"
    bars.append(Bar(name, pooled[0] - bars[0].found, -1, -0.05, note))
    return bars


def fit_ridge(teachers: Sequence[Measured], penalty: float = 1.0) -> np.ndarray:
    """Fit real rCBV by all inputs, voxel by voxel; gives the weights, the constant last."""
    rows = np.concatenate([_rows(m) for m in teachers])
    target = np.concatenate([m.real[m.brain] for m in teachers])
    gram = rows.T @ rows + penalty * np.diag([1.0] * (rows.shape[1] - 1) + [0.0])
    return np.linalg.solve(gram, rows.T @ target)


def _rows(m: Measured) -> np.ndarray:
    values = m.features[:, m.brain].T.astype(float)
    return np.concatenate([values, np.ones((len(values), 1))], 1)


def predict(m: Measured, weights: np.ndarray) -> np.ndarray:
    """Give the map that the regression predicts; 0 outside the brain."""
    result = np.zeros(m.real.shape)
    drawn = np.maximum(_rows(m) @ weights, 0)
    result[m.brain] = np.minimum(drawn, CEILING * np.median(drawn))
    return result


def oracle_scale(teachers: Sequence[Measured]) -> np.ndarray:
    """Fit the weights of true rCBV and of large vessels (linear and squared) in real rCBV."""
    terms = np.concatenate([_oracle_terms(m)[:, m.brain].T for m in teachers])
    return np.linalg.lstsq(terms, np.concatenate([m.real[m.brain] for m in teachers]), rcond=None)[0]


def _oracle_terms(m: Measured) -> np.ndarray:
    return np.stack([m.true, m.vessels, m.vessels**2]).astype(float)


def oracle(m: Measured, weights: np.ndarray) -> np.ndarray:
    """Give what one who knew the true blood volume would draw; 0 outside the brain."""
    drawn = np.maximum(np.tensordot(weights, _oracle_terms(m), 1), 0)
    return np.where(m.brain, np.minimum(drawn, CEILING * np.median(drawn[m.brain])), 0)


def _likeness_bars(teachers: Sequence[Measured], audited: Sequence[Measured]) -> list[Bar]:
    from SynthCBVLib.analysis.similarity import ssim

    ridge, weights = fit_ridge(teachers), oracle_scale(teachers)
    bars = []
    for name, draw, low, high in (
        ("Mean SSIM of a voxelwise ridge regression from all inputs", lambda m: predict(m, ridge), 0.0, 0.80),
        ("Mean SSIM of the oracle", lambda m: oracle(m, weights), 0.93, 1.0),
    ):
        values = [ssim(np.where(m.brain, m.real, 0), draw(m), m.brain.astype(np.uint8)) for m in audited]
        note = f"± {np.std(values, ddof=1):.3f}, {min(values):.3f} to {max(values):.3f}"
        bars.append(Bar(name, float(np.mean(values)), low, high, note))
    return bars


def _pairs_bar(audited: Sequence[Measured]) -> Bar:
    """SSIM of two patients' real rCBV after affine alignment."""
    from SynthCBVLib.analysis.similarity import ssim
    from SynthCBVLib.imaging.registration import register
    from SynthCBVLib.imaging.resampling import resample

    values = []
    for i, j in PAIRS:
        fixed, moving = audited[i], audited[j]
        transform = register(moving.image, fixed.image, "affine").transform
        laid = sitk.GetArrayFromImage(resample(moving.image, fixed.image, transform))
        mask = fixed.brain.astype(np.uint8)
        values.append(ssim(np.where(fixed.brain, fixed.real, 0), np.where(fixed.brain, laid, 0), mask))
    return Bar("SSIM of two patients' real rCBV, affinely aligned, highest", max(values), 0.0, 0.75,
               f"{len(values)} pairs, mean {np.mean(values):.3f}")  # fmt: skip


def _tissue_table(audited: Sequence[Measured]) -> tuple[tuple[str, str, float, float, float, float], ...]:
    rows = []
    for tissue, ranges in RANGES.items():
        healthy = tissue in ("grey", "white")
        group = audited if healthy else [m for m in audited if m.idh == tissue]
        key = tissue if healthy else "solid"
        found = [m.means[key] for m in group if key in m.means]
        for name in found[0]:
            values = [means[name] for means in found]
            low, high = ranges.get(name, (math.nan, math.nan))
            rows.append((tissue, name, float(np.mean(values)), float(np.std(values, ddof=1)), low, high))
    return tuple(rows)
