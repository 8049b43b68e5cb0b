"""Checkpoints as safetensors: network, Adam's state and counters, so that no pickle is needed to resume."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands.

    Attributes
    ----------
    step : int
        Steps done.
    best_ssim : float
        Best validation SSIM so far.
    best_step : int
        The step it was reached at.
    cpu_seconds : float
        Processor time spent.
    seconds : float
        Time spent.
    """

    step: int = 0
    best_ssim: float = -1.0
    best_step: int = 0
    cpu_seconds: float = 0.0
    seconds: float = 0.0


def save_checkpoint(
    path: Path,
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    state: Checkpoint,
    identity: str,
) -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    path : Path
        Where to.
    network, optimiser
        Whose state is kept; the optimiser's per-parameter tensors are stored under its parameters' order.
    state : Checkpoint
        Counters.
    identity : str
        Card and configuration, to refuse resuming another training.
    """
    tensors = {f"network.{key}": value.contiguous() for key, value in network.state_dict().items()}
    for index, entries in optimiser.state_dict()["state"].items():
        for key, value in entries.items():
            tensors[f"optimiser.{index}.{key}"] = value.contiguous()
    metadata = {"state": json.dumps(dataclasses.asdict(state)), "identity": identity}
    with written_whole(path) as (temporary,):
        save_file(tensors, temporary, metadata)


def load_checkpoint(
    path: Path, network: torch.nn.Module, optimiser: torch.optim.Optimizer, identity: str
) -> Checkpoint | None:
    """Restore a training from a checkpoint, if there is one.

    Raises
    ------
    InputError
        If the file is damaged or belongs to another card or configuration.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise InputError(path, f"unreadable ({error})", "a checkpoint", "Delete it to start anew.") from error
    if metadata.get("identity") != identity:
        raise InputError(
            path, "a checkpoint of another card, configuration or split", "one of this training",
            "Choose an empty folder, or delete the checkpoint to start anew.",
        )  # fmt: skip
    network.load_state_dict(
        {key.removeprefix("network."): value for key, value in tensors.items() if key.startswith("network.")}
    )
    entries: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            entries.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": entries})
    return Checkpoint(**json.loads(metadata["state"]))
