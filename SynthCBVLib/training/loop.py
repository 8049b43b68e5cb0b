"""The training loop: cases in, weights with their card out; resumes exactly where it was stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from SynthCBVLib.analysis import similarity
from SynthCBVLib.errors import InputError
from SynthCBVLib.networks import build
from SynthCBVLib.networks.perceptual import PerceptualLoss
from SynthCBVLib.networks.widening import widen
from SynthCBVLib.progress import Progress, silent
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.synthesis.inference import choose_device, infer
from SynthCBVLib.synthesis.model import Model, save_model
from SynthCBVLib.training.cases import Case
from SynthCBVLib.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from SynthCBVLib.training.config import TrainingConfig, learning_rate, total_steps
from SynthCBVLib.training.losses import loss_of
from SynthCBVLib.training.noting import earlier_parts, with_training
from SynthCBVLib.training.parallel import ALONE, Team
from SynthCBVLib.training.sampling import Batch, Sampler
from SynthCBVLib.training.split import check_split

#: Steps between two looks of the progress line.
_SHOWN_EVERY = 20


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
    *,
    perceptual: Path | None = None,
    start: Model | None = None,
    device: str = "cpu",
    team: Team = ALONE,
) -> Trained:
    """Train a network.

    A folder that holds a checkpoint of the same card, configuration and cases is resumed: the weights are the
    same as without the interruption.

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
        Told of loss and validation SSIM; may raise `Cancelled`.
    perceptual : Path, optional
        Weights of VGG19 or VGG16, needed where the configuration has a perceptual term.
    start : Model, optional
        Weights to begin with, of the same network and inputs.
    device : str
        As for `SynthCBVLib.synthesis.inference.infer`.
    team : Team
        The processes that train together; each is given all cases.

    Raises
    ------
    InputError
        If a split is empty, a patient is in both, the folder holds another training, the VGG's file is
        missing, or `start` is another network.
    """
    check_split(training, validation)
    own = team.share(config.batch)
    target = choose_device(device)
    torch.manual_seed(config.seed)
    network = build(card.network, card.network_arguments)
    if start is not None:
        begin_with(network, start, card)
    if card.network == "unet2d":
        network = network.to(memory_format=torch.channels_last)
    network.to(target)
    vgg = _perceptual(config, perceptual, target)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(0.9, 0.999))
    steps = total_steps(config, [case.slices for case in training] if config.epochs else ())
    sources = {"start": start.sha256 if start else "", "perceptual": _sha256(perceptual) if vgg else ""}
    identity = _identity(card, config, training, validation, sources)
    checkpoint = folder / "checkpoint.safetensors"
    state = load_checkpoint(checkpoint, network, optimiser, identity) or Checkpoint()
    team.wait()
    if team.first:
        folder.mkdir(parents=True, exist_ok=True)
        _forget_after(folder / "metrics.jsonl", state.step)
    noted: dict[str, object] = {"vgg": vgg.name} if vgg else {}
    if start is not None:
        noted |= {"started_from": f"{start.card.name} {start.card.version}, SHA-256 {start.sha256}"}
        noted |= {"earlier": earlier_parts(start.card)}
    card = dataclasses.replace(card, training={**card.training, **noted})
    sampler = Sampler(training, card, config)
    wrapped = team.wrap(network)
    progress = progress if progress and team.first else silent
    cpu, wall = time.process_time() - state.cpu_seconds, time.monotonic() - state.seconds
    sums: dict[str, list[float]] = defaultdict(list)
    for step in range(state.step, steps):
        rate = learning_rate(config, step, steps)
        batch = sampler.batch(step, own).to(target)
        for name, value in _step(wrapped, optimiser, batch, config, step, rate, vgg, team).items():
            sums[name].append(value)
        done = step + 1
        if done % _SHOWN_EVERY == 0 or done == steps:
            recent = "  ".join(f"{name} {np.mean(values[-200:]):.4f}" for name, values in sums.items())
            progress(done / steps, f"step {done}/{steps}  {recent}  validation SSIM {state.best_ssim:.4f}")
        if done % config.validate_every and done != steps:
            continue
        ssim = float(np.mean(team.gather(
            [_ssim(network, case, target) for case in validation[team.rank :: team.size]], len(validation)
        )))  # fmt: skip
        state = dataclasses.replace(
            state, step=done, cpu_seconds=time.process_time() - cpu, seconds=time.monotonic() - wall
        )
        if ssim > state.best_ssim:
            state = dataclasses.replace(state, best_ssim=ssim, best_step=done)
            if team.first:
                reached = with_training(card, config, state, len(training), len(validation))
                save_model(folder / "best.safetensors", network, reached)
        means = _joint_means(sums, team)
        sums.clear()
        if team.first:
            row = {
                "step": done, "loss": means, "learning_rate": rate, "ssim": ssim,
                "best_ssim": state.best_ssim, "seconds": round(state.seconds, 2),
                "cpu_seconds": round(state.cpu_seconds, 2),
            }  # fmt: skip
            with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            save_checkpoint(checkpoint, network, optimiser, state, identity)
    return Trained(folder / "best.safetensors", state.best_ssim, state.best_step)


def validate(network: torch.nn.Module, cases: Sequence[Case], device: str = "cpu") -> float:
    """Mean over the cases of the slices' mean SSIM between real and synthetic map, over the brain's box."""
    return float(np.mean([_ssim(network, case, choose_device(device)) for case in cases]))


def _ssim(network: torch.nn.Module, case: Case, device: torch.device) -> float:
    network.eval()
    present = np.array(case.present)
    if device.type == "cpu":
        location = infer(network, case.crop(), present, device="cpu").location
    else:  # the network is there already
        with torch.inference_mode():
            images, weights = (torch.from_numpy(array)[None].to(device) for array in (case.crop(), present))
            location = network(images, weights).location[0, 0].cpu().numpy()
    inside = np.asarray(case.mask * case.known)
    synthetic = np.where(inside > 0, np.maximum(location, 0.0), 0.0)
    real = np.where(inside > 0, case.target.astype(np.float32), 0.0)
    return similarity.ssim(real, synthetic, inside)


def begin_with(network: torch.nn.Module, start: Model, card: ModelCard) -> None:
    """Give a network the weights of a model like it or, all else alike, of a narrower one.

    The model may also lack the conditioning on the modalities present, which changes nothing at first.

    Raises
    ------
    InputError
        If the model's network, inputs or output are not those of the card.
    """
    widths = [int(each.network_arguments.get("width", 0)) for each in (start.card, card)]
    for what in ("network", "network_arguments", "inputs", "output"):
        own, wanted = getattr(start.card, what), getattr(card, what)
        if what == "network_arguments" and 0 < widths[0] < widths[1]:
            own = {**own, "width": widths[1]}
        if what == "network_arguments" and wanted.get("conditioned") and not own.get("conditioned"):
            own = {**own, "conditioned": wanted["conditioned"]}
        if own != wanted:
            raise InputError(
                start.path, f"a model with another {what.replace('_', ' ')} ({own})", f"{wanted}",
                "Choose the preset that the model was trained with.",
            )  # fmt: skip
    widen(network, start.network)


def _perceptual(config: TrainingConfig, path: Path | None, device: torch.device) -> PerceptualLoss | None:
    if not config.perceptual_weight:
        return None
    if path is None:
        raise InputError(
            "perceptual loss", "no weights of VGG19",
            "torchvision's VGG19 file (vgg19-dcbb9e9d.pth), or another that `PerceptualLoss` reads",
            "Give the file, or set the perceptual weight to 0.",
        )  # fmt: skip
    return PerceptualLoss(path).to(device)


def _step(
    network: torch.nn.Module,
    optimiser: torch.optim.Adam,
    batch: Batch,
    config: TrainingConfig,
    step: int,
    rate: float,
    vgg: PerceptualLoss | None,
    team: Team,
) -> dict[str, float]:
    """Do one optimiser step; gives the parts of the batch's loss."""
    network.train()
    for group in optimiser.param_groups:
        group["lr"] = rate
    with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=config.bf16):
        result = network(batch.images, batch.present)
    loss = loss_of(result, batch, config, step, vgg, team)
    optimiser.zero_grad(set_to_none=True)
    loss.total.backward()
    if config.largest_gradient is not None:
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.largest_gradient)
    optimiser.step()
    parts = {name: float(value) for name, value in loss.parts.items()}
    if not np.isfinite(sum(parts.values())):
        raise InputError(
            "training", f"a loss that is not finite at step {step + 1} ({parts})", "a finite loss",
            "Lower the learning rate, and look at the cases' warnings.",
        )  # fmt: skip
    return parts


def _joint_means(sums: Mapping[str, list[float]], team: Team) -> dict[str, float]:
    own = {name: float(np.mean(values)) for name, values in sums.items()}
    if team.size == 1:
        return own
    gathered = [team.gather([value], team.size) for value in own.values()]
    return {name: float(np.mean(values)) for name, values in zip(own, gathered, strict=True)}


def _forget_after(metrics: Path, step: int) -> None:
    """Drop rows that a killed run wrote after the checkpoint it is resumed from."""
    if metrics.is_file():
        rows = metrics.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [row for row in rows if row.endswith("\n") and json.loads(row)["step"] <= step]
        if kept != rows:
            metrics.write_text("".join(kept), encoding="utf-8")


def _identity(
    card: ModelCard,
    config: TrainingConfig,
    training: Sequence[Case],
    validation: Sequence[Case],
    sources: Mapping[str, str],
) -> str:
    """Describe all that decides a training's outcome, its cases by name and content."""
    cases = [[case.name, case.fingerprint()] for case in (*training, *validation)]
    parts = [
        json.loads(card.to_json()), dataclasses.asdict(config), len(training), cases, dict(sources)
    ]  # fmt: skip
    return json.dumps(parts, sort_keys=True)


def _sha256(path: Path | None) -> str:
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
