"""The card of a model for the panel: read from the weights file's header, without torch or safetensors."""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SynthCBVLib.errors import InputError

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
#: Largest header that is read, in bytes; cards take some kilobytes.
LARGEST_HEADER = 10_000_000


@dataclass(frozen=True)
class ShownCard:
    """What the panel tells of a model.

    Parameters
    ----------
    name, version : str
        Of the model.
    training_data, intended_use, licence : str
        Plain words of its maker.
    required, optional : tuple of str
        Modalities that it needs, and those that it can do without.
    reference : tuple of str
        Modalities whose grid the map may get, the preferred one first.
    metrics : Mapping
        Measured on the validation cases, which no training step saw but which chose the checkpoint.
    b_values : tuple of float
        Of the DWI that it takes, s/mm²; empty if it takes none.
    """

    name: str
    version: str
    training_data: str
    intended_use: str
    licence: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    reference: tuple[str, ...]
    metrics: Mapping[str, Any]
    b_values: tuple[float, ...] = ()


def shown_card(model: str) -> ShownCard:
    """Read a card.

    Parameters
    ----------
    model : str
        Name of a bundled model, or the path of a weights file.

    Raises
    ------
    InputError
        If there is no such file, or it has no card.
    """
    path = WEIGHTS / f"{model}.safetensors"
    path = path if path.is_file() else Path(model)
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(path, f"no file that can be read ({error.strerror})", "a .safetensors file",
                         "Choose another file.") from error  # fmt: skip
    return _read(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=4)
def _read(path: Path, modified: int, size: int) -> ShownCard:
    """Read the card of a file; `modified` and `size` make the cache notice a changed file."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(LARGEST_HEADER, size):
                raise ValueError("no header")
            card = json.loads(json.loads(file.read(length))["__metadata__"]["card"])
        return ShownCard(
            card["name"], card["version"], card.get("training_data", ""), card.get("intended_use", ""),
            card.get("licence", ""),
            tuple(_input(entry) for entry in card["inputs"] if entry.get("required", True)),
            tuple(_input(entry) for entry in card["inputs"] if not entry.get("required", True)),
            tuple(card["reference"]), dict(card.get("metrics", {})),
            tuple(float(b) for entry in card["inputs"] for b in entry.get("b_values", ())),
        )  # fmt: skip
    except (OSError, struct.error, ValueError, KeyError, TypeError) as error:
        raise InputError(path, "no model card in it", "a weights file of SynthCBV",
                         "Choose another file, or take the bundled model.") from error  # fmt: skip


def _input(entry: Mapping[str, Any]) -> str:
    name = entry["modality"]
    return f"{name} with {len(entry['b_values'])} b-values" if entry.get("b_values") else name
