"""Baselines to hold networks against: ridge regression of 3 x 3 voxels, and a voxelwise perceptron.

Both learn from the same prepared cases as the networks and give the map in the same unit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole
from SynthCBVLib.progress import Progress, silent
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.training.cases import Case, preparation

#: Names of the baselines, and what they are.
BASELINES = {
    "ridge": "ridge regression of the inputs' 3 x 3 voxels",
    "mlp": "voxelwise perceptron, two hidden layers of 64",
}
#: Voxels drawn from each case.
VOXELS = 5_000
_PENALTY = 1.0
_HIDDEN, _STEPS, _BATCH, _RATE, _SEED = 64, 2_000, 4_096, 3e-3, 1


@dataclass(frozen=True)
class Baseline:
    """A trained baseline.

    Attributes
    ----------
    kind : str
        One of `BASELINES`.
    card : ModelCard
        Its inputs and output.
    mean, spread : ndarray (features,)
        Of the features; they are standardised first.
    layers : tuple of (ndarray, ndarray)
        Weights (in, out) and biases (out,) of each layer; a rectifier stands between two.
    """

    kind: str
    card: ModelCard
    mean: np.ndarray
    spread: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]

    def predict(self, case: Case) -> np.ndarray:
        """Give the map (z, y, x) of a case in the card's output unit, 0 outside the brain."""
        inside = np.asarray(case.mask) > 0
        result = np.zeros(inside.shape, np.float32)
        for z in np.flatnonzero(inside.any(axis=(1, 2))):
            images = case.crop(slice(z, z + 1))[:, 0]
            values = (_features(images, self.kind)[:, inside[z]].T - self.mean) / self.spread
            for number, (weights, biases) in enumerate(self.layers):
                values = (np.maximum(values, 0) if number else values) @ weights + biases
            result[z][inside[z]] = np.maximum(values[:, 0], 0)
        return result


def _features(images: np.ndarray, kind: str) -> np.ndarray:
    """Give the features of a slice's voxels: (C, y, x) to (features, y, x)."""
    if kind == "mlp":
        return images
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = images.shape[1:]
    return np.concatenate([padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)])


def _drawn(cases: Sequence[Case], kind: str, voxels: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give features (n, features) and real values (n,) of voxels drawn from each case's brain."""
    rng = np.random.default_rng(_SEED)
    for case in cases:
        places = np.argwhere(np.asarray(case.mask * case.known) > 0)
        places = places[np.sort(rng.choice(len(places), min(voxels, len(places)), replace=False))]
        rows, values = [], []
        for z in np.unique(places[:, 0]):
            _, y, x = places[places[:, 0] == z].T
            rows.append(_features(case.crop(slice(z, z + 1))[:, 0], kind)[:, y, x].T)
            values.append(np.asarray(case.target[z])[y, x])
        yield np.concatenate(rows).astype(np.float32), np.concatenate(values).astype(np.float32)


def fit_baseline(
    kind: str,
    cases: Sequence[Case],
    card: ModelCard,
    progress: Progress | None = None,
    *,
    voxels: int = VOXELS,
    steps: int | None = None,
) -> Baseline:
    """Train a baseline.

    Parameters
    ----------
    kind : str
        One of `BASELINES`: "ridge" (squared error, closed form) or "mlp" (absolute error, Adam).
    cases : sequence of Case
        Training cases.
    card : ModelCard
        What they were opened for.
    progress : Progress, optional
        Told of each case; may raise `Cancelled`.
    voxels : int
        Drawn from each case's brain.
    steps : int
        Of the perceptron; 2,000 by default.

    Raises
    ------
    InputError
        If there is no such baseline, or no case.
    """
    if kind not in BASELINES:
        raise InputError("baseline", repr(kind), f"one of {', '.join(BASELINES)}")
    if not cases:
        raise InputError("baseline", "no case", "training cases")
    progress = progress or silent
    drawn = []
    for number, each in enumerate(_drawn(cases, kind, voxels), start=1):
        drawn.append(each)
        progress(0.5 * number / len(cases), f"{kind}: case {number} of {len(cases)}")
    rows, values = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    mean, spread = rows.mean(0, dtype=float), np.maximum(rows.std(0, dtype=float), 1e-6)
    rows -= mean.astype(np.float32)
    rows /= spread.astype(np.float32)
    layers = _ridge(rows, values) if kind == "ridge" else _perceptron(rows, values, steps or _STEPS, progress)
    progress(1.0, f"{kind}: done")
    return Baseline(kind, card, mean.astype(np.float32), spread.astype(np.float32), layers)


def _ridge(rows: np.ndarray, values: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Fit the standardised features; the constant, their mean being 0, is the values' mean."""
    constant = float(values.mean(dtype=float))
    gram, moments = _PENALTY * np.eye(rows.shape[1]), np.zeros(rows.shape[1])
    for first in range(0, len(rows), 65_536):
        block = rows[first : first + 65_536].astype(float)
        gram += block.T @ block
        moments += block.T @ (values[first : first + 65_536] - constant)
    weights = np.linalg.solve(gram, moments)
    return ((weights[:, None].astype(np.float32), np.array([constant], np.float32)),)


def _perceptron(
    rows: np.ndarray, values: np.ndarray, steps: int, progress: Progress
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    import torch
    from torch import nn

    state = torch.random.get_rng_state()
    torch.manual_seed(_SEED)
    network = nn.Sequential(
        nn.Linear(rows.shape[1], _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(),
        nn.Linear(_HIDDEN, 1),
    )  # fmt: skip
    torch.random.set_rng_state(state)
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    rng = np.random.default_rng(_SEED)
    for step in range(steps):
        chosen = rng.integers(len(rows), size=_BATCH)
        loss = (network(torch.from_numpy(rows[chosen]))[:, 0] - torch.from_numpy(values[chosen])).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 0:
            progress(0.5 + 0.5 * step / steps, f"mlp: step {step} of {steps}, error {loss.item():.4f}")
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    return tuple((one.weight.detach().numpy().T.copy(), one.bias.detach().numpy().copy()) for one in linear)


def save_baseline(baseline: Baseline, path: Path) -> None:
    """Write a baseline as .npz, whole or not at all."""
    arrays: dict[str, np.ndarray] = {"mean": baseline.mean, "spread": baseline.spread}
    for number, (weights, biases) in enumerate(baseline.layers):
        arrays |= {f"weights{number}": weights, f"biases{number}": biases}
    about = json.dumps({"kind": baseline.kind, "card": baseline.card.to_json()})
    with written_whole(path) as (temporary,), temporary.open("wb") as file:
        np.savez(file, about=np.array(about), **arrays)


def load_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises
    ------
    InputError
        If the file is none.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: Mapping[str, np.ndarray] = {name: file[name] for name in file.files}
        about = json.loads(str(arrays["about"]))
        card = ModelCard.from_json(about["card"], str(path))
        count = sum(name.startswith("weights") for name in arrays)
        layers = tuple((arrays[f"weights{i}"], arrays[f"biases{i}"]) for i in range(count))
        return Baseline(about["kind"], card, arrays["mean"], arrays["spread"], layers)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(path, f"no readable baseline ({error})", "one written by save_baseline") from error


def identity(kind: str, cases: Sequence[Case], card: ModelCard) -> str:
    """Give the SHA-256 of all that decides a baseline: kind, settings, the inputs' preparation and cases."""
    settings = (VOXELS, _PENALTY, _HIDDEN, _STEPS, _BATCH, _RATE, _SEED)
    parts = [kind, settings, preparation(card), [case.fingerprint() for case in cases]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
