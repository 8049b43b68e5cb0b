# ruff: noqa: T201
"""Simulate how often the confidence intervals of the analysis hold the truth and write it as a table.

python Testing/Benchmarks/coverage_statistics.py [--draws 10000] [--workers 2] [--output FILE]

Every interval comes from the library's public function, on draws from a distribution with known truth:
normal scores for the ROC areas, normal values and errors elsewhere.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SynthCBVLib.analysis import agreement, proportions, raters, roc
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole

BAR = (93.0, 97.0)
SEED = 4100
AREA_INTERVALS = ("logit", "delong", "newcombe", "exact")

NOTES = """
## How to read it

- ROC area: DeLong's plain interval ("delong") holds the truth too seldom in small samples and near 1, so the
  logit interval is the default. It errs, if at all, on the wide side: with 10 cases of each class, and
  Newcombe's ("newcombe") is then the closer one. Newcombe's is wide for areas near 1 in large samples,
  because it assumes a shape of the distributions instead of taking it from the data.
- The "exact" interval of an area is the one the IVIM paper prints: it treats the area as a proportion of all
  cases. It holds for about equal classes and an area around .8, is too narrow for unequal classes, and too
  wide near 1. It is there to reproduce published figures.
- A proportion has few possible values, so no interval can hold exactly 95 %. The exact interval never holds
  the truth less often than 95 % and pays with width; Wilson's holds 95 % on average over proportions.
- A sample that shows no variation has no interval and counts in none of the rows; their number stands with
  the situation, if there were any.
"""

Draw = Callable[[np.random.Generator], dict[str, tuple[tuple[float, float], float]]]


@dataclass(frozen=True)
class Row:
    """Coverage of one interval in one situation, %."""

    statistic: str
    situation: str
    interval: str
    coverage: float
    width: float
    undefined: int


def separation(area: float) -> float:
    return math.sqrt(2) * float(norm.ppf(area))


def areas(rng, area, m, n, steps=0):
    """One ROC area; scores in `steps` ratings per SD if asked for, so that many tie."""
    labels = np.repeat([1, 0], [m, n])
    scores = rng.normal(size=m + n) + separation(area) * labels
    truth = area
    if steps:
        scores, truth = np.floor(scores * steps), tied_area(area, steps)
    return {ci: (roc.auc(labels, scores, ci).interval, truth) for ci in AREA_INTERVALS}


@lru_cache
def tied_area(area: float, steps: int) -> float:
    edges = np.arange(-12 * steps, 16 * steps + 1) / steps
    negative, positive = np.diff(norm.cdf(edges)), np.diff(norm.cdf(edges, separation(area)))
    below = np.concatenate([[0], np.cumsum(negative)[:-1]])
    return float(positive @ (below + negative / 2))


def paired_areas(rng, area_a, area_b, m, n, correlation):
    labels = np.repeat([1, 0], [m, n])
    a = rng.normal(size=m + n)
    b = correlation * a + math.sqrt(1 - correlation**2) * rng.normal(size=m + n)
    a, b = a + separation(area_a) * labels, b + separation(area_b) * labels
    return {
        f"{method}, paired": (roc.compare(labels, a, b, method=method).interval, area_a - area_b)
        for method in ("delong", "hanley-mcneil")
    }


def independent_areas(rng, area_a, area_b, m, n):
    labels = np.repeat([1, 0], [m, n])
    a, b = (rng.normal(size=m + n) + separation(area) * labels for area in (area_a, area_b))
    return {
        f"{method}, independent": (
            roc.compare_independent(labels, a, labels, b, method=method).interval,
            area_a - area_b,
        )
        for method in ("delong", "hanley-mcneil")
    }


@lru_cache(maxsize=10000)
def both_proportions(count, n):
    return proportions.wilson(count, n), proportions.exact(count, n)


def proportion(rng, share, n):
    wilson, exact = both_proportions(int(rng.binomial(n, share)), n)
    return {"wilson": (wilson, share), "exact": (exact, share)}


def intraclass(rng, truth, n, k, rater_share):
    """Total variance 1, of which `truth` between targets; raters have their share of the rest."""
    between, of_raters = truth, rater_share * (1 - truth)
    error = 1 - between - of_raters
    targets = math.sqrt(between) * rng.normal(size=(n, 1))
    noise = math.sqrt(error) * rng.normal(size=(n, k))
    own = targets + noise + math.sqrt(of_raters) * rng.normal(size=(n, k))
    shared = targets + noise + math.sqrt(of_raters) * rng.normal(size=(1, k))
    return {
        "ICC(1,1)": (raters.icc(own, "one-way-random").interval, truth),
        "ICC(2,1)": (raters.icc(shared, "two-way-random").interval, truth),
        "ICC(3,1)": (raters.icc(shared, "two-way-mixed").interval, between / (between + error)),
        "ICC(2,k)": (
            raters.icc(shared, "two-way-random", "average").interval,
            between / (between + (of_raters + error) / k),
        ),
    }


def differences(rng, n):
    found = agreement.bland_altman(rng.normal(0.5, 1.0, n), np.zeros(n))
    return {
        "bias": (found.bias_interval, 0.5),
        "lower limit": (found.lower_interval, 0.5 - 1.96),
        "upper limit": (found.upper_interval, 0.5 + 1.96),
    }


def correlated(rng, r, n):
    a = rng.normal(size=n)
    b = r * a + math.sqrt(1 - r**2) * rng.normal(size=n)
    return {"Fisher z": (agreement.pearson(a, b).interval, r)}


def situations() -> Iterator[tuple[str, str, Draw]]:
    for area, m, n in (
        (0.59, 20, 20), (0.84, 20, 20), (0.95, 20, 20), (0.84, 10, 10), (0.95, 10, 10),
        (0.84, 15, 45), (0.76, 45, 52), (0.87, 45, 52), (0.95, 100, 100),
    ):  # fmt: skip
        yield "ROC area", f"area {area}, {m} + {n} cases", partial(areas, area=area, m=m, n=n)
    yield (
        "ROC area",
        f"ratings with ties, area {tied_area(0.84, 1):.3f}, 45 + 52 cases",
        partial(areas, area=0.84, m=45, n=52, steps=1),
    )
    for a, b, m, n, r in ((0.84, 0.84, 20, 20, 0.8), (0.84, 0.59, 20, 20, 0.3), (0.87, 0.76, 45, 52, 0.5)):
        yield (
            "difference of areas",
            f"areas {a} and {b}, {m} + {n} cases, scores correlated by {r}",
            partial(paired_areas, area_a=a, area_b=b, m=m, n=n, correlation=r),
        )
    yield (
        "difference of areas",
        "areas 0.87 and 0.76, 45 + 52 cases each",
        partial(independent_areas, area_a=0.87, area_b=0.76, m=45, n=52),
    )
    for share, n in (
        (0.5, 20),
        (0.7, 20),
        (0.95, 20),
        (0.7, 40),
        (0.84, 40),
        (0.7, 100),
        (0.95, 100),
        (0.7, 400),
    ):
        yield "proportion", f"{share} of {n}", partial(proportion, share=share, n=n)
    for truth, n, k, share in ((0.84, 192, 2, 0.1), (0.84, 30, 2, 0.1), (0.6, 30, 2, 0.0), (0.6, 30, 4, 0.3)):
        yield (
            "intraclass correlation",
            f"{truth}, {n} targets, {k} raters, {share:.0%} of the rest from raters",
            partial(intraclass, truth=truth, n=n, k=k, rater_share=share),
        )
    for n in (20, 40, 100):
        yield "Bland-Altman", f"{n} pairs", partial(differences, n=n)
    for r, n in ((0.17, 20), (0.75, 20), (0.89, 20), (0.5, 40)):
        yield "Pearson correlation", f"{r}, {n} pairs", partial(correlated, r=r, n=n)


def simulate(index: int, draws: int) -> list[Row]:
    statistic, situation, draw = list(situations())[index]
    rng = np.random.default_rng([SEED, index])
    held: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    undefined = 0
    for _ in range(draws):
        try:
            results = draw(rng)
        except InputError:
            undefined += 1
            continue
        for name, ((low, high), truth) in results.items():
            held.setdefault(name, []).append(low <= truth <= high)
            widths.setdefault(name, []).append(high - low)
    return [
        Row(statistic, situation, name, 100 * float(np.mean(hits)), float(np.mean(widths[name])), undefined)
        for name, hits in held.items()
    ]


def table(rows: list[Row], draws: int) -> str:
    error = 100 * math.sqrt(0.95 * 0.05 / draws)
    outside = [row for row in rows if not BAR[0] <= row.coverage <= BAR[1]]
    lines = [
        "# Coverage of the confidence intervals",
        "",
        f"How often nominal 95 % intervals hold the truth in {draws} simulated samples each (standard error",
        f"{error:.2f} %). Wanted: {BAR[0]:g} to {BAR[1]:g} %; others are in bold. Made by",
        "`python Testing/Benchmarks/coverage_statistics.py` from the library's own functions.",
        "",
        "| statistic | situation | interval | coverage, % | mean width |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        coverage = f"**{row.coverage:.1f}**" if row in outside else f"{row.coverage:.1f}"
        note = f" ({row.undefined} samples without interval)" if row.undefined else ""
        width = f"{row.width:.3f}"
        lines.append(f"| {row.statistic} | {row.situation}{note} | {row.interval} | {coverage} | {width} |")
    return "\n".join(lines) + "\n" + NOTES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=10000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    start = time.perf_counter()
    with ProcessPoolExecutor(options.workers) as pool:
        parts = pool.map(partial(simulate, draws=options.draws), range(len(list(situations()))))
        rows = [row for part in parts for row in part]
    text = table(rows, options.draws)
    print(text)
    print(f"{time.perf_counter() - start:.0f} s")
    if options.output:
        with written_whole(options.output) as [temporary]:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
