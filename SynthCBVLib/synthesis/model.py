"""Weights files: safetensors whose metadata is the model card. No pickle is ever loaded."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole
from SynthCBVLib.networks import build
from SynthCBVLib.synthesis.card import CHECKSUM, ModelCard, is_finite_tree
from SynthCBVLib.synthesis.weights_file import Header, damaged, read_header

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
_MAXIMUM_BYTES = 2 * 1024**3
#: Sizes of a network beyond which a card is damaged, or made to exhaust the memory.
_LARGEST, _LEVELS = 2048, 10
#: In the card's text: SHA-256 of the tensors' bytes. No part of the card itself.
_CHECKSUM = re.compile(rf'"{CHECKSUM}":\s*"([0-9a-f]{{64}})"')


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


def load_model(name: str | os.PathLike[str], sha256: str | None = None) -> Model:
    """Load a bundled model by name, or a model from a weights file.

    Parameters
    ----------
    name : str or path
        "ivim", "asl", or the path of a ``.safetensors`` file.
    sha256 : str, optional
        What the file is to be; another file is refused.

    Raises
    ------
    InputError
        If there is no such model, or its file is damaged or another one, has no card, or tensors that do not
        fit the card's network or are not finite.
    """
    path = _find(name)
    stat = path.stat()
    model = _load(path, stat.st_mtime_ns, stat.st_size)
    if sha256 is not None and model.sha256 != sha256.strip().lower():
        raise InputError(
            path, f"another file: its SHA-256 is {model.sha256}", f"the one with {sha256.strip().lower()}",
            "Copy or download the file again.",
        )  # fmt: skip
    return model


def read_card(name: str | os.PathLike[str]) -> ModelCard:
    """Read the card alone, without torch.

    Parameters
    ----------
    name : str or path
        As for `load_model`.
    """
    path = _find(name)
    return _card(path, read_header(path))[0]


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
    text = card.to_json()
    with written_whole(path) as (temporary,):
        save_file(state, temporary, metadata={"card": text})
        data = temporary.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        checksum = hashlib.sha256(memoryview(data)[start:]).hexdigest()
        save_file(state, temporary, metadata={"card": f'{text[:-1]}, "{CHECKSUM}": "{checksum}"}}'})
        temporary.chmod(0o644)  # safetensors leaves a file that its owner alone can read
    return path


def _find(name: str | os.PathLike[str]) -> Path:
    bundled = bundled_models()
    if str(name) in bundled:
        return bundled[str(name)]
    path = Path(name)
    if not path.is_file():
        seen = "a folder" if path.is_dir() else "neither a bundled model nor a file"
        raise InputError(
            f"model {os.fspath(name)}", seen,
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

    header = read_header(path)
    card, expected = _card(path, header)
    data = path.read_bytes()
    if expected and hashlib.sha256(memoryview(data)[header.start :]).hexdigest() != expected:
        raise damaged(path, "its tensors are not those that were written: their SHA-256 differs")
    network = _skeleton(card, path)
    _check_shapes(network, header.shapes, path)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise damaged(path, error) from error
    _fill(network, tensors, path)
    network.eval().requires_grad_(False)
    return Model(card, network, path, hashlib.sha256(data).hexdigest())


def _card(path: Path, header: Header) -> tuple[ModelCard, str]:
    """Give the card, and the SHA-256 that the tensors' bytes had when it was written ("": not noted)."""
    if "card" not in header.metadata:
        raise InputError(path, "no model card in its metadata", "a weights file written by SynthCBV")
    text = header.metadata["card"]
    card = ModelCard.from_json(text, str(path))
    noted = re.search(_CHECKSUM, text)
    if not is_finite_tree(dict(card.network_arguments)):
        raise InputError(path, "a model card with numbers that are not finite", "finite numbers")
    return card, noted[1] if noted else ""


def _skeleton(card: ModelCard, path: Path) -> nn.Module:
    """Build the card's network without memory for its weights."""
    import torch

    sizes = [v for v in card.network_arguments.values() if isinstance(v, int | float)]
    channels = card.network_arguments.get("in_channels", card.network_arguments.get("modalities"))
    if channels != card.channels:
        raise InputError(
            path, f"a network of {channels} channels, and a card with {card.channels}", "as many in both"
        )
    if any(size > _LARGEST for size in sizes) or card.network_arguments.get("levels", 1) > _LEVELS:
        raise InputError(
            path, f"a network of {dict(card.network_arguments)}",
            f"at most {_LEVELS} levels, no size above {_LARGEST}",
        )  # fmt: skip
    try:
        with torch.device("meta"):
            return build(card.network, card.network_arguments)
    except InputError as error:
        raise InputError(path, error.seen, error.needed, error.remedy) from error
    except (RuntimeError, OverflowError, MemoryError) as error:
        raise InputError(
            path, f"a network that cannot be built ({error})", "a SynthCBV model's card"
        ) from error


def _check_shapes(network: nn.Module, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Hold the file's tensors against the network's before any of them is loaded."""
    own = network.state_dict()
    missing, extra = sorted(own.keys() - shapes.keys()), sorted(shapes.keys() - own.keys())
    if missing or extra:
        raise InputError(
            path, f"tensors that do not fit the card's network (missing {missing[:3]}, unknown {extra[:3]})",
            "the tensors of that network",
        )  # fmt: skip
    for key, shape in shapes.items():
        if shape != tuple(own[key].shape):
            raise InputError(path, f"{key} of shape {shape}", f"shape {tuple(own[key].shape)}")


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put tensors into a network after checking types and values."""
    own = network.state_dict()
    for key, value in tensors.items():
        if value.is_floating_point() != own[key].is_floating_point():
            raise InputError(path, f"{key} of type {value.dtype}", f"numbers like {own[key].dtype}")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InputError(path, f"{key} holds NaN or infinite values", "finite weights")
        if key.endswith("running_var") and bool((value < 0).any()):
            raise InputError(path, f"{key} holds negative variances", "variances of at least 0")
    ready = {key: value.to(own[key].dtype).clone() for key, value in tensors.items()}
    if not all(bool(value.isfinite().all()) for value in ready.values()):
        raise InputError(path, "weights beyond the range of 32 bits", "finite weights")
    network.load_state_dict(ready, assign=True)
