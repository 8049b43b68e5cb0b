"""What a model card says of the training it comes from."""

from __future__ import annotations

import dataclasses

from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.training.checkpoint import Checkpoint
from SynthCBVLib.training.config import TrainingConfig


def with_training(
    card: ModelCard, config: TrainingConfig, state: Checkpoint, n_training: int, n_validation: int
) -> ModelCard:
    """Give the card with what the training was and reached.

    Parameters
    ----------
    card : ModelCard
        Its own notes on training and metrics stay. A network that learns from mirrored patches will give the
        mean of a study's and its mirror image's map.
    config : TrainingConfig
        Of this part of the training.
    state : Checkpoint
        Of the best step so far.
    n_training, n_validation : int
        Cases.
    """
    return dataclasses.replace(
        card,
        mirrored=config.flip,
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


def earlier_parts(card: ModelCard) -> list[dict[str, object]]:
    """Give the parts of a model's training in their order, for the card of a part that goes on from it.

    Returns
    -------
    list of dict
        "steps" (to the checkpoint that was taken), "config" and the network's "width" of each part; empty
        where the card does not say.
    """
    told = card.training
    if "config" not in told:
        return []
    part = {"steps": told.get("steps", 0), "config": dict(told["config"])}
    if "width" in card.network_arguments:
        part["width"] = card.network_arguments["width"]
    return [*told.get("earlier", ()), part]
