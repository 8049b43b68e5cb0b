# ruff: noqa: T201
"""Measure IVIM fits side by side on the same simulated signals and print tables.

python Testing/Benchmarks/bench_ivim.py [--quick] [--gaussian] [--without-peers]

Averaged magnitude images are simulated: uniform D .6-1.6, f .01-.20, D* 6-40 (1e-3 mm²/s); the
signal-to-noise ratio is that of a single image at b = 0; noise is Rician unless --gaussian. Peers run in
two processes on fewer voxels; those that are not installed are left out (see requirements.txt).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import time
import types
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SynthCBVLib.physiology import ivim

PAPER = ((0, 50, 100, 150, 200, 300, 400, 600, 800, 1000), (2, 2, 2, 2, 2, 2, 2, 2, 3, 3))
LOW = ((0, 50, 100, 150, 200, 1000), (2, 2, 2, 2, 2, 3))
#: Never used in choosing the method's constants.
UNTUNED = ((0, 20, 40, 80, 160, 300, 500, 800), (1,) * 8)
BOX = ((0.6, 1.6), (0.01, 0.2), (6.0, 40.0))
WIDE = ((0.2, 3.0), (0.0, 0.5), (4.0, 100.0))
RATIOS = (20, 50, 100)
CORES = 2

Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Case:
    """Signals (n, n_b) with their truth (n, 3) of D, f and D*."""

    y: np.ndarray
    truth: np.ndarray
    scheme: tuple[tuple[int, ...], tuple[int, ...]]
    ratio: float


def simulate(scheme, ratio, n, box=BOX, rician=True, seed=7) -> Case:
    rng = np.random.default_rng(seed)
    b, averages = scheme
    truth = np.stack([rng.uniform(*limits, n) for limits in box], -1) * (1e-3, 1, 1e-3)
    clean = ivim.signal(b, 1.0, *truth.T)
    y = np.zeros_like(clean)
    for i, count in enumerate(averages):
        for _ in range(count):
            image = clean[:, i] + rng.normal(0, 1 / ratio, n)
            y[:, i] += np.hypot(image, rng.normal(0, 1 / ratio, n)) if rician else image
        y[:, i] /= count
    return Case(y, truth, scheme, ratio)


def ours(y, b, averages, method="bayes"):
    maps = ivim.fit(y, b, averages, method, workers=CORES)
    return np.stack([maps.d, maps.f, maps.d_star], -1)


def dipy_model(method):
    def fit(y, b, averages):
        from dipy.core.gradients import gradient_table
        from dipy.reconst.ivim import IvimModel

        directions = np.zeros((len(b), 3))
        directions[:, 2] = 1
        model = IvimModel(
            gradient_table(np.asarray(b, float), bvecs=directions, b0_threshold=0), fit_method=method
        )
        out = np.full((len(y), 3), np.nan)  # what a peer cannot fit is counted, not taken as zero
        for i, voxel in enumerate(y):
            with contextlib.suppress(Exception):
                out[i] = np.asarray(model.fit(voxel).model_params)[[3, 1, 2]]
        return out

    return fit


def osipi(name, **options):
    def fit(y, b, averages):
        _osipi_root()
        module = __import__(f"src.standardized.{name}", fromlist=[name])
        out = np.zeros((len(y), 3))
        found = getattr(module, name)(**options).osipi_fit(y.copy(), np.asarray(b, float))
        for i, key in enumerate(("D", "f", "Dp")):
            out[:, i] = found[key]
        return out

    return fit


def osipi_vectorised(y, b, averages):
    _osipi_root()
    from src.original.PvH_KB_NKI.DWI_functions_standalone import generate_IVIMmaps_standalone

    found = generate_IVIMmaps_standalone(np.maximum(y, 1e-5)[:, None, None], list(b))
    return np.stack([np.ravel(found[0]) / 1000, np.ravel(found[1]), np.ravel(found[2]) / 1000], -1)


def _osipi_root() -> None:
    """Let the collection's modules find each other: installed, they still import from ``src``."""
    if "src" not in sys.modules:
        root = types.ModuleType("src")
        root.__path__ = [str(Path(find_spec("standardized").origin).parents[1])]
        sys.modules["src"] = root


#: Name, whether installed, fit, voxels to fit (quick, full).
PEERS: tuple[tuple[str, str, Fit, tuple[int, int]], ...] = (
    ("dipy TRR", "dipy", dipy_model("trr"), (200, 2000)),
    ("dipy VarPro", "dipy", dipy_model("VarPro"), (8, 60)),
    ("OSIPI OGC segmented", "standardized", osipi("OGC_AmsterdamUMC_biexp_segmented"), (200, 2000)),
    ("OSIPI IAR 2-step", "standardized", osipi("IAR_LU_segmented_2step"), (200, 2000)),
    ("OSIPI PvH_KB_NKI", "standardized", osipi_vectorised, (20000, 100000)),
    ("OSIPI OGC Bayes", "standardized", osipi("OGC_AmsterdamUMC_Bayesian_biexp", thresholds=150), (20, 150)),
)


def quietly(index: int, y: np.ndarray, b: tuple[int, ...], averages: tuple[int, ...]) -> np.ndarray:
    """Run one peer without its prints and warnings."""
    warnings.simplefilter("ignore")
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        np.errstate(all="ignore"),
    ):
        return PEERS[index][2](y, b, averages)


def in_processes(pool: ProcessPoolExecutor, index: int, case: Case) -> np.ndarray:
    jobs = [pool.submit(quietly, index, part, *case.scheme) for part in np.array_split(case.y, CORES)]
    return np.concatenate([job.result() for job in jobs])


def row(name: str, cases: list[Case], results: list[np.ndarray], rates: list[float], own: list[float]) -> str:
    columns = []
    errors = [found - case.truth[: len(found)] for found, case in zip(results, cases, strict=True)]
    fitted = [np.isfinite(e).all(1) for e in errors]
    share = np.mean(np.concatenate(fitted))
    if not all(f.any() for f in fitted):
        return f"| {name} | fits no voxel in this environment | | | | |"
    if share < 1:
        name = f"{name} (fits {share:.0%} of the voxels)"
    errors = [e[f] for e, f in zip(errors, fitted, strict=True)]
    for i, (unit, digits) in enumerate(((1e3, 3), (1, 4), (1e3, 1))):
        columns.append(" / ".join(f"{unit * np.sqrt(np.mean(e[:, i] ** 2)):.{digits}f}" for e in errors))
    bias = np.mean(errors[1][:, 1])
    rate = f"{min(rates):,.0f}-{max(rates):,.0f}"
    ratio = f"{np.median(own) / np.median(rates):.3g}"
    return f"| {name} | {rate} | {ratio} | {columns[0]} | {columns[1]} ({bias:+.4f}) | {columns[2]} |"


def bound_row(cases: list[Case]) -> str:
    columns = []
    bounds = [
        ivim.cramer_rao(case.scheme[0], 1.0, *case.truth.T, 1 / case.ratio, case.scheme[1]) for case in cases
    ]
    for name, unit, digits in (("d", 1e3, 3), ("f", 1, 4), ("d_star", 1e3, 1)):
        columns.append(" / ".join(f"{unit * np.median(getattr(b, name)):.{digits}f}" for b in bounds))
    return f"| median Cramer-Rao bound | - | - | {columns[0]} | {columns[1]} | {columns[2]} |"


def header(title: str) -> None:
    print(f"\n### {title}")
    print(
        "| fitter | voxels/s | SynthCBV's speed / its | D RMSE 1e-3, SNR 20/50/100 | f RMSE (bias at 50) "
        "| D* RMSE 1e-3 |"
    )
    print("|---|---|---|---|---|---|")


def measure(
    cases: list[Case], method: str = "bayes", repeats: int = 3
) -> tuple[list[np.ndarray], list[float]]:
    results, rates = [], []
    for case in cases:
        best = np.inf
        for _ in range(repeats):
            begin = time.perf_counter()
            found = ours(case.y, *case.scheme, method)
            best = min(best, time.perf_counter() - begin)
        results.append(found)
        rates.append(len(case.y) / best)
    return results, rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer voxels")
    parser.add_argument("--gaussian", action="store_true", help="Gaussian instead of Rician noise")
    parser.add_argument("--without-peers", action="store_true", help="measure SynthCBV alone")
    args = parser.parse_args()
    n = 20_000 if args.quick else 100_000
    noise = "Gaussian" if args.gaussian else "Rician"
    print(f"{CORES} cores; {noise} noise; load before: {os.getloadavg()[0]:.1f}; numpy {np.__version__}")

    def drawn(scheme, box=BOX):
        return [simulate(scheme, ratio, n, box, not args.gaussian) for ratio in RATIOS]

    cases = drawn(PAPER)
    header(f"b = {', '.join(map(str, PAPER[0]))}; averages {', '.join(map(str, PAPER[1]))}")
    found, own = measure(cases)
    print(row("**SynthCBV**", cases, found, own, own), flush=True)
    few = [Case(c.y[:10000], c.truth[:10000], c.scheme, c.ratio) for c in cases]
    print(row("SynthCBV segmented", few, *measure(few, "segmented", 1), own), flush=True)
    print(row("SynthCBV least squares", few, *measure(few, "nlls", 1), own), flush=True)
    if not args.without_peers:
        with ProcessPoolExecutor(CORES) as pool:
            for index, (name, package, _, counts) in enumerate(PEERS):
                if find_spec(package) is None:
                    print(f"| {name} | not installed | | | | |")
                    continue
                count = counts[0 if args.quick else 1]
                results, rates = [], []
                for case in cases:
                    part = Case(case.y[:count], case.truth[:count], case.scheme, case.ratio)
                    in_processes(pool, index, Case(case.y[:4], case.truth[:4], case.scheme, case.ratio))
                    begin = time.perf_counter()
                    results.append(in_processes(pool, index, part))
                    rates.append(count / (time.perf_counter() - begin))
                print(row(name, cases, results, rates, own), flush=True)
    print(bound_row(cases))
    for title, scheme, box in (
        ("five low b-values and 1000", LOW, BOX),
        ("eight b-values that were not tuned on", UNTUNED, BOX),
        ("the paper's b-values, wide parameters: D .2-3, f 0-.5, D* 4-100", PAPER, WIDE),
    ):
        others = drawn(scheme, box)
        header(f"{title}: b = {', '.join(map(str, scheme[0]))}")
        found, own = measure(others)
        print(row("**SynthCBV**", others, found, own, own))
        print(bound_row(others))
    print(f"\nload after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
