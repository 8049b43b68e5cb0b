"""The training loop: cases in, weights with their card out; resumes exactly where it was stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from SynthCBVLib.analysis import similarity
from SynthCBVLib.errors import InputError
from SynthCBVLib.networks import build
from SynthCBVLib.networks.estimate import laplace_loss
from SynthCBVLib.progress import Progress, silent
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.synthesis.inference import infer
from SynthCBVLib.synthesis.model import save_model
from SynthCBVLib.training.cases import Case
from SynthCBVLib.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from SynthCBVLib.training.presets import TrainingConfig
from SynthCBVLib.training.sampling import Batch, Sampler

_LARGEST_GRADIENT = 5.0  # norm; guards the first steps


@dataclass(frozen=True)
class Trained:
    """The outcome of a training.

    Attributes
    ----------
    weights : Path
        The weights file with its card: the checkpoint with the best validation SSIM.
    ssim : float
        Its mean SSIM over the validation cases.
    step : int
        The step it was taken at.
    """

    weights: Path
    ssim: float
    step: int


def train(
    training: Sequence[Case],
    validation: Sequence[Case],
    card: ModelCard,
    config: TrainingConfig,
    folder: Path,
    progress: Progress | None = None,
) -> Trained:
    """Train a network.

    A folder that holds a checkpoint of the same card and configuration is resumed: the weights are the same
    as without the interruption.

    Parameters
    ----------
    training, validation : sequence of Case
        Split by patient.
    card : ModelCard
        Network, inputs and output.
    config : TrainingConfig
        How to train.
    folder : Path
        Gets ``checkpoint.safetensors``, ``metrics.jsonl`` and ``best.safetensors``.
    progress : Progress, optional
        Told of loss and validation SSIM.

    Raises
    ------
    InputError
        If a split is empty, a patient is in both, or the folder holds another training.
    """
    _check_split(training, validation)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    network = build(card.network, card.network_arguments)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(0.9, 0.999))
    identity = _identity(card, config, training, validation)
    checkpoint = folder / "checkpoint.safetensors"
    state = load_checkpoint(checkpoint, network, optimiser, identity) or Checkpoint()
    sampler = Sampler(training, card, config)
    progress = progress or silent
    started = time.process_time() - state.cpu_seconds
    losses: list[float] = []
    for step in range(state.step, config.steps):
        losses.append(_step(network, optimiser, sampler.batch(step), config, step))
        done = step + 1
        if done % 20 == 0:
            progress(
                done / config.steps,
                f"step {done}/{config.steps}  L1 {np.mean(losses[-200:]):.4f}  SSIM {state.best_ssim:.4f}",
            )
        if done % config.validate_every and done != config.steps:
            continue
        ssim = validate(network, validation)
        state = dataclasses.replace(state, step=done, cpu_seconds=time.process_time() - started)
        if ssim > state.best_ssim:
            state = dataclasses.replace(state, best_ssim=ssim, best_step=done)
            noted = _noted(card, config, state, len(training), len(validation))
            save_model(folder / "best.safetensors", network, noted)
        row = {"step": done, "l1": float(np.mean(losses)), "ssim": ssim, "cpu_seconds": state.cpu_seconds}
        with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        losses.clear()
        save_checkpoint(checkpoint, network, optimiser, state, identity)
    return Trained(folder / "best.safetensors", state.best_ssim, state.best_step)


def validate(network: torch.nn.Module, cases: Sequence[Case]) -> float:
    """Mean over the cases of the slices' mean SSIM between real and synthetic map, over the brain's box."""
    network.eval()
    values = []
    for case in cases:
        result = infer(network, case.channels.astype(np.float32), case.present, device="cpu")
        inside = case.mask * case.known
        synthetic = np.where(inside > 0, np.maximum(result.location, 0.0), 0.0)
        values.append(similarity.ssim(case.target.astype(np.float32), synthetic, inside))
    return float(np.mean(values))


def _step(
    network: torch.nn.Module, optimiser: torch.optim.Adam, batch: Batch, config: TrainingConfig, step: int
) -> float:
    """Do one optimiser step; gives the batch's L1."""
    network.train()
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / config.steps))
    with torch.autocast("cpu", torch.bfloat16):
        result = network(batch.images, batch.present)
    weight = batch.known * (batch.mask + config.background * (1 - batch.mask))
    l1, nll = laplace_loss(result, batch.target, weight)
    loss = l1 + config.scale_weight * nll
    if result.mask_logits is not None:
        loss = loss + config.mask_weight * functional.binary_cross_entropy_with_logits(
            result.mask_logits, batch.mask
        )
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
    optimiser.step()
    return float(l1.detach())


def _noted(
    card: ModelCard, config: TrainingConfig, state: Checkpoint, n_training: int, n_validation: int
) -> ModelCard:
    """Give the card with what the training was and reached."""
    return dataclasses.replace(
        card,
        training={
            **card.training,
            "cases": n_training,
            "steps": state.best_step,
            "cpu_minutes": round(state.cpu_seconds / 60, 1),
            "config": dataclasses.asdict(config),
        },
        metrics={
            **card.metrics, "validation_ssim": round(state.best_ssim, 4), "validation_cases": n_validation,
        },
    )  # fmt: skip


def _identity(
    card: ModelCard, config: TrainingConfig, training: Sequence[Case], validation: Sequence[Case]
) -> str:
    """Describe all that decides a training's outcome, its cases by name and content."""
    cases = [
        [
            case.name,
            hashlib.sha256(
                b"".join(np.ascontiguousarray(array) for array in (case.channels, case.target, case.mask))
            ).hexdigest(),
        ]
        for case in (*training, *validation)
    ]
    parts = [json.loads(card.to_json()), dataclasses.asdict(config), len(training), cases]
    return json.dumps(parts, sort_keys=True)


def _check_split(training: Sequence[Case], validation: Sequence[Case]) -> None:
    for name, cases in (("training", training), ("validation", validation)):
        if not cases:
            raise InputError(f"{name} cases", "none", "at least one subject")
        for case in cases:
            if not (case.mask * case.known).any():
                raise InputError(
                    f"{name} case {case.name}", "no brain where rCBV was measured", "a brain to learn from"
                )
    shared = {case.name for case in training} & {case.name for case in validation}
    if shared:
        raise InputError(
            "split", f"{', '.join(sorted(shared))} in training and validation", "each patient in one of them"
        )
