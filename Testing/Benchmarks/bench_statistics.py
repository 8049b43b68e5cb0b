# ruff: noqa: T201
"""Time the ROC and rater statistics side by side with peers on the same data and print a table.

python Testing/Benchmarks/bench_statistics.py [--without-peers]

Peers that are not installed (scikit-learn, pingouin) are left out. DeLong's comparison has no peer in a
common package: it is timed against its definition, which compares every pair of cases.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SynthCBVLib.analysis import raters, roc

SEED = 4200
MODELS = ("one-way-random", "two-way-random", "two-way-mixed")


def best_time(call: Callable[[], object], seconds: float = 1.0) -> tuple[float, object]:
    """Give the shortest of the runs that fit into some seconds, and the result."""
    result, shortest, start = call(), float("inf"), time.perf_counter()
    while shortest == float("inf") or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        result = call()
        shortest = min(shortest, time.perf_counter() - before)
    return shortest, result


def cases(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two correlated scores with ties, as ratios of two digits have them."""
    rng = np.random.default_rng(SEED)
    labels = rng.integers(0, 2, n)
    a = rng.normal(size=n)
    b = 0.6 * a + 0.8 * rng.normal(size=n)
    return labels, np.round(a + labels, 2), np.round(b + 0.8 * labels, 2)


def variance_by_definition(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """DeLong's variance of the difference from all pairs, a row at a time so that it fits into memory."""
    is_positive = labels == 1
    kernel_rows, kernel_columns = [], 0.0
    for x, y in zip(a[is_positive], b[is_positive], strict=True):
        won = 0.5 * (np.sign(x - a[~is_positive]) - np.sign(y - b[~is_positive]))
        kernel_rows.append(won.mean())
        kernel_columns = kernel_columns + won
    columns = kernel_columns / is_positive.sum()
    return float(np.var(kernel_rows, ddof=1) / is_positive.sum() + np.var(columns, ddof=1) / columns.size)


def line(what: str, ours: float, peer: str, theirs: float, differs: float) -> None:
    print(
        f"| {what} | {1e3 * ours:.3g} | {peer} | {1e3 * theirs:.3g} | {theirs / ours:.2g} | {differs:.1e} |"
    )


def alone(what: str, ours: float) -> None:
    print(f"| {what} | {1e3 * ours:.3g} | - | - | - | - |")


def areas(peers: bool) -> None:
    for n in (40, 10_000, 100_000):
        labels, a, b = cases(n)
        spent, found = best_time(lambda labels=labels, a=a: roc.auc(labels, a))
        if peers and find_spec("sklearn"):
            from sklearn.metrics import roc_auc_score

            theirs, area = best_time(lambda labels=labels, a=a: roc_auc_score(labels, a))
            line(
                f"area and interval, {n} scores", spent, "scikit-learn (area alone)", theirs, found.auc - area
            )
        else:
            alone(f"area and interval, {n} scores", spent)
        spent, found = best_time(lambda labels=labels, a=a, b=b: roc.compare(labels, a, b))
        if n <= 10_000:
            theirs, variance = best_time(lambda labels=labels, a=a, b=b: variance_by_definition(labels, a, b))
            differs = found.standard_error**2 - variance
            line(f"DeLong, {n} pairs of scores", spent, "its definition", theirs, differs)
        else:
            alone(f"DeLong, {n} pairs of scores", spent)
        spent, _ = best_time(lambda labels=labels, a=a: roc.youden(labels, a))
        alone(f"Youden's operating point, {n} scores", spent)


def correlations(peers: bool) -> None:
    rng = np.random.default_rng(SEED)
    for n, k in ((192, 2), (10_000, 3)):
        x = rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(1, k)) + 0.5 * rng.normal(size=(n, k))
        spent, found = best_time(
            lambda x=x: [raters.icc(x, m, u) for u in ("single", "average") for m in MODELS]
        )
        what = f"all six ICC, {n} targets, {k} raters"
        if peers and find_spec("pingouin"):
            import pandas
            import pingouin

            table = pandas.DataFrame(
                {"t": np.repeat(np.arange(n), k), "r": np.tile(np.arange(k), n), "s": x.ravel()}
            )
            theirs, other = best_time(lambda table=table: pingouin.intraclass_corr(table, "t", "r", "s"))
            differs = max(abs(i.icc - j) for i, j in zip(found, other["ICC"], strict=True))
            line(what, spent, "pingouin", theirs, differs)
        else:
            alone(what, spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without-peers", action="store_true")
    peers = not parser.parse_args().without_peers
    warnings.simplefilter("ignore")
    print("| what | ours, ms | peer | peer, ms | peer / ours | difference of results |")
    print("|---|---|---|---|---|---|")
    areas(peers)
    correlations(peers)


if __name__ == "__main__":
    main()
