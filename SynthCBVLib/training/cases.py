"""Training cases: studies with a real rCBV map, on a model card's grid, in memory or on disk."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.synthesis.card import InputSpec, ModelCard


@dataclass(frozen=True)
class Case:
    """One training case; all arrays on one grid.

    Attributes
    ----------
    name : str
        Of the subject (and session), for messages.
    channels : ndarray
        (C, z, y, x) float16, normalised inputs.
    present : ndarray
        (M,) float32, 1 for inputs that the subject has.
    target : ndarray
        (z, y, x) float16, real rCBV in the card's output unit, 0 outside the brain.
    mask : ndarray
        (z, y, x) uint8 brain mask.
    known : ndarray
        (z, y, x) uint8, 1 where the real map was measured: its field of view may be smaller.
    patient : str
        Whose case it is, for the split; `name` by default.
    notes : tuple of str
        What was found on the way, to be shown before a training.
    order : tuple of int or None
        The channels of `channels` that count, where it holds those of a richer card; None takes all.
    digest : str
        SHA-256 of the arrays where it is known from the file; computed otherwise.
    """

    name: str
    channels: np.ndarray
    present: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    known: np.ndarray
    patient: str = ""
    notes: tuple[str, ...] = ()
    order: tuple[int, ...] | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        if not self.patient:
            object.__setattr__(self, "patient", self.name)

    @property
    def slices(self) -> int:
        """Number of slices with brain."""
        return int(self.mask.any(axis=(1, 2)).sum())

    def crop(
        self, planes: slice = slice(None), rows: slice = slice(None), columns: slice = slice(None)
    ) -> np.ndarray:
        """Give the inputs of a box as (C, d, h, w) float32; nothing else is read from the disk."""
        order = range(len(self.channels)) if self.order is None else self.order
        return np.stack([self.channels[c, planes, rows, columns] for c in order]).astype(np.float32)

    def fingerprint(self) -> str:
        """Give the SHA-256 of the case's content."""
        return f"{self.digest or _digest(self)}{'' if self.order is None else self.order}"


_ARRAYS = ("channels", "present", "target", "mask", "known")


def _digest(case: Case) -> str:
    sums = hashlib.sha256()
    for name in _ARRAYS:
        sums.update(np.ascontiguousarray(getattr(case, name)))
    return sums.hexdigest()


def save_case(case: Case, folder: Path, card: ModelCard | None = None) -> None:
    """Write a case as a folder of .npy files, whole or not at all; a case that is there already stays.

    Parameters
    ----------
    case : Case
        What to write; a case whose `order` is set is written with the channels that count alone.
    folder : Path
        Of this case.
    card : ModelCard, optional
        The card that it was prepared for, so that `load_case` can tell which cards it serves.
    """
    if case.order is not None:
        case = dataclasses.replace(case, channels=case.crop().astype(np.float16), order=None, digest="")
    about = {
        "name": case.name, "patient": case.patient, "notes": case.notes, "digest": _digest(case),
        "preparation": None if card is None else preparation(card),
    }  # fmt: skip
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".case-"))
    try:
        for name in _ARRAYS:
            np.save(temporary / f"{name}.npy", getattr(case, name), allow_pickle=False)
        (temporary / "case.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        _put(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, folder: Path) -> None:
    """Rename a folder; another process may have put the same case there first."""
    try:
        temporary.rename(folder)
    except OSError:
        if not (folder / "case.json").is_file():
            raise


def load_case(folder: Path, card: ModelCard | None = None) -> Case:
    """Open a case written by `save_case`; arrays are mapped from the disk and read when needed.

    Parameters
    ----------
    folder : Path
        Of the case.
    card : ModelCard, optional
        The card to train: that of the preparation, or one whose inputs are among its inputs (fewer b-values,
        without T2w, ...).

    Raises
    ------
    InputError
        If the folder holds no case, or one prepared for another card.
    """
    try:
        about = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        arrays: dict[str, np.ndarray] = {
            key: np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False) for key in _ARRAYS
        }
    except (OSError, ValueError) as error:
        raise InputError(
            folder, f"no readable case ({error})", "a prepared case", "Delete it to prepare it anew."
        ) from error
    order = None
    if card is not None and about.get("preparation") is not None:
        inputs, channels = _among(about["preparation"], card, folder)
        arrays["present"] = np.array(arrays["present"])[inputs]
        order = None if channels == list(range(len(arrays["channels"]))) else tuple(channels)
        if not arrays["present"].any():
            raise InputError(f"case {about['name']}", "none of the card's inputs", "at least one")
    return Case(
        name=about["name"], patient=about.get("patient", ""), notes=tuple(about.get("notes", ())),
        digest=about.get("digest", ""), order=order, **arrays,
    )  # fmt: skip


def serves(folder: Path, card: ModelCard) -> bool:
    """Tell whether a folder holds a case that serves a card."""
    try:
        load_case(folder, card)
    except InputError:
        return False
    return True


def preparation(card: ModelCard) -> dict[str, Any]:
    """Give what of a card decides how its cases are prepared, as JSON would give it back."""
    return json.loads(
        json.dumps(
            {
                "inputs": [dataclasses.asdict(spec) for spec in card.inputs],
                "reference": card.reference,
                "spacing": card.spacing,
                "output": dataclasses.asdict(card.output),
            }
        )
    )


def _among(prepared: dict[str, Any], card: ModelCard, folder: Path) -> tuple[list[int], list[int]]:
    """Find a card's inputs among those of a preparation: indices of inputs and of channels."""
    text = json.dumps(prepared, sort_keys=True)
    found = _found(text, card)
    if found is None:
        raise InputError(
            folder, "a case prepared for another card", f"one with the inputs and the grid of {card.name}",
            "Choose another folder, or delete the case to prepare it anew.",
        )  # fmt: skip
    return found


@functools.lru_cache(maxsize=64)
def _own_specs(text: str) -> tuple[InputSpec, ...]:
    return tuple(InputSpec(**entry) for entry in json.loads(text)["inputs"])


def _found(text: str, card: ModelCard) -> tuple[list[int], list[int]] | None:
    prepared, wanted = json.loads(text), preparation(card)
    if prepared["spacing"] != wanted["spacing"] or prepared["output"] != wanted["output"]:
        return None
    # A card that lacks the image which gives the grid may still be trained on that grid.
    modalities = {entry["modality"] for entry in wanted["inputs"]}
    if prepared["reference"] != wanted["reference"] and prepared["reference"][0] in modalities:
        return None
    own = _own_specs(text)
    first = np.cumsum([0, *(spec.channels for spec in own)])
    inputs: list[int] = []
    channels: list[int] = []
    for spec in card.inputs:
        for index, other in enumerate(own):
            chosen = _channels_in(spec, other)
            if chosen is not None:
                inputs.append(index)
                channels += [int(first[index]) + c for c in chosen]
                break
        else:
            return None
    return inputs, channels


def _channels_in(spec: InputSpec, other: InputSpec) -> list[int] | None:
    """Give the channels of a prepared input that make up another; None where they cannot."""
    same = (spec.modality, spec.normalisation, spec.derived) == (
        other.modality, other.normalisation, other.derived,
    )  # fmt: skip
    if not same:
        return None
    if spec.derived:
        return [0] if spec.b_values == other.b_values else None
    if spec.b_values[:1] != other.b_values[:1] or not set(spec.b_values) <= set(other.b_values):
        return None  # the first channel is the scale of all
    return [other.b_values.index(b) for b in spec.b_values] or [0]
