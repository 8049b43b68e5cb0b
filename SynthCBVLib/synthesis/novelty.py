"""How far a study lies from what a network was trained on: Mahalanobis distance of a summary of its inputs.

The card's `statistics` hold mean, spread and correlation of the training cases' summaries, and quantiles of
the distance that each training case has from the others, for every combination of inputs that the training
offers. No single case can be read from them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.synthesis.summaries import Feature, features_of, summary_of

if TYPE_CHECKING:
    from SynthCBVLib.synthesis.card import ModelCard

#: With fewer training cases nothing is said.
LEAST_CASES = 20
#: Quantiles of the training cases' distances that are kept.
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
#: A study is told when it is this much farther than the farthest of a hundred training cases.
_MARGIN = 1.15
#: Correlations are drawn towards 0 by this share, and spreads are at least so wide (summaries are mostly
#: logarithms): what a training never varied is not what makes a study foreign.
_SHRINKAGE, _LEAST_SD = 0.2, 0.02
#: Up to so many inputs every combination has quantiles of its own; with more, single inputs and all of them.
_COMBINED = 6
#: Features named in a finding.
_NAMED = 3


@dataclass(frozen=True)
class Novelty:
    """How far a study is from the training.

    Attributes
    ----------
    distance : float
        Mahalanobis distance of its summary, divided by the square root of the number of features.
    percentile : float
        Share of the training cases, in percent, that are nearer to the others.
    limit : float
        Distance from which on a study is told.
    inputs : Mapping
        The same of each input alone: (distance, limit).
    farthest : tuple of str
        The features that are farthest off, each by its own.
    """

    distance: float
    percentile: float
    limit: float
    inputs: Mapping[str, tuple[float, float]]
    farthest: tuple[str, ...]

    @property
    def odd(self) -> tuple[str, ...]:
        """Inputs that are beyond their limit each by itself."""
        return tuple(name for name, (distance, limit) in self.inputs.items() if distance > limit)

    @property
    def foreign(self) -> bool:
        """Whether the study, or one of its inputs, is beyond what the training had."""
        return self.distance > self.limit or bool(self.odd)

    def as_json(self) -> dict[str, Any]:
        """Give what the provenance keeps, rounded."""
        found = asdict(self)
        found["inputs"] = {name: [round(v, 3) for v in pair] for name, pair in self.inputs.items()}
        for name in ("distance", "percentile", "limit"):
            found[name] = round(found[name], 3)
        return {**found, "foreign": self.foreign}

    def findings(self) -> tuple[Finding, ...]:
        """Warn of a study that is beyond what the training had."""
        if not self.foreign:
            return ()
        odd = self.odd
        about = f"{' and '.join(odd)} " if odd else "The images together "
        what = (
            f"{about}differ{'s' if len(odd) == 1 else ''} from what the model was trained on (distance "
            f"{self.distance:.1f}, training cases within {self.limit:.1f}; most of all "
            f"{', '.join(self.farthest)})"
        )
        remedy = (
            "Check that each image is what it is called, with its b-values and units; the map and its "
            "uncertainty cannot be relied on beyond what the model has seen."
        )  # fmt: skip
        modality = Modality(odd[0]) if len(odd) == 1 else None
        return (Finding("warning", modality, what, remedy, "novelty"),)


def statistics_of(
    cases: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], card: ModelCard
) -> dict[str, Any]:
    """Compute the `statistics` of a card from its training cases.

    Parameters
    ----------
    cases : iterable of (channels, present, mask)
        (C, z, y, x) normalised inputs, (M,) which are there, (z, y, x) brain; one case at a time is held.
    card : ModelCard
        The card of the training.

    Returns
    -------
    dict
        JSON-ready; empty with fewer than `LEAST_CASES` cases.
    """
    rows = [summary_of(channels, present, mask, card) for channels, present, mask in cases]
    if len(rows) < LEAST_CASES:
        return {}
    summaries = np.array(rows)
    features = features_of(card)
    names = [spec.modality.value for spec in card.inputs]
    mean, sd, correlation = _moments(summaries)
    distances = {}
    for chosen in _combinations(names):
        where = _columns(features, chosen)
        complete = np.flatnonzero(np.isfinite(summaries[:, where]).all(axis=1))
        if complete.size >= LEAST_CASES:
            left_out = _left_out(summaries, complete, where)
            distances["+".join(chosen)] = [_rounded(v) for v in np.quantile(left_out, LEVELS)]
    upper = correlation[np.triu_indices(len(features), 1)]
    return {
        "cases": len(rows),
        "features": [name for name, _ in features],
        "mean": [_rounded(v) for v in mean],
        "sd": [_rounded(v) for v in sd],
        "correlation": [round(float(v), 3) for v in upper],
        "levels": list(LEVELS),
        "distances": distances,
    }


def novelty_of(
    channels: np.ndarray,
    present: np.ndarray,
    mask: np.ndarray,
    card: ModelCard,
    predicted: Sequence[float] = (),
) -> Novelty | None:
    """Hold a study against the training of a card.

    Parameters
    ----------
    channels, present, mask : ndarray
        As for `statistics_of`.
    card : ModelCard
        With `statistics`.
    predicted : sequence of float
        b-values whose channels a fit gave: their noise is not that of images and does not count.

    Returns
    -------
    Novelty or None
        None if the card has no statistics, or none for these inputs.
    """
    statistics = card.statistics
    features = features_of(card)
    if not statistics or statistics["features"] != [name for name, _ in features]:
        return None
    summary = summary_of(channels, present, mask, card)
    size = len(features)
    mean, sd = np.array(statistics["mean"]), np.array(statistics["sd"])
    correlation = np.eye(size)
    correlation[np.triu_indices(size, 1)] = statistics["correlation"]
    correlation = np.triu(correlation) + np.triu(correlation, 1).T
    own = tuple(spec.modality.value for spec, there in zip(card.inputs, present, strict=True) if there > 0)
    tables = statistics["distances"]
    z = (summary - mean) / sd

    uncounted = _noise_of(card, predicted)

    def measured(chosen: Sequence[str]) -> tuple[float, list[float]] | None:
        table = tables.get("+".join(chosen))
        if table is None:
            return None
        where = _columns(features, chosen, uncounted)
        return _distance(z[where], correlation[np.ix_(where, where)]), table

    singles = {name: found for name in own if (found := measured((name,))) is not None}
    whole = measured(own) or max(singles.values(), key=lambda pair: pair[0] / pair[1][-2], default=None)
    if whole is None:
        return None
    distance, table = whole
    where = _columns(features, own, uncounted)
    order = sorted(where, key=lambda i: -abs(z[i]))[:_NAMED]
    return Novelty(
        distance=distance,
        percentile=100.0 * float(np.interp(distance, [0.0, *table], [0.0, *LEVELS])),
        limit=_limit(table),
        inputs={name: (found[0], _limit(found[1])) for name, found in singles.items()},
        farthest=tuple(f"{features[i][0]} by {z[i]:+.0f} SD" for i in order),
    )


def check_statistics(statistics: Mapping[str, Any]) -> None:
    """Refuse what are no statistics.

    Raises
    ------
    ValueError
        If a field is missing, of the wrong length or not finite.
    """
    if not isinstance(statistics, Mapping):
        raise ValueError(f"statistics {type(statistics).__name__}: an object")
    if not statistics:
        return
    size = len(statistics["features"])
    lengths = {"mean": size, "sd": size, "correlation": size * (size - 1) // 2}
    for name, length in lengths.items():
        if len(statistics[name]) != length or not _all_finite(statistics[name]):
            raise ValueError(f"statistics {name}: {length} finite numbers")
    if not all(value > 0 for value in statistics["sd"]):
        raise ValueError("statistics sd: numbers above 0")
    if list(statistics["levels"]) != list(LEVELS):
        raise ValueError(f"statistics levels: {list(LEVELS)}")
    for name, table in statistics["distances"].items():
        if len(table) != len(LEVELS) or not _all_finite(table):
            raise ValueError(f"statistics distances of {name}: {len(LEVELS)} finite numbers")


def _moments(summaries: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give mean, spread and shrunken correlation of rows with gaps."""
    known = np.isfinite(summaries)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, summaries, 0.0).sum(axis=0) / counts
    centred = np.where(known, summaries - mean, 0.0)
    sd = np.maximum(np.sqrt((centred**2).sum(axis=0) / np.maximum(counts - 1, 1)), _LEAST_SD)
    z = centred / sd
    pairs = known.T.astype(float) @ known.astype(float)
    correlation = np.where(pairs >= LEAST_CASES, z.T @ z / np.maximum(pairs - 1, 1), 0.0)
    correlation = (1 - _SHRINKAGE) * correlation + _SHRINKAGE * np.eye(len(mean))
    np.fill_diagonal(correlation, 1.0)
    return mean, sd, correlation


def _distance(z: np.ndarray, correlation: np.ndarray) -> float:
    """Mahalanobis distance of standardised values, per square root of their number."""
    values, vectors = np.linalg.eigh(correlation)
    # Gaps can leave a matrix of pairs that is no correlation matrix: its least values are lifted.
    turned = vectors.T @ z
    return float(np.sqrt((turned**2 / np.maximum(values, 0.5 * _SHRINKAGE)).mean()))


def _left_out(summaries: np.ndarray, complete: np.ndarray, where: list[int]) -> np.ndarray:
    """Give the distance of each complete case from all the others."""
    found = []
    for index in complete:
        others = np.delete(summaries[:, where], index, axis=0)
        mean, sd, correlation = _moments(others)
        found.append(_distance((summaries[index, where] - mean) / sd, correlation))
    return np.array(found)


def _combinations(names: Sequence[str]) -> list[tuple[str, ...]]:
    if len(names) <= _COMBINED:
        return [c for n in range(1, len(names) + 1) for c in itertools.combinations(names, n)]
    return [*((name,) for name in names), tuple(names)]


def _columns(
    features: Sequence[Feature], chosen: Sequence[str], uncounted: frozenset[str] = frozenset()
) -> list[int]:
    """Give the features that the chosen inputs have between them."""
    return [
        i for i, (name, needed) in enumerate(features) if set(needed) <= set(chosen) and name not in uncounted
    ]


def _noise_of(card: ModelCard, b_values: Sequence[float]) -> frozenset[str]:
    """Name the noise features of some b-values' channels."""
    return frozenset(
        f"{spec.modality.value} {index + 1} noise"
        for spec in card.inputs
        for index, b in enumerate(spec.b_values)
        if b in b_values
    )


def _limit(table: Sequence[float]) -> float:
    return _MARGIN * float(table[LEVELS.index(0.99)])


def _rounded(value: float) -> float:
    return float(f"{float(value):.5g}")


def _all_finite(values: Iterable[Any]) -> bool:
    return all(isinstance(v, int | float) and math.isfinite(v) for v in values)
