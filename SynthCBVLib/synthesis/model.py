"""Weights files: safetensors whose metadata is the model card. No pickle is ever loaded."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole
from SynthCBVLib.networks import build
from SynthCBVLib.synthesis.card import ModelCard, is_finite_tree

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
_MAXIMUM_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Model:
    """A network with its weights and card.

    Parameters
    ----------
    card : ModelCard
        What the network needs and gives.
    network : torch.nn.Module
        In evaluation mode, on the CPU, 32-bit.
    path : Path
        The weights file.
    sha256 : str
        Of the weights file.
    """

    card: ModelCard
    network: nn.Module
    path: Path
    sha256: str


def bundled_models() -> dict[str, Path]:
    """Give the weights files that ship with the package, by name."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}


def load_model(name: str | os.PathLike[str]) -> Model:
    """Load a bundled model by name, or a model from a weights file.

    Parameters
    ----------
    name : str or path
        "ivim", "asl", or the path of a ``.safetensors`` file.

    Raises
    ------
    InputError
        If there is no such model, or its file is damaged, has no card, or tensors that do not fit the
        card's network or are not finite.
    """
    path = _find(name)
    stat = path.stat()
    return _load(path, stat.st_mtime_ns, stat.st_size)


def read_card(name: str | os.PathLike[str]) -> ModelCard:
    """Read the card alone, without torch.

    Parameters
    ----------
    name : str or path
        As for `load_model`.
    """
    from safetensors import SafetensorError, safe_open

    path = _find(name)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error
    return _card(path, metadata)


def save_model(path: Path, network: nn.Module, card: ModelCard, half: bool = True) -> Path:
    """Write weights and card as one file, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.safetensors``.
    network : torch.nn.Module
        Whose state is written.
    card : ModelCard
        Its card.
    half : bool
        Store convolution kernels in 16 bits; biases and normalisation statistics stay in 32.
    """
    import torch
    from safetensors.torch import save_file

    state = {
        key: (value.to(torch.float16) if half and value.dim() > 1 else value).contiguous()
        for key, value in network.state_dict().items()
    }
    with written_whole(path) as (temporary,):
        save_file(state, temporary, metadata={"card": card.to_json()})
        temporary.chmod(0o644)  # safetensors leaves a file that its owner alone can read
    return path


def _find(name: str | os.PathLike[str]) -> Path:
    bundled = bundled_models()
    if str(name) in bundled:
        return bundled[str(name)]
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"model {os.fspath(name)}", "neither a bundled model nor a file",
            f"one of {', '.join(bundled) or '(none bundled)'} or the path of a .safetensors file",
        )  # fmt: skip
    if path.stat().st_size > _MAXIMUM_BYTES:
        raise InputError(path, f"{path.stat().st_size / 1024**3:.1f} GB", "a weights file of at most 2 GB")
    return path


@functools.lru_cache(maxsize=4)
def _load(path: Path, modified: int, size: int) -> Model:
    """Load a file; `modified` and `size` make the cache notice a changed file."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = path.read_bytes()
    card = read_card(path)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error
    network = build(card.network, card.network_arguments)
    _fill(network, tensors, path)
    network.eval().requires_grad_(False)
    return Model(card, network, path, hashlib.sha256(data).hexdigest())


def _card(path: Path, metadata: Mapping[str, str] | None) -> ModelCard:
    if not metadata or "card" not in metadata:
        raise InputError(path, "no model card in its metadata", "a weights file written by SynthCBV")
    card = ModelCard.from_json(metadata["card"], str(path))
    if not is_finite_tree(dict(card.network_arguments)):
        raise InputError(path, "a model card with numbers that are not finite", "finite numbers")
    return card


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put tensors into a network after checking names, shapes and values."""
    own = network.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or extra:
        raise InputError(
            path, f"tensors that do not fit the card's network (missing {missing[:3]}, unknown {extra[:3]})",
            "the tensors of that network",
        )  # fmt: skip
    for key, value in tensors.items():
        if value.shape != own[key].shape:
            raise InputError(path, f"{key} of shape {tuple(value.shape)}", f"shape {tuple(own[key].shape)}")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InputError(path, f"{key} holds NaN or infinite values", "finite weights")
    network.load_state_dict({key: value.to(own[key].dtype) for key, value in tensors.items()})


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        path, f"not a readable safetensors file ({error})", "an undamaged .safetensors weights file",
        "Copy or download the file again; pickled weights (.pt, .pth) are never loaded.",
    )  # fmt: skip
